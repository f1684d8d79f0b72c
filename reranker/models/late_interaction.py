"""Late interaction: every word of a query looks for its own place in a photo.

A photo has region vectors (the whole and a grid), a query has token vectors. Both are mapped into one space, each word
takes the region that fits it best, and the score is the mean over words, weighed by what a word is worth (after
ColBERT, Khattab and Zaharia 2020, with regions for passages).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexer.encoders.base import Tokens
from reranker.models.linear_map import LinearMap, MapSettings, fit_cca, unit

# Components of mapped regions are kept as int8 steps of 1/254; unit vectors this wide have none beyond +-0.5.
STEPS = 254.0
NEAREST = 5
BLOCK = 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LateSettings:
    """How late interaction is fitted. Chosen on held-out training photos."""

    k: int = 128
    epochs: int = 20
    batch: int = 400
    learning_rate: float = 5e-3
    # One mask for all regions of a photo: with a mask a region, what one loses another still tells, and it overfits.
    dropout_images: float = 0.7
    dropout_texts: float = 0.25
    dropout_words: float = 0.1
    smoothing: float = 0.1
    # Word pieces of fewer captions have no vector and no weight of their own.
    at_least: int = 5
    # Training captions that hub terms are taken over.
    bank: int = 600


@dataclass(frozen=True, slots=True)
class Words:
    """Mapped words of b queries, side by side: vectors (p, k) float32, unit rows; weights (p,), which sum to 1 in a
    query; offsets (b + 1,)."""

    vectors: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, slots=True)
class LateInteraction:
    """Weights, float32: A (r, k), a (k,) for regions; B (w, k), b (k,) for tokens; `words` (v + 1, k) and `worth`
    (v + 1,) for the vocabulary numbers `pieces` (v,) int64, sorted, with a last row for all others; u (w,).

    `bank` holds the mapped words of training captions, for hub terms.
    """

    A: np.ndarray
    a: np.ndarray
    B: np.ndarray
    b: np.ndarray
    words: np.ndarray
    worth: np.ndarray
    u: np.ndarray
    pieces: np.ndarray
    bank: Words

    @classmethod
    def of(cls, weights: Sequence[np.ndarray], bank: Words) -> "LateInteraction":
        """From the weights in the order of the fields."""
        A, a, B, b, words, worth, u, pieces = weights
        return cls(A, a, B, b, words, worth, u, pieces, bank)

    def regions(self, regions: np.ndarray) -> np.ndarray:
        """regions: (n, c, r) int8, directions -> (n, c, k) int8 in steps of 1/254."""
        n, c, r = regions.shape
        mapped = np.empty((n, c, self.A.shape[1]), np.int8)
        for start in range(0, n, BLOCK):
            rows = unit(regions[start : start + BLOCK].reshape(-1, r).astype(np.float32))
            vectors = unit(rows @ self.A - self.a)
            steps = np.clip(np.rint(vectors * STEPS), -127, 127)
            mapped[start : start + BLOCK] = steps.reshape(-1, c, self.A.shape[1])
        return mapped

    def tokens(self, tokens: Tokens) -> Words:
        """Token vectors of b queries -> their mapped words."""
        x = tokens.vectors.astype(np.float32)
        word = _word_of(tokens.pieces, self.pieces)
        vectors = unit(x @ self.B - self.b + self.words[word])
        weights = np.logaddexp(0, self.worth[word] + x @ self.u)
        query = np.repeat(np.arange(len(tokens.offsets) - 1), np.diff(tokens.offsets))
        total = np.bincount(query, weights, minlength=len(tokens.offsets) - 1)
        return Words(vectors, (weights / total[query]).astype(np.float32), tokens.offsets)

    def scores(self, regions: np.ndarray, words: Words, query: int) -> np.ndarray:
        """regions: (n, c, k) int8, mapped -> (n,) float32 in -1..1 for one query; 0 if it has no words."""
        own = slice(words.offsets[query], words.offsets[query + 1])
        n, c, k = regions.shape
        # Region by region, so that the maximum runs over whole rows.
        vectors = np.empty((c, n, k), np.float32)
        vectors[...] = regions.transpose(1, 0, 2)
        products = vectors.reshape(-1, k) @ words.vectors[own].T
        best: np.ndarray = products.reshape(c, n, products.shape[1]).max(axis=0)
        scores: np.ndarray = best @ words.weights[own] / np.float32(STEPS)
        return scores

    def matrix(self, regions: np.ndarray, words: Words) -> np.ndarray:
        """Scores of every photo for every query: (queries, n) float32."""
        n, c, k = regions.shape
        queries = len(words.offsets) - 1
        scores = np.zeros((queries, n), np.float32)
        for start in range(0, n, BLOCK):
            block = regions[start : start + BLOCK].astype(np.float32) / np.float32(STEPS)
            flat = np.ascontiguousarray(block.transpose(1, 0, 2)).reshape(-1, k).T
            for first in range(0, queries, 64):
                last = min(first + 64, queries)
                own = slice(words.offsets[first], words.offsets[last])
                best = (words.vectors[own] @ flat).reshape(-1, c, len(block)).max(axis=1)
                best *= words.weights[own, None]
                # A query without words keeps its 0: reduceat would give it the next one's first word.
                some = first + np.flatnonzero(np.diff(words.offsets[first : last + 1]))
                inner = words.offsets[some] - words.offsets[first]
                scores[some, start : start + len(block)] = np.add.reduceat(best, inner, axis=0)
        return scores

    def mean_top_products(self, regions: np.ndarray) -> np.ndarray:
        """regions: (n, c, k) int8, mapped -> (n,) float32, the mean of the best scores that the bank's captions get."""
        terms = np.empty(len(regions), np.float32)
        nearest = min(NEAREST, len(self.bank.offsets) - 1)
        for start in range(0, len(regions), BLOCK):
            scores = self.matrix(regions[start : start + BLOCK], self.bank)
            terms[start : start + BLOCK] = np.partition(scores, -nearest, axis=0)[-nearest:].mean(axis=0)
        return terms


def fit_late(
    regions: np.ndarray,
    tokens: Tokens,
    photo: np.ndarray,
    settings: LateSettings,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> LateInteraction:
    """Fit late interaction by a symmetric contrastive loss, from a closed-form start.

    regions: (n, c, r) int8, directions; tokens: of m captions; photo: (m,) the photo that each caption describes.
    The start is canonical correlation between a photo's mean region and a caption's mean token, weighed by rarity.
    Runs on the CPU in bfloat16.
    """
    import torch
    from torch.nn.functional import cross_entropy, log_softmax, normalize, softplus

    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    caption = np.repeat(np.arange(len(photo)), np.diff(tokens.offsets))
    pieces, idf = _vocabulary(tokens.pieces, caption, len(photo), settings.at_least)
    word = _word_of(tokens.pieces, pieces)
    start = _closed_form(regions, tokens, caption, photo, idf[word], settings.k)
    x = torch.from_numpy(np.stack([unit(rows.astype(np.float32)) for rows in regions]))
    width = tokens.vectors.shape[1]

    def parameter(values: np.ndarray) -> "torch.nn.Parameter":
        return torch.nn.Parameter(torch.from_numpy(np.array(values, np.float32)))

    A, a, B, b = (parameter(values) for values in (start.A, start.a, start.B, start.b))
    own, worth, u = parameter(np.zeros((len(idf), B.shape[1]))), parameter(idf / 5 - 1), parameter(np.zeros(width))
    scale = parameter(np.log(20.0))
    rates = [settings.learning_rate, 1e-2]
    optimizer = torch.optim.AdamW(
        [{"params": [A, a, B, b, own, worth, u], "lr": rates[0]}, {"params": [scale], "lr": rates[1]}],
        weight_decay=0.0,
    )
    photos = np.unique(photo)
    order = np.argsort(photo, kind="stable")
    captions_of = np.split(order, np.searchsorted(photo[order], photos[1:]))
    batch = min(settings.batch, len(photos))
    steps = max(1, settings.epochs * len(photos) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
    waiting = np.empty(0, np.int64)
    for step in range(steps):
        if len(waiting) < batch:
            waiting = generator.permutation(len(photos))
        chosen, waiting = waiting[:batch], waiting[batch:]
        picked = tokens.select(np.array([generator.choice(captions_of[i]) for i in chosen]))
        row = np.repeat(np.arange(batch), np.diff(picked.offsets))
        kept = generator.random(len(row)) >= settings.dropout_words
        kept[picked.offsets[:-1]] = True
        place = torch.from_numpy(row[kept])
        t = torch.from_numpy(picked.vectors[kept].astype(np.float32))
        w = torch.from_numpy(_word_of(picked.pieces[kept], pieces))
        photo_mask = (torch.rand(batch, 1, x.shape[2]) >= settings.dropout_images) / (1 - settings.dropout_images)
        text_mask = (torch.rand(batch, width) >= settings.dropout_texts) / (1 - settings.dropout_texts)
        t = t * text_mask[place]
        with torch.autocast("cpu", torch.bfloat16):
            z = normalize((x[photos[chosen]] * photo_mask @ A - a).float(), dim=2)
            q = normalize((t @ B - b + own[w]).float(), dim=1)
            best = (q @ z.flatten(0, 1).T).view(len(q), batch, -1).amax(dim=2)
        weight = softplus(worth[w] + t @ u)
        total = torch.zeros(batch).index_add(0, place, weight)
        logits = torch.zeros(batch, batch).index_add(0, place, best.float() * (weight / total[place])[:, None])
        logits = scale.exp() * logits
        target = torch.arange(batch)
        loss = (
            cross_entropy(logits, target, label_smoothing=settings.smoothing)
            - log_softmax(logits.T, dim=1).diag().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_progress is not None:
            on_progress(step + 1, steps)
    weights: list[np.ndarray] = [values.detach().numpy() for values in (A, a, B, b, own, worth, u)]
    none = Words(np.zeros((0, B.shape[1]), np.float32), np.zeros(0, np.float32), np.zeros(1, np.int64))
    fitted = LateInteraction.of([*weights, pieces], none)
    chosen = generator.permutation(len(photo))[: settings.bank]
    return replace(fitted, bank=fitted.tokens(tokens.select(chosen)))


def _vocabulary(pieces: np.ndarray, caption: np.ndarray, captions: int, at_least: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted word pieces of `at_least` captions or more, (v,), and idf (v + 1,), the last of all others."""
    pairs = np.unique(np.stack([pieces, caption], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    usual = counts >= at_least
    idf = np.log(captions / np.append(counts[usual], min(2, captions)))
    return found[usual].astype(np.int64), idf.astype(np.float32)


def _word_of(pieces: np.ndarray, vocabulary: np.ndarray) -> np.ndarray:
    """The place of each piece in a sorted vocabulary; those that are not in it share the place behind the last."""
    place = np.searchsorted(vocabulary, pieces)
    known = place < len(vocabulary)
    known[known] = vocabulary[place[known]] == pieces[known]
    return np.where(known, place, len(vocabulary))


def _closed_form(
    regions: np.ndarray, tokens: Tokens, caption: np.ndarray, photo: np.ndarray, idf: np.ndarray, k: int
) -> LinearMap:
    means = np.stack([unit(rows.astype(np.float32)).mean(axis=0) for rows in regions])
    sums = np.zeros((len(photo), tokens.vectors.shape[1]), np.float32)
    for start in range(0, len(caption), 65536):
        block = slice(start, start + 65536)
        np.add.at(sums, caption[block], tokens.vectors[block].astype(np.float32) * idf[block, None])
    total = np.bincount(caption, idf, minlength=len(photo))
    sums /= np.maximum(total, 1e-6)[:, None].astype(np.float32)
    return fit_cca(means, sums, photo, MapSettings(k=k))
