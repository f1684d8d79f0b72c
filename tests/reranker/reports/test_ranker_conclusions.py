"""Conclusions: what the sentences say follows from the results, and turns with them."""

from dataclasses import replace

import numpy as np

from reranker.evaluation.results import Miss, Results, Threshold
from reranker.metrics.bootstrap import Measured
from reranker.metrics.outcomes import LOST_IN_CANDIDATES, LOST_IN_RERANKING, OUTCOMES, RANKED_BEHIND
from reranker.reports.ranker_conclusions import conclusions, verdict


def measured(value: float, spread: float = 0.01, draws: np.ndarray | None = None) -> Measured:
    return Measured(value, value - spread, value + spread, draws)


def drawn(value: float) -> Measured:
    """Return a value with 200 bootstrap draws; the deviations of the draws are the same for all values."""
    return measured(value, draws=value + np.linspace(-0.1, 0.1, 200))


def official(one: float, ten: float, candidates: float) -> Results:
    return {
        "official": {
            "recall@1": measured(one),
            "recall@10": drawn(ten),
            "candidates": {"recall@1": measured(candidates / 2), "recall@10": drawn(candidates)},
        }
    }


def test_recall_and_what_reranking_makes_of_it() -> None:
    for ten, effect in ((0.8, "makes the ranking better"), (0.7, "makes the ranking worse"), (0.75, "changes little")):
        says = conclusions(official(0.4, ten, 0.75))
        assert says[0].startswith(f"Of the captions of the judged photos {100 * ten:.1f}% [")
        points = f"{100 * (ten - 0.75):+.1f}"
        assert says[1] == (
            f"Reranking the candidates {effect}: recall moves by {points} points [{points}, {points}] at 10."
        )


def test_where_queries_are_lost_names_the_stage_that_loses_most() -> None:
    for worst, advice in (
        (LOST_IN_RERANKING, "improve the reranker first"),
        (RANKED_BEHIND, "improve the ranking first"),
        (LOST_IN_CANDIDATES, "improve the candidates first"),
    ):
        (said,) = conclusions({}, {**dict.fromkeys(OUTCOMES, 0.1), worst: 0.3})
        assert said.startswith("50.0% of the captions do not find their photo")
        assert said.endswith(f"so {advice}.")
    (said,) = conclusions({}, {name: float(name == OUTCOMES[0]) for name in OUTCOMES})
    assert said == "No query is lost: every one finds its photo among the first ten."


def test_baselines_are_told_apart_by_the_paired_interval() -> None:
    baselines = {"chance": drawn(0.1), "cosine": drawn(0.9), "plain_net": drawn(0.95)}
    # The cosine's draws differ by chance alone.
    baselines["cosine"] = replace(baselines["cosine"], draws=baselines["cosine"].draws[::-1])
    says = conclusions(
        {
            "course": {"recall@1": measured(0.5), "recall@10": drawn(0.9)},
            "baseline": {name: {"recall@10": result} for name, result in baselines.items()},
        }
    )
    assert "On the course's test, recall@10 of course beats chance (+80.0 points [+80.0, +80.0])." in says
    assert "No clear difference from cosine after CCA (+0.0 points [-19.0, +19.0])." in says
    assert "Worse than a plain net on the concatenated vector (-5.0 points [-5.0, -5.0])." in says


def test_learning_from_judgments_is_compared_with_meaning_alone() -> None:
    for learned, comparison in ((0.6, "more than"), (0.4, "less than"), (0.5, "not clearly other than")):
        (said,) = conclusions({"expert": {"tau_c": drawn(learned)}, "expert_meaning": {"tau_c": drawn(0.5)}})
        ending = f"], {comparison} meaning alone, which learned from no judgments (0.500)."
        assert said.startswith(f"Relevance agrees with experts by tau-c {learned:.3f} [")
        assert said.endswith(ending)


def test_targets_that_are_not_reached_come_first() -> None:
    results = official(0.4, 0.8, 0.75)
    assert conclusions(results, missed=[])[0] == "Every target that was set is reached."
    says = conclusions(results, missed=[Miss("official.recall@10", 0.8, Threshold("recall@10", 0.9))])
    assert says[0] == "Targets not reached: official.recall@10 is 0.8000, below 0.9."
    assert not conclusions(results)[0].startswith("Targets")


def test_weak_separation_and_skill_are_called_so() -> None:
    results = {
        "calibration": {"ece": measured(0.002), "brier_skill": measured(0.3)},
        "no_match": {"auroc_removed": measured(0.6), "refused_present": measured(0.05)},
        "hubs": {"largest_share": measured(0.2)},
    }
    says = conclusions(results, photos=100)
    assert "off by 0.002 on average" in says[0]
    assert "better than that of always saying the base rate" in says[0]
    assert says[1].startswith("The no-match decision is too weak to rely on: for queries whose photo is there against")
    assert says[1].endswith("It refuses 5.0% of the queries whose photo is there.")
    assert says[2].endswith("20.0% [19.0, 21.0] of the queries, 2.0 times an even share.")
    results["no_match"]["auroc_removed"], results["calibration"]["brier_skill"] = measured(0.8), measured(0.0)
    says = conclusions(results, photos=100)
    assert "not clearly better than that of always saying" in says[0]
    assert "is good enough to act on: " in says[1]
    # Where the crowd always says the same, there is no skill.
    says = conclusions({"calibration": {"ece": measured(0.002)}})
    assert says == [
        "Shown relevance is off by 0.002 on average from the share of people who say yes; all pairs have the same "
        "share, so there is no Brier skill."
    ]


def test_a_difference_is_a_verdict_only_where_its_interval_leaves_out_zero() -> None:
    assert verdict("official.recall@1", measured(0.02)) == "better"
    assert verdict("official.recall@1", measured(-0.02)) == "worse"
    assert verdict("official.recall@1", measured(0.005)) == "no difference shown"
    assert verdict("calibration.ece", measured(0.02)) == "worse"
    assert verdict("hubs.largest_share", measured(-0.02)) == "better"
    assert verdict("everyday.precision@5", measured(0.02)) == "better"
    for name in ("elsewhere.web.right_refused", "everyday.right_under_0.15", "everyday.first_five_tie"):
        assert verdict(name, measured(0.02)) == "worse"
    assert verdict("x", 0.5) == "no difference shown"
    (said,) = conclusions({}, differences={"a.x": measured(0.02), "b.ece": measured(0.02), "c.x": measured(0.0)})
    assert said == "Beside the other ranker, this one is better in a.x; worse in b.ece."
    (said,) = conclusions({}, differences={"c.x": measured(0.0)})
    assert said == "No figure differs clearly from that of the other ranker."
