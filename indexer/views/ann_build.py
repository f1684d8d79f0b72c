"""Build the candidate structure of a view, tuned to its ranker's queries.

    [z ; hubness] -stretch, rotate-> leading coordinates -nearest centre-> a list of 4-bit product codes (FAISS)
                                                         -one by one-> 8-bit codes (`indexer.views.byte_codes`)

Few photos, or photos for which no queries are known, are kept in a structure that scores every row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from indexer.callbacks import Progress
from indexer.cpu_count import usable_cores
from indexer.errors import PhotoseekError
from indexer.storage.mapped_files import release_pages
from indexer.views.ann_directions import stretched_directions
from indexer.views.ann_search import TUNED_COUNT, SearchParameters, Tuning, mean_direction, rows_with_hubness
from indexer.views.ann_settings import AnnSettings
from indexer.views.ann_tuning import HeldBackQueries, tune
from indexer.views.byte_codes import ByteCodes, ByteCodesWriter
from indexer.views.lazy_faiss import faiss_module

# Bytes that FAISS hands over at a time when it writes.
FILE_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class PhotoVectors:
    """Vectors that candidates are found by.

    Attributes:
        z: (n, k) float16, memory-mapped.
        hubness: (n,) float32, memory-mapped.
    """

    z: np.ndarray
    hubness: np.ndarray

    def __len__(self) -> int:
        """Return how many photos."""
        return len(self.z)

    @property
    def dim(self) -> int:
        """Width of `[z ; hubness]`."""
        return int(self.z.shape[1]) + 1

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some rows of `[z ; hubness]`, (rows, k + 1) float32, and release the memory that holds their file."""
        vectors = rows_with_hubness(self.z, self.hubness, rows)
        release_pages(self.z)
        return vectors


@dataclass(frozen=True, slots=True, eq=False)
class BuiltStructure:
    """Result of building a structure: the way to search it.

    Attributes:
        tuning: How its lists are searched, None where every row is scored.
        exact_reason: Why every row is scored, None where there are lists.
    """

    tuning: Tuning | None
    exact_reason: str | None


def build_structure(
    path: Path,
    codes_path: Path,
    photos: PhotoVectors,
    queries: Callable[[], Mapping[str, np.ndarray]],
    on_progress: Progress,
    settings: AnnSettings,
) -> BuiltStructure:
    """Write the candidate structure of photos.

    Args:
        path: The file of the structure.
        codes_path: The file of the rows' 8-bit codes, which only lists have.
        photos: The vectors.
        queries: Gives typical queries by kind, (s, k + 1) float32; called only if there are enough photos for lists.
        on_progress: Gets (done, total) rows; of lists in three rounds of all rows: learned, filled, tuned.
        settings: How to build and tune it.

    Raises:
        OSError: A file cannot be written.
        PhotoseekError: The queries are no finite vectors of that width.
    """
    reason = "few photos"
    if settings.needs_lists(len(photos), photos.dim):
        kinds = {name: _checked(name, kind, photos.dim) for name, kind in queries().items() if len(kind) > 1}
        reason = "the ranker brings no queries to tune lists with"
        if kinds:
            tuning = _build_lists(path, codes_path, photos, kinds, on_progress, settings)
            recall = {name: parameters.recall for name, parameters in tuning.kinds.items()}
            if min(recall.values()) >= settings.least_recall:
                return BuiltStructure(tuning, None)
            codes_path.unlink()
            reason = f"lists found {recall}"
    _build_exact(path, photos, on_progress, settings)
    return BuiltStructure(None, reason)


def _checked(name: str, queries: np.ndarray, dim: int) -> np.ndarray:
    """Return queries as float32; refuse a wrong shape, NaN and infinity."""
    if queries.shape[1:] != (dim,) or not np.isfinite(queries).all():
        raise PhotoseekError(
            f"the ranker's {name} to tune the search with are no finite numbers of shape ({len(queries)}, {dim}); "
            "train it again"
        )
    return np.asarray(queries, np.float32)


def _build_exact(path: Path, photos: PhotoVectors, on_progress: Progress, settings: AnnSettings) -> None:
    """Write a structure that scores every row."""
    faiss = faiss_module()
    rows = len(photos)
    if rows <= settings.float32_rows:
        index = faiss.IndexFlatIP(photos.dim)
    else:
        index = faiss.IndexScalarQuantizer(photos.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for block in _blocks(rows, settings.block_rows):
        index.add(photos.read(block))
        on_progress(min(block.stop, rows), rows)
    _write(index, path)


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """Rows and queries that were drawn at random.

    `sample`: rows that the centres are learned from; `held_back`: queries of each kind that tune the search, `known`:
    all others.
    """

    sample: np.ndarray
    held_back: Mapping[str, np.ndarray]
    known: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class _Space:
    """The space that lists are made in: `of_photos` and `of_queries` (K, r), `mean` (r,) of the photos."""

    of_photos: np.ndarray
    of_queries: np.ndarray
    mean: np.ndarray

    def map_photos(self, vectors: np.ndarray) -> np.ndarray:
        """Map (n, K) to (n, r) float32."""
        mapped: np.ndarray = vectors @ self.of_photos - self.mean
        return mapped


def _build_lists(
    path: Path,
    codes_path: Path,
    photos: PhotoVectors,
    kinds: Mapping[str, np.ndarray],
    on_progress: Progress,
    settings: AnnSettings,
) -> Tuning:
    """Write a structure of lists and the rows' 8-bit codes, and tune its search parameters."""
    faiss_module().omp_set_num_threads(usable_cores())
    rows = len(photos)

    def on_rows(done: int) -> None:
        on_progress(done, 3 * rows)

    draw = _draw_at_random(rows, kinds, settings)
    space = _find_space(photos, draw, settings)
    learned = _map_sample(photos, draw, space, settings)
    lists = _train_lists(learned, photos, settings, on_rows)
    with ByteCodesWriter(codes_path, learned) as writer:
        best = _fill_lists(lists, writer, photos, draw, space, settings, on_rows)
    codes = ByteCodes.open(codes_path, rows)
    parameters = _tune_kinds(lists, codes, draw, space, best, settings, on_rows)
    _write(_behind_query_map(lists, space), path)
    means = np.stack([mean_direction(kind) for kind in draw.known.values()])
    return Tuning(settings.nlist(rows), parameters, means)


def _draw_at_random(rows: int, kinds: Mapping[str, np.ndarray], settings: AnnSettings) -> _Draw:
    """Draw rows and queries at random, because the first rows are of one folder and show few subjects."""
    generator = np.random.default_rng(0)
    sample = generator.permutation(rows)[: settings.learned_per_list * settings.nlist(rows)]
    shuffled = {name: generator.permutation(kind) for name, kind in kinds.items()}
    held_back = {name: kind[: min(settings.held_back, len(kind) // 2)] for name, kind in shuffled.items()}
    known = {name: kind[len(held_back[name]) :] for name, kind in shuffled.items()}
    return _Draw(sample, held_back, known)


def _find_space(photos: PhotoVectors, draw: _Draw, settings: AnnSettings) -> _Space:
    """Compute the space of the lists from some photos and the queries that are not held back."""
    first = rows_with_hubness(photos.z, photos.hubness, np.sort(draw.sample[: settings.directions_from]))
    of_photos, of_queries = stretched_directions(first, draw.known, settings)
    return _Space(of_photos, of_queries, first.mean(axis=0) @ of_photos)


def _map_sample(photos: PhotoVectors, draw: _Draw, space: _Space, settings: AnnSettings) -> np.ndarray:
    """Map the rows that the centres are learned from, (s, r) float32."""
    learned = np.empty((len(draw.sample), space.of_photos.shape[1]), np.float32)
    for block in _blocks(len(draw.sample), settings.block_rows):
        learned[block] = space.map_photos(photos.read(np.sort(draw.sample[block])))
    return learned


@dataclass(frozen=True, slots=True, eq=False)
class _Lists:
    """FAISS lists `index`. Rows go to the nearest centre; queries visit the centres of the largest inner products.

    `by_product` holds the centres for the latter; FAISS refers to it but does not own it, so it is kept here.
    """

    index: Any
    by_product: Any

    def search_by_product(self) -> None:
        """Choose the lists to visit by the inner product of query and centre from now on."""
        self.index.quantizer, self.index.own_fields = self.by_product, False


def _train_lists(
    learned: np.ndarray, photos: PhotoVectors, settings: AnnSettings, on_rows: Callable[[int], None]
) -> _Lists:
    """Learn the centres of the lists and the product codes from (s, r) mapped rows."""
    faiss = faiss_module()
    rows, width, nlist = len(photos), learned.shape[1], settings.nlist(len(photos))
    centres = None
    for turn in range(settings.iterations):
        clusters = faiss.Kmeans(width, nlist, niter=1, seed=1, min_points_per_centroid=1)
        clusters.cp.max_points_per_centroid = len(learned)
        clusters.train(learned, init_centroids=centres)
        centres = clusters.centroids
        on_rows((turn + 1) * rows // settings.iterations)
    by_distance = faiss.IndexFlatL2(width)
    by_distance.add(centres)
    by_product = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    by_product.add(centres)
    code_count, _ = settings.codes_of(photos.dim)
    index = faiss.IndexIVFPQFastScan(by_distance, width, nlist, code_count, 4, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = True
    index.pq.cp.min_points_per_centroid = 1
    index.train(learned)
    return _Lists(index, by_product)


def _fill_lists(
    lists: _Lists,
    writer: ByteCodesWriter,
    photos: PhotoVectors,
    draw: _Draw,
    space: _Space,
    settings: AnnSettings,
    on_rows: Callable[[int], None],
) -> np.ndarray:
    """Put every row into its list and write its 8-bit code.

    Returns the best rows of each query that is held back, kind by kind, (queries, c) int64.
    """
    faiss = faiss_module()
    rows = len(photos)
    asked = np.concatenate(list(draw.held_back.values()))
    best = faiss.ResultHeap(len(asked), min(TUNED_COUNT, rows), keep_max=True)
    for block in _blocks(rows, settings.block_rows):
        vectors = photos.read(block)
        mapped = space.map_photos(vectors)
        lists.index.add(mapped)
        writer.add(mapped)
        count = min(TUNED_COUNT, len(vectors))
        scores, found = faiss.knn(asked, vectors, count, metric=faiss.METRIC_INNER_PRODUCT)
        best.add_result(scores, found + block.start)
        on_rows(rows + min(block.stop, rows))
    best.finalize()
    found_rows: np.ndarray = best.I
    return found_rows


def _tune_kinds(
    lists: _Lists,
    codes: ByteCodes,
    draw: _Draw,
    space: _Space,
    best: np.ndarray,
    settings: AnnSettings,
    on_rows: Callable[[int], None],
) -> dict[str, SearchParameters]:
    """Tune the search parameters of each kind; best: (queries, c), the exact best rows of all held-back queries."""
    lists.search_by_product()
    rows, count = len(codes.codes), len(draw.held_back)
    ends = np.cumsum([len(kind) for kind in draw.held_back.values()])[:-1]
    found: dict[str, SearchParameters] = {}

    def on_share(share: float) -> None:
        on_rows(2 * rows + int((len(found) + share) / count * rows))

    # Many small products: threads of BLAS would wait for each other for longer than they compute.
    with threadpool_limits(1, "blas"):
        for (name, kind), part in zip(draw.held_back.items(), np.split(best, ends), strict=True):
            recall = settings.recalls.get(name, settings.recall)
            queries = HeldBackQueries(kind @ space.of_queries, part, recall)
            found[name] = tune(lists.index, codes, queries, settings, on_share)
    return found


def _behind_query_map(lists: _Lists, space: _Space) -> Any:
    """Return a FAISS index that maps queries before it searches the lists."""
    faiss = faiss_module()
    linear = faiss.LinearTransform(*space.of_queries.shape)
    faiss.copy_array_to_vector(space.of_queries.T.ravel(), linear.A)
    linear.is_trained = True
    index = faiss.IndexPreTransform(linear, lists.index)
    index.ntotal = lists.index.ntotal
    return index


def _blocks(count: int, size: int) -> list[slice]:
    """Cut `count` rows into blocks."""
    return [slice(start, start + size) for start in range(0, count, size)]


def _write(index: Any, path: Path) -> None:
    """Write a FAISS index through a Python file, because FAISS cannot open a path that is not UTF-8."""
    faiss = faiss_module()
    with open(path, "wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write, FILE_BLOCK))
