"""Fit late interaction: a closed-form start, then a symmetric contrastive loss over the words of captions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from indexer.encoders import Tokens
from reranker.models.late_interaction import LateInteraction, Words, word_places
from reranker.models.linear_map import LinearMap, unit
from reranker.training import OnProgress
from reranker.training.joint_space.fit_linear_map import MapSettings, fit_cca
from reranker.training.joint_space.tune_linear_map import captions_by_photo, contrastive_optimizer, photo_batches

if TYPE_CHECKING:
    import torch

# Tokens summed at a time; their vectors are kept as float16 and would take twice as much at once.
BLOCK = 65536
# Factor of the scores in the loss when training starts; it is trained as well.
LOGIT_SCALE = 20.0


@dataclass(frozen=True, slots=True)
class LateInteractionSettings:
    """Settings of fitting late interaction. The defaults were chosen on Flickr8k training photos that were held out.

    Attributes:
        k: Dimensions of the space of regions and words.
        epochs: Times that each photo is seen.
        batch: Photos per step, with one random caption each.
        learning_rate: Highest learning rate of the one-cycle schedule.
        dropout_images: Share of the region features left out per step, the same ones in all regions of a photo. With a
            mask per region, what one loses another still tells, and it overfits.
        dropout_texts: Share of the token features left out per step, the same ones in all words of a caption.
        dropout_words: Share of the words left out per step; a caption's first is always kept.
        label_smoothing: Probability that cross-entropy spreads over the other captions of a batch.
        min_captions: Word pieces of fewer captions have no vector and no weight of their own.
        hubness_captions: Random training captions that hubness is taken over.
    """

    k: int = 128
    epochs: int = 20
    batch: int = 400
    learning_rate: float = 5e-3
    dropout_images: float = 0.7
    dropout_texts: float = 0.25
    dropout_words: float = 0.1
    label_smoothing: float = 0.1
    min_captions: int = 5
    hubness_captions: int = 600


def fit_late_interaction(
    regions: np.ndarray,
    tokens: Tokens,
    photo: np.ndarray,
    settings: LateInteractionSettings,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    *,
    weights: np.ndarray | None = None,
) -> LateInteraction:
    """Fit late interaction by a symmetric contrastive loss, on the CPU in bfloat16.

    The start is canonical correlation between a photo's mean region and a caption's mean token, weighed by rarity.

    Args:
        regions: (n, c, r) int8 region vectors of n photos, of any length.
        tokens: Word pieces of m captions.
        photo: (m,) int, the row in `regions` of the photo that each caption describes.
        settings: See `LateInteractionSettings`.
        seed: Draws batches, captions and dropout.
        on_progress: Called after every step.
        weights: (n,) float, how often each photo is seen; by default all alike.

    Returns:
        The fitted late interaction, with its captions for hubness.

    References:
        Khattab and Zaharia 2020, "ColBERT: efficient and effective passage search via contextualized late interaction
        over BERT".
    """
    import torch

    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    caption = np.repeat(np.arange(len(photo)), np.diff(tokens.offsets))
    pieces, idf = _vocabulary(tokens.pieces, caption, len(photo), settings.min_captions)
    token_idf = idf[word_places(tokens.pieces, pieces)]
    network = _TorchLateInteraction.of(_closed_form(regions, tokens, caption, photo, token_idf, settings.k), idf)
    x = torch.from_numpy(np.stack([unit(rows.astype(np.float32)) for rows in regions]))
    described = np.unique(photo)
    seen = np.ones(len(described)) if weights is None else weights[described]
    batch = min(settings.batch, len(described))
    steps = max(1, int(settings.epochs * float(seen.sum())) // batch)
    optimizer, schedule = contrastive_optimizer(network.weights, network.scale, settings.learning_rate, steps)
    batches = _caption_batches(generator, tokens, photo, seen, settings, steps)
    for step, chosen in enumerate(batches, 1):
        loss = network.loss(x[chosen.photos], chosen, word_places(chosen.pieces, pieces), settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_progress is not None:
            on_progress(step, steps)
    fitted = network.as_late_interaction(pieces)
    chosen_captions = generator.permutation(len(photo))[: settings.hubness_captions]
    return replace(fitted, bank=fitted.tokens(tokens.select(chosen_captions)))


@dataclass(frozen=True, slots=True)
class _CaptionBatch:
    """b photos with the words of one caption each.

    photos: (b,) int64 rows; of all p words together, caption: (p,) int64 in 0..b-1, vectors: (p, w) float32, pieces:
    (p,) int64 vocabulary numbers.
    """

    photos: np.ndarray
    caption: np.ndarray
    vectors: np.ndarray
    pieces: np.ndarray


def _caption_batches(
    generator: np.random.Generator,
    tokens: Tokens,
    photo: np.ndarray,
    seen: np.ndarray,
    settings: LateInteractionSettings,
    steps: int,
) -> Iterator[_CaptionBatch]:
    """Yield a batch of photos, each with a random caption, per step; `seen`: how often each described photo comes."""
    photos, captions = captions_by_photo(photo)
    batch = min(settings.batch, len(photos))
    for chosen in photo_batches(generator, seen, batch, steps):
        picked = tokens.select(np.array([generator.choice(captions[i]) for i in chosen]))
        caption = np.repeat(np.arange(batch), np.diff(picked.offsets))
        kept = generator.random(len(caption)) >= settings.dropout_words
        kept[picked.offsets[:-1]] = True
        yield _CaptionBatch(photos[chosen], caption[kept], picked.vectors[kept].astype(np.float32), picked.pieces[kept])


@dataclass(frozen=True, slots=True)
class _TorchLateInteraction:
    """Late interaction in training.

    weights: A (r, k), a (k,), B (w, k), b (k,), the words' own vectors (v + 1, k), their worth (v + 1,) and u (w,), in
    this order; scale: (), logarithm of the factor of the scores.
    """

    weights: "list[torch.nn.Parameter]"
    scale: "torch.nn.Parameter"

    @classmethod
    def of(cls, start: LinearMap, idf: np.ndarray) -> "_TorchLateInteraction":
        """Start from a map of mean regions and mean tokens, and from the idf of the words, (v + 1,)."""
        import torch

        def parameter(values: np.ndarray) -> "torch.nn.Parameter":
            return torch.nn.Parameter(torch.from_numpy(np.array(values, np.float32)))

        width, k = start.B.shape
        word_weights = (np.zeros((len(idf), k)), idf / 5 - 1, np.zeros(width))
        weights = [parameter(values) for values in (start.A, start.a, start.B, start.b, *word_weights)]
        return cls(weights, parameter(np.log(LOGIT_SCALE)))

    def loss(
        self, regions: "torch.Tensor", batch: _CaptionBatch, words: np.ndarray, settings: LateInteractionSettings
    ) -> "torch.Tensor":
        """Compute the loss of b photos, regions (b, c, r), and captions of words (p,), places in the vocabulary.

        Caption to photo is cross-entropy with label smoothing, photo to caption the plain one.
        """
        import torch
        from torch.nn.functional import cross_entropy, log_softmax, normalize, softplus

        A, a, B, b, own, worth, u = self.weights
        count, _, r = regions.shape
        place, w, t = torch.from_numpy(batch.caption), torch.from_numpy(words), torch.from_numpy(batch.vectors)
        photo_mask = (torch.rand(count, 1, r) >= settings.dropout_images) / (1 - settings.dropout_images)
        text_mask = (torch.rand(count, t.shape[1]) >= settings.dropout_texts) / (1 - settings.dropout_texts)
        t = t * text_mask[place]
        with torch.autocast("cpu", torch.bfloat16):
            z = normalize((regions * photo_mask @ A - a).float(), dim=2)
            q = normalize((t @ B - b + own[w]).float(), dim=1)
            best = (q @ z.flatten(0, 1).T).view(len(q), count, -1).amax(dim=2)
        weight = softplus(worth[w] + t @ u)
        total = torch.zeros(count).index_add(0, place, weight)
        scores = torch.zeros(count, count).index_add(0, place, best.float() * (weight / total[place])[:, None])
        logits = self.scale.exp() * scores
        to_photo = cross_entropy(logits, torch.arange(count), label_smoothing=settings.label_smoothing)
        return to_photo - log_softmax(logits.T, dim=1).diag().mean()

    def as_late_interaction(self, pieces: np.ndarray) -> LateInteraction:
        """Return late interaction for a vocabulary, pieces (v,), without captions for hubness."""
        weights: list[np.ndarray] = [values.detach().numpy() for values in self.weights]
        k = weights[0].shape[1]
        none = Words(np.zeros((0, k), np.float32), np.zeros(0, np.float32), np.zeros(1, np.int64))
        names = ("A", "a", "B", "b", "words", "worth", "u")
        return LateInteraction(**dict(zip(names, weights, strict=True)), pieces=pieces, bank=none)


def _vocabulary(
    pieces: np.ndarray, caption: np.ndarray, captions: int, min_captions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the word pieces of enough captions, sorted, (v,), and idf (v + 1,), the last of all others.

    pieces: (p,) of all tokens; caption: (p,) each one's caption.
    """
    pairs = np.unique(np.stack([pieces, caption], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    frequent = counts >= min_captions
    idf = np.log(captions / np.append(counts[frequent], min(2, captions)))
    return found[frequent].astype(np.int64), idf.astype(np.float32)


def _closed_form(
    regions: np.ndarray, tokens: Tokens, caption: np.ndarray, photo: np.ndarray, idf: np.ndarray, k: int
) -> LinearMap:
    """Map mean regions (n, r) and mean tokens (m, w), weighed by idf (p,), by canonical correlation."""
    means = np.stack([unit(rows.astype(np.float32)).mean(axis=0) for rows in regions])
    sums = np.zeros((len(photo), tokens.vectors.shape[1]), np.float32)
    for begin in range(0, len(caption), BLOCK):
        block = slice(begin, begin + BLOCK)
        np.add.at(sums, caption[block], tokens.vectors[block].astype(np.float32) * idf[block, None])
    total = np.bincount(caption, idf, minlength=len(photo))
    sums /= np.maximum(total, 1e-6)[:, None].astype(np.float32)
    return fit_cca(means, sums, photo, MapSettings(k=k))
