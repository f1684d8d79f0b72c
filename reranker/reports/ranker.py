"""The report on a ranker: an evaluation and its figures -> sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from reranker.evaluation.evaluation import RERANKED, Evaluation
from reranker.evaluation.outcomes import LOST, losses, outcomes_of_queries, recall_curve
from reranker.evaluation.protocols import PROTOCOLS, match_chances
from reranker.evaluation.results import Miss, Results, flat, value_of
from reranker.metrics.metrics import equal_mass_bins, interval, ranks_of_own
from reranker.reports import charts, queries
from reranker.reports.album import Album
from reranker.reports.page import Block, Cell, Interval, Points, Section, Table, Text, Tiles
from reranker.reports.ranker_conclusions import BASELINES, conclusions, less_is_better, verdict

BINS = 15
# Most pairs do not fit, so most bins lie below this; a chart of their own shows them.
ZOOM = 0.1
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
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another ranker on the same data: its id, its figures, and this ranker's figures less its own, by name."""

    other: str
    figures: Results
    differing: Results

    def as_dict(self) -> Results:
        """As JSON has it, the differences by the figures' full names."""
        return {"ranker": self.other, "figures": self.figures, "difference": self.differing}


def sections_of(
    evaluation: Evaluation,
    figures: Results,
    album: Album,
    missed: Sequence[Miss] | None = None,
    comparison: Comparison | None = None,
) -> list[Section]:
    """The chapters that the figures allow. `missed`: targets that were not reached, None where none were set."""
    leaves = flat(figures)
    lost = None
    if "official" in figures:
        found, own = evaluation.official()
        lost = losses(ranks_of_own(found.candidates, own), ranks_of_own(found.ranking_scores, own), 10, RERANKED)
    photos = len(evaluation.judgments.test_photos)
    differing = None if comparison is None else comparison.differing
    tiles = [(name, _cell(leaves[name]), note) for name, note in TILES if name in leaves]
    says = conclusions(figures, evaluation.resampled, lost, photos, missed, differing)
    sections = [Section("Conclusions", [Tiles(tiles), Points(says)])]
    if comparison is not None:
        sections.append(Section("Two rankers", _compared(leaves, comparison)))
    if "official" in figures:
        sections.append(Section("Recall", _recall(evaluation, figures)))
        sections.append(Section("Where queries are lost", _lost(evaluation)))
    elif "course_default" in figures or "course" in figures:
        sections.append(Section("Recall", _recall(evaluation, figures)))
    if "calibration" in figures:
        sections.append(Section("Relevance", _relevance(evaluation)))
    if "no_match" in figures:
        sections.append(Section("No match", _no_match(evaluation)))
    if any(name.endswith(("tau_c", "tau_b")) for name in leaves):
        sections.append(Section("Agreement with people", _people(leaves)))
    if "baseline" in figures:
        sections.append(Section("Baselines", _baselines(figures)))
    sections += queries.sections_of(evaluation, figures, album)
    return [*sections, Section("All figures", _all(leaves))]


def _recall(evaluation: Evaluation, figures: Results) -> list[Block]:
    blocks: list[Block] = []
    if "official" in figures:
        found, own = evaluation.official()
        ranks = {"reranked": ranks_of_own(found.ranking_scores, own), "candidates": ranks_of_own(found.candidates, own)}
        if "without_regions" in figures["official"]:
            ranks["reranked without regions"] = ranks_of_own(evaluation.without_regions().ranking_scores, own)
        what = f"{len(own):,} captions against the {found.ranking_scores.shape[1]:,} judged photos"
        blocks += _curves(ranks, what, found.ranking_scores.shape[1])
    ranks = {}
    if "course_default" in figures:
        found, own = evaluation.course_default()
        ranks |= {
            "this ranker": ranks_of_own(found.ranking_scores, own),
            "its candidates": ranks_of_own(found.candidates, own),
        }
    if "course" in figures:
        found, own = evaluation.course_trained(0)
        ranks["trained on the judged photos alone"] = ranks_of_own(found.ranking_scores, own)
    if ranks:
        what = f"the course's test, {len(own):,} queries against {found.ranking_scores.shape[1]} photos"
        blocks += _curves(ranks, what, found.ranking_scores.shape[1])
    return blocks


def _curves(ranks: Mapping[str, np.ndarray], what: str, photos: int) -> list[Block]:
    curves = {name: recall_curve(values, min(100, photos)) for name, values in ranks.items()}
    ten = "; ".join(f"{name} {curve.y[min(9, len(curve.y) - 1)]:.3f}" for name, curve in curves.items())
    chart = charts.lines(
        [charts.Line(name, c.k, c.y, c.low, c.high) for name, c in curves.items()],
        f"Recall at k: share of queries whose own photo is among the first k; {what}. Bands are 95% intervals.",
        f"Curves of recall over k for {what}; at 10: {ten}.",
        "k",
        "recall@k",
        log=True,
    )
    rows: list[list[Cell]] = []
    for name, curve in curves.items():
        cells = [
            Interval(float(y), float(low), float(high))
            for y, low, high in zip(curve.y, curve.low, curve.high, strict=True)
        ]
        rows.append([name, *(cells[k - 1] if k <= len(cells) else None for k in (1, 5, 10, 20, 50))])
    return [chart, Table(f"Recall at some k; {what}", ("ranking", "@1", "@5", "@10", "@20", "@50"), rows)]


def _lost(evaluation: Evaluation) -> list[Block]:
    found, own = evaluation.official()
    before, after = ranks_of_own(found.candidates, own), ranks_of_own(found.ranking_scores, own)
    by_k = {k: outcomes_of_queries(before, after, k, RERANKED) for k in (1, 5, 10)}
    parts = {name: [float((fate == place).mean()) for fate in by_k.values()] for place, name in enumerate(LOST)}
    rows: list[tuple[Cell, ...]] = [
        (name, *(_interval(interval(range(len(own)), partial(_share, fate == place))) for fate in by_k.values()))
        for place, name in enumerate(LOST)
    ]
    return [
        Text(
            [
                f"A query's own photo has to be among the first {RERANKED} candidates, which the reranker sees, and "
                "then among the first k. Whatever is lost in candidates no reranker can bring back."
            ]
        ),
        charts.stacked(
            [f"first {k}" for k in by_k],
            parts,
            "Every caption of the judged photos is in one part of each bar.",
            "Bars of what became of the queries at k = 1, 5 and 10; the table below has the numbers.",
            "share of the queries",
        ),
        Table("Shares of the queries", ("what became of them", "@1", "@5", "@10"), rows),
    ]


def _relevance(evaluation: Evaluation) -> list[Block]:
    judgments, _ = evaluation.judged()
    share = np.array([row.share for row in judgments.crowd])
    shown = np.mean([evaluation.folds(seed)["crowd"] for seed in range(evaluation.seeds)], axis=0)
    bin_of = equal_mass_bins(shown, np.ones(len(shown)), BINS)
    members = [np.flatnonzero(bin_of == number) for number in np.unique(bin_of)]
    captions = np.array([row.caption for row in judgments.crowd])
    said = np.array([shown[rows].mean() for rows in members])
    seen = [_interval(interval(captions[rows], partial(_share, share[rows]), 200)) for rows in members]
    low = int((said < ZOOM).sum())
    blocks: list[Block] = [
        Text(
            [
                "The crowd's pairs, each with the relevance that a ranker shows which learned from other photos' "
                f"judgments alone (5 folds). {BINS} bins of equally many pairs; pairs of equal relevance share a bin."
            ]
        ),
        charts.points(
            said,
            seen,
            "Reliability: a point on the dotted line keeps its word.",
            "Reliability diagram; the table below has the bins.",
            "relevance shown (mean of the bin)",
            "share that says yes",
            diagonal="as promised",
        ),
    ]
    if 3 <= low < len(said):
        blocks.append(
            charts.points(
                said[:low],
                seen[:low],
                f"The same, the {low} bins below {ZOOM:g} alone.",
                f"Reliability diagram of the bins below {ZOOM:g}.",
                "relevance shown (mean of the bin)",
                "share that says yes",
                diagonal="as promised",
            )
        )
    rows = [
        (number, len(rows), float(mean), fits, float(mean) - fits.value)
        for number, (rows, mean, fits) in enumerate(zip(members, said, seen, strict=True), 1)
    ]
    columns = ("bin", "pairs", "relevance shown", "share that says yes", "difference")
    blocks.append(Table("The bins", columns, rows, digits=4))
    groups = {"fits (more than half say yes)": shown[share > 0.5], "does not fit": shown[share <= 0.5]}
    blocks.append(
        charts.histogram(
            {f"{name}: {len(values):,} pairs": values for name, values in groups.items()},
            np.linspace(0, 1, 26),
            "Relevance shown of pairs that fit and of pairs that do not, each as shares of its own kind.",
            "Histograms of relevance; "
            + "; ".join(f"{name}: median {np.median(values):.3f}" for name, values in groups.items() if len(values)),
            "relevance shown",
            "share of the pairs",
            share=True,
        )
    )
    return blocks


def _no_match(evaluation: Evaluation) -> list[Block]:
    chances = match_chances(evaluation)
    names = {"present": "photo there", "removed": "photo removed", "foreign": "foreign gallery"}
    threshold = evaluation.ranker.no_match.threshold
    shown = {words: chances[name] for name, words in names.items() if name in chances}
    return [
        charts.histogram(
            shown,
            np.linspace(0, 1, 26),
            "Chance that anything fits, by the no-match decision; below the dotted line a search says “no good match”.",
            "Histograms of the chance of a match: "
            + "; ".join(f"{name}, median {np.median(values):.2f}" for name, values in shown.items()),
            "chance that anything fits",
            "share of the queries",
            share=True,
            marks={"operating point": threshold},
        )
    ]


def _people(leaves: Mapping[str, Any]) -> list[Block]:
    named = {name.rpartition(".")[0]: leaf for name, leaf in leaves.items() if name.endswith(("tau_c", "tau_b"))}
    words = ", ".join(f"{name} {value_of(leaf):.3f}" for name, leaf in named.items())
    return [
        charts.bars(
            [name.replace("_", " ") for name in named],
            {"tau": [_interval(leaf) for leaf in named.values()]},
            "Kendall's tau-c with the experts' grades and tau-b with the crowd's share of yes, with 95% intervals. "
            "“meaning” has learned from no judgment, “strict” saw neither the photo nor the caption.",
            f"Bars of the agreement with people: {words}.",
            "",
            "Kendall's tau",
            shown="{:.3f}",
        )
    ]


def _baselines(figures: Results) -> list[Block]:
    found = figures["baseline"]
    entries = {words[0].upper() + words[1:]: found[name] for name, words in BASELINES.items() if name in found}
    if "course" in figures:
        entries["Trained on the judged photos"] = figures["course"]
    if "course_default" in figures:
        shown = {**figures["course_default"], **figures.get("hubs", {})}
        entries["This ranker"] = shown
    keys = ("recall@1", "recall@5", "recall@10", "largest_share")
    rows = [[name, *(_cell(of.get(key)) for key in keys)] for name, of in entries.items()]
    ten = "; ".join(f"{name} {value_of(of['recall@10']):.3f}" for name, of in entries.items())
    labels = [_folded(name.replace("the concatenated vector", "[x;t]")) for name in entries]
    return [
        charts.bars(
            labels,
            {key: [_interval(of[key]) for of in entries.values()] for key in keys[:3]},
            "Recall on the course's test, with 95% intervals. [x ; t] is the concatenated image and text vector. "
            "Baselines learn from the judged photos alone.",
            f"Bars of recall of every baseline; recall@10: {ten}.",
            "",
            "recall",
        ),
        Table(
            "The same as numbers; the largest share is that of queries with one and the same photo in their first ten",
            ("model", *keys),
            rows,
        ),
    ]


def _compared(leaves: Mapping[str, Any], comparison: Comparison) -> list[Block]:
    others = flat(comparison.figures)
    rows = [
        (name, _cell(leaves[name]), _cell(others[name]), _cell(leaf), verdict(name, leaf))
        for name, leaf in comparison.differing.items()
    ]
    return [
        Text(
            [
                "Both rankers on the same queries. The difference has its own interval, by a paired bootstrap: both "
                "are measured on the same drawn queries, so it can be clear where the two single intervals overlap."
            ]
        ),
        Table(f"This ranker beside {comparison.other}", ("figure", "this", "other", "difference", "verdict"), rows),
    ]


def _all(leaves: Mapping[str, Any]) -> list[Block]:
    rows = [(name, _cell(leaf), "less" if less_is_better(name) else "") for name, leaf in leaves.items()]
    meaning = [
        (name, (PROTOCOLS[name].__doc__ or "").strip()) for name in dict.fromkeys(n.split(".")[0] for n in leaves)
    ]
    return [
        Table(
            "Every figure with its 95% interval (percentile bootstrap over queries). A mean distance (ece) grows in a "
            "draw: its interval lies high and may leave the value out.",
            ("figure", "value", "better"),
            rows,
            4,
        ),
        Table("What each protocol measures", ("protocol", "what"), meaning),
    ]


def _interval(leaf: Any) -> Interval:
    """A figure; one without an interval is its own."""
    if isinstance(leaf, dict):
        return Interval(leaf["value"], leaf["low"], leaf["high"])
    return Interval(float(leaf), float(leaf), float(leaf))


def _cell(leaf: Any) -> Cell:
    return None if leaf is None else _interval(leaf) if isinstance(leaf, dict) else float(leaf)


def _share(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())


def _folded(label: str) -> str:
    """A label on at most three lines of some 12 letters, which charts draw below a bar."""
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) > 11:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
