"""The ranking that is kept: the one that finds more validation photos."""

import re
from dataclasses import replace

import numpy as np
import pytest

from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.mlp import MLP
from reranker.models.ranking_settings import HeadWeights
from reranker.training.fit_mlp import candidate_mlp
from reranker.training.fit_ranking import keep_better_ranking
from tiny_validation import GOOD, LATE, WORST, Validation, by, is_kept, pair_features_of, validation

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def given(one_thread: None) -> Validation:
    return validation()


def recalls(given: Validation, column: str | None) -> list[float]:
    """Recall@1, 5 and 10 over both galleries' captions together, by one scalar or by the candidate stage."""
    ranks = []
    for gallery in given.held:
        pair_features, own = pair_features_of(given, gallery)
        scores = (
            gallery.joint_space.candidate_scores_of(pair_features)
            if column is None
            else pair_features[..., PAIR_FEATURES.index(column)]
        )
        ranks.append(ranks_of_own(scores, own))
    return [round(recall_at(np.concatenate(ranks), k), 4) for k in (1, 5, 10)]


def figures_of(candidates: list[float], reranked: list[float]) -> dict[str, float]:
    found = {"candidates": candidates, "reranked": reranked}
    return {f"{name}_recall@{k}": found[name][i] for name in found for i, k in enumerate((1, 5, 10))}


@pytest.mark.parametrize("base", [WORST, LATE])
def test_an_order_that_finds_as_much_as_the_base_or_more_is_kept_with_its_figures(given: Validation, base: MLP):
    choice = keep_better_ranking(given.features, given.held, base, LATE)
    kept, verdict, figures = choice.mlp, choice.verdict, choice.recalls
    assert is_kept(kept, LATE)
    assert verdict == "learned"
    assert figures == figures_of(recalls(given, None), recalls(given, "late"))
    assert recalls(given, None) != recalls(given, "late")


def test_an_order_that_finds_as_much_as_the_candidates_is_kept(given: Validation):
    learned = replace(by(), ws=candidate_mlp(40, 30, HeadWeights()).ws)
    choice = keep_better_ranking(given.features, given.held, None, learned)
    kept, verdict, figures = choice.mlp, choice.verdict, choice.recalls
    assert is_kept(kept, learned)
    assert verdict == "learned"
    assert figures == figures_of(recalls(given, None), recalls(given, None))


@pytest.mark.parametrize(("base", "what", "column"), [(None, "the candidates", None), (GOOD, "the base", "cosine")])
def test_an_order_that_finds_less_is_refused_and_the_figures_are_of_what_is_kept(
    given: Validation, base: MLP | None, what: str, column: str | None
):
    choice = keep_better_ranking(given.features, given.held, base, WORST)
    kept, verdict, figures = choice.mlp, choice.verdict, choice.recalls
    assert is_kept(kept, base)
    assert figures == figures_of(recalls(given, None), recalls(given, column))
    told = re.fullmatch(
        r"refused: on validation the learned one finds less \(recall@1 \+ 5 \+ 10 (\S+)\) than (.+) \((\S+)\)", verdict
    )
    assert told
    assert told[2] == what
    assert float(told[1]) < float(told[3]) == pytest.approx(sum(recalls(given, column)), abs=0.001)
