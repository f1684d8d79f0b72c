"""A large index made of a small one's photos: real embeddings mixed with their neighbours. It has no photo files.

A synthetic photo is a random mixture of the `neighbours` photos nearest to a real one, itself included: their mean,
plus Gaussian noise of `spread` times their own covariance. So it lies where photos lie, and has as many directions to
go as they have. Both numbers are set so that as many synthetic photos as there are real ones have the same intrinsic
dimension and the same similarities to their 100 nearest (`compare`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.storage import vector_files
from indexer.storage.atomic_files import write_text
from indexer.storage.catalogue import Catalogue, Embedded, write_lock
from search.bench.exact_search import best_rows, intrinsic_dimension, neighbours, quantiles, view_blocks
from search.searcher import ranker_of

# More real photos than this add nothing that these statistics could show, and finding neighbours grows with the square.
SOURCES = 8_192
FEWEST = 120  # the hundred nearest are compared
NEAREST = 100
BLOCK_ROWS = 16_384
FOLDER_ROWS = 1_000
SHAPE = (500, 375)
AGREEMENT = 0.1
# (neighbours, spread), likeliest first: 28 and 1.1 are within 3 % on 7,000 photos of Flickr8k.
CHOICES = [(28, 1.1), (24, 1.1), (20, 1.1), (20, 1.0), (28, 1.0), (40, 1.1), (14, 1.1), (14, 1.0), (10, 1.0), (60, 1.1)]
GOOD_ENOUGH = 0.05

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes a synthetic index; the same recipe gives the same bytes."""

    photos: int
    neighbours: int
    spread: float
    seed: int
    source: str


def synthetic_index(real: Index, photos: int, on_progress: Progress | None = None, seed: int = 0) -> Index:
    """An index of `photos` synthetic photos with the real one's ranker attached, beside the real one's folder.

    It is kept, and made only once; what is cut short goes on where it stopped. Raises PhotoseekError if the real index
    has no ranker or too few photos, or if the folder holds anything else.
    """
    report = on_progress or (lambda stage, done, total: None)
    folder = real.folder.resolve().with_name(f"{real.folder.resolve().name}-synthetic-{photos}")
    ranker = ranker_of(real.view())
    sources = source_rows(real, seed)
    recipe = _recipe_of(folder)
    digest = hashlib.sha256(np.ascontiguousarray(sources, np.float32).tobytes()).hexdigest()[:16]
    if recipe is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise PhotoseekError(f"{folder} is not a synthetic index and not empty; move it away")
        near = _near(sources)
        report("tuning", 0, len(CHOICES))
        chosen = tune(sources, near, seed, lambda done: report("tuning", done, len(CHOICES)))
        recipe = Recipe(photos, *chosen, seed, digest)
        _create(folder, real, recipe)
    elif recipe.source != digest:
        raise PhotoseekError(f"{folder} was made of other photos than {real.folder} holds now; delete it")
    with write_lock(folder), closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue:
        done = catalogue.row_count()
        if done < photos:
            root = catalogue.root_id(bytes((folder / "photos").absolute()))
            for start, block in blocks(sources, recipe, done):
                vector_files.append(folder / "embeddings-1.f16", start, block)
                with catalogue.transaction():
                    catalogue.add_many(root, _photos(start, len(block), photos), start)
                report("photos", start + len(block), photos)
    made = Index.open(folder)
    made.attach(ranker, lambda done, total: report("view", done, total))
    return Index.open(folder)


def source_rows(real: Index, seed: int = 0) -> np.ndarray:
    """The real photos to mix, (n, d) float32: at most `SOURCES`, at random, so ordered that neighbours in the list are
    alike. Raises PhotoseekError if there are too few."""
    rows = np.setdiff1d(np.arange(real.rows), np.array(real.catalogue.dead_rows(), np.int64))
    if len(rows) < FEWEST:
        raise PhotoseekError(f"index {real.folder} has {len(rows)} photos; a synthetic index needs {FEWEST} or more")
    if len(rows) > SOURCES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SOURCES, replace=False))
    x = np.asarray(real.embeddings()[rows], np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x[_alike(x)]


def blocks(sources: np.ndarray, recipe: Recipe, done: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, (n, d) float32 unit rows) of every block from row `done` on, which must begin a block.

    The photos of one real photo follow each other, as the photos of one day do in a folder.
    """
    near = _near(sources)
    for start in range(done, recipe.photos, BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, recipe.photos))
        generator = np.random.default_rng([recipe.seed, start])
        yield start, mixtures(sources, near, rows * len(sources) // recipe.photos, recipe, generator)


def mixtures(
    sources: np.ndarray, near: np.ndarray, chosen: np.ndarray, recipe: Recipe, generator: np.random.Generator
) -> np.ndarray:
    """(m, d) float32 unit rows around the sources `chosen` (m,), ascending. near: (n, NEAREST), the nearest of each."""
    count = recipe.neighbours
    noise = generator.standard_normal((len(chosen), count), dtype=np.float32)
    # Weights that sum to one: an affine mixture of the neighbours.
    weights = 1 / count + recipe.spread * (noise - noise.mean(axis=1, keepdims=True)) / np.sqrt(count)
    made = np.empty((len(chosen), sources.shape[1]), np.float32)
    firsts = np.flatnonzero(np.diff(chosen, prepend=-1))
    for first, last in zip(firsts, [*firsts[1:], len(chosen)], strict=True):
        source = chosen[first]
        around = sources[[source, *near[source, : count - 1]]]
        made[first:last] = weights[first:last].astype(np.float32) @ around
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def statistics(x: np.ndarray) -> dict[str, Any]:
    """Of (n, d) unit rows: TwoNN intrinsic dimension, quantiles of the cosines of every row to its 100 nearest."""
    _, cosines = neighbours(x, NEAREST)
    return {"intrinsic_dimension": round(intrinsic_dimension(cosines), 2), "similarity": quantiles(cosines)}


def deviation(real: dict[str, Any], made: dict[str, Any]) -> float:
    """The largest relative difference between two `statistics`."""
    pairs = [(real[name], made[name]) for name in real if not isinstance(real[name], dict)]
    for name in real:
        if isinstance(real[name], dict):
            pairs += [(real[name][q], made[name][q]) for q in real[name]]
    return max(abs(b / a - 1) for a, b in pairs)


def tune(
    sources: np.ndarray, near: np.ndarray, seed: int = 0, on_progress: Callable[[int], None] | None = None
) -> tuple[int, float]:
    """(neighbours, spread) of the first of `CHOICES` within 5 % of the real statistics, else of the nearest."""
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


def compare(real: Index, made: Index, queries: np.ndarray) -> dict[str, Any]:
    """Statistics of the real photos and of a random part of the synthetic ones, of equal size; density rises with size.

    queries: (b, k + 1) float32 mapped texts of one kind, as words and sentences score on different scales; their 100
    best scores among the same photos are compared, too.
    """
    sources = source_rows(real)
    rows = np.sort(np.random.default_rng(2).choice(made.rows, min(len(sources), made.rows), replace=False))
    part = np.asarray(made.embeddings()[rows], np.float32)
    both = {"real": statistics(sources), "synthetic": statistics(part / np.linalg.norm(part, axis=1, keepdims=True))}
    largest = deviation(both["real"], both["synthetic"])
    some = np.sort(np.random.default_rng(3).choice(real.rows, min(len(sources), real.rows), replace=False))
    for name, index, allowed in (("real", real, some), ("synthetic", made, rows)):
        ((_, scores),) = best_rows(view_blocks(index.view()), queries, NEAREST, [allowed])
        both[name]["query_score"] = quantiles(scores)
    scores_of = [{"query_score": both[name]["query_score"]} for name in ("real", "synthetic")]
    recipe = _recipe_of(made.folder)
    return {
        "photos": made.rows,
        "compared": len(rows),
        "estimator": "TwoNN",
        "recipe": None if recipe is None else asdict(recipe),
        **both,
        "largest_deviation": round(largest, 4),
        "query_deviation": round(deviation(*scores_of), 4),
    }


def _near(sources: np.ndarray) -> np.ndarray:
    return neighbours(sources, NEAREST)[0]


def _alike(x: np.ndarray) -> np.ndarray:
    """An order of the rows of x in which neighbours are alike: split at the median of the main direction, again and
    again."""
    if len(x) <= 16:
        return np.arange(len(x))
    centred = x - x.mean(axis=0)
    direction = centred[0]
    for _ in range(8):  # power iteration; near enough is good enough
        direction = centred.T @ (centred @ direction)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
    places = np.argsort(centred @ direction, kind="stable")
    left, right = places[: len(x) // 2], places[len(x) // 2 :]
    return np.concatenate([left[_alike(x[left])], right[_alike(x[right])]])


def _photos(start: int, count: int, total: int) -> Iterator[Embedded]:
    a_folder = max(1, min(FOLDER_ROWS, total // 20))
    for row in range(start, start + count):
        path = b"%06d/%08d.jpg" % (row // a_folder, row)
        yield Embedded(path, 0, 0, row.to_bytes(16, "big"), *SHAPE)


def _create(folder: Path, real: Index, recipe: Recipe) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Catalogue(folder / "catalogue.sqlite", create=True).close()
    kept = {**real.manifest, "embeddings": "embeddings-1.f16", "regions": (0, 0), "synthetic": asdict(recipe)}
    write_text(folder / "manifest.json", json.dumps(kept, indent=1) + "\n")


def _recipe_of(folder: Path) -> Recipe | None:
    try:
        return Recipe(**json.loads((folder / "manifest.json").read_text())["synthetic"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
