import warnings
from fractions import Fraction

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, nDCG
from sklearn.metrics import average_precision_score, ndcg_score

from reranker.evaluation import ranking_metrics
from reranker.evaluation.ranking_metrics import average_precision, in_rank_order, ndcg_at, rank_order, reciprocal_rank

KS = (1, 3, 5, 10)


def peers(scores: np.ndarray, relevance: np.ndarray, ids: list[str]) -> dict[str, np.ndarray]:
    """What ir_measures (by pytrec_eval, which is trec_eval) makes of each query."""
    names = [f"q{row:03d}" for row in range(len(scores))]
    run = {name: dict(zip(ids, map(float, row), strict=True)) for name, row in zip(names, scores, strict=True)}
    qrels = {name: dict(zip(ids, map(int, row), strict=True)) for name, row in zip(names, relevance, strict=True)}
    measures = [AP, RR, nDCG, *(measure @ k for measure in (nDCG, R, P) for k in KS)]
    found: dict[str, np.ndarray] = {str(measure): np.full(len(names), np.nan) for measure in measures}
    for metric in ir_measures.iter_calc(measures, qrels, run):
        found[str(metric.measure)][names.index(metric.query_id)] = metric.value
    return found


def ours(scores: np.ndarray, relevance: np.ndarray, ids: list[str]) -> dict[str, np.ndarray]:
    ranked = in_rank_order(scores, relevance, ids)
    found = {"AP": average_precision(ranked), "RR": reciprocal_rank(ranked), "nDCG": ndcg_at(ranked)}
    for k in KS:
        found |= {f"nDCG@{k}": ndcg_at(ranked, k), f"R@{k}": ranking_metrics.recall_of(ranked, k)}
        found[f"P@{k}"] = ranking_metrics.precision_of(ranked, k)
    return found


def assert_equal(scores: np.ndarray, relevance: np.ndarray, ids: list[str]) -> None:
    expected, found = peers(scores, relevance, ids), ours(scores, relevance, ids)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(5))
def test_random_rankings_are_measured_as_trec_eval_measures_them(seed):
    generator = np.random.default_rng(seed)
    scores = generator.standard_normal((30, 40)) * 10 ** generator.integers(-6, 6, (30, 1)).astype(float)
    ids = [f"{name:x}.jpg" for name in generator.permutation(4000)[:40]]
    # Grades 0 to 3, mostly 0; some queries have nothing relevant.
    assert_equal(scores, generator.choice([0, 0, 0, 0, 1, 2, 3], (30, 40)), ids)


@pytest.mark.parametrize("seed", range(5))
def test_tied_rankings_too(seed):
    generator = np.random.default_rng(seed)
    ids = [f"{name:x}.jpg" for name in generator.permutation(4000)[:25]]
    scores = generator.integers(-2, 3, (30, 25)) / 4
    # Ties that only float32 makes, and a zero with a sign.
    scores[::2] += 1e-12 * generator.standard_normal((15, 25))
    scores[scores == 0] = -0.0
    assert_equal(scores, generator.choice([0, 0, 1, 2], (30, 25)), ids)


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(
            st.lists(st.sampled_from([-1.5, 0.0, 0.25, 2.0]), min_size=n, max_size=n),
            st.lists(st.integers(0, 3), min_size=n, max_size=n),
            st.lists(st.text("aAbB0é狗.", min_size=1, max_size=3), min_size=n, max_size=n, unique=True),
        )
    )
)
def test_any_small_ranking_is_measured_as_trec_eval_measures_it(case):
    scores, relevance, ids = case
    assert_equal(np.array([scores]), np.array([relevance]), ids)


def test_equal_scores_are_ranked_by_id_from_the_last_to_the_first():
    scores = np.array([[0.5, 0.5, 0.9, 0.5], [1e-9, 0.0, 0.0, 2e-9]])
    ids = ["b.jpg", "c.jpg", "a.jpg", "B.jpg"]
    # Capital letters come before small ones, so B is the last of the tie.
    assert rank_order(scores, ids).tolist() == [[2, 1, 0, 3], [3, 0, 1, 2]]


def test_scores_that_float32_cannot_tell_apart_are_tied():
    assert rank_order(np.array([[1.0, 1.0 + 1e-9]]), ["b", "a"]).tolist() == [[0, 1]]
    assert rank_order(np.array([[1.0, 1.0 + 1e-6]]), ["b", "a"]).tolist() == [[1, 0]]


def test_the_metrics_of_a_small_table_are_what_one_counts():
    ranked = np.array([[0, 2, 0, 1], [0, 0, 0, 0], [3, 0, -1, 0]])
    # Gains 2 / log2(3) + 1 / log2(5), at best 2 / log2(2) + 1 / log2(3).
    first = (2 / np.log2(3) + 1 / np.log2(5)) / (2 + 1 / np.log2(3))
    assert ndcg_at(ranked).tolist() == pytest.approx([first, 0, 1])
    # Of the first two: 2 / log2(3) of the same best.
    assert ndcg_at(ranked, 2).tolist() == pytest.approx([2 / np.log2(3) / (2 + 1 / np.log2(3)), 0, 1])
    # Precision 1/2 at rank 2 and 2/4 at rank 4.
    assert average_precision(ranked).tolist() == [Fraction(1, 2), 0, 1]
    assert reciprocal_rank(ranked).tolist() == [0.5, 0, 1]
    assert ranking_metrics.recall_of(ranked, 2).tolist() == [0.5, 0, 1]
    assert ranking_metrics.precision_of(ranked, 3).tolist() == pytest.approx([1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_scikit_learn_says_the_same(seed):
    generator = np.random.default_rng(seed)
    scores, relevance = generator.permuted(np.tile(np.arange(20.0), (8, 1)), axis=1), generator.integers(0, 4, (8, 20))
    ranked = in_rank_order(scores, relevance, [str(place) for place in range(20)])
    for row in range(8):
        assert ndcg_at(ranked)[row] == pytest.approx(ndcg_score(relevance[[row]], scores[[row]]), abs=1e-9)
        at_5 = ndcg_score(relevance[[row]], scores[[row]], k=5)
        assert ndcg_at(ranked, 5)[row] == pytest.approx(at_5, abs=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expected = average_precision_score(relevance[row] > 0, scores[row])
        assert average_precision(ranked)[row] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("ids", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_ids_that_repeat_or_do_not_fit_are_refused(ids):
    with pytest.raises(ValueError, match=rf"^{len(set(ids))} distinct photo ids for 2 columns of scores$"):
        rank_order(np.zeros((1, 2)), ids)
