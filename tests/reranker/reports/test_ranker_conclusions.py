"""Conclusions: what the sentences say follows the figures, and turns with them."""

import numpy as np

from reranker.evaluation.outcomes import LOST
from reranker.evaluation.results import Miss, Threshold
from reranker.reports.ranker_conclusions import conclusions, verdict


def leaf(value: float, spread: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread}


def draws(value: float) -> np.ndarray:
    """What 200 draws gave: what makes a draw hard, shared by all figures, about the value."""
    return value + np.linspace(-0.1, 0.1, 200)


def official(one: float, ten: float, candidates: float) -> tuple[dict, dict]:
    figures = {
        "official": {
            "recall@1": leaf(one),
            "recall@10": leaf(ten),
            "candidates": {"recall@1": leaf(candidates / 2), "recall@10": leaf(candidates)},
        }
    }
    values = {"official.recall@10": ten, "official.candidates.recall@10": candidates}
    return figures, {name: draws(value) for name, value in values.items()}


def test_recall_and_what_reranking_makes_of_it() -> None:
    for ten, effect in ((0.8, "makes the ranking better"), (0.7, "makes the ranking worse"), (0.75, "changes little")):
        says = conclusions(*official(0.4, ten, 0.75))
        assert says[0].startswith(f"Of the captions of the judged photos {100 * ten:.1f}% [")
        points = f"{100 * (ten - 0.75):+.1f}"
        assert says[1] == (
            f"Reranking the candidates {effect}: recall moves by {points} points [{points}, {points}] at 10."
        )


def test_where_queries_are_lost_names_the_stage_that_loses_most() -> None:
    for worst, mend in (
        (2, "the reranker is what to mend"),
        (3, "a better order has most to win"),
        (4, "the candidates are what to mend"),
    ):
        lost = dict.fromkeys(LOST, 0.1)
        lost[LOST[worst]] = 0.3
        (said,) = conclusions({}, {}, lost)
        assert said.startswith("50.0% of the captions do not find their photo")
        assert said.endswith(f"{mend}.")
    (said,) = conclusions({}, {}, {name: float(name == LOST[0]) for name in LOST})
    assert said == "No query is lost: every one finds its photo among the first ten."


def test_baselines_are_told_apart_by_the_paired_interval() -> None:
    values = {"course": 0.9, "baseline.chance": 0.1, "baseline.cosine": 0.9, "baseline.plain_net": 0.95}
    figures = {
        "course": {"recall@1": leaf(0.5), "recall@10": leaf(0.9)},
        "baseline": {
            name: {"recall@10": leaf(values[f"baseline.{name}"])} for name in ("chance", "cosine", "plain_net")
        },
    }
    resampled = {f"{name}.recall@10": draws(value) for name, value in values.items()}
    # The cosine's draws differ by chance alone.
    resampled["baseline.cosine.recall@10"] = draws(0.9)[::-1]
    says = conclusions(figures, resampled)
    assert "On the course's test, recall@10 of course beats chance (+80.0 points [+80.0, +80.0])." in says
    assert "Not beaten beyond doubt: cosine after CCA (+0.0 points [-19.0, +19.0])." in says
    assert "Worse than a plain net on the concatenated vector (-5.0 points [-5.0, -5.0])." in says


def test_learning_from_judgments_is_held_against_meaning_alone() -> None:
    for learned, ending in (
        (0.6, "; learning from judgments adds to what meaning alone has (0.500)."),
        (0.4, "; learning from judgments takes away from what meaning alone has (0.500)."),
        (0.5, ", not clearly other than by meaning alone (0.500): judgments add nothing that shows."),
    ):
        figures = {"expert": {"tau_c": leaf(learned)}, "expert_meaning": {"tau_c": leaf(0.5)}}
        (said,) = conclusions(figures, {"expert.tau_c": draws(learned), "expert_meaning.tau_c": draws(0.5)})
        assert said.endswith(ending)


def test_targets_that_are_not_reached_come_first() -> None:
    figures, resampled = official(0.4, 0.8, 0.75)
    assert conclusions(figures, resampled, missed=[])[0] == "Every target that was set is reached."
    says = conclusions(figures, resampled, missed=[Miss("official.recall@10", 0.8, Threshold("recall@10", 0.9))])
    assert says[0] == "Targets not reached: official.recall@10 is 0.8000, below 0.9."
    assert not conclusions(figures, resampled)[0].startswith("Targets")


def test_weak_separation_and_skill_are_called_so() -> None:
    figures = {
        "calibration": {"ece": leaf(0.002), "brier_skill": leaf(0.3)},
        "no_match": {"auroc_removed": leaf(0.6), "refused_present": leaf(0.05)},
        "hubs": {"largest_share": leaf(0.2)},
    }
    says = conclusions(figures, {}, photos=100)
    assert "off by 0.002 on average" in says[0]
    assert "better than that of always saying the base rate" in says[0]
    assert says[1].startswith("Whether a query's photo is there, the no-match decision tells too little to rely on")
    assert says[1].endswith("It refuses 5.0% of the queries whose photo is there.")
    assert says[2].endswith("20.0% [19.0, 21.0] of the queries, 2.0 times an even share.")
    figures["no_match"]["auroc_removed"], figures["calibration"]["brier_skill"] = leaf(0.8), leaf(0.0)
    says = conclusions(figures, {}, photos=100)
    assert "not clearly better than that of always saying" in says[0]
    assert "tells well enough to act on" in says[1]
    # Where the crowd always says the same, there is no skill.
    says = conclusions({"calibration": {"ece": leaf(0.002)}}, {})
    assert says == [
        "Shown relevance is off by 0.002 on average from the share of people who say yes; all pairs have one and the "
        "same share, so no skill can show."
    ]


def test_a_difference_is_a_verdict_only_where_its_interval_leaves_out_zero() -> None:
    assert verdict("official.recall@1", leaf(0.02)) == "better"
    assert verdict("official.recall@1", leaf(-0.02)) == "worse"
    assert verdict("official.recall@1", leaf(0.005)) == "no difference shown"
    assert verdict("calibration.ece", leaf(0.02)) == "worse"
    assert verdict("hubs.largest_share", leaf(-0.02)) == "better"
    assert verdict("x", 0.5) == "no difference shown"
    (said,) = conclusions({}, {}, differing={"a.x": leaf(0.02), "b.ece": leaf(0.02), "c.x": leaf(0.0)})
    assert said == "Beside the other ranker, this one is better in a.x; worse in b.ece."
    (said,) = conclusions({}, {}, differing={"c.x": leaf(0.0)})
    assert said == "Beside the other ranker, this one is in no figure different beyond doubt."
