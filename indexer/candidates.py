"""Candidates: the best rows by inner product; of many photos, without reading every row's vector.

    [z ; hub] -stretch, rotate-> leading coordinates -nearest centre-> a list of 4-bit product codes (FAISS, fast-scan)
    query -> the lists nearest to it -by their codes-> `depth` rows -their float16 vectors-> exact scores

Text queries are not distributed like photos: some directions they hardly use. Bits are worth most where both vary, so
space is stretched by `L = E[q q^T]^(1/2)` before the principal directions of the photos are taken; queries are mapped
by the inverse, which leaves every product as it was.
"""

import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from indexer.errors import PhotoseekError
from indexer.half import widened

# While the vectors take no more than this in float32, every row is scored: some 3 ms, and nothing is missed.
EXACT_BYTES, LEAST_ROWS = 64 << 20, 1000
# Above this many photos, vectors that are scored one and all are kept in half precision.
FLOAT32_ROWS = 50_000
# What share of a query's best 100 has to be found, as the mean over queries kept back, of each kind. If a structure
# stays below the least, every row is scored after all.
RECALL, LEAST_RECALL, NEAREST = 0.99, 0.95, 100
HELD_BACK = 256
# 4-bit codes of a row, and coordinates that share one.
CODES, COORDINATES = 96, 4
ROWS_A_LIST, LEARNED_A_LIST, ITERATIONS = 256, 32, 8
# A share of their mean is added to the second moments of queries: those to come go beyond those that were seen.
RIDGE = 0.01
BLOCK_ROWS = 16_384
# So many rows at a time are widened and multiplied: they stay in the processor's cache.
REFINED_ROWS = 512
SHARES = (1 / 64, 1 / 32, 3 / 64, 1 / 16, 3 / 32, 1 / 8, 1 / 4, 1)
DEPTHS = (250, 500, 750, 1000, 1500, 2000, 2500, 3000, 4000, 6000)
# What a number of a float16 vector costs where a code in a list costs 1: as measured.
REFINE_COST = 6
# The first searches find files that are not in memory, and ask for all rows that they need at once.
COLD_SEARCHES = 20

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a structure is searched: of `lists` it looks into `probes` and scores `depth` rows exactly, which found
    `recall` of the best 100 of queries kept back, by kind of query."""

    lists: int
    probes: int
    depth: int
    recall: dict[str, float]


@dataclass(slots=True)
class Candidates:
    """An open structure over the first rows of `z` (n, k) float16 and `hub` (n,) float32, memory-mapped.

    Without a tuning it holds the vectors themselves and scores every row.
    """

    index: Any
    z: np.ndarray
    hub: np.ndarray
    tuning: Tuning | None = None
    _map: np.ndarray | None = field(default=None, repr=False)
    _chosen: tuple[np.ndarray, Any] | None = field(default=None, repr=False)
    _searches: int = 0

    @classmethod
    def read(cls, file: BinaryIO, z: np.ndarray, hub: np.ndarray, tuning: Tuning | None) -> "Candidates":
        """Read what `build` wrote. Raises RuntimeError if it is damaged."""
        faiss = _faiss()
        index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        if isinstance(index, faiss.IndexPreTransform) != (tuning is not None):
            raise RuntimeError("not the structure that was tuned")
        if tuning is None:
            return cls(index, z, hub)
        linear = faiss.downcast_VectorTransform(index.chain.at(0))
        mapping = faiss.vector_to_array(linear.A).reshape(linear.d_out, linear.d_in)
        return cls(index, z, hub, tuning, np.ascontiguousarray(mapping.T))

    @property
    def rows(self) -> int:
        return int(self.index.ntotal)

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Scores and rows of the best `count` a query, (b, c) float32 and int64, or more; c < count only where fewer
        rows are allowed. Of a complete search none is tied with one that is left out.

        queries: (b, k + 1) float32; allowed: sorted rows to choose from, or None. One query is searched by one thread,
        which is quickest; a batch by as many as there are cores.
        """
        available = self.rows if allowed is None else len(allowed)
        wanted = min(count, available)
        if not wanted:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        _faiss().omp_set_num_threads(1 if len(queries) == 1 else CORES)
        chosen = None if allowed is None else self._selector(allowed)
        queries = np.ascontiguousarray(queries, np.float32)
        if self.tuning is None:
            return self._search_all(queries, wanted, available, chosen)
        return self._search_lists(queries, wanted, available, chosen, self.tuning)

    def _search_all(
        self, queries: np.ndarray, wanted: int, available: int, chosen: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        params = None if chosen is None else _faiss().SearchParameters(sel=chosen)
        more = wanted
        while True:
            asked = min(more + 1, available)
            scores, rows = self.index.search(queries, asked, params=params)
            if asked == available or (scores[:, wanted - 1] > scores[:, -1]).all():
                return scores, rows
            more = 4 * more

    def _search_lists(
        self, queries: np.ndarray, wanted: int, available: int, chosen: Any, tuning: Tuning
    ) -> tuple[np.ndarray, np.ndarray]:
        faiss = _faiss()
        depth = min(tuning.depth + 2 * max(0, wanted - NEAREST), available)
        # Rows of one subject lie where other queries hardly look: the smaller the part, the further they have to go.
        part = available / self.rows
        probes = max(tuning.probes * part**-1.25, 4 * depth / available * tuning.lists)
        lists = faiss.downcast_index(self.index.index)
        mapped = queries @ self._map
        while True:
            probes = min(round(probes), tuning.lists)
            found = lists.search(mapped, depth, params=faiss.IVFSearchParameters(nprobe=probes, sel=chosen))[1]
            if probes == tuning.lists or (found[:, wanted - 1] >= 0).all():
                break
            probes = 4 * probes
        # Codes of lists are scored by lookup tables of 8 bits, and rows without a place come as -1.
        found.sort(axis=1)
        self._searches += 1
        if self._searches <= COLD_SEARCHES:
            _ask_for(self.z, np.unique(found[found >= 0]))

        def refine(i: int) -> tuple[np.ndarray, np.ndarray]:
            rows = found[i, np.searchsorted(found[i], 0) :]
            return best(self.scores(queries[i], rows)[None], rows, wanted)

        if len(queries) == 1 or CORES == 1:
            refined = [refine(i) for i in range(len(queries))]
        else:
            with ThreadPoolExecutor(CORES) as threads:
                refined = list(threads.map(refine, range(len(queries))))
        return np.concatenate([scores for _, scores in refined]), np.concatenate([rows for rows, _ in refined])

    def scores(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Inner products of one query (k + 1,) with rows: (len(rows),) float32."""
        z, hub = np.asarray(self.z), np.asarray(self.hub)
        scores = query[-1] * hub[rows]
        for start in range(0, len(rows), REFINED_ROWS):
            part = slice(start, start + REFINED_ROWS)
            scores[part] += widened(z[rows[part]]) @ query[:-1]
        return scores

    def _selector(self, allowed: np.ndarray) -> Any:
        """FAISS's form of a set of rows; that of the last set is kept, as searches come with the same one."""
        kept = self._chosen
        if kept is None or kept[0] is not allowed:
            bits = np.zeros(self.rows, bool)
            bits[allowed] = True
            kept = allowed, _faiss().IDSelectorBitmap(np.packbits(bits, bitorder="little"))
            self._chosen = kept
        return kept[1]


def is_large(rows: int, dim: int, exact_bytes: int) -> bool:
    """Whether lists are worth their while for so many vectors of so many numbers."""
    return rows >= LEAST_ROWS and 4 * rows * dim > exact_bytes


def build(
    path: Path,
    z: np.ndarray,
    hub: np.ndarray,
    queries: Callable[[], Mapping[str, np.ndarray]],
    on_progress: Callable[[int, int], None],
    exact_bytes: int = EXACT_BYTES,
) -> Tuning | str:
    """Write the structure of `z` (n, k) float16 and `hub` (n,) float32 to `path`. Returns how it is tuned, or why it
    scores every row.

    queries: gives typical ones by kind, (s, k + 1) float32; it is called above `exact_bytes` of float32 vectors only.
    on_progress: gets (rows, rows in all). Raises RuntimeError if the file cannot be written, PhotoseekError if queries
    are none.
    """
    faiss = _faiss()
    rows, dim = len(z), z.shape[1] + 1
    why = "few photos"
    if is_large(rows, dim, exact_bytes):
        kinds = {name: _checked(name, kind, dim) for name, kind in queries().items() if len(kind) > 1}
        if kinds:
            tuning = _build_lists(path, z, hub, kinds, on_progress)
            if min(tuning.recall.values()) >= LEAST_RECALL:
                return tuning
        why = f"lists found {tuning.recall}" if kinds else "the ranker brings no queries to tune lists with"
    if rows <= FLOAT32_ROWS:
        index = faiss.IndexFlatIP(dim)
    else:
        index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, rows, BLOCK_ROWS):
        index.add(joined(z, hub, slice(start, start + BLOCK_ROWS)))
        on_progress(min(start + BLOCK_ROWS, rows), rows)
    faiss.write_index(index, str(path))
    return why


def _build_lists(
    path: Path,
    z: np.ndarray,
    hub: np.ndarray,
    kinds: Mapping[str, np.ndarray],
    on_progress: Callable[[int, int], None],
) -> Tuning:
    faiss = _faiss()
    faiss.omp_set_num_threads(CORES)
    rows, generator = len(z), np.random.default_rng(0)
    count = 1 << round(np.log2(min(rows / ROWS_A_LIST, 4 * rows**0.5)))
    # A random sample: photos come in the order of their folders, and the first would be of a few subjects.
    sample = generator.permutation(rows)[: LEARNED_A_LIST * count]
    first = joined(z, hub, np.sort(sample[:BLOCK_ROWS]))
    shuffled = [generator.permutation(kind) for kind in kinds.values()]
    held_back = [kind[: min(HELD_BACK, len(kind) // 2)] for kind in shuffled]
    stretch, unstretch = _directions(first, [k[len(h) :] for k, h in zip(shuffled, held_back, strict=True)])
    mean = first.mean(axis=0) @ stretch

    learned = np.concatenate(
        [
            joined(z, hub, np.sort(part)) @ stretch - mean
            for part in np.array_split(sample, len(sample) // BLOCK_ROWS + 1)
        ]
    )
    width, codes = stretch.shape[1], _codes(len(stretch))
    clusters = faiss.Kmeans(width, count, niter=ITERATIONS, seed=1, min_points_per_centroid=1)
    clusters.cp.max_points_per_centroid = len(learned)
    clusters.train(learned)
    # Rows belong to the centre that is nearest; queries look where products are largest.
    nearest = faiss.IndexFlatL2(width)
    nearest.add(clusters.centroids)
    largest = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    largest.add(clusters.centroids)
    lists = faiss.IndexIVFPQFastScan(nearest, width, count, codes, 4, faiss.METRIC_INNER_PRODUCT)
    lists.by_residual = True
    lists.pq.cp.min_points_per_centroid = 1
    lists.train(learned)
    asked = np.concatenate(held_back)
    truth = faiss.ResultHeap(len(asked), min(NEAREST, rows), keep_max=True)
    for start in range(0, rows, BLOCK_ROWS):
        block = joined(z, hub, slice(start, start + BLOCK_ROWS))
        lists.add(block @ stretch - mean)
        scores, found = faiss.knn(asked, block, min(NEAREST, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        truth.add_result(scores, found + start)
        on_progress(min(start + BLOCK_ROWS, rows), rows)
    truth.finalize()
    lists.quantizer, lists.own_fields = largest, False
    kind_of = np.repeat(list(kinds), [len(kind) for kind in held_back])
    tuning = _tune(lists, asked @ unstretch, truth.I, kind_of, len(stretch))
    linear = faiss.LinearTransform(len(stretch), width)
    faiss.copy_array_to_vector(unstretch.T.ravel(), linear.A)
    linear.is_trained = True
    index = faiss.IndexPreTransform(linear, lists)
    index.ntotal = rows
    faiss.write_index(index, str(path))
    return tuning


def _directions(photos: np.ndarray, kinds: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What photos and what queries are multiplied by, (K, r) float32 each: the leading directions of the stretched
    space, in an order that gives every code as much to say.

    photos: (n, K); kinds: (s, K) each. The products of both sides are those of before, but for the directions left out.
    """
    covariance = np.cov(photos.T).astype(np.float64)
    moments = np.zeros_like(covariance)
    for queries in kinds:
        # Every query counts for as much, however large the scores are that it gives.
        spread = np.sqrt(np.einsum("ij,jk,ik->i", queries, covariance, queries))
        even = queries / np.maximum(spread, 1e-12)[:, None]
        moments += even.T @ even / len(even) / len(kinds)
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


def _tune(lists: Any, asked: np.ndarray, truth: np.ndarray, kind_of: np.ndarray, dim: int) -> Tuning:
    """The cheapest search that finds enough of every kind, else the most thorough. asked: (b, r) mapped queries of the
    kinds (b,) that `kind_of` names; truth: (b, c) the best rows of each; `dim`: numbers of a float16 vector."""
    faiss = _faiss()
    rows, depths = lists.ntotal, sorted({min(depth, lists.ntotal) for depth in DEPTHS})
    tried: list[tuple[bool, float, Tuning]] = []
    for probes in sorted({max(1, round(share * lists.nlist)) for share in SHARES}):
        codes = probes * rows / lists.nlist * lists.pq.M
        if any(enough and codes > cost for enough, cost, _ in tried):
            break
        found = lists.search(asked, depths[-1], params=faiss.IVFSearchParameters(nprobe=probes))[1]
        hits = np.stack([np.isin(line, best) for line, best in zip(found, truth, strict=True)]).cumsum(axis=1)
        for depth in depths:
            shares = hits[:, depth - 1] / truth.shape[1]
            recall = {kind: round(float(shares[kind_of == kind].mean()), 4) for kind in dict.fromkeys(kind_of.tolist())}
            least, cost = min(recall.values()), codes + depth * dim * REFINE_COST
            tried.append((least >= RECALL, cost, Tuning(lists.nlist, probes, depth, recall)))
    good = [(cost, tuning) for enough, cost, tuning in tried if enough]
    if good:
        return min(good, key=lambda pair: pair[0])[1]
    return max((tuning for *_, tuning in tried), key=lambda tuning: min(tuning.recall.values()))


def _checked(name: str, queries: np.ndarray, dim: int) -> np.ndarray:
    if queries.shape[1:] != (dim,) or not np.isfinite(queries).all():
        raise PhotoseekError(
            f"the ranker's {name} to tune the search with are no finite numbers of shape ({len(queries)}, {dim}); "
            "train it again"
        )
    return np.asarray(queries, np.float32)


def joined(z: np.ndarray, hub: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Some rows of `[z ; hub]`: (n, k + 1) float32."""
    return np.concatenate([widened(np.asarray(z[rows])), np.asarray(hub[rows])[:, None]], axis=1)


def best(scores: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and scores of the `count` best of each line, best first, ties by row.

    scores: (b, c); rows: (c,) or (b, c).
    """
    rows = np.broadcast_to(rows, scores.shape)
    count = min(count, scores.shape[1])
    places = np.empty((len(scores), count), np.int64)
    for i, line in enumerate(scores):
        some = np.arange(len(line))
        if 0 < count < len(line):
            some = np.flatnonzero(line >= np.partition(line, len(line) - count)[len(line) - count])
        places[i] = some[np.lexsort((rows[i, some], -line[some]))][:count]
    return np.take_along_axis(rows, places, axis=1), np.take_along_axis(scores, places, axis=1).astype(np.float32)


def _coordinates(dim: int) -> int:
    """How many coordinates share a code."""
    return min(COORDINATES, -(-dim // CODES))


def _codes(dim: int) -> int:
    return min(CODES, dim // _coordinates(dim))


def read_at_random(mapped: np.ndarray) -> None:
    """Tell the system that rows of a mapped file will be read anywhere: what it reads ahead is read in vain."""
    if isinstance(mapped.base, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
        mapped.base.madvise(mmap.MADV_RANDOM)


def _ask_for(mapped: np.ndarray, rows: np.ndarray) -> None:
    """Have the system read rows of a mapped file, all at the same time, where they are not in memory."""
    file = mapped.base
    if not isinstance(file, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED"):
        return
    width = mapped.strides[0]
    for start in dict.fromkeys((rows * width // mmap.PAGESIZE * mmap.PAGESIZE).tolist()):
        file.madvise(mmap.MADV_WILLNEED, start, min(width + mmap.PAGESIZE, len(file) - start))


def _faiss() -> Any:
    import faiss  # typed as Any: its stubs lack the keyword arguments that its own wrappers add

    return faiss
