"""Baselines: what a ranker has to beat. Each gives (queries, photos) scores."""

import numpy as np

from reranker.features import Features
from reranker.judgments import Judgments
from reranker.linear_map import fit_ridge
from reranker.scores import generalised_scores


def ridge_concatenated(features: Features, judgments: Judgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Ridge regression of the generalised score on the concatenated vector [x ; t], as the seed project had it.

    It learns from `features` and `judgments`; x: (n, d), t: (b, e) are the photos and queries to score. A linear
    model of a concatenation is a sum of a photo's part and a query's part, so it ranks photos alike for every query.
    """
    from sklearn.linear_model import Ridge

    position = {name: i for i, name in enumerate(features.photos)}
    row = {caption: i for i, caption in enumerate(features.captions)}
    scored = generalised_scores(judgments.expert, judgments.crowd)
    judged = [(position[photo], row[caption], score) for (photo, caption), (score, _) in scored.items()]
    photo, text, score = (np.array(values) for values in zip(*judged, strict=True))
    model = Ridge(alpha=1.0).fit(np.concatenate([features.x[photo], features.t[text]], axis=1), score)
    d = features.x.shape[1]
    return (t @ model.coef_[d:])[:, None] + x @ model.coef_[:d] + model.intercept_


def ridge_map(features: Features, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Cosine after a plain ridge regression from text vectors to image embeddings."""
    rows = np.flatnonzero(features.owner >= 0)
    space = fit_ridge(features.x, features.t[rows], features.owner[rows])
    return space.texts(t) @ space.images(x).T


def chance(queries: int, photos: int, seed: int = 0) -> np.ndarray:
    """Random scores."""
    return np.random.default_rng(seed).random((queries, photos))
