"""Make synthetic photos: real embeddings mixed with their neighbours at random.

A synthetic photo is a random mixture of the `neighbours` photos nearest to a real one, itself included: their mean plus
Gaussian noise with `spread` times their own covariance. So it is where real photos are, and varies in as many
directions. `tune` chooses both numbers so that as many synthetic photos as there are real ones have the same intrinsic
dimension and the same similarities to their 100 nearest.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from indexer.errors import PhotoseekError
from indexer.index import Index
from search.bench.exact_search import neighbours
from search.bench.synthetic.statistics import NEAREST, deviation, statistics

# Real photos mixed at most: more change no statistic, and the time to find neighbours grows with the square.
SOURCES = 8_192
# Real photos needed at least, as their 100 nearest are compared.
FEWEST = 120
# Synthetic photos made at a time; each such block has random numbers of its own.
BLOCK_ROWS = 16_384
# (neighbours, spread) to try, likeliest first: 28 and 1.1 are within 3 % on 7,000 photos of Flickr8k.
CHOICES = [(28, 1.1), (24, 1.1), (20, 1.1), (20, 1.0), (28, 1.0), (40, 1.1), (14, 1.1), (14, 1.0), (10, 1.0), (60, 1.1)]
# The first choice whose statistics are within this relative difference of the real ones is taken.
GOOD_ENOUGH = 0.05
# Groups of rows that `_order_by_likeness` no longer splits.
SMALLEST_GROUP = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that determines a synthetic index: the same recipe gives the same bytes.

    Attributes:
        photos: How many synthetic photos.
        neighbours: How many real photos are mixed into one.
        spread: The scale of the random part of the mixture.
        seed: The seed of the random draws.
        source: A digest of the real embeddings.
    """

    photos: int
    neighbours: int
    spread: float
    seed: int
    source: str


def source_rows(real: Index, seed: int = 0) -> np.ndarray:
    """Choose the real photos to mix: at most `SOURCES` random ones.

    Args:
        real: The real index.
        seed: The seed of the random choice.

    Returns:
        Their embeddings, (n, d) float32 unit rows, in an order in which neighbouring rows are alike.

    Raises:
        PhotoseekError: There are too few.
    """
    rows = np.setdiff1d(np.arange(real.rows), np.array(real.catalogue.dead_rows(), np.int64))
    if len(rows) < FEWEST:
        raise PhotoseekError(f"index {real.folder} has {len(rows)} photos; a synthetic index needs {FEWEST} or more")
    if len(rows) > SOURCES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SOURCES, replace=False))
    x = np.asarray(real.embeddings()[rows], np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x[_order_by_likeness(x)]


def photo_blocks(sources: np.ndarray, recipe: Recipe, done: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Make the synthetic photos, block by block.

    The photos made around one real photo follow each other, as the photos of one day do in a folder.

    Args:
        sources: The real photos, (n, d) float32 unit rows.
        recipe: The recipe.
        done: The row to begin with; it must begin a block.

    Yields:
        The first row of each block, and its photos, (b, d) float32 unit rows.
    """
    near = nearest_photos(sources)
    for start in range(done, recipe.photos, BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, recipe.photos))
        generator = np.random.default_rng([recipe.seed, start])
        yield start, mixtures(sources, near, rows * len(sources) // recipe.photos, recipe, generator)


def mixtures(
    sources: np.ndarray, near: np.ndarray, chosen: np.ndarray, recipe: Recipe, generator: np.random.Generator
) -> np.ndarray:
    """Mix real photos with their neighbours at random.

    Args:
        sources: The real photos, (n, d) float32 unit rows.
        near: The nearest other photos of each, (n, NEAREST).
        chosen: The photo in the middle of each mixture, (m,), ascending.
        recipe: The number of neighbours and the spread.
        generator: The source of random numbers.

    Returns:
        The mixtures, (m, d) float32 unit rows.
    """
    count = recipe.neighbours
    noise = generator.standard_normal((len(chosen), count), dtype=np.float32)
    # The weights of each mixture sum to one, so it is an affine combination of the neighbours.
    weights = 1 / count + recipe.spread * (noise - noise.mean(axis=1, keepdims=True)) / np.sqrt(count)
    made = np.empty((len(chosen), sources.shape[1]), np.float32)
    firsts = np.flatnonzero(np.diff(chosen, prepend=-1))
    for first, last in zip(firsts, [*firsts[1:], len(chosen)], strict=True):
        source = chosen[first]
        around = sources[[source, *near[source, : count - 1]]]
        made[first:last] = weights[first:last].astype(np.float32) @ around
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def tune(
    sources: np.ndarray, near: np.ndarray, seed: int = 0, on_progress: Callable[[int], None] | None = None
) -> tuple[int, float]:
    """Choose the mixture whose photos have the statistics of the real ones.

    Args:
        sources: The real photos, (n, d) float32 unit rows.
        near: The nearest other photos of each, (n, NEAREST).
        seed: The seed of the random draws.
        on_progress: Called with the number of choices that were tried.

    Returns:
        (neighbours, spread): the first of `CHOICES` within 5 % of the real statistics, else the nearest one.
    """
    real = statistics(sources)
    chosen = np.arange(len(sources))
    tried: list[tuple[float, tuple[int, float]]] = []
    for done, choice in enumerate(CHOICES, 1):
        generator = np.random.default_rng([seed, 1])
        # As many as there are real ones, and of random sources, as a random part of a large index would be.
        some = np.sort(generator.choice(chosen, len(chosen)))
        made = mixtures(sources, near, some, Recipe(len(some), *choice, seed, ""), generator)
        tried.append((deviation(real, statistics(made)), choice))
        if on_progress is not None:
            on_progress(done)
        if tried[-1][0] <= GOOD_ENOUGH:
            if on_progress is not None:
                on_progress(len(CHOICES))
            break
    return min(tried)[1]


def nearest_photos(sources: np.ndarray) -> np.ndarray:
    """Find the nearest other photos of each photo.

    Args:
        sources: The photos, (n, d) float32 unit rows.

    Returns:
        Their rows, (n, NEAREST) int64, nearest first.
    """
    return neighbours(sources, NEAREST)[0]


def _order_by_likeness(x: np.ndarray) -> np.ndarray:
    """Order the rows of x (n, d) so that neighbours are alike: split at the median of the main direction, repeatedly.

    Returns the rows in that order, (n,) int64.
    """
    if len(x) <= SMALLEST_GROUP:
        return np.arange(len(x))
    centred = x - x.mean(axis=0)
    direction = centred[0]
    for _ in range(8):  # power iteration; the direction need not be exact
        direction = centred.T @ (centred @ direction)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
    places = np.argsort(centred @ direction, kind="stable")
    left, right = places[: len(x) // 2], places[len(x) // 2 :]
    return np.concatenate([left[_order_by_likeness(x[left])], right[_order_by_likeness(x[right])]])
