"""The ranking that is kept: the one that finds more validation photos."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reranker.judgments.training_sets import PhotoSets
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.mlp import MLP
from reranker.models.ranking_settings import HeadWeights
from reranker.training import fit_ranking
from reranker.training.fit_mlp import candidate_mlp
from reranker.training.fit_ranking import keep_better_ranking
from tiny_validation import GOOD, LATE, WORST, Validation, by, is_kept, pair_features_of, validation

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


@pytest.fixture(scope="module")
def given(cache: Path) -> Validation:
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


def test_captions_are_asked_among_the_photos_of_their_own_set(given: Validation):
    # Even photos are of one set, odd ones of another.
    sets = PhotoSets(("even", "odd"), np.ones(2, np.float32), np.zeros(2, bool), np.arange(80) % 2)
    choice = keep_better_ranking(replace(given.features, photo_sets=sets), given.held, None, GOOD)
    ranks: dict[str, list[np.ndarray]] = {"candidates": [], "cosine": []}
    for gallery in given.held:
        pair_features, own = pair_features_of(given, gallery)
        other = gallery.photos[own][:, None] % 2 != gallery.photos % 2
        scores = {
            "candidates": gallery.joint_space.candidate_scores_of(pair_features),
            "cosine": pair_features[..., PAIR_FEATURES.index("cosine")],
        }
        for name, of_name in scores.items():
            ranks[name].append(ranks_of_own(np.where(other, -np.inf, of_name), own))
    expected = {
        name: [round(recall_at(np.concatenate(found), k), 4) for k in (1, 5, 10)] for name, found in ranks.items()
    }
    assert {name: value for name, value in choice.recalls.items() if name.startswith("candidates")} == {
        f"candidates_recall@{k}": value for k, value in zip((1, 5, 10), expected["candidates"], strict=True)
    }
    kept = expected["cosine" if choice.verdict == "learned" else "candidates"]
    assert [choice.recalls[f"reranked_recall@{k}"] for k in (1, 5, 10)] == kept


def test_an_order_that_finds_less_in_one_set_is_refused_with_its_name(
    given: Validation, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[int, list[int]]] = []

    def worse(new, old, sets, names):
        seen.append((len(new), sorted(set(sets.tolist()))))
        return [names[1]]

    monkeypatch.setattr(fit_ranking, "worse_sets", worse)
    sets = PhotoSets(("even", "odd"), np.ones(2, np.float32), np.zeros(2, bool), np.arange(80) % 2)
    features = replace(given.features, photo_sets=sets)
    choice = keep_better_ranking(features, given.held, WORST, GOOD)
    assert seen == [(140, [0, 1])]
    assert choice.verdict == "refused: on validation photos of odd the learned one finds less than the base"
    assert is_kept(choice.mlp, WORST)
