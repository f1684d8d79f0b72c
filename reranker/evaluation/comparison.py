"""What `photoseek evaluate` makes of an evaluation: a second ranker beside it, a report, TREC files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError
from reranker.evaluation import trec
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import evaluate
from reranker.evaluation.results import Miss, Results, differences, flat, value_of
from reranker.moderation.policy import Policy
from reranker.ranker import Ranker
from reranker.reports import Album, write_report
from reranker.reports.ranker import Comparison, sections_of

# As far as recall is drawn; all of 1,000 photos for 5,000 captions would be 480 MB.
TREC_DEPTH = 100
# Protocols that have rankings to write.
RANKINGS = ("official", "course_default", "course")


def check_compared(ranker: Ranker, other: Ranker, protocols: Sequence[str]) -> list[str]:
    """The protocols that tell two rankers apart: no baseline, and `course`, which trains anew, only where they have
    different encoders. Raises PhotoseekError if there is none."""
    alike = ("baseline", "course") if _same_encoders(ranker, other) else ("baseline",)
    asked = [name for name in protocols if name not in alike]
    if not asked:
        raise PhotoseekError(
            f"--compare: {' and '.join(protocols)} cannot tell rankers {ranker.id} and {other.id} apart"
        )
    return asked


def compare_rankers(evaluation: Evaluation, figures: Results, other: Ranker, protocols: Sequence[str]) -> Comparison:
    """Measure another ranker by those of the protocols that tell the two apart. Raises PhotoseekError if none is
    left."""
    same = _same_encoders(evaluation.ranker, other)
    asked = [name for name in check_compared(evaluation.ranker, other, protocols) if name in figures]
    if not asked:
        raise PhotoseekError("--compare: of what the data allows, nothing can differ")
    # What is kept of the same encoders and photos serves both: only searches and folds are the ranker's own.
    kept = ("encoders", "judged", "course", "names", "caption rows")
    cache = {name: evaluation._cache[name] for name in kept if same and name in evaluation._cache}
    second = replace(evaluation, ranker=other, image_encoder=None, resampled={}, _cache=cache)
    others = evaluate(second, asked)
    return Comparison(other.id, others, differences(figures, others, evaluation.resampled, second.resampled))


def comparison_lines(figures: Results, comparison: Comparison) -> str:
    """`name this other difference [low, high]`, a line a figure, below a heading."""
    leaves, others = flat(figures), flat(comparison.figures)
    lines = [f"\n{'beside ranker ' + comparison.other:<44}{'this':>8}{'other':>8}  difference"]
    for name, leaf in comparison.differing.items():
        interval = f"  [{leaf['low']:+.4f}, {leaf['high']:+.4f}]" if isinstance(leaf, dict) else ""
        numbers = f"{value_of(leaves[name]):>8.4f}{value_of(others[name]):>8.4f}  {value_of(leaf):+.4f}"
        lines.append(f"{name:<44}{numbers}{interval}")
    return "\n".join(lines)


def write_html(
    path: Path,
    evaluation: Evaluation,
    figures: Results,
    policy: Policy | None,
    missed: Sequence[Miss] | None = None,
    comparison: Comparison | None = None,
) -> int:
    """The report of an evaluation; its size in bytes. Photos under the policy are not shown. The rest is as of
    `measured.sections_of`."""
    ranker = evaluation.ranker
    facts = [
        ("ranker", ranker.id),
        ("image encoder", ranker.image_encoder.rpartition("@")[0]),
        *([("its precision", evaluation.precision)] if evaluation.precision != "auto" else []),
        ("text encoder", ranker.text_encoder_name),
        ("judged data", str(evaluation.judgments.folder)),
        ("seeds", str(evaluation.seeds)),
        *([("beside ranker", comparison.other)] if comparison is not None else []),
    ]
    album = Album.of(evaluation.judgments, policy)
    sections = sections_of(evaluation, figures, album, missed, comparison)
    return write_report(path, f"Ranker {ranker.id} on {evaluation.judgments.folder.resolve().name}", facts, sections)


def check_runs(folder: Path, protocols: Sequence[str]) -> None:
    """Raise PhotoseekError unless these protocols have rankings and `folder` is one or can be made. What takes minutes
    asks before it begins."""
    if not {*protocols} & {*RANKINGS}:
        raise PhotoseekError(f"--trec: only {', '.join(RANKINGS)} have rankings to write")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise PhotoseekError(f"--trec {folder} is a file; give a folder for the run files") from None
    except OSError as error:
        raise PhotoseekError(f"--trec {folder}: {error.strerror}") from None


def write_trec(folder: Path, evaluation: Evaluation, figures: Results) -> list[Path]:
    """Runs and judgments of the protocols that ran: `official` (reranked and candidates), `course_default`, `course`.

    `folder` is there, see `check_runs`. A query's one relevant photo is its own. Raises PhotoseekError if none of these
    ran or a file cannot be written.
    """
    runs: dict[str, tuple[np.ndarray, str]] = {}
    if "official" in figures:
        found, _ = evaluation.official()
        runs |= {"official": (found.ranking_scores, "official"), "official.candidates": (found.candidates, "official")}
    if "course_default" in figures:
        runs["course_default"] = (evaluation.course_default()[0].ranking_scores, "course")
    if "course" in figures:
        for seed in range(evaluation.seeds):
            name = "course" if evaluation.seeds == 1 else f"course.seed{seed}"
            runs[name] = (evaluation.course_trained(seed)[0].ranking_scores, "course")
    if not runs:
        raise PhotoseekError(f"--trec: judged data {evaluation.judgments.folder} allows none of {', '.join(RANKINGS)}")
    written = []
    for name, (scores, asked) in runs.items():
        queries, photos, own = _asked(evaluation, asked)
        qrels, run = folder / f"{asked}.qrels", folder / f"{name}.run"
        if qrels not in written:
            trec.write_qrels(qrels, [(query, photos[place], 1) for query, place in zip(queries, own, strict=True)])
            written.append(qrels)
        trec.write_run(run, scores, queries, photos, depth=TREC_DEPTH, tag=name)
        written.append(run)
    return written


def _same_encoders(ranker: Ranker, other: Ranker) -> bool:
    return (ranker.image_encoder, ranker.text_encoder) == (other.image_encoder, other.text_encoder)


def _asked(evaluation: Evaluation, name: str) -> tuple[list[str], Sequence[str], np.ndarray]:
    """Query ids, photo names and each query's own photo of a gallery."""
    if name == "official":
        _, features = evaluation.judged()
        rows = np.flatnonzero(features.owner >= 0)
        return [features.captions[row] for row in rows], features.photos, features.owner[rows]
    judgments = evaluation.judgments
    return [query.id for query in judgments.queries], judgments.test_photos, evaluation.course()[2]
