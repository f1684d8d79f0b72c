"""The reranker: an MLP over the concatenated vector [x ; t] and a few exact scalars -> one logit a pair.

    hidden = relu(x @ Wx + t @ Wt + s @ Ws + b1)
    logit  = relu(hidden @ W2 + b2) @ w3 + s @ ws + b3

The first layer is a sum, so `x @ Wx` is computed once a photo, when the view is built (`photo_part`), and `t @ Wt` once
a query (`text_part`); a rerank is then one gather and two small products. `plain` computes the same in one piece.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

HIDDEN = 192
SECOND = 48
SCALARS = 3  # cosine of the map, cosine of meaning, hub term

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MLP:
    """Weights, float32: Wx (d, m), Wt (e, m), Ws (3, m), b1 (m,), W2 (m, p), b2 (p,), w3 (p,), ws (3,), b3 (1,)."""

    Wx: np.ndarray
    Wt: np.ndarray
    Ws: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    ws: np.ndarray
    b3: np.ndarray

    def photo_part(self, x: np.ndarray) -> np.ndarray:
        """x: (n, d) -> (n, m) float32."""
        return x.astype(np.float32, copy=False) @ self.Wx

    def text_part(self, t: np.ndarray) -> np.ndarray:
        """t: (n, e) -> (n, m) float32."""
        return t @ self.Wt + self.b1

    def logits(self, photo_part: np.ndarray, text_part: np.ndarray, scalars: np.ndarray) -> np.ndarray:
        """photo_part, text_part: (n, m) or broadcast to it; scalars: (n, 3) -> (n,) float32."""
        hidden = np.maximum(photo_part + text_part + scalars @ self.Ws, 0)
        second = np.maximum(hidden @ self.W2 + self.b2, 0)
        return second @ self.w3 + scalars @ self.ws + self.b3

    def plain(self, x: np.ndarray, t: np.ndarray, scalars: np.ndarray) -> np.ndarray:
        """The same network on the concatenated vector as such. x: (n, d), t: (n, e), scalars: (n, 3) -> (n,)."""
        vectors = np.concatenate([x, t, scalars], axis=1)
        hidden = np.maximum(vectors @ np.concatenate([self.Wx, self.Wt, self.Ws]) + self.b1, 0)
        return np.maximum(hidden @ self.W2 + self.b2, 0) @ self.w3 + scalars @ self.ws + self.b3


@dataclass(frozen=True, slots=True)
class Pairs:
    """Training pairs: rows of x and t, the scalars (n, 3), targets in 0..1 and weights, both (n,) float32."""

    photo: np.ndarray
    text: np.ndarray
    scalars: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.photo)

    def take(self, rows: np.ndarray) -> "Pairs":
        return Pairs(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def join(cls, parts: "list[Pairs]") -> "Pairs":
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


@dataclass(frozen=True, slots=True)
class MLPSettings:
    """How the MLP is trained: a few epochs, after which the validation log loss of Flickr8k stands still."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    dropout_images: float = 0.4
    dropout_texts: float = 0.4
    dropout_hidden: float = 0.2
    batch: int = 2048
    epochs: int = 5
    patience: int = 2


def start(d: int, e: int, pairs: Pairs, seed: int) -> MLP:
    """An untrained MLP that ranks by its scalars alone, weighed by logistic regression on the training pairs.

    The first layer starts at random. Starting it from the map would be quicker to learn but false: the map knows the
    photos it was fitted on, and the MLP would learn to trust it more than it may be trusted on new ones.
    """
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(seed)
    # A soft target is a pair seen as fitting with weight t and as not fitting with weight 1 - t.
    outcome = np.repeat([1, 0], len(pairs))
    weight = np.concatenate([pairs.weight * pairs.target, pairs.weight * (1 - pairs.target)])
    scalars = LogisticRegression(C=100.0).fit(np.tile(pairs.scalars, (2, 1)), outcome, sample_weight=weight)

    def normal(rows: int, columns: int, scale: float) -> np.ndarray:
        return (generator.standard_normal((rows, columns)) * scale).astype(np.float32)

    return MLP(
        Wx=normal(d, HIDDEN, 0.4),
        Wt=normal(e, HIDDEN, 0.4),
        Ws=np.zeros((SCALARS, HIDDEN), np.float32),
        b1=np.zeros(HIDDEN, np.float32),
        W2=normal(HIDDEN, SECOND, (2 / HIDDEN) ** 0.5),
        b2=np.zeros(SECOND, np.float32),
        w3=np.zeros(SECOND, np.float32),
        ws=scalars.coef_[0].astype(np.float32),
        b3=scalars.intercept_.astype(np.float32),
    )


def fit(
    mlp: MLP,
    x: np.ndarray,
    t: np.ndarray,
    train: Pairs,
    validation: Pairs,
    settings: MLPSettings,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[MLP, list[float]]:
    """Train on soft targets by binary cross-entropy; keep the epoch that was best on validation, stop when none is.

    x: (n, d) and t: (m, e) hold the rows that the pairs point to. Returns the MLP and the validation log loss before
    training and after each epoch.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, dropout, relu

    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    weights = {f.name: torch.nn.Parameter(torch.from_numpy(getattr(mlp, f.name).copy())) for f in fields(MLP)}
    matrices = [weights[name] for name in ("Wx", "Wt", "Ws", "W2")]
    rest = [weights[name] for name in ("b1", "b2", "w3", "ws", "b3")]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.learning_rate,
    )
    steps = -(-len(train) // settings.batch) * settings.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    images, texts = torch.from_numpy(x), torch.from_numpy(t)

    def forward(pairs: Pairs, training: bool) -> torch.Tensor:
        s = torch.from_numpy(pairs.scalars)
        left = dropout(images[pairs.photo], settings.dropout_images, training) @ weights["Wx"]
        right = dropout(texts[pairs.text], settings.dropout_texts, training) @ weights["Wt"]
        hidden = dropout(relu(left + right + s @ weights["Ws"] + weights["b1"]), settings.dropout_hidden, training)
        second = dropout(relu(hidden @ weights["W2"] + weights["b2"]), settings.dropout_hidden, training)
        return second @ weights["w3"] + s @ weights["ws"] + weights["b3"]

    def validation_loss() -> float:
        total = 0.0
        with torch.inference_mode():
            for start_row in range(0, len(validation), 8192):
                block = validation.take(np.arange(start_row, min(start_row + 8192, len(validation))))
                losses = binary_cross_entropy_with_logits(
                    forward(block, False),
                    torch.from_numpy(block.target),
                    torch.from_numpy(block.weight),
                    reduction="sum",
                )
                total += float(losses)
        return total / float(validation.weight.sum())

    history = [validation_loss()]
    best, kept = history[0], {name: w.detach().clone() for name, w in weights.items()}
    done = 0
    for _ in range(settings.epochs):
        order = generator.permutation(len(train))
        for start_row in range(0, len(order), settings.batch):
            block = train.take(order[start_row : start_row + settings.batch])
            losses = binary_cross_entropy_with_logits(
                forward(block, True), torch.from_numpy(block.target), torch.from_numpy(block.weight)
            )
            optimizer.zero_grad()
            losses.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if on_progress is not None:
                on_progress(done, steps)
        history.append(validation_loss())
        if history[-1] < best:
            best, kept = history[-1], {name: w.detach().clone() for name, w in weights.items()}
        elif len(history) - 1 - int(np.argmin(history)) >= settings.patience:
            break
    return MLP(**{name: w.numpy() for name, w in kept.items()}), history
