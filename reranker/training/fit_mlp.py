"""Fit an MLP to lists of photos: a start from logistic regression, then AdamW with early stopping."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.mlp import MLP
from reranker.models.ranking_settings import HeadWeights
from reranker.training import OnProgress
from reranker.training.examples.example_lists import ExampleLists

if TYPE_CHECKING:
    import torch

# Units of the two layers of a new MLP. The first layer's are stored per photo in every index.
HIDDEN_UNITS = 128
SECOND_UNITS = 48

# Weights that weight decay draws towards 0, and those that it leaves alone: the last layer and the biases.
_DECAYED = ("Wx", "Wt", "Ws", "W2")
_NOT_DECAYED = ("b1", "b2", "w3", "ws", "b3")


@dataclass(frozen=True, slots=True)
class MLPSettings:
    """Settings of training an MLP: a few epochs, after which the validation loss of Flickr8k stands still.

    Attributes:
        learning_rate: Highest learning rate of the one-cycle schedule.
        weight_decay: AdamW's weight decay of the matrices.
        dropout_images: Share of a photo's embedding left out per step.
        dropout_texts: Share of a text vector left out per step.
        dropout_hidden: Share of the units of both layers left out per step.
        batch: Pairs per step.
        epochs: Times that the training lists are seen, at most.
        patience: Epochs without a better validation loss before training stops.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    dropout_images: float = 0.4
    dropout_texts: float = 0.4
    dropout_hidden: float = 0.2
    batch: int = 3072
    epochs: int = 5
    patience: int = 2


@dataclass(frozen=True, slots=True)
class MLPExamples:
    """Examples that an MLP is trained and validated on.

    Attributes:
        x: (n, d) float32 photo embeddings, the rows that `photo_rows` of the lists point to.
        t: (m, e) float32 text vectors, unit rows, the rows that `text_rows` point to.
        train: The lists to learn from.
        validation: The lists that say which epoch is best.
    """

    x: np.ndarray
    t: np.ndarray
    train: ExampleLists
    validation: ExampleLists


@dataclass(frozen=True, slots=True)
class FittedMLP:
    """A trained MLP.

    Attributes:
        mlp: The MLP of the best epoch.
        losses: The validation loss before training and after each epoch.
    """

    mlp: MLP
    losses: tuple[float, ...]


def start_mlp(d: int, e: int, lists: ExampleLists, seed: int) -> MLP:
    """Return an untrained MLP that scores by pair features alone, weighed by logistic regression.

    The first layer starts at random. Starting it from the map would be quicker to learn but false: the map knows the
    photos it was fitted on, and the MLP would learn to trust it more than it may be trusted on new ones.

    Args:
        d: Width of photo embeddings.
        e: Width of text vectors.
        lists: The training lists. A soft target counts as a pair that fits and as one that does not, in its shares.
        seed: Draws the matrices.
    """
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(seed)
    pairs = lists.as_pairs()
    inputs, targets = pairs.pair_features[:, 0], pairs.targets[:, 0]
    spread = np.maximum(inputs.std(axis=0), 1e-3)
    outcome = np.repeat([1, 0], len(pairs))
    weights = np.concatenate([pairs.weights * targets, pairs.weights * (1 - targets)])
    found = LogisticRegression(C=100.0, max_iter=1000).fit(
        np.tile(inputs / spread, (2, 1)), outcome, sample_weight=weights
    )
    s = inputs.shape[1]

    def normal(rows: int, columns: int, scale: float) -> np.ndarray:
        return (generator.standard_normal((rows, columns)) * scale).astype(np.float32)

    return MLP(
        Wx=normal(d, HIDDEN_UNITS, 0.4),
        Wt=normal(e, HIDDEN_UNITS, 0.4),
        Ws=np.zeros((s, HIDDEN_UNITS), np.float32),
        b1=np.zeros(HIDDEN_UNITS, np.float32),
        W2=normal(HIDDEN_UNITS, SECOND_UNITS, (2 / HIDDEN_UNITS) ** 0.5),
        b2=np.zeros(SECOND_UNITS, np.float32),
        w3=np.zeros(SECOND_UNITS, np.float32),
        ws=(found.coef_[0] / spread).astype(np.float32),
        b3=found.intercept_.astype(np.float32),
    )


def candidate_mlp(d: int, e: int, heads: HeadWeights) -> MLP:
    """Return an MLP that gives the candidates' own scores: the ranking that a trained one has to beat.

    Args:
        d: Width of photo embeddings.
        e: Width of text vectors.
        heads: The weights of the candidate score.
    """
    weights = np.zeros(len(PAIR_FEATURES), np.float32)
    parts = (("cosine", 1), ("meaning", heads.meaning), ("named", heads.class_names), ("hub", -heads.hubness))
    for name, weight in parts:
        weights[PAIR_FEATURES.index(name)] = weight
    return MLP.of_pair_features(d, e, weights)


def fit_mlp(
    start: MLP,
    examples: MLPExamples,
    settings: MLPSettings,
    *,
    listwise: bool,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> FittedMLP:
    """Train an MLP; keep the epoch that was best on validation, stop when none is better.

    Args:
        start: The MLP to start from; it is left as it is.
        examples: What it learns from.
        settings: See `MLPSettings`.
        listwise: Whether the loss is softmax cross-entropy over each list, for a ranking; else it is binary
            cross-entropy of each pair with soft targets, for a relevance.
        seed: Draws batches and dropout.
        on_progress: Called after every step.

    Returns:
        The MLP of the best epoch, with its validation losses.

    References:
        Cao, Qin, Liu, Tsai and Li 2007, "Learning to rank: from pairwise approach to listwise approach" (ListNet).
    """
    import torch

    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    network = _TorchMLP.of(start, examples, settings, listwise)
    train, validation = examples.train, examples.validation
    batch = max(1, settings.batch // train.photo_rows.shape[1])
    steps = -(-len(train) // batch) * settings.epochs
    optimizer, schedule = network.optimizer(steps)
    losses = [network.mean_loss(validation, 4 * batch)]
    best, kept = losses[0], network.copied_weights()
    done = 0
    for _ in range(settings.epochs):
        order = generator.permutation(len(train))
        for begin in range(0, len(order), batch):
            loss = network.losses(train.take(order[begin : begin + batch]), True).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if on_progress is not None:
                on_progress(done, steps)
        losses.append(network.mean_loss(validation, 4 * batch))
        if losses[-1] < best:
            best, kept = losses[-1], network.copied_weights()
        elif len(losses) - 1 - int(np.argmin(losses)) >= settings.patience:
            break
    if on_progress is not None:
        on_progress(steps, steps)
    return FittedMLP(network.as_mlp(kept), tuple(losses))


@dataclass(frozen=True, slots=True)
class _TorchMLP:
    """An MLP in training.

    Pair features enter divided by `spread`, (s,) float32, so that all weights learn at one pace; `as_mlp` gives the
    weights their scale back.
    """

    weights: "dict[str, torch.nn.Parameter]"
    spread: np.ndarray
    images: "torch.Tensor"
    texts: "torch.Tensor"
    settings: MLPSettings
    listwise: bool

    @classmethod
    def of(cls, start: MLP, examples: MLPExamples, settings: MLPSettings, listwise: bool) -> "_TorchMLP":
        """Copy the weights of an MLP into torch."""
        import torch

        features = examples.train.pair_features
        spread = np.maximum(features.reshape(-1, features.shape[2]).std(axis=0), 1e-3).astype(np.float32)
        arrays = {f.name: getattr(start, f.name) for f in fields(MLP)}
        arrays |= {"Ws": start.Ws * spread[:, None], "ws": start.ws * spread}
        weights = {name: torch.nn.Parameter(torch.from_numpy(values.copy())) for name, values in arrays.items()}
        images, texts = torch.from_numpy(examples.x), torch.from_numpy(examples.t)
        return cls(weights, spread, images, texts, settings, listwise)

    def optimizer(self, steps: int) -> "tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]":
        """Return AdamW with weight decay of the matrices alone, and its one-cycle schedule."""
        import torch

        decayed = {"params": [self.weights[name] for name in _DECAYED], "weight_decay": self.settings.weight_decay}
        others = {"params": [self.weights[name] for name in _NOT_DECAYED], "weight_decay": 0.0}
        optimizer = torch.optim.AdamW([decayed, others], lr=self.settings.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.settings.learning_rate, total_steps=steps)
        return optimizer, schedule

    def losses(self, lists: ExampleLists, training: bool) -> "torch.Tensor":
        """Compute the weighted loss of each list, (n,), with dropout if `training`."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits, dropout, log_softmax, relu

        weights, settings = self.weights, self.settings
        s = torch.from_numpy(lists.pair_features / self.spread)
        # A photo that is in several lists of a batch is looked at once, and loses the same features in all.
        distinct, place = np.unique(lists.photo_rows, return_inverse=True)
        left = (dropout(self.images[distinct], settings.dropout_images, training) @ weights["Wx"])[place]
        right = dropout(self.texts[lists.text_rows], settings.dropout_texts, training) @ weights["Wt"]
        first = relu(left.view(*lists.photo_rows.shape, -1) + right[:, None] + s @ weights["Ws"] + weights["b1"])
        hidden = dropout(first, settings.dropout_hidden, training)
        second = dropout(relu(hidden @ weights["W2"] + weights["b2"]), settings.dropout_hidden, training)
        logits = second @ weights["w3"] + s @ weights["ws"] + weights["b3"]
        targets, of_lists = torch.from_numpy(lists.targets), torch.from_numpy(lists.weights)
        if self.listwise:
            share = targets / targets.sum(dim=1, keepdim=True)
            return -(share * log_softmax(logits, dim=1)).sum(dim=1) * of_lists
        return binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1) * of_lists

    def mean_loss(self, lists: ExampleLists, block: int) -> float:
        """Compute the weighted mean loss of lists without dropout, at most `block` of them at a time."""
        import torch

        with torch.inference_mode():
            blocks = np.array_split(np.arange(len(lists)), -(-len(lists) // block))
            total = sum(float(self.losses(lists.take(rows), False).sum()) for rows in blocks)
        return total / float(lists.weights.sum())

    def copied_weights(self) -> "dict[str, torch.Tensor]":
        """Copy the weights as they are now, by name."""
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def as_mlp(self, weights: "Mapping[str, torch.Tensor]") -> MLP:
        """Return an MLP of copied weights, for pair features that are not divided by their spread."""
        arrays = {name: weight.numpy() for name, weight in weights.items()}
        arrays |= {"Ws": arrays["Ws"] / self.spread[:, None], "ws": arrays["ws"] / self.spread}
        return MLP(**arrays)
