"""Baselines that a ranker has to beat: chance, cosines, Ridge and a plain network."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from reranker.judgments.aggregate import majority
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments
from reranker.training.joint_space.fit_linear_map import MapSettings, fit_cca, fit_ridge


@dataclass(frozen=True, slots=True)
class PlainNetSettings:
    """Settings of the plain network.

    Attributes:
        hidden: Units of each hidden layer.
        epochs: Passes over the training pairs, at most.
        batch: Pairs per step.
        patience: Epochs without a better loss on the held-out pairs, after which training stops.
        learning_rate: Step size of Adam.
        held_out: One pair in this many is held out.
    """

    hidden: tuple[int, ...] = (256, 64)
    epochs: int = 30
    batch: int = 256
    patience: int = 10
    learning_rate: float = 1e-3
    held_out: int = 10


PLAIN_NET = PlainNetSettings()
# Results of the plain net are means over these seeds: recall@10 of one seed may be a tenth higher than of another.
PLAIN_NET_SEEDS = (0, 1, 2)


class PairModel(Protocol):
    """A fitted regression on pairs of a photo and a text."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Predict scores (n,) of concatenated vectors [x ; t], (n, d + e) float32."""
        ...


def concatenated(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Join the vectors of photos and texts row by row, as the seed project does.

    Args:
        x: (n, d) float32 image embeddings.
        t: (n, e) float32 text vectors.

    Returns:
        (n, d + e) float32.
    """
    return np.concatenate([x, t], axis=1)


def fit_ridge_pairs(rows: np.ndarray, score: np.ndarray) -> PairModel:
    """Fit Ridge regression of the generalised score on concatenated vectors.

    A linear model of a concatenation is a term of the photo plus a term of the query, so it ranks the photos in the
    same order for every query.

    Args:
        rows: (n, d + e) float32 concatenated vectors.
        score: (n,) generalised scores in 0..1.

    Returns:
        The fitted model.
    """
    from sklearn.linear_model import Ridge

    model: PairModel = Ridge(alpha=1.0).fit(rows, score)
    return model


def fit_plain_net(rows: np.ndarray, score: np.ndarray, seed: int = 0) -> PairModel:
    """Fit a plain PyTorch network on concatenated vectors to the generalised score.

    It is trained by Adam on the mean squared error; the epoch with the smallest loss on the held-out pairs is kept.

    Args:
        rows: (n, d + e) float32 concatenated vectors.
        score: (n,) generalised scores in 0..1.
        seed: Seed of the held-out pairs, the weights and the batches.

    Returns:
        The fitted model.
    """
    import torch

    settings = PLAIN_NET
    held, seen = np.split(np.random.default_rng(seed).permutation(len(rows)), [max(1, len(rows) // settings.held_out)])
    inputs, targets = torch.from_numpy(rows), torch.from_numpy(score.astype(np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = (rows.shape[1], *settings.hidden)
        layers = [layer for a, b in pairwise(sizes) for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1), torch.nn.Flatten(0))
        optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
        best, kept, since = float("inf"), net.state_dict(), 0
        for _ in range(settings.epochs):
            for batch in torch.from_numpy(seen)[torch.randperm(len(seen))].split(settings.batch):
                loss = torch.nn.functional.mse_loss(net(inputs[batch]), targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.inference_mode():
                reached = float(torch.nn.functional.mse_loss(net(inputs[held]), targets[held]))
            since = 0 if reached < best else since + 1
            if since == 0:
                best, kept = reached, {name: value.clone() for name, value in net.state_dict().items()}
            elif since == settings.patience:
                break
    net.load_state_dict(kept)
    return _Net(net)


@dataclass(frozen=True, slots=True)
class _Net:
    """A fitted torch network as a `PairModel`."""

    net: Any

    def predict(self, rows: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            found: np.ndarray = self.net(torch.from_numpy(rows)).numpy()
        return found


def score_every_pair(model: PairModel, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Score every photo for every query.

    Args:
        model: A fitted model.
        x: (n, d) float32 image embeddings.
        t: (b, e) float32 text vectors.

    Returns:
        (b, n) scores.
    """
    return np.stack([model.predict(concatenated(x, np.tile(query, (len(x), 1)))) for query in t])


def ridge_concatenated(features: EmbeddedJudgments, judgments: Judgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Score photos for queries by Ridge on the concatenated vector, as the seed project does.

    Args:
        features: Vectors of the judged data to learn from.
        judgments: The judgments to learn from.
        x: (n, d) float32 image embeddings to score.
        t: (b, e) float32 text vectors to score.

    Returns:
        (b, n) scores.
    """
    photo, text, score = _judged(features, judgments)
    return score_every_pair(fit_ridge_pairs(concatenated(features.x[photo], features.t[text]), score), x, t)


def plain_net(
    features: EmbeddedJudgments, judgments: Judgments, x: np.ndarray, t: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Score photos for queries by a plain network on the concatenated vector.

    Args:
        features: Vectors of the judged data to learn from.
        judgments: The judgments to learn from.
        x: (n, d) float32 image embeddings to score.
        t: (b, e) float32 text vectors to score.
        seed: Seed of the network.

    Returns:
        (b, n) scores.
    """
    photo, text, score = _judged(features, judgments)
    return score_every_pair(fit_plain_net(concatenated(features.x[photo], features.t[text]), score, seed), x, t)


def cosine(features: EmbeddedJudgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Score photos for queries by the cosine after canonical correlation analysis (CCA) in closed form.

    Nothing is tuned, and there is no hub correction and no reranking.

    Args:
        features: Vectors of the judged photos and their captions to learn from.
        x: (n, d) float32 image embeddings to score.
        t: (b, e) float32 text vectors to score.

    Returns:
        (b, n) cosines.
    """
    rows = np.flatnonzero(features.owner >= 0)
    width = features.x.shape[1] - features.class_dim
    joint_space = fit_cca(features.x[:, :width], features.t[rows], features.owner[rows], MapSettings(shrink_images=3.0))
    return joint_space.texts(t) @ joint_space.images(x[:, :width]).T


def ridge_map(features: EmbeddedJudgments, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Score photos for queries by the cosine after Ridge regression from text vectors to image embeddings.

    Args:
        features: Vectors of the judged photos and their captions to learn from.
        x: (n, d) float32 image embeddings to score.
        t: (b, e) float32 text vectors to score.

    Returns:
        (b, n) cosines.
    """
    rows = np.flatnonzero(features.owner >= 0)
    joint_space = fit_ridge(features.x, features.t[rows], features.owner[rows])
    return joint_space.texts(t) @ joint_space.images(x).T


def chance(queries: int, photos: int, seed: int = 0) -> np.ndarray:
    """Return random scores, (queries, photos) float64 in 0..1."""
    return np.random.default_rng(seed).random((queries, photos))


def _judged(features: EmbeddedJudgments, judgments: Judgments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return photo rows (n,), caption rows (n,) and generalised scores (n,) of the judged pairs."""
    position = {name: i for i, name in enumerate(features.photos)}
    row = {caption: i for i, caption in enumerate(features.captions)}
    scored = majority(judgments.expert, judgments.crowd)
    judged = [(position[photo], row[caption], pair.score) for (photo, caption), pair in scored.items()]
    photo, text, score = (np.array(values) for values in zip(*judged, strict=True))
    return photo, text, score
