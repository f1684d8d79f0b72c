"""Write the rankings of an evaluation as TREC run files, with their judgments."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.results import Results
from reranker.evaluation.trec import write_qrels, write_run

# Lines of run files and of qrels, and letters of a line that are looked at.
RUN_LINE, QRELS_LINE = re.compile(r"\S+ Q0 \S+ \d+ \S+ \S+"), re.compile(r"\S+ 0 \S+ \d+")
LONGEST_LINE = 4096
# The protocols that rank a gallery of photos, so that there is something to write.
RANKING_PROTOCOLS = ("official", "course_default", "course")


def make_trec_folder(folder: Path, protocols: Sequence[str]) -> None:
    """Make the folder for `write_trec`, or refuse before minutes of measuring.

    Args:
        folder: May be there already.
        protocols: The protocols that will run.

    Raises:
        PhotoseekError: None of the protocols has rankings to write, or the folder cannot be made.
    """
    if not {*protocols} & {*RANKING_PROTOCOLS}:
        raise PhotoseekError(f"--trec: only {', '.join(RANKING_PROTOCOLS)} have rankings to write")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise PhotoseekError(f"--trec {folder} is a file; give a folder for the run files") from None
    except OSError as error:
        raise PhotoseekError(f"--trec {folder}: {error.strerror}") from None


def write_trec(folder: Path, evaluation: Evaluation, results: Results) -> list[Path]:
    """Write run files and qrels of the protocols that ran.

    These are `official` (reranked photos and candidates), `course_default` and `course` (one run per seed). The only
    relevant photo of a query is the one that it was written for.

    Args:
        folder: Where to write; `make_trec_folder` makes it.
        evaluation: What the rankings come from.
        results: Its results; they tell which protocols ran.

    Returns:
        The files, in the order of writing.

    Raises:
        PhotoseekError: None of these protocols ran, or a file cannot be written.
    """
    rankings = _rankings(evaluation, results)
    if not rankings:
        judged = evaluation.judgments.folder
        raise PhotoseekError(f"--trec: judged data {judged} allows none of {', '.join(RANKING_PROTOCOLS)}")
    written = []
    for name, (test, scores) in rankings.items():
        queries, photos, own = _test_ids(evaluation, test)
        qrels, run = folder / f"{test}.qrels", folder / f"{name}.run"
        if qrels not in written:
            write_qrels(qrels, [(query, photos[column], 1) for query, column in zip(queries, own, strict=True)])
            written.append(qrels)
        write_run(run, scores, queries, photos, tag=name)
        written.append(run)
    return written


def is_trec_folder(folder: Path) -> bool:
    """Return whether what `write_trec` would replace in a folder are run files and qrels.

    Args:
        folder: The folder.
    """
    if not folder.is_dir():
        return False
    lines = {".run": RUN_LINE, ".qrels": QRELS_LINE}
    return all(_first_line_is(path, lines[path.suffix]) for path in folder.iterdir() if path.suffix in lines)


def _first_line_is(path: Path, form: re.Pattern[str]) -> bool:
    """Return whether a file is empty or its first line has a form; False if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            line = file.readline(LONGEST_LINE)
    except OSError:
        return False
    return not line or form.fullmatch(line.rstrip("\n")) is not None


def _rankings(evaluation: Evaluation, results: Results) -> dict[str, tuple[str, np.ndarray]]:
    """Return, by the name of a ranking, the test that it answers and its scores (queries, photos)."""
    rankings: dict[str, tuple[str, np.ndarray]] = {}
    if "official" in results:
        found, _ = evaluation.official()
        rankings["official"] = ("official", found.ranking_scores)
        rankings["official.candidates"] = ("official", found.candidate_scores)
    if "course_default" in results:
        rankings["course_default"] = ("course", evaluation.course_default()[0].ranking_scores)
    if "course" in results:
        for seed in range(evaluation.seeds):
            name = "course" if evaluation.seeds == 1 else f"course.seed{seed}"
            rankings[name] = ("course", evaluation.course_trained(seed)[0].ranking_scores)
    return rankings


def _test_ids(evaluation: Evaluation, test: str) -> tuple[list[str], Sequence[str], np.ndarray]:
    """Return query ids, photo names, and the place of each query's photo (queries,), of test `official` or `course`."""
    if test == "official":
        _, features = evaluation.data.judged
        rows = np.flatnonzero(features.owner >= 0)
        return [features.captions[row] for row in rows], features.photos, features.owner[rows]
    judgments = evaluation.judgments
    return [query.id for query in judgments.queries], judgments.test_photos, evaluation.data.course.own
