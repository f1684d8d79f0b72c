"""Tune a linear map of photos and sentences by a contrastive loss, with words and short phrases beside sentences."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reranker.models.linear_map import LinearMap
from reranker.training import OnProgress
from reranker.training.joint_space.fit_linear_map import MapSettings, fit_cca

if TYPE_CHECKING:
    import torch

# Learning rate of the factor that cosines are multiplied by; it is a logarithm and needs larger steps than weights.
SCALE_LEARNING_RATE = 1e-2


@dataclass(frozen=True, slots=True)
class PhrasePhotos:
    """Words and short phrases with the photos that they fit.

    Attributes:
        t: (p, e) float32 text vectors.
        fits: (p, n) bool, which photos each fits; at least one.
    """

    t: np.ndarray
    fits: np.ndarray


@dataclass(frozen=True, slots=True)
class MapPairs:
    """Photos and texts that a map learns from.

    Attributes:
        x: (n, d) float32 photo embeddings.
        t: (m, e) float32 text vectors of sentences.
        photo: (m,) int, the row in `x` of the photo that each sentence describes.
        weights: (n,) float, how often each photo is seen; None counts all alike.
        phrases: Words and short phrases, if any are asked.
    """

    x: np.ndarray
    t: np.ndarray
    photo: np.ndarray
    weights: np.ndarray | None = None
    phrases: PhrasePhotos | None = None


def fit_map(pairs: MapPairs, settings: MapSettings, seed: int = 0, on_progress: OnProgress | None = None) -> LinearMap:
    """Fit a map in closed form, then tune it.

    Args:
        pairs: What it learns from.
        settings: See `MapSettings`.
        seed: Draws batches, sentences, phrases and dropout.
        on_progress: Called after every step of tuning.

    Returns:
        The fitted map.
    """
    start = fit_cca(pairs.x, pairs.t, pairs.photo, settings)
    return tune_map(start, pairs, settings, seed, on_progress)


def tune_map(
    start: LinearMap,
    pairs: MapPairs,
    settings: MapSettings,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> LinearMap:
    """Tune both sides of a map by a symmetric contrastive loss, on the CPU in bfloat16.

    Each step takes `batch` photos with `captions_per_photo` random sentences each, all of them positives, and some
    phrases with those of these photos that they fit.

    Args:
        start: The map to start from; it is left as it is.
        pairs: What it learns from.
        settings: See `MapSettings`.
        seed: Draws batches, sentences, phrases and dropout.
        on_progress: Called after every step.

    Returns:
        The tuned map; `start` where `settings.epochs` is 0.

    References:
        van den Oord, Li and Vinyals 2018, "Representation learning with contrastive predictive coding" (InfoNCE).
    """
    if settings.epochs == 0:
        return start
    import torch

    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    photos, captions = captions_by_photo(pairs.photo)
    seen = np.ones(len(photos)) if pairs.weights is None else pairs.weights[photos]
    batch = min(settings.batch, len(photos))
    steps = max(1, round(settings.epochs * float(seen.sum()) / batch))
    images, texts = torch.from_numpy(pairs.x), torch.from_numpy(pairs.t)
    weights = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in (start.A, start.a, start.B, start.b)]
    scale = torch.nn.Parameter(torch.tensor(settings.logit_scale).log())
    optimizer, schedule = contrastive_optimizer(weights, scale, settings.learning_rate, steps)
    count = settings.captions_per_photo
    for step, chosen in enumerate(photo_batches(generator, seen, batch, steps), 1):
        picks = np.stack([generator.choice(captions[i], count, len(captions[i]) < count) for i in chosen])
        of_photos, of_captions = images[photos[chosen]], texts[picks.T.reshape(-1)]
        loss = _contrastive_loss(weights, scale, of_photos, of_captions, settings)
        if pairs.phrases is not None:
            asked, target = _drawn_phrases(pairs.phrases, photos[chosen], settings.phrases, generator)
            loss = loss + settings.phrase_weight * _phrase_loss(weights, scale, of_photos, asked, target, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_progress is not None:
            on_progress(step, steps)
    return LinearMap(*(weight.detach().numpy() for weight in weights))


def captions_by_photo(photo: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the photos that have captions, sorted, and the rows of each one's captions.

    Args:
        photo: (m,) int, the photo of each caption.
    """
    photos = np.unique(photo)
    order = np.argsort(photo, kind="stable")
    return photos, np.split(order, np.searchsorted(photo[order], photos[1:]))


def photo_batches(generator: np.random.Generator, weights: np.ndarray, batch: int, steps: int) -> Iterator[np.ndarray]:
    """Yield places of photos, (batch,) int64 per step.

    Photos are shuffled whenever fewer than a batch are left, so none comes twice in an epoch, but for those of a weight
    above 1. The generator is used when a batch is asked for, between the draws of the caller.

    Args:
        generator: Shuffles the photos.
        weights: (n,) float, how often each photo comes in an epoch; a fraction is the chance of one time more.
        batch: Photos per step.
        steps: How many batches.
    """
    waiting = np.empty(0, np.int64)
    for _ in range(steps):
        if len(waiting) < batch:
            waiting = waiting[:0]
        while len(waiting) < batch:
            turns = [_shuffled(generator, weights - turn) for turn in range(math.ceil(weights.max()))]
            waiting = np.concatenate([waiting, *turns])
        yield waiting[:batch]
        waiting = waiting[batch:]


def _shuffled(generator: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Shuffle the places of photos with a weight of 1 or more, and some of those with less."""
    chance = np.clip(weights, 0, 1)
    if (chance == np.floor(chance)).all():
        return generator.permutation(np.flatnonzero(chance))
    return generator.permutation(np.flatnonzero(generator.random(len(weights)) < chance))


def contrastive_optimizer(
    weights: "Sequence[torch.nn.Parameter]", scale: "torch.nn.Parameter", learning_rate: float, steps: int
) -> "tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]":
    """Return AdamW without weight decay, and its one-cycle schedule.

    Args:
        weights: What is tuned, at `learning_rate` at most.
        scale: Logarithm of the factor of the cosines, at `SCALE_LEARNING_RATE` at most.
        learning_rate: The weights' highest learning rate.
        steps: How many steps there will be.
    """
    import torch

    groups = [{"params": list(weights), "lr": learning_rate}, {"params": [scale], "lr": SCALE_LEARNING_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    rates = [learning_rate, SCALE_LEARNING_RATE]
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)


def _contrastive_loss(
    weights: "Sequence[torch.nn.Parameter]",
    scale: "torch.nn.Parameter",
    images: "torch.Tensor",
    texts: "torch.Tensor",
    settings: MapSettings,
) -> "torch.Tensor":
    """Compute the loss of b photos, (b, d), and their sentences, (c * b, e), the first of all photos first.

    Sentence to photo is cross-entropy with label smoothing, photo to sentence the mean over its sentences.
    """
    import torch
    from torch.nn.functional import cross_entropy, log_softmax

    logits = _logits(weights, scale, images, texts, settings)
    target = torch.arange(len(images)).repeat(settings.captions_per_photo)
    to_photo = cross_entropy(logits, target, label_smoothing=settings.label_smoothing)
    to_text = -log_softmax(logits.T, dim=1)[target, torch.arange(len(target))].mean()
    return to_photo + to_text


def _drawn_phrases(
    phrases: PhrasePhotos, photos: np.ndarray, count: int, generator: np.random.Generator
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Draw phrases that fit one of the photos (b,): text vectors (p, e), and the shares of photos per phrase (p, b)."""
    import torch

    chance = np.sqrt(phrases.fits.sum(axis=1))
    drawn = generator.choice(len(chance), min(count, len(chance)), replace=False, p=chance / chance.sum())
    fits = phrases.fits[drawn][:, photos]
    some = fits.any(axis=1)
    shares = fits[some].astype(np.float32)
    shares /= shares.sum(axis=1, keepdims=True)
    return torch.from_numpy(phrases.t[drawn[some]]), torch.from_numpy(shares)


def _phrase_loss(
    weights: "Sequence[torch.nn.Parameter]",
    scale: "torch.nn.Parameter",
    images: "torch.Tensor",
    texts: "torch.Tensor",
    shares: "torch.Tensor",
    settings: MapSettings,
) -> "torch.Tensor":
    """Compute the smoothed cross-entropy of p phrases (p, e) over b photos (b, d), of which shares (p, b) fit."""
    import torch
    from torch.nn.functional import cross_entropy

    if not len(texts):
        return torch.zeros(())
    logits = _logits(weights, scale, images, texts, settings)
    return cross_entropy(logits, shares, label_smoothing=settings.label_smoothing)


def _logits(
    weights: "Sequence[torch.nn.Parameter]",
    scale: "torch.nn.Parameter",
    images: "torch.Tensor",
    texts: "torch.Tensor",
    settings: MapSettings,
) -> "torch.Tensor":
    """Compute the scaled cosines of texts (q, e) with photos (b, d) in the map, with dropout: (q, b) float32."""
    import torch
    from torch.nn.functional import dropout, normalize

    A, a, B, b = weights
    with torch.autocast("cpu", torch.bfloat16):
        z = dropout(images, settings.dropout_images) @ A - a
        q = dropout(texts, settings.dropout_texts) @ B - b
        logits = scale.exp() * (normalize(q.float()) @ normalize(z.float()).T)
    return logits.float()
