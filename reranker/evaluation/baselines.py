"""Baselines: what a ranker has to beat. Each gives (queries, photos) scores."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from reranker.judgments.aggregate import majority
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judged_folder import Judgments
from reranker.models.linear_map import MapSettings, fit_cca, fit_ridge

NET_HIDDEN = (256, 64)
NET_EPOCHS, NET_BATCH, NET_PATIENCE = 30, 256, 10


class PairModel(Protocol):
    """A fitted regression of pairs: rows [x ; t] (n, d + e) float32 -> scores (n,)."""

    def predict(self, rows: np.ndarray) -> np.ndarray: ...


def concatenated(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The photo's vector beside the sentence's, x: (n, d), t: (n, e) -> (n, d + e), as the seed project joined them."""
    return np.concatenate([x, t], axis=1)


def fit_ridge_pairs(rows: np.ndarray, score: np.ndarray) -> PairModel:
    """Ridge regression of the generalised score (n,) on concatenated vectors (n, d + e).

    A linear model of a concatenation is a sum of a photo's part and a query's part, so it ranks photos alike for every
    query.
    """
    from sklearn.linear_model import Ridge

    model: PairModel = Ridge(alpha=1.0).fit(rows, score)
    return model


def fit_plain_net(rows: np.ndarray, score: np.ndarray, seed: int = 0) -> PairModel:
    """A plain PyTorch network on concatenated vectors, fitted to the generalised score: arguments as above.

    Two hidden layers (256, 64), mean squared error, Adam; the epoch that is best on a tenth of the pairs is kept.
    """
    import torch

    held, seen = np.split(np.random.default_rng(seed).permutation(len(rows)), [max(1, len(rows) // 10)])
    inputs, targets = torch.from_numpy(rows), torch.from_numpy(score.astype(np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = (rows.shape[1], *NET_HIDDEN)
        layers = [layer for a, b in pairwise(sizes) for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1), torch.nn.Flatten(0))
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        best, kept, since = float("inf"), net.state_dict(), 0
        for _ in range(NET_EPOCHS):
            for batch in torch.from_numpy(seen)[torch.randperm(len(seen))].split(NET_BATCH):
                loss = torch.nn.functional.mse_loss(net(inputs[batch]), targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.inference_mode():
                reached = float(torch.nn.functional.mse_loss(net(inputs[held]), targets[held]))
            since = 0 if reached < best else since + 1
            if since == 0:
                best, kept = reached, {name: value.clone() for name, value in net.state_dict().items()}
            elif since == NET_PATIENCE:
                break
    net.load_state_dict(kept)
    return _Net(net)


@dataclass(frozen=True, slots=True)
class _Net:
    net: Any

    def predict(self, rows: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            found: np.ndarray = self.net(torch.from_numpy(rows)).numpy()
        return found


def every_pair(model: PairModel, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(queries, photos) scores of x: (n, d) photos for t: (b, e) queries."""
    return np.stack([model.predict(concatenated(x, np.tile(query, (len(x), 1)))) for query in t])


def ridge_concatenated(features: EmbeddedJudgments, judgments: Judgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Ridge on the concatenated vector, as the seed project had it.

    It learns from `features` and `judgments`; x: (n, d), t: (b, e) are the photos and queries to score.
    """
    photo, text, score = _judged(features, judgments)
    return every_pair(fit_ridge_pairs(concatenated(features.x[photo], features.t[text]), score), x, t)


def plain_net(
    features: EmbeddedJudgments, judgments: Judgments, x: np.ndarray, t: np.ndarray, seed: int = 0
) -> np.ndarray:
    """A plain network on the concatenated vector; inputs and outputs as in `ridge_concatenated`."""
    photo, text, score = _judged(features, judgments)
    return every_pair(fit_plain_net(concatenated(features.x[photo], features.t[text]), score, seed), x, t)


def cosine(features: EmbeddedJudgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Cosine after canonical correlation analysis in closed form: no tuning, no hub term, no reranking."""
    rows = np.flatnonzero(features.owner >= 0)
    width = features.x.shape[1] - features.class_dim
    joint_space = fit_cca(features.x[:, :width], features.t[rows], features.owner[rows], MapSettings(shrink_images=3.0))
    return joint_space.texts(t) @ joint_space.images(x[:, :width]).T


def ridge_map(features: EmbeddedJudgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Cosine after a plain ridge regression from text vectors to image embeddings."""
    rows = np.flatnonzero(features.owner >= 0)
    joint_space = fit_ridge(features.x, features.t[rows], features.owner[rows])
    return joint_space.texts(t) @ joint_space.images(x).T


def chance(queries: int, photos: int, seed: int = 0) -> np.ndarray:
    """Random scores."""
    return np.random.default_rng(seed).random((queries, photos))


def _judged(features: EmbeddedJudgments, judgments: Judgments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo rows, caption rows and generalised scores of the judged pairs."""
    position = {name: i for i, name in enumerate(features.photos)}
    row = {caption: i for i, caption in enumerate(features.captions)}
    scored = majority(judgments.expert, judgments.crowd)
    judged = [(position[photo], row[caption], pair.score) for (photo, caption), pair in scored.items()]
    photo, text, score = (np.array(values) for values in zip(*judged, strict=True))
    return photo, text, score
