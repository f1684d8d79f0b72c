"""Separation of two groups by a score."""

import numpy as np


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the area under the ROC curve.

    It is the probability that a positive scores above a negative, ties counted as one half.

    Args:
        positive: (p,) scores of the positives, p >= 1.
        negative: (n,) scores of the negatives, n >= 1.

    Returns:
        The area, in 0..1; 0.5 is chance.

    References:
        H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is stochastically larger than
        the other", Annals of Mathematical Statistics 18 (1947).
    """
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([1, 0], [len(positive), len(negative)])
    return float(roc_auc_score(labels, np.concatenate([positive, negative])))
