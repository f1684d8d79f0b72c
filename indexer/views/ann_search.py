"""Find candidates: the best rows by inner product; of many photos, without reading every row's vector.

    query -> nearest lists -4-bit codes-> `refine_k` rows -8-bit codes-> `exact_count` rows -float16-> exact scores

How far a search goes depends on the kind of query: a single word needs more lists than a sentence.
`indexer.views.ann_build` makes the lists and tunes this for each kind.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from indexer.cpu_count import usable_cores
from indexer.storage.half_precision import to_float32
from indexer.storage.mapped_files import prefetch
from indexer.views.byte_codes import ByteCodes
from indexer.views.lazy_faiss import faiss_module

# Searches are tuned to find this many best rows.
TUNED_COUNT = 100
# Rows that are widened and multiplied at a time: they stay in the processor's cache.
REFINED_ROWS = 512
# Bytes read from a structure's file at a time: FAISS asks for thousands of pieces, and each would be a call of Python.
READ_BYTES = 1 << 22
# Queries for which a thread searches lists at a time: those that visit one list then share its codes.
BATCH = 250
# The first queries after opening, whose rows are hardly in memory: all that they need is asked for at once.
COLD_SEARCHES = 20


class Readable(Protocol):
    """A file, as far as it is read from its beginning to its end."""

    def read(self, count: int, /) -> bytes:
        """Return the next bytes, at most `count`."""


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """Parameters of a search of lists.

    Attributes:
        nprobe: Lists that are visited.
        refine_k: Rows of these lists whose 8-bit codes are looked at, the best by their 4-bit codes.
        recall: Share of the best 100 rows that was found so, for queries that were held back.
    """

    nprobe: int
    refine_k: int
    recall: float


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """Search parameters of lists, by kind of query; a query is of the kind with the nearest mean direction.

    Attributes:
        nlist: How many lists there are.
        kinds: The parameters of each kind.
        means: (kinds, k + 1) float32, the mean direction of each kind's queries.
    """

    nlist: int
    kinds: Mapping[str, SearchParameters]
    means: np.ndarray

    def nearest_kinds(self, queries: np.ndarray) -> np.ndarray:
        """Return the place of each query's kind among `kinds`.

        Args:
            queries: (b, k + 1) float32.

        Returns:
            (b,) int64.
        """
        if len(self.means) == 1:
            return np.zeros(len(queries), np.int64)
        lengths = np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
        nearness: np.ndarray = queries / lengths @ self.means.T - np.square(self.means).sum(axis=1) / 2
        return nearness.argmax(axis=1)


def exact_count(count: int) -> int:
    """Return how many of the best rows by 8-bit codes are scored exactly; they hold 99.9 % of the best `count`."""
    return 2 * count + TUNED_COUNT


def least_nprobe(refine_k: int, available: int, nlist: int) -> int:
    """Return the least number of lists to visit: they hold four times as many rows as are looked at.

    Args:
        refine_k: Rows whose 8-bit codes are looked at.
        available: Rows in all lists.
        nlist: How many lists there are.
    """
    return round(4 * refine_k / available * nlist)


def mean_direction(queries: np.ndarray) -> np.ndarray:
    """Average the directions of queries.

    Args:
        queries: (s, k + 1).

    Returns:
        (k + 1,) float32, of norm 1 at most.
    """
    mean: np.ndarray = (queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)).mean(axis=0)
    return mean.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Request:
    """One call of `search`, without its queries.

    `count` best rows of `available`, of which the FAISS selector `selector` tells (None: all rows); the first `cold`
    queries read what is hardly in memory.
    """

    count: int
    available: int
    selector: Any
    cold: int


@dataclass(slots=True, eq=False)
class CandidateStructure:
    """An open FAISS structure over the first rows of a view. Searches may run in several threads.

    Attributes:
        index: The FAISS index: the vectors themselves if there are no codes, else it maps queries into lists.
        z: (n, k) float16, memory-mapped.
        hubness: (n,) float32, memory-mapped.
        codes: The rows' 8-bit codes, None where every row is scored.
        query_map: (k + 1, r) float32, which maps a query into the space of the lists, None without lists.
    """

    index: Any
    z: np.ndarray
    hubness: np.ndarray
    codes: ByteCodes | None = field(default=None, repr=False)
    query_map: np.ndarray | None = field(default=None, repr=False)
    _last_selector: tuple[np.ndarray, Any] | None = field(default=None, init=False, repr=False)
    _searches: int = field(default=0, init=False)

    @classmethod
    def read(cls, file: Readable, z: np.ndarray, hubness: np.ndarray, codes: ByteCodes | None) -> "CandidateStructure":
        """Read what `ann_build.build_structure` wrote.

        Args:
            file: The file, open for reading.
            z: (n, k) float16.
            hubness: (n,) float32.
            codes: The rows' 8-bit codes, None for a structure that scores every row.

        Raises:
            RuntimeError: The file is damaged, or the codes are of other lists.
        """
        faiss = faiss_module()
        reader = faiss.PyCallbackIOReader(file.read, READ_BYTES)
        index = faiss.read_index(faiss.BufferedIOReader(reader, READ_BYTES))
        if isinstance(index, faiss.IndexPreTransform) != (codes is not None):
            raise RuntimeError("not the structure that was tuned")
        if codes is None:
            return cls(index, z, hubness)
        linear = faiss.downcast_VectorTransform(index.chain.at(0))
        mapping = faiss.vector_to_array(linear.A).reshape(linear.d_out, linear.d_in)
        if codes.codes.shape != (index.ntotal, linear.d_out):
            raise RuntimeError("not the codes of these lists")
        return cls(index, z, hubness, codes, np.ascontiguousarray(mapping.T))

    @property
    def rows(self) -> int:
        """Number of rows in the structure."""
        return int(self.index.ntotal)

    @property
    def cold(self) -> int:
        """Number of the next queries whose rows are hardly in memory yet."""
        return max(0, COLD_SEARCHES - self._searches)

    def search(
        self,
        queries: np.ndarray,
        count: int,
        allowed: np.ndarray | None,
        tuning: Tuning | None,
        threads: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the best rows of each query.

        Args:
            queries: (b, k + 1) float32.
            count: How many rows of each are wanted.
            allowed: Sorted rows to choose from, None for all.
            tuning: How lists are searched, None where every row is scored.
            threads: How many threads search a batch, None for one per usable core. One query is searched by one
                thread, which is quickest.

        Returns:
            Scores (b, c) float32 and rows (b, c) int64, in no set order and possibly more than `count`; c < count only
            if fewer rows are allowed. Where every row is scored, none of these is tied with one that is left out.
        """
        available = self.rows if allowed is None else len(allowed)
        wanted = min(count, available)
        if not wanted:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        request = _Request(wanted, available, None if allowed is None else self._selector(allowed), self.cold)
        queries = np.ascontiguousarray(queries, np.float32)
        self._searches += len(queries)
        threads = max(1, min(threads or usable_cores(), len(queries)))
        if tuning is None:
            faiss_module().omp_set_num_threads(threads)
            return self._score_all(request, queries)
        search_one_batch = partial(self._search_lists, request, tuning)
        if threads == 1:
            return search_one_batch(queries)
        # While one thread is in FAISS, another can have the interpreter.
        each = min(BATCH, -(-len(queries) // threads))
        parts = [queries[start : start + each] for start in range(0, len(queries), each)]
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(search_one_batch, parts))
        return np.concatenate([scores for scores, _ in found]), np.concatenate([rows for _, rows in found])

    def _score_all(self, request: _Request, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score every row, and ask for more rows until none is tied with one that is left out."""
        params = None if request.selector is None else faiss_module().SearchParameters(sel=request.selector)
        more = request.count
        while True:
            asked = min(more + 1, request.available)
            scores, rows = self.index.search(queries, asked, params=params)
            if asked == request.available or (scores[:, request.count - 1] > scores[:, -1]).all():
                return scores, rows
            more = 4 * more

    def _search_lists(self, request: _Request, tuning: Tuning, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Search lists for some queries in this thread, and score the best rows exactly."""
        faiss_module().omp_set_num_threads(1)
        codes = self.codes
        assert codes is not None
        mapped, kinds = queries @ self.query_map, tuning.nearest_kinds(queries)
        found: dict[int, np.ndarray] = {}
        for place, parameters in enumerate(tuning.kinds.values()):
            own = np.flatnonzero(kinds == place)
            if len(own):
                found |= zip(own, self._visit_lists(request, parameters, tuning.nlist, mapped[own]), strict=True)

        def refine(i: int) -> tuple[np.ndarray, np.ndarray]:
            rows = np.sort(found[i])
            rows = rows[np.searchsorted(rows, 0) :]  # places without a row are -1
            if i < request.cold:
                prefetch(codes.codes, rows, codes.codes.shape[1], codes.begin)
            rows = codes.keep_best(mapped[i], rows, exact_count(request.count))
            if i < request.cold:
                prefetch(self.z, rows, self.z.strides[0])
            return top_rows(self.scores(queries[i], rows)[None], rows, request.count)

        refined = [refine(i) for i in range(len(queries))]
        return np.concatenate([scores for _, scores in refined]), np.concatenate([rows for rows, _ in refined])

    def _visit_lists(
        self, request: _Request, parameters: SearchParameters, nlist: int, mapped: np.ndarray
    ) -> np.ndarray:
        """Return the best rows by their 4-bit codes, for mapped queries (b, r) of one kind.

        (b, refine_k) int64, at least as many rows as are wanted of each; places without a row are -1.
        """
        faiss = faiss_module()
        structure = faiss.downcast_index(self.index.index)
        refine_k = min(parameters.refine_k + 2 * max(0, request.count - TUNED_COUNT), request.available)
        # Allowed rows are often of one subject and in lists far from the query: the fewer rows, the more lists.
        nprobe = max(
            parameters.nprobe * (request.available / self.rows) ** -1.25,
            least_nprobe(refine_k, request.available, nlist),
        )
        while True:
            nprobe = min(round(nprobe), nlist)
            params = faiss.IVFSearchParameters(nprobe=nprobe, sel=request.selector)
            found: np.ndarray = structure.search(mapped, refine_k, params=params)[1]
            if nprobe == nlist or (found[:, request.count - 1] >= 0).all():
                return found
            nprobe = 4 * nprobe

    def scores(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Score rows for one query exactly.

        Args:
            query: (k + 1,) float32.
            rows: (n,) int64.

        Returns:
            (n,) float32, the inner products with `[z ; hubness]`.
        """
        z, hubness = np.asarray(self.z), np.asarray(self.hubness)
        scores = query[-1] * hubness[rows]
        for start in range(0, len(rows), REFINED_ROWS):
            part = slice(start, start + REFINED_ROWS)
            scores[part] += to_float32(z.take(rows[part], axis=0)) @ query[:-1]
        return scores

    def _selector(self, allowed: np.ndarray) -> Any:
        """Return FAISS's form of a set of rows; the last one is kept, because searches repeat the same set."""
        kept = self._last_selector
        if kept is None or kept[0] is not allowed:
            bits = np.zeros(self.rows, bool)
            bits[allowed] = True
            kept = allowed, faiss_module().IDSelectorBitmap(np.packbits(bits, bitorder="little"))
            self._last_selector = kept
        return kept[1]


def rows_with_hubness(z: np.ndarray, hubness: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Read some rows of `[z ; hubness]`.

    Args:
        z: (n, k) float16.
        hubness: (n,) float32.
        rows: Which rows.

    Returns:
        (rows, k + 1) float32.
    """
    return np.concatenate([to_float32(np.asarray(z[rows])), np.asarray(hubness[rows])[:, None]], axis=1)


def top_rows(scores: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the best rows of each query, best first, ties by row.

    Args:
        scores: (b, c) float32.
        rows: (c,) or (b, c) int64, the rows that the scores are of.
        count: How many to keep.

    Returns:
        Rows and scores, (b, min(count, c)) int64 and float32.
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
