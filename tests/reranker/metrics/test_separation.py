import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from reranker.metrics.separation import auroc


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_auroc_equals_the_mann_whitney_statistic_with_ties(positive, negative):
    p, n = len(positive), len(negative)
    # The rank sum of the positives, less the least that it can be, over the number of pairs.
    rank_sum = rankdata([*positive, *negative])[:p].sum()
    expected = (rank_sum - p * (p + 1) / 2) / (p * n)
    assert auroc(np.array(positive), np.array(negative)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_auroc_is_the_share_of_pairs_in_the_right_order(dtype):
    generator = np.random.default_rng(0)
    positive, negative = generator.normal(1, 1, 300).astype(dtype), generator.normal(0, 1, 200).astype(dtype)
    expected = (positive[:, None] > negative).mean()
    assert auroc(positive, negative) == pytest.approx(expected, abs=1e-12)


def test_auroc_counts_a_tie_as_half():
    # 2 > 1 and 2 > 1 win, 1 = 1 twice is a half each: (2 + 1) / 4
    assert auroc(np.array([2, 1]), np.array([1, 1])) == 0.75
