"""Chapters of the report on a ranker: recall, lost queries, agreement, baselines, comparison and all results."""

from collections.abc import Mapping

import numpy as np

from reranker.evaluation.comparison import Comparison
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import PROTOCOLS
from reranker.evaluation.results import Result, flatten, value_of
from reranker.metrics.bootstrap import Measured, mean_interval
from reranker.metrics.outcomes import OUTCOMES, outcomes_of_queries, recall_curve
from reranker.metrics.recall import ranks_of_own
from reranker.reports import charts
from reranker.reports.page import Block, Cell, Table, Text
from reranker.reports.ranker_conclusions import BASELINES, less_is_better, verdict


def recall(evaluation: Evaluation, named: Mapping[str, Result]) -> list[Block]:
    """Draw recall over k of the judged photos and of the course's test, as far as they were measured.

    Args:
        evaluation: The ranker and the data.
        named: Results by full name.

    Returns:
        Curves and a table for each of the two.
    """
    blocks: list[Block] = []
    if "official.recall@1" in named:
        found, own = evaluation.official()
        ranks = {
            "reranked": ranks_of_own(found.ranking_scores, own),
            "candidates": ranks_of_own(found.candidate_scores, own),
        }
        if "official.without_regions.recall@1" in named:
            ranks["reranked without regions"] = ranks_of_own(evaluation.without_regions().ranking_scores, own)
        photos = found.ranking_scores.shape[1]
        blocks += _recall_curves(ranks, f"{len(own):,} captions against the {photos:,} judged photos", photos)
    ranks = {}
    if "course_default.recall@1" in named:
        found, own = evaluation.course_default()
        ranks["this ranker"] = ranks_of_own(found.ranking_scores, own)
        ranks["its candidates"] = ranks_of_own(found.candidate_scores, own)
    if "course.recall@1" in named:
        found, own = evaluation.course_trained(0)
        ranks["trained on the judged photos alone"] = ranks_of_own(found.ranking_scores, own)
    if ranks:
        photos = found.ranking_scores.shape[1]
        blocks += _recall_curves(ranks, f"the course's test, {len(own):,} queries against {photos} photos", photos)
    return blocks


def _recall_curves(ranks: Mapping[str, np.ndarray], what: str, photos: int) -> list[Block]:
    """Name of a ranking -> ranks (queries,); up to k = 100."""
    curves = {name: recall_curve(values, min(100, photos)) for name, values in ranks.items()}
    ten = "; ".join(f"{name} {curve.recall[min(9, photos - 1)]:.3f}" for name, curve in curves.items())
    chart = charts.lines(
        [charts.Line(name, curve.k, curve.recall, curve.low, curve.high) for name, curve in curves.items()],
        f"Recall at k: share of queries whose own photo is among the first k; {what}. Bands are 95% intervals.",
        f"Curves of recall over k for {what}; at 10: {ten}.",
        "k",
        "recall@k",
        log=True,
    )
    rows: list[list[Cell]] = []
    for name, curve in curves.items():
        cells = [
            Measured(float(value), float(low), float(high))
            for value, low, high in zip(curve.recall, curve.low, curve.high, strict=True)
        ]
        rows.append([name, *(cells[k - 1] if k <= len(cells) else None for k in (1, 5, 10, 20, 50))])
    return [chart, Table(f"Recall at some k; {what}", ("ranking", "@1", "@5", "@10", "@20", "@50"), rows)]


def lost_queries(evaluation: Evaluation) -> list[Block]:
    """Show the outcome of the queries: found, or lost among the candidates or in reranking.

    Args:
        evaluation: The ranker and the data.

    Returns:
        An explanation, a chart and a table, for k = 1, 5 and 10.
    """
    found, own = evaluation.official()
    before, after = ranks_of_own(found.candidate_scores, own), ranks_of_own(found.ranking_scores, own)
    candidates = evaluation.ranker.settings.candidates
    outcomes = {k: outcomes_of_queries(before, after, k, candidates) for k in (1, 5, 10)}
    parts = {
        name: [float((outcome == place).mean()) for outcome in outcomes.values()] for place, name in enumerate(OUTCOMES)
    }
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            *(mean_interval(outcome == place) for outcome in outcomes.values()),
        )
        for place, name in enumerate(OUTCOMES)
    ]
    return [
        Text(
            [
                f"A query's own photo has to be among the first {candidates} candidates, which the reranker sees, and "
                "then among the first k. No reranker can bring back what is lost in candidates."
            ]
        ),
        charts.stacked_bars(
            [f"first {k}" for k in outcomes],
            parts,
            "Every caption of the judged photos is in one part of each bar.",
            "Bars of the outcomes of the queries at k = 1, 5 and 10; the table below has the numbers.",
            "share of the queries",
        ),
        Table("Shares of the queries", ("outcome", "@1", "@5", "@10"), rows),
    ]


def agreement_with_people(named: Mapping[str, Result]) -> list[Block]:
    """Draw Kendall's tau with the experts and the crowd.

    Args:
        named: Results by full name; those that end in `tau_c` or `tau_b` are drawn.

    Returns:
        One chart of bars.
    """
    taus = {name.rpartition(".")[0]: result for name, result in named.items() if name.endswith(("tau_c", "tau_b"))}
    words = ", ".join(f"{name} {value_of(result):.3f}" for name, result in taus.items())
    return [
        charts.bars(
            [name.replace("_", " ") for name in taus],
            {"tau": [_with_interval(result) for result in taus.values()]},
            "Kendall's tau-c with the experts' grades and tau-b with the crowd's share of yes, with 95% intervals. "
            "“meaning” has learned from no judgment, “strict” saw neither the photo nor the caption.",
            f"Bars of the agreement with people: {words}.",
            "",
            "Kendall's tau",
            shown="{:.3f}",
        )
    ]


def baselines(named: Mapping[str, Result]) -> list[Block]:
    """Compare recall on the course's test with that of the baselines.

    Args:
        named: Results by full name.

    Returns:
        Bars and a table of all baselines, of the ranker and of one trained on the judged photos alone.
    """
    entries = {
        title[0].upper() + title[1:]: _branch(named, f"baseline.{name}")
        for name, title in BASELINES.items()
        if f"baseline.{name}.recall@1" in named
    }
    if "course.recall@1" in named:
        entries["Trained on the judged photos"] = _branch(named, "course")
    if "course_default.recall@1" in named:
        entries["This ranker"] = _branch(named, "course_default") | _branch(named, "hubs")
    keys = ("recall@1", "recall@5", "recall@10", "largest_share")
    rows = [[name, *(cell(entry.get(key)) for key in keys)] for name, entry in entries.items()]
    ten = "; ".join(f"{name} {value_of(entry['recall@10']):.3f}" for name, entry in entries.items())
    labels = [_folded(name.replace("the concatenated vector", "[x;t]")) for name in entries]
    return [
        charts.bars(
            labels,
            {key: [_with_interval(entry[key]) for entry in entries.values()] for key in keys[:3]},
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


def other_photos(named: Mapping[str, Result]) -> list[Block]:
    """Compare recall on several sets of other photos.

    Args:
        named: Results by full name.

    Returns:
        Bars of recall of each set, before and after reranking, and a table.
    """
    results = _branch(named, "elsewhere")
    sets = list(dict.fromkeys(name.partition(".")[0] for name in results))
    entries = {name: _branch(results, name) for name in sets}
    keys = (
        *("recall@1", "recall@5", "recall@10", "candidates.recall@10"),
        *("reranked_minus_candidates", "right_refused", "largest_share"),
    )
    ten = "; ".join(f"{name} {value_of(entry['recall@10']):.3f}" for name, entry in entries.items())
    return [
        charts.bars(
            sets,
            {
                title: [_with_interval(entry[key]) for entry in entries.values()]
                for title, key in (("reranked", "recall@10"), ("candidates", "candidates.recall@10"))
            },
            "Recall@10 of captions against the test photos of their own set, with 95% intervals.",
            f"Bars of recall@10 of every set: {ten}.",
            "",
            "recall@10",
        ),
        Table(
            "The sets as numbers; reranked minus candidates is the sum of the differences of recall@1, 5 and 10",
            ("set", *keys),
            [[name, *(cell(entry.get(key)) for key in keys)] for name, entry in entries.items()],
        ),
    ]


def two_rankers(named: Mapping[str, Result], comparison: Comparison) -> list[Block]:
    """Compare the results of two rankers.

    Args:
        named: Results of this ranker by full name.
        comparison: The other ranker.

    Returns:
        An explanation and a table.
    """
    other = flatten(comparison.results)
    rows = [
        (name, cell(named[name]), cell(other[name]), cell(difference), verdict(name, difference))
        for name, difference in comparison.differences.items()
    ]
    return [
        Text(
            [
                "Both rankers on the same queries. The difference has its own interval, by a paired bootstrap: both "
                "are measured on the same drawn queries, so it can be clear where the two single intervals overlap."
            ]
        ),
        Table(f"This ranker beside {comparison.ranker_id}", ("figure", "this", "other", "difference", "verdict"), rows),
    ]


def all_results(named: Mapping[str, Result]) -> list[Block]:
    """List every result, and what each protocol measures.

    Args:
        named: Results by full name.

    Returns:
        Two tables.
    """
    rows = [(name, cell(result), "less" if less_is_better(name) else "") for name, result in named.items()]
    protocols = dict.fromkeys(name.split(".")[0] for name in named)
    return [
        Table(
            "Every figure with its 95% interval (percentile bootstrap over queries). The calibration error (ece) is "
            "larger in a draw than in the data, so its interval lies high and may not hold the value.",
            ("figure", "value", "better"),
            rows,
            4,
        ),
        Table("What each protocol measures", ("protocol", "what"), [(name, _summary(name)) for name in protocols]),
    ]


def cell(result: Result | None) -> Cell:
    """Return a result as a table cell, None where there is none."""
    return result if result is None or isinstance(result, Measured) else float(result)


def _summary(protocol: str) -> str:
    """Return the first paragraph of the docstring of a protocol."""
    return " ".join((PROTOCOLS[protocol].__doc__ or "").strip().partition("\n\n")[0].split())


def _branch(named: Mapping[str, Result], name: str) -> dict[str, Result]:
    """Return the results below a name, without it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): result for key, result in named.items() if key.startswith(prefix)}


def _with_interval(result: Result) -> Measured:
    """Give a result without an interval one of zero length, which charts can draw."""
    return result if isinstance(result, Measured) else Measured(float(result), float(result), float(result))


def _folded(label: str) -> str:
    """Break a chart label into lines of about 12 letters, so that it fits below a bar."""
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) > 11:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
