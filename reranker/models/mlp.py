"""The reranker's network: an MLP over the concatenated vector [x ; t] and a few exact scalars -> one logit a pair.

    hidden = relu(x @ Wx + t @ Wt + s @ Ws + b1)
    logit  = relu(hidden @ W2 + b2) @ w3 + s @ ws + b3

The first layer is a sum, so `x @ Wx` is computed once a photo, when the view is built (`photo_part`), and `t @ Wt` once
a query (`text_part`); a rerank is then one gather and two small products. `plain` computes the same in one piece.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

HIDDEN = 128
SECOND = 48

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MLP:
    """Weights, float32: Wx (d, m), Wt (e, m), Ws (s, m), b1 (m,), W2 (m, p), b2 (p,), w3 (p,), ws (s,), b3 (1,)."""

    Wx: np.ndarray
    Wt: np.ndarray
    Ws: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    ws: np.ndarray
    b3: np.ndarray

    @property
    def hidden(self) -> int:
        """m, how wide the first layer is."""
        return int(self.Wx.shape[1])

    @property
    def reads_vectors(self) -> bool:
        """Whether x and t enter it; the candidates' own order, in this form, is a sum of scalars alone."""
        return bool(self.Wx.any())

    def photo_part(self, x: np.ndarray) -> np.ndarray:
        """x: (n, d) -> (n, m) float32."""
        return x.astype(np.float32, copy=False) @ self.Wx

    def text_part(self, t: np.ndarray) -> np.ndarray:
        """t: (n, e) -> (n, m) float32."""
        return t @ self.Wt + self.b1

    def logits(self, photo_part: np.ndarray, text_part: np.ndarray, pair_features: np.ndarray) -> np.ndarray:
        """photo_part, text_part: (n, m) or broadcast to it; scalars: (n, s) -> (n,) float32."""
        hidden = pair_features @ self.Ws
        hidden += text_part
        hidden += photo_part
        second = _relu(hidden) @ self.W2
        second += self.b2
        logits: np.ndarray = _relu(second) @ self.w3 + pair_features @ self.ws + self.b3
        return logits

    def plain(self, x: np.ndarray, t: np.ndarray, pair_features: np.ndarray) -> np.ndarray:
        """The same network on the concatenated vector as such. x: (n, d), t: (n, e), scalars: (n, s) -> (n,)."""
        vectors = np.concatenate([x, t, pair_features], axis=1)
        hidden = np.maximum(vectors @ np.concatenate([self.Wx, self.Wt, self.Ws]) + self.b1, 0)
        return np.maximum(hidden @ self.W2 + self.b2, 0) @ self.w3 + pair_features @ self.ws + self.b3


def _relu(values: np.ndarray) -> np.ndarray:
    """In place. NumPy compares with a row of zeros several times as fast as with the number 0."""
    zeros = np.zeros(values.shape[-1], np.float32)
    return np.maximum(values, zeros, out=values)


@dataclass(frozen=True, slots=True)
class Lists:
    """n texts with l photos each: rows of t, `text` (n,), and of x, `photo` (n, l), the scalars (n, l, s), targets in
    0..1, `target` (n, l), and weights, `weight` (n,); floats are float32. Judged pairs are lists of one."""

    photo: np.ndarray
    text: np.ndarray
    pair_features: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.photo)

    def take(self, rows: np.ndarray) -> "Lists":
        return Lists(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def join(cls, parts: "list[Lists]") -> "Lists":
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def pairs(self, columns: slice = slice(None)) -> "Lists":
        """The same pairs as lists of one, of some columns."""
        photo, target = self.photo[:, columns], self.target[:, columns]
        width = photo.shape[1]
        pair_features = self.pair_features[:, columns].reshape(-1, 1, self.pair_features.shape[2])
        text, weight = np.repeat(self.text, width), np.repeat(self.weight, width)
        return Lists(photo.reshape(-1, 1), text, pair_features, target.reshape(-1, 1), weight)


@dataclass(frozen=True, slots=True)
class MLPSettings:
    """How an MLP is trained: a few epochs, after which the validation loss of Flickr8k stands still."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    dropout_images: float = 0.4
    dropout_texts: float = 0.4
    dropout_hidden: float = 0.2
    # Pairs in a batch.
    batch: int = 3072
    epochs: int = 5
    patience: int = 2


def start(d: int, e: int, lists: Lists, seed: int) -> MLP:
    """An untrained MLP that scores by its scalars alone, weighed by logistic regression on the training pairs.

    The first layer starts at random. Starting it from the map would be quicker to learn but false: the map knows the
    photos it was fitted on, and the MLP would learn to trust it more than it may be trusted on new ones.
    """
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(seed)
    pairs = lists.pairs()
    inputs, target = pairs.pair_features[:, 0], pairs.target[:, 0]
    spread = np.maximum(inputs.std(axis=0), 1e-3)
    # A soft target is a pair seen as fitting with weight t and as not fitting with weight 1 - t.
    outcome = np.repeat([1, 0], len(pairs))
    weight = np.concatenate([pairs.weight * target, pairs.weight * (1 - target)])
    found = LogisticRegression(C=100.0, max_iter=1000).fit(
        np.tile(inputs / spread, (2, 1)), outcome, sample_weight=weight
    )
    s = inputs.shape[1]

    def normal(rows: int, columns: int, scale: float) -> np.ndarray:
        return (generator.standard_normal((rows, columns)) * scale).astype(np.float32)

    return MLP(
        Wx=normal(d, HIDDEN, 0.4),
        Wt=normal(e, HIDDEN, 0.4),
        Ws=np.zeros((s, HIDDEN), np.float32),
        b1=np.zeros(HIDDEN, np.float32),
        W2=normal(HIDDEN, SECOND, (2 / HIDDEN) ** 0.5),
        b2=np.zeros(SECOND, np.float32),
        w3=np.zeros(SECOND, np.float32),
        ws=(found.coef_[0] / spread).astype(np.float32),
        b3=found.intercept_.astype(np.float32),
    )


def fit(
    mlp: MLP,
    x: np.ndarray,
    t: np.ndarray,
    train: Lists,
    validation: Lists,
    settings: MLPSettings,
    *,
    listwise: bool,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[MLP, list[float]]:
    """Train; keep the epoch that was best on validation, stop when none is better.

    x: (n, d) and t: (m, e) hold the rows that the lists point to. `listwise`: softmax cross-entropy over each list, for
    an order (ListNet, Cao et al. 2007); else binary cross-entropy with soft targets, for a relevance. Returns the MLP
    and the validation loss before training and after each epoch.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, dropout, log_softmax, relu

    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    # Scalars enter at unit spread, so that all weights learn at one pace; the weights take the scale back in the end.
    spread = np.maximum(train.pair_features.reshape(-1, train.pair_features.shape[2]).std(axis=0), 1e-3).astype(
        np.float32
    )
    initial = {f.name: getattr(mlp, f.name) for f in fields(MLP)}
    initial |= {"Ws": mlp.Ws * spread[:, None], "ws": mlp.ws * spread}
    weights = {name: torch.nn.Parameter(torch.from_numpy(values.copy())) for name, values in initial.items()}
    matrices = [weights[name] for name in ("Wx", "Wt", "Ws", "W2")]
    rest = [weights[name] for name in ("b1", "b2", "w3", "ws", "b3")]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.learning_rate,
    )
    batch = max(1, settings.batch // train.photo.shape[1])
    steps = -(-len(train) // batch) * settings.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    images, texts = torch.from_numpy(x), torch.from_numpy(t)

    def losses(lists: Lists, training: bool) -> torch.Tensor:
        """(n,): the weighted loss of each list."""
        s = torch.from_numpy(lists.pair_features / spread)
        # A photo that is in several lists of a batch is looked at once, and loses the same features in all.
        distinct, place = np.unique(lists.photo, return_inverse=True)
        left = (dropout(images[distinct], settings.dropout_images, training) @ weights["Wx"])[place]
        right = dropout(texts[lists.text], settings.dropout_texts, training) @ weights["Wt"]
        first = relu(left.view(*lists.photo.shape, -1) + right[:, None] + s @ weights["Ws"] + weights["b1"])
        hidden = dropout(first, settings.dropout_hidden, training)
        second = dropout(relu(hidden @ weights["W2"] + weights["b2"]), settings.dropout_hidden, training)
        logits = second @ weights["w3"] + s @ weights["ws"] + weights["b3"]
        target, weight = torch.from_numpy(lists.target), torch.from_numpy(lists.weight)
        if listwise:
            share = target / target.sum(dim=1, keepdim=True)
            return -(share * log_softmax(logits, dim=1)).sum(dim=1) * weight
        return binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1) * weight

    def validation_loss() -> float:
        with torch.inference_mode():
            blocks = np.array_split(np.arange(len(validation)), -(-len(validation) // (4 * batch)))
            total = sum(float(losses(validation.take(rows), False).sum()) for rows in blocks)
        return total / float(validation.weight.sum())

    history = [validation_loss()]
    best, kept = history[0], {name: w.detach().clone() for name, w in weights.items()}
    done = 0
    for _ in range(settings.epochs):
        order = generator.permutation(len(train))
        for start_row in range(0, len(order), batch):
            loss = losses(train.take(order[start_row : start_row + batch]), True).mean()
            optimizer.zero_grad()
            loss.backward()
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
    if on_progress is not None:
        on_progress(steps, steps)
    final = {name: w.numpy() for name, w in kept.items()}
    final |= {"Ws": final["Ws"] / spread[:, None], "ws": final["ws"] / spread}
    return MLP(**final), history
