from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from reranker.metrics.rank_correlation import kendall_tau_b, kendall_tau_c

GRADES = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=3, max_size=40)


def concordance(a, b) -> tuple[int, int, int, int]:
    """Concordant and discordant pairs, pairs tied in a, pairs tied in b: from the definition, pair by pair."""
    concordant = discordant = tied_a = tied_b = 0
    for (a1, b1), (a2, b2) in combinations(zip(a, b, strict=True), 2):
        product = (a1 - a2) * (b1 - b2)
        concordant += product > 0
        discordant += product < 0
        tied_a += a1 == a2
        tied_b += b1 == b2
    return concordant, discordant, tied_a, tied_b


def test_kendalls_taus_of_a_small_table_are_what_one_counts():
    a, b = [1, 2, 3, 3], [1, 3, 2, 3]
    # Points 1 to 4: 1-2, 1-3 and 1-4 agree, 2-3 does not, 2-4 tie in b, 3-4 tie in a.
    assert concordance(a, b) == (3, 1, 1, 1)
    # tau-b = (3 - 1) / sqrt((6 - 1)(6 - 1)) = 2/5; tau-c = 2 (3 - 1) / (4^2 (3 - 1) / 3) = 3/8
    assert kendall_tau_b(np.array(a), np.array(b)) == pytest.approx(2 / 5)
    assert kendall_tau_c(np.array(a), np.array(b)) == pytest.approx(3 / 8)


@given(GRADES)
def test_kendalls_taus_equal_their_definitions_and_scipys_with_ties(rows):
    a, b = (np.array(column) for column in zip(*rows, strict=True))
    assume(len(set(a)) > 1 and len(set(b)) > 1)  # else there is nothing to order
    concordant, discordant, tied_a, tied_b = concordance(a, b)
    pairs = len(a) * (len(a) - 1) / 2
    tau_b = (concordant - discordant) / ((pairs - tied_a) * (pairs - tied_b)) ** 0.5
    fewest = min(len(set(a)), len(set(b)))
    tau_c = 2 * (concordant - discordant) / (len(a) ** 2 * (fewest - 1) / fewest)
    assert kendall_tau_b(a, b) == pytest.approx(tau_b, abs=1e-12)
    assert kendall_tau_c(a, b) == pytest.approx(tau_c, abs=1e-12)
    assert kendall_tau_b(a, b) == kendalltau(a, b, variant="b").statistic
    assert kendall_tau_c(a, b) == kendalltau(a, b, variant="c").statistic
