"""Chapters of the report on a ranker that show its probabilities: relevance and the chance of a match."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.no_match_protocol import match_chances
from reranker.metrics.bootstrap import Measured, bootstrap_interval
from reranker.metrics.calibration import BINS, equal_mass_bins
from reranker.reports import charts
from reranker.reports.page import Block, Table, Text

# Relevance up to which the second reliability diagram goes: most pairs do not fit, so most bins lie below it.
ZOOM = 0.1
# The edges of a histogram of probabilities: 25 bins.
EDGES = np.linspace(0, 1, 26)
# Draws of the interval of one reliability bin.
BIN_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class _ReliabilityBins:
    """Bins of pairs by relevance: number of pairs, mean relevance (bins,), share of yes with its interval."""

    pairs: list[int]
    relevance: np.ndarray
    share: list[Measured]


def relevance(evaluation: Evaluation) -> list[Block]:
    """Show how the relevance of held-out pairs compares with the share of the crowd that says yes.

    Args:
        evaluation: The ranker and the data.

    Returns:
        Reliability diagrams, a table of the bins, and histograms of pairs that fit and pairs that do not.
    """
    judgments, _ = evaluation.data.judged
    share = np.array([row.share for row in judgments.crowd])
    shown = np.mean([evaluation.folds(seed).crowd for seed in range(evaluation.seeds)], axis=0)
    bins = _reliability_bins(shown, share, np.array([row.caption for row in judgments.crowd]))
    rows = [
        (number, pairs, float(mean), fits, float(mean) - fits.value)
        for number, (pairs, mean, fits) in enumerate(zip(bins.pairs, bins.relevance, bins.share, strict=True), 1)
    ]
    return [
        Text(
            [
                "The crowd's pairs, each with the relevance that a ranker gives it which learned from the judgments "
                f"of other photos alone (5 folds). {BINS} bins of equally many pairs; pairs of equal relevance share a "
                "bin."
            ]
        ),
        *_reliability_charts(bins),
        Table("The bins", ("bin", "pairs", "relevance shown", "share that says yes", "difference"), rows, digits=4),
        _relevance_histogram(shown, share),
    ]


def _reliability_bins(shown: np.ndarray, share: np.ndarray, captions: np.ndarray) -> _ReliabilityBins:
    """Divide relevance (n,) and share of yes (n,) into equal-mass bins; intervals draw whole captions (n,)."""
    bin_of = equal_mass_bins(shown, np.ones(len(shown)), BINS)
    members = [np.flatnonzero(bin_of == number) for number in np.unique(bin_of)]
    seen = [bootstrap_interval(captions[rows], partial(_mean_of, share[rows]), BIN_RESAMPLES) for rows in members]
    return _ReliabilityBins([len(rows) for rows in members], np.array([shown[rows].mean() for rows in members]), seen)


def _reliability_charts(bins: _ReliabilityBins) -> list[Block]:
    low = int((bins.relevance < ZOOM).sum())
    views = [(len(bins.pairs), "Reliability: on the dotted line, relevance equals the share that says yes.",
              "Reliability diagram; the table below has the bins.")]  # fmt: skip
    if 3 <= low < len(bins.pairs):
        views.append(
            (low, f"The same, the {low} bins below {ZOOM:g} alone.", f"Reliability diagram of the bins below {ZOOM:g}.")
        )
    return [
        charts.points(
            bins.relevance[:count],
            bins.share[:count],
            caption,
            alt,
            "relevance shown (mean of the bin)",
            "share that says yes",
            diagonal="perfectly calibrated",
        )
        for count, caption, alt in views
    ]


def _relevance_histogram(shown: np.ndarray, share: np.ndarray) -> Block:
    """Draw the relevance (n,) of pairs that more than half of the crowd says yes to, and of the others."""
    groups = {"fits (more than half say yes)": shown[share > 0.5], "does not fit": shown[share <= 0.5]}
    medians = [f"{name}: median {np.median(values):.3f}" for name, values in groups.items() if len(values)]
    return charts.share_histogram(
        {f"{name}: {len(values):,} pairs": values for name, values in groups.items()},
        EDGES,
        "Relevance shown of pairs that fit and of pairs that do not, each as shares of its own kind.",
        f"Histograms of relevance; {'; '.join(medians)}",
        "relevance shown",
        "share of the pairs",
    )


def no_match(evaluation: Evaluation) -> list[Block]:
    """Show the chance of a match where a query's photo is there, is removed, or belongs to another gallery.

    Args:
        evaluation: The ranker and the data.

    Returns:
        One histogram.
    """
    chances = match_chances(evaluation)
    names = {"present": "photo there", "removed": "photo removed", "foreign": "foreign gallery"}
    shown = {words: chances[name] for name, words in names.items() if name in chances}
    medians = "; ".join(f"{name}, median {np.median(values):.2f}" for name, values in shown.items())
    return [
        charts.share_histogram(
            shown,
            EDGES,
            "Chance that anything fits, by the no-match decision; below the dotted line a search says “no good match”.",
            f"Histograms of the chance of a match: {medians}",
            "chance that anything fits",
            "share of the queries",
            marks={"operating point": evaluation.ranker.no_match.threshold},
        )
    ]


def _mean_of(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())
