"""Calibration without judgments: a caption fits its own photo and, as far as anyone knows, no other."""

import numpy as np

from reranker.metrics.bootstrap import Measured, bootstrap_interval
from reranker.metrics.calibration import calibration_error

# Other photos that stand beside a caption's own one: so many drawn from so many of the best, and so many from all.
FROM_BEST, BEST = 2, 50
FROM_ALL = 1


def ece_of_own(relevance: np.ndarray, ranks: np.ndarray) -> Measured | float:
    """Measure the calibration error of relevance where each caption fits its own photo alone.

    Each caption gives its own photo, two of the fifty others that rank best, and one of all others. An other photo that
    fits all the same counts as wrong, so the error of a perfect relevance is a little over 0.

    Args:
        relevance: (b, n) float in 0..1, relevance of the first n photos for b captions, best first.
        ranks: (b,) int64, the place of each caption's own photo, 0 for the first. A caption whose own photo is not
            among the first n is left out, since no search shows that photo.

    Returns:
        The error in 0..1 with its interval over captions, or NaN for a single photo.
    """
    among = ranks < relevance.shape[1]
    relevance, ranks = relevance[among], ranks[among]
    captions, others = relevance.shape[0], relevance.shape[1] - 1
    if others < 1 or not captions:
        return float("nan")
    generator = np.random.default_rng(0)
    best, count = min(BEST, others), min(FROM_BEST, others)
    drawn = np.stack([generator.choice(best, count, replace=False) for _ in range(captions)])
    places = np.column_stack([drawn, generator.integers(others, size=(captions, FROM_ALL))])
    places += places >= ranks[:, None]  # pass over the own photo
    shown = np.column_stack([np.take_along_axis(relevance, places, axis=1), relevance[np.arange(captions), ranks]])
    fits = np.zeros(shown.shape)
    fits[:, -1] = 1.0
    caption_of = np.repeat(np.arange(captions), shown.shape[1])
    return bootstrap_interval(caption_of, lambda rows: calibration_error(shown.ravel()[rows], fits.ravel()[rows]))
