"""Kendall's rank correlation, with ties."""

import numpy as np


def kendall_tau_b(a: np.ndarray, b: np.ndarray) -> float:
    """Return Kendall's tau-b, which corrects for ties on both sides.

    Args:
        a: (n,) numbers.
        b: (n,) numbers.

    Returns:
        Correlation in -1..1; NaN where all of `a` or all of `b` are equal.

    References:
        M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
    """
    from scipy.stats import kendalltau

    return float(kendalltau(a, b, variant="b").statistic)


def kendall_tau_c(a: np.ndarray, b: np.ndarray) -> float:
    """Return Kendall's tau-c, for a score of many values against a few grades.

    Args:
        a: (n,) numbers.
        b: (n,) numbers.

    Returns:
        Correlation in -1..1; NaN where all of `a` or all of `b` are equal.

    References:
        A. Stuart, "The estimation and comparison of strengths of association in contingency tables", Biometrika 40
        (1953).
    """
    from scipy.stats import kendalltau

    return float(kendalltau(a, b, variant="c").statistic)
