"""The candidate structure of a view: made of its photos, tuned to its ranker's queries.

    [z ; hub] -stretch, rotate-> leading coordinates -nearest centre-> a list of 4-bit product codes (FAISS, fast-scan)
                                                     -one by one-> 8-bit codes (`indexer.views.byte_codes`)

Text queries are not distributed like photos: some directions they hardly use. Bits are worth most where both vary, so
space is stretched by `L = E[q q^T]^(1/2)` before the principal directions of the photos are taken; queries are mapped
by the inverse, which leaves every product as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from indexer.errors import PhotoseekError
from indexer.storage.mapped_files import release_pages
from indexer.views.ann_search import CORES, NEAREST, SearchParameters, Tuning, joined, mean_direction, narrowed
from indexer.views.byte_codes import ByteCodes, ByteCodesWriter
from indexer.views.lazy_faiss import faiss_module

# While the vectors take no more than this in float32, every row is scored: some 3 ms, and nothing is missed.
EXACT_BYTES, LEAST_ROWS = 64 << 20, 1000
# Above this many photos, vectors that are scored one and all are kept in half precision.
FLOAT32_ROWS = 50_000
# What share of a query's best 100 has to be found, as the mean over queries kept back, of each kind. If a structure
# stays below the least, every row is scored after all.
RECALL, LEAST_RECALL = 0.99, 0.95
# Where nothing finds as much: among ten million photos the last thousandth would take twice the time.
NEARLY = 0.001
# A ranker keeps the captions of its training in a few directions only, where they are easier to answer than sentences
# are as people write them, by half a point.
STRICTER = {"captions": 0.995}
# How much a kind counts for where bits and lists are given out. Words are the harder to answer: among a million photos,
# at nine to one they take 2.2 ms and sentences 1.7, at one to one 3.3 and 1.3.
WEIGHTS = {"words": 9.0}
HELD_BACK = 256
# 4-bit codes of a row, and coordinates that share one.
CODES, COORDINATES = 96, 4
ROWS_A_LIST, LEARNED_A_LIST, ITERATIONS = 256, 32, 8
# A share of their mean is added to the second moments of queries: those to come go beyond those that were seen.
RIDGE = 0.01
# So many rows, drawn at random, give the directions; and so many at a time are read, which memory has to hold.
DRAWN_ROWS, BLOCK_ROWS = 16_384, 4_096
SHARES = tuple(part / 64 for part in (0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 64))
DEPTHS = (500, 750, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 12000)
FILE_BLOCK = 1 << 20
# What an 8-bit code costs where a code in a list costs 1: as measured.
BYTE_CODE_COST = 8


def is_large(rows: int, dim: int, exact_bytes: int) -> bool:
    """Whether lists are worth their while for so many vectors of so many numbers."""
    return rows >= LEAST_ROWS and 4 * rows * dim > exact_bytes


def build(
    path: Path,
    codes_path: Path,
    z: np.ndarray,
    hubness: np.ndarray,
    queries: Callable[[], Mapping[str, np.ndarray]],
    on_progress: Callable[[int, int], None],
    exact_bytes: int = EXACT_BYTES,
) -> Tuning | str:
    """Write the structure of `z` (n, k) float16 and `hubness` (n,) float32 to `path`, its 8-bit codes to `codes_path`.
    Returns how it is tuned, or why it scores every row, for which no codes are kept.

    queries: gives typical ones by kind, (s, k + 1) float32; it is called above `exact_bytes` of float32 vectors only.
    on_progress: gets (rows, rows in all), of lists in three rounds of all rows: learned, filled, tuned. Raises OSError
    if the file cannot be written, PhotoseekError if queries are none.
    """
    faiss = faiss_module()
    rows, dim = len(z), z.shape[1] + 1
    why = "few photos"
    if is_large(rows, dim, exact_bytes):
        kinds = {name: _checked(name, kind, dim) for name, kind in queries().items() if len(kind) > 1}
        if kinds:
            tuning = _build_lists(path, codes_path, z, hubness, kinds, on_progress)
            recall = {name: effort.recall for name, effort in tuning.kinds.items()}
            if min(recall.values()) >= LEAST_RECALL:
                return tuning
            codes_path.unlink()
        why = f"lists found {recall}" if kinds else "the ranker brings no queries to tune lists with"
    if rows <= FLOAT32_ROWS:
        index = faiss.IndexFlatIP(dim)
    else:
        index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, rows, BLOCK_ROWS):
        index.add(joined(z, hubness, slice(start, start + BLOCK_ROWS)))
        release_pages(z)
        on_progress(min(start + BLOCK_ROWS, rows), rows)
    _write(index, path)
    return why


def _build_lists(
    path: Path,
    codes_path: Path,
    z: np.ndarray,
    hubness: np.ndarray,
    kinds: Mapping[str, np.ndarray],
    on_progress: Callable[[int, int], None],
) -> Tuning:
    faiss = faiss_module()
    faiss.omp_set_num_threads(CORES)
    rows, generator = len(z), np.random.default_rng(0)
    count = 1 << round(np.log2(min(rows / ROWS_A_LIST, 4 * rows**0.5)))
    # A random sample: photos come in the order of their folders, and the first would be of a few subjects.
    sample = generator.permutation(rows)[: LEARNED_A_LIST * count]
    first = joined(z, hubness, np.sort(sample[:DRAWN_ROWS]))
    shuffled = [generator.permutation(kind) for kind in kinds.values()]
    held_back = [kind[: min(HELD_BACK, len(kind) // 2)] for kind in shuffled]
    known = {name: k[len(h) :] for name, k, h in zip(kinds, shuffled, held_back, strict=True)}
    stretch, unstretch = _directions(first, known)
    mean = first.mean(axis=0) @ stretch

    width, codes = stretch.shape[1], _codes(len(stretch))
    learned = np.empty((len(sample), width), np.float32)
    for start in range(0, len(sample), BLOCK_ROWS):
        part = np.sort(sample[start : start + BLOCK_ROWS])
        learned[start : start + BLOCK_ROWS] = joined(z, hubness, part) @ stretch - mean
        release_pages(z)
    centres = None
    for turn in range(ITERATIONS):
        clusters = faiss.Kmeans(width, count, niter=1, seed=1, min_points_per_centroid=1)
        clusters.cp.max_points_per_centroid = len(learned)
        clusters.train(learned, init_centroids=centres)
        centres = clusters.centroids
        on_progress((turn + 1) * rows // ITERATIONS, 3 * rows)
    # Rows belong to the centre that is nearest; queries look where products are largest.
    nearest = faiss.IndexFlatL2(width)
    nearest.add(centres)
    largest = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    largest.add(centres)
    lists = faiss.IndexIVFPQFastScan(nearest, width, count, codes, 4, faiss.METRIC_INNER_PRODUCT)
    lists.by_residual = True
    lists.pq.cp.min_points_per_centroid = 1
    lists.train(learned)
    asked = np.concatenate(held_back)
    truth = faiss.ResultHeap(len(asked), min(NEAREST, rows), keep_max=True)
    with ByteCodesWriter(codes_path, learned) as writer:
        for start in range(0, rows, BLOCK_ROWS):
            block = joined(z, hubness, slice(start, start + BLOCK_ROWS))
            mapped = block @ stretch - mean
            lists.add(mapped)
            writer.add(mapped)
            scores, found = faiss.knn(asked, block, min(NEAREST, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            truth.add_result(scores, found + start)
            release_pages(z)
            on_progress(rows + min(start + BLOCK_ROWS, rows), 3 * rows)
    truth.finalize()
    lists.quantizer, lists.own_fields = largest, False
    means = np.stack([mean_direction(kind) for kind in known.values()])
    ends = np.cumsum([len(kind) for kind in held_back])[:-1]
    byte_codes = ByteCodes.open(codes_path, rows)
    efforts: dict[str, SearchParameters] = {}

    def on_share(share: float) -> None:
        on_progress(2 * rows + int((len(efforts) + share) / len(kinds) * rows), 3 * rows)

    # Many small products: threads of BLAS would wait for each other for longer than they compute.
    with threadpool_limits(1, "blas"):
        for name, part, best in zip(kinds, held_back, np.split(truth.I, ends), strict=True):
            efforts[name] = _tune(lists, byte_codes, part @ unstretch, best, STRICTER.get(name, RECALL), on_share)
    linear = faiss.LinearTransform(len(stretch), width)
    faiss.copy_array_to_vector(unstretch.T.ravel(), linear.A)
    linear.is_trained = True
    index = faiss.IndexPreTransform(linear, lists)
    index.ntotal = rows
    _write(index, path)
    return Tuning(count, efforts, means)


def _directions(photos: np.ndarray, kinds: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What photos and what queries are multiplied by, (K, r) float32 each: the leading directions of the stretched
    space, in an order that gives every code as much to say.

    photos: (n, K); kinds: queries by kind, (s, K) each. The products of both sides are those of before, but for the
    directions left out.
    """
    covariance = np.cov(photos.T).astype(np.float64)
    moments, weights = np.zeros_like(covariance), {name: WEIGHTS.get(name, 1.0) for name in kinds}
    for name, queries in kinds.items():
        # Every query of a kind counts for as much, however large the scores are that it gives.
        spread = np.sqrt(np.einsum("ij,jk,ik->i", queries, covariance, queries))
        even = queries / np.maximum(spread, 1e-12)[:, None]
        moments += even.T @ even * (weights[name] / sum(weights.values()) / len(even))
    values, vectors = np.linalg.eigh(moments)
    roots = np.sqrt(np.maximum(values, 0) + RIDGE * values.max())
    stretch, unstretch = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
    values, vectors = np.linalg.eigh(stretch @ covariance @ stretch)
    values, vectors = values[::-1], vectors[:, ::-1]
    # Dealt out like cards, the largest that is left to the code with the smallest product so far.
    codes, each = _codes(len(values)), _coordinates(len(values))
    logs = np.log(np.maximum(values[: codes * each], 1e-9 * values[0])).reshape(each, codes)
    dealt, total = np.empty((codes, each), np.int64), np.zeros(codes)
    for turn in range(each):
        poorest = np.argsort(total, kind="stable")
        dealt[poorest, turn] = turn * codes + np.arange(codes)
        total[poorest] += logs[turn]
    order = dealt.reshape(-1)
    photo, query = (np.ascontiguousarray((side @ vectors)[:, order], np.float32) for side in (stretch, unstretch))
    return photo, query


def _tune(
    lists: Any,
    codes: ByteCodes,
    asked: np.ndarray,
    truth: np.ndarray,
    wanted: float,
    on_share: Callable[[float], None],
) -> SearchParameters:
    """The cheapest search that finds the share `wanted` of the best rows; where none does, nearly as many as any.

    codes: of the rows in the lists; asked: (b, r) mapped queries; truth: (b, c) the best rows of each; on_share: gets
    how much of the lists was looked into so far.
    """
    faiss = faiss_module()
    rows = lists.ntotal
    depths = sorted({min(depth, rows) for depth in DEPTHS})
    tried: list[tuple[float, SearchParameters]] = []
    for probes in sorted({max(1, round(share * lists.nlist)) for share in SHARES}):
        scanned = probes * rows / lists.nlist * lists.pq.M
        if any(effort.recall >= wanted and scanned > cost for cost, effort in tried):
            break
        found = lists.search(asked, depths[-1], params=faiss.IVFSearchParameters(nprobe=probes))[1]
        hits = np.mean([_hits(codes, *three, depths) for three in zip(asked, found, truth, strict=True)], axis=0)
        for depth, hit in zip(depths, hits / truth.shape[1], strict=True):
            cost = scanned + depth * lists.d * BYTE_CODE_COST
            recall = round(float(hit), 4)
            tried.append((cost, SearchParameters(probes, depth, recall)))
        on_share(probes / lists.nlist)
    most = max(effort.recall for _, effort in tried)
    least = wanted if most >= wanted else most - NEARLY
    return min(((cost, effort) for cost, effort in tried if effort.recall >= least), key=lambda pair: pair[0])[1]


def _hits(codes: ByteCodes, query: np.ndarray, found: np.ndarray, best: np.ndarray, depths: Sequence[int]) -> list[int]:
    """How many of the best rows one query's search finds at each depth. found: (d,) rows as lists order them, -1 where
    there are none."""
    found = found[found >= 0]
    order = np.argsort(-codes.scores(query, found), kind="stable")
    hit = np.isin(found[order], best)
    return [int(hit[order < depth][: narrowed(len(best))].sum()) for depth in depths]


def _write(index: Any, path: Path) -> None:
    """By a file of Python's own: FAISS takes names for text, and those of folders need not be any."""
    faiss = faiss_module()
    with open(path, "wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write, FILE_BLOCK))


def _checked(name: str, queries: np.ndarray, dim: int) -> np.ndarray:
    if queries.shape[1:] != (dim,) or not np.isfinite(queries).all():
        raise PhotoseekError(
            f"the ranker's {name} to tune the search with are no finite numbers of shape ({len(queries)}, {dim}); "
            "train it again"
        )
    return np.asarray(queries, np.float32)


def _coordinates(dim: int) -> int:
    """How many coordinates share a code."""
    return min(COORDINATES, -(-dim // CODES))


def _codes(dim: int) -> int:
    return min(CODES, dim // _coordinates(dim))
