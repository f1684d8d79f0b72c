"""Baselines: what a ranker has to beat. Each gives (queries, photos) scores."""

import warnings

import numpy as np

from reranker.features import Features
from reranker.judgments import Judgments
from reranker.linear_map import MapSettings, fit_cca, fit_ridge
from reranker.scores import generalised_scores


def ridge_concatenated(features: Features, judgments: Judgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Ridge regression of the generalised score on the concatenated vector [x ; t], as the seed project had it.

    It learns from `features` and `judgments`; x: (n, d), t: (b, e) are the photos and queries to score. A linear
    model of a concatenation is a sum of a photo's part and a query's part, so it ranks photos alike for every query.
    """
    from sklearn.linear_model import Ridge

    photo, text, score = _judged(features, judgments)
    model = Ridge(alpha=1.0).fit(np.concatenate([features.x[photo], features.t[text]], axis=1), score)
    d = features.x.shape[1]
    return (t @ model.coef_[d:])[:, None] + x @ model.coef_[:d] + model.intercept_


def plain_net(features: Features, judgments: Judgments, x: np.ndarray, t: np.ndarray, seed: int = 0) -> np.ndarray:
    """A plain network on the concatenated vector [x ; t], fitted to the generalised score, as the seed project had it.

    Two hidden layers (256, 64), mean squared error, early stopping; inputs and outputs as in `ridge_concatenated`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    photo, text, score = _judged(features, judgments)
    pairs = np.concatenate([features.x[photo], features.t[text]], axis=1)
    # A tenth is held out for early stopping.
    batch = min(256, int(0.9 * len(pairs)))
    net = MLPRegressor(
        hidden_layer_sizes=(256, 64), early_stopping=True, max_iter=30, batch_size=batch, random_state=seed
    )
    with warnings.catch_warnings():
        # Thirty rounds are what this baseline gets.
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(pairs, score)
    return np.stack([net.predict(np.concatenate([x, np.tile(query, (len(x), 1))], axis=1)) for query in t])


def cosine(features: Features, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Cosine after canonical correlation analysis in closed form: no tuning, no hub term, no reranking."""
    rows = np.flatnonzero(features.owner >= 0)
    width = features.x.shape[1] - features.class_dim
    space = fit_cca(features.x[:, :width], features.t[rows], features.owner[rows], MapSettings(shrink_images=3.0))
    return space.texts(t) @ space.images(x[:, :width]).T


def ridge_map(features: Features, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Cosine after a plain ridge regression from text vectors to image embeddings."""
    rows = np.flatnonzero(features.owner >= 0)
    space = fit_ridge(features.x, features.t[rows], features.owner[rows])
    return space.texts(t) @ space.images(x).T


def chance(queries: int, photos: int, seed: int = 0) -> np.ndarray:
    """Random scores."""
    return np.random.default_rng(seed).random((queries, photos))


def _judged(features: Features, judgments: Judgments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo rows, caption rows and generalised scores of the judged pairs."""
    position = {name: i for i, name in enumerate(features.photos)}
    row = {caption: i for i, caption in enumerate(features.captions)}
    scored = generalised_scores(judgments.expert, judgments.crowd)
    judged = [(position[photo], row[caption], score) for (photo, caption), (score, _) in scored.items()]
    photo, text, score = (np.array(values) for values in zip(*judged, strict=True))
    return photo, text, score
