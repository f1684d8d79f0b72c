"""Fit a ranker to judged data; the only part of the reranker that uses torch, SciPy and scikit-learn.

`OnStage` is called with (stage, done, total) by everything that takes long, `OnProgress` with (done, total).
"""

from collections.abc import Callable

OnStage = Callable[[str, int, int], None]
OnProgress = Callable[[int, int], None]
