"""Write the report on a ranker: one HTML file of chapters made from an evaluation and its results."""

from collections.abc import Sequence
from pathlib import Path

from reranker.evaluation.comparison import Comparison
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.results import Miss, Results, flatten
from reranker.metrics.outcomes import outcome_shares
from reranker.metrics.recall import ranks_of_own
from reranker.moderation.policy import Policy
from reranker.reports import ranker_chapters as chapters
from reranker.reports.album import Album
from reranker.reports.page import Points, Section, Tiles, write_report
from reranker.reports.ranker_conclusions import conclusions
from reranker.reports.ranker_probabilities import no_match, relevance
from reranker.reports.ranker_queries import query_sections

# Results in large letters at the top of the report, each with what it means.
TILES = (
    ("official.recall@1", "own photo is the first of the judged photos"),
    ("official.recall@10", "own photo is among the first ten"),
    ("course.recall@10", "the course's test, trained on the judged photos"),
    ("course_default.recall@10", "the course's test, this ranker"),
    ("expert.tau_c", "agreement with experts, other photos"),
    ("crowd.tau_b", "agreement with the crowd, other photos"),
    ("calibration.ece", "how far relevance is off"),
    ("no_match.auroc_removed", "tells whether the photo is there"),
    ("hubs.largest_share", "queries with one and the same photo"),
    ("breadth.recall@10", "photos of a name found"),
    ("elsewhere.mean.recall@10", "own photo is among the first ten, other photos"),
    ("everyday.precision@5", "right photos among the first five, short queries"),
)


def write_ranker_report(
    path: Path,
    evaluation: Evaluation,
    results: Results,
    policy: Policy | None,
    missed: Sequence[Miss] | None = None,
    comparison: Comparison | None = None,
) -> int:
    """Write the report of an evaluation as one HTML file.

    Args:
        path: The file; one that is there is replaced.
        evaluation: The ranker and the data; rankings and scores of the charts come from it.
        results: Its results.
        policy: Photos under this policy are not shown; None shows all.
        missed: The thresholds that were missed; None where none were set.
        comparison: Another ranker on the same data.

    Returns:
        Size of the file in bytes.

    Raises:
        PhotoseekError: The file cannot be written.
    """
    ranker = evaluation.ranker
    facts = [
        ("ranker", ranker.id),
        ("image encoder", ranker.image_encoder.rpartition("@")[0]),
        *([("its precision", evaluation.data.precision)] if evaluation.data.precision != "auto" else []),
        ("text encoder", ranker.text_encoder_name),
        ("judged data", str(evaluation.judgments.folder)),
        ("seeds", str(evaluation.seeds)),
        *([("beside ranker", comparison.ranker_id)] if comparison is not None else []),
    ]
    album = Album.of(evaluation.judgments, policy)
    sections = ranker_sections(evaluation, results, album, missed, comparison)
    return write_report(path, f"Ranker {ranker.id} on {evaluation.judgments.folder.resolve().name}", facts, sections)


def ranker_sections(
    evaluation: Evaluation,
    results: Results,
    album: Album,
    missed: Sequence[Miss] | None = None,
    comparison: Comparison | None = None,
) -> list[Section]:
    """Make the chapters that the results allow.

    Args:
        evaluation: The ranker and the data.
        results: Its results.
        album: The photos that may be shown.
        missed: The thresholds that were missed; None where none were set.
        comparison: Another ranker on the same data.

    Returns:
        The chapters, the conclusions first.
    """
    named = flatten(results)
    sections = [_conclusions(evaluation, results, missed, comparison)]
    if comparison is not None:
        sections.append(Section("Two rankers", chapters.two_rankers(named, comparison)))
    if {"official", "course_default", "course"} & {*results}:
        sections.append(Section("Recall", chapters.recall(evaluation, named)))
    if "official" in results:
        sections.append(Section("Where queries are lost", chapters.lost_queries(evaluation)))
    if "calibration" in results:
        sections.append(Section("Relevance", relevance(evaluation)))
    if "no_match" in results:
        sections.append(Section("No match", no_match(evaluation)))
    if any(name.endswith(("tau_c", "tau_b")) for name in named):
        sections.append(Section("Agreement with people", chapters.agreement_with_people(named)))
    if "elsewhere" in results:
        sections.append(Section("Other photos", chapters.other_photos(named)))
    if "baseline" in results:
        sections.append(Section("Baselines", chapters.baselines(named)))
    sections += query_sections(evaluation, results, album)
    return [*sections, Section("All figures", chapters.all_results(named))]


def _conclusions(
    evaluation: Evaluation, results: Results, missed: Sequence[Miss] | None, comparison: Comparison | None
) -> Section:
    named = flatten(results)
    outcomes = None
    if "official" in results:
        found, own = evaluation.official()
        before, after = ranks_of_own(found.candidate_scores, own), ranks_of_own(found.ranking_scores, own)
        outcomes = outcome_shares(before, after, 10, evaluation.ranker.settings.candidates)
    differences = None if comparison is None else comparison.differences
    photos = len(evaluation.judgments.test_photos)
    tiles = [(name, chapters.cell(named[name]), note) for name, note in TILES if name in named]
    says = conclusions(results, outcomes, photos, missed, differences)
    return Section("Conclusions", [Tiles(tiles), Points(says)])
