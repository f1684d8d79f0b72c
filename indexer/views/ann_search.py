"""Candidates: the best rows by inner product; of many photos, without reading every row's vector.

    query -> the lists nearest to it -4-bit codes-> `depth` rows -8-bit codes-> `narrowed` rows -float16-> exact scores

How far a search goes depends on what kind of query it is: a single word is answered by more lists than a sentence.
`indexer.views.ann_build` makes the lists and finds out how far.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from indexer.storage.half_precision import to_float32
from indexer.storage.mapped_files import prefetch
from indexer.views.byte_codes import ByteCodes
from indexer.views.lazy_faiss import faiss_module

NEAREST = 100
# So many rows at a time are widened and multiplied: they stay in the processor's cache.
REFINED_ROWS = 512
# FAISS reads a structure in thousands of pieces, and each would be a call of Python.
READ_BYTES = 1 << 22
# Queries that a thread looks into lists with at a time: those of one list then share its codes.
BATCH = 250
# The first queries find files that are not in memory, and ask for all rows that they need at once.
COLD_SEARCHES = 20

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """How a query is searched: it looks into `probes` lists and at the 8-bit codes of the `depth` rows that it likes
    best there, which found `recall` of the best 100 of queries that were kept back."""

    probes: int
    depth: int
    recall: float


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """How a structure of `lists` is searched: `kinds` of query with their efforts; a query is of the kind whose mean
    direction is nearest to its own. `means`: (kinds, k + 1) float32."""

    lists: int
    kinds: dict[str, SearchParameters]
    means: np.ndarray

    @classmethod
    def of_card(cls, card: dict[str, Any], means: np.ndarray, width: int) -> "Tuning":
        """What `card` gave, for queries of `width` numbers; KeyError, TypeError or ValueError where it did not."""
        kinds = {name: SearchParameters(**effort) for name, effort in card["kinds"].items()}
        if not kinds or means.shape != (len(kinds), width):
            raise ValueError("other means than kinds")
        return cls(int(card["lists"]), kinds, np.asarray(means, np.float32))

    def card(self) -> dict[str, Any]:
        """All but the means, for a JSON file."""
        return {"lists": self.lists, "kinds": {name: asdict(effort) for name, effort in self.kinds.items()}}

    def kinds_of(self, queries: np.ndarray) -> np.ndarray:
        """(b, k + 1) -> the place of each query's kind, (b,) int64."""
        if len(self.means) == 1:
            return np.zeros(len(queries), np.int64)
        lengths = np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
        nearness: np.ndarray = queries / lengths @ self.means.T - np.square(self.means).sum(axis=1) / 2
        return nearness.argmax(axis=1)


def narrowed(count: int) -> int:
    """How many rows are scored exactly for the best `count`: 8-bit codes put 99.9 % of these among so many."""
    return 2 * count + NEAREST


def least_nprobe(depth: int, available: int, lists: int) -> int:
    """How many lists are visited at least for `depth` of the `available` rows: those that hold four times as many."""
    return round(4 * depth / available * lists)


def mean_direction(queries: np.ndarray) -> np.ndarray:
    """(s, k + 1) -> (k + 1,) float32."""
    mean: np.ndarray = (queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)).mean(axis=0)
    return mean.astype(np.float32)


@dataclass(slots=True)
class Candidates:
    """An open structure over the first rows of `z` (n, k) float16 and `hubness` (n,) float32, memory-mapped.

    Without a tuning `index` holds the vectors themselves and scores every row. Else it maps queries into lists, and
    `codes` are the rows' 8-bit codes.
    """

    index: Any
    z: np.ndarray
    hubness: np.ndarray
    tuning: Tuning | None = None
    codes: ByteCodes | None = field(default=None, repr=False)
    _map: np.ndarray | None = field(default=None, repr=False)
    _chosen: tuple[np.ndarray, Any] | None = field(default=None, repr=False)
    _searches: int = 0

    @classmethod
    def read(
        cls, file: BinaryIO, z: np.ndarray, hubness: np.ndarray, tuning: Tuning | None, codes: ByteCodes | None
    ) -> "Candidates":
        """Read what `candidate_lists.build` wrote. Raises RuntimeError if it is damaged."""
        faiss = faiss_module()
        reader = faiss.PyCallbackIOReader(file.read, READ_BYTES)
        index = faiss.read_index(faiss.BufferedIOReader(reader, READ_BYTES))
        if isinstance(index, faiss.IndexPreTransform) != (tuning is not None):
            raise RuntimeError("not the structure that was tuned")
        if tuning is None or codes is None:
            return cls(index, z, hubness)
        linear = faiss.downcast_VectorTransform(index.chain.at(0))
        mapping = faiss.vector_to_array(linear.A).reshape(linear.d_out, linear.d_in)
        if codes.codes.shape != (index.ntotal, linear.d_out):
            raise RuntimeError("not the codes of these lists")
        return cls(index, z, hubness, tuning, codes, np.ascontiguousarray(mapping.T))

    @property
    def rows(self) -> int:
        return int(self.index.ntotal)

    @property
    def cold(self) -> int:
        """How many of the next queries read what is hardly in memory yet."""
        return max(0, COLD_SEARCHES - self._searches)

    def search(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None, threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores and rows of the best `count` a query, (b, c) float32 and int64, or more; c < count only where fewer
        rows are allowed. Of a complete search none is tied with one that is left out.

        queries: (b, k + 1) float32; allowed: sorted rows to choose from, or None. One query is searched by one thread,
        which is quickest; a batch by `threads`, None for as many as there are cores.
        """
        available = self.rows if allowed is None else len(allowed)
        wanted = min(count, available)
        if not wanted:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        chosen = None if allowed is None else self._selector(allowed)
        queries = np.ascontiguousarray(queries, np.float32)
        cold = self.cold
        self._searches += len(queries)
        threads = max(1, min(threads or CORES, len(queries)))
        if self.tuning is None:
            faiss_module().omp_set_num_threads(threads)
            return self._search_all(queries, wanted, available, chosen)
        by_one = partial(self._search_lists, wanted, available, chosen, self.tuning, cold)
        if threads == 1:
            return by_one(queries)
        # While one thread is in FAISS, another can have the interpreter.
        each = min(BATCH, -(-len(queries) // threads))
        parts = [queries[start : start + each] for start in range(0, len(queries), each)]
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(by_one, parts))
        return np.concatenate([scores for scores, _ in found]), np.concatenate([rows for _, rows in found])

    def _search_all(
        self, queries: np.ndarray, wanted: int, available: int, chosen: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        params = None if chosen is None else faiss_module().SearchParameters(sel=chosen)
        more = wanted
        while True:
            asked = min(more + 1, available)
            scores, rows = self.index.search(queries, asked, params=params)
            if asked == available or (scores[:, wanted - 1] > scores[:, -1]).all():
                return scores, rows
            more = 4 * more

    def _search_lists(
        self, wanted: int, available: int, chosen: Any, tuning: Tuning, cold: int, queries: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """By one thread."""
        faiss_module().omp_set_num_threads(1)
        codes = self.codes
        assert codes is not None
        mapped, kinds = queries @ self._map, tuning.kinds_of(queries)
        found: dict[int, np.ndarray] = {}
        for place, effort in enumerate(tuning.kinds.values()):
            own = np.flatnonzero(kinds == place)
            if len(own):
                found |= zip(
                    own, self._visit(mapped[own], wanted, available, chosen, effort, tuning.lists), strict=True
                )

        def refine(i: int) -> tuple[np.ndarray, np.ndarray]:
            rows = np.sort(found[i])
            rows = rows[np.searchsorted(rows, 0) :]  # those without a place come as -1
            if i < cold:
                prefetch(codes.codes, rows, codes.codes.shape[1], codes.begin)
            rows = codes.best(mapped[i], rows, narrowed(wanted))
            if i < cold:
                prefetch(self.z, rows, self.z.strides[0])
            return best(self.scores(queries[i], rows)[None], rows, wanted)

        refined = [refine(i) for i in range(len(queries))]
        return np.concatenate([scores for _, scores in refined]), np.concatenate([rows for rows, _ in refined])

    def _visit(
        self, mapped: np.ndarray, wanted: int, available: int, chosen: Any, effort: SearchParameters, lists: int
    ) -> np.ndarray:
        """The rows that look best by their 4-bit codes to queries of one kind, (b, depth) int64, at least `wanted` of
        them; -1 where there are none."""
        faiss = faiss_module()
        structure = faiss.downcast_index(self.index.index)
        depth = min(effort.depth + 2 * max(0, wanted - NEAREST), available)
        # Rows of one subject lie where other queries hardly look: the smaller the part, the further they have to go.
        probes = max(effort.probes * (available / self.rows) ** -1.25, least_nprobe(depth, available, lists))
        while True:
            probes = min(round(probes), lists)
            params = faiss.IVFSearchParameters(nprobe=probes, sel=chosen)
            found: np.ndarray = structure.search(mapped, depth, params=params)[1]
            if probes == lists or (found[:, wanted - 1] >= 0).all():
                return found
            probes = 4 * probes

    def scores(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Inner products of one query (k + 1,) with rows: (len(rows),) float32."""
        z, hubness = np.asarray(self.z), np.asarray(self.hubness)
        scores = query[-1] * hubness[rows]
        for start in range(0, len(rows), REFINED_ROWS):
            part = slice(start, start + REFINED_ROWS)
            scores[part] += to_float32(z.take(rows[part], axis=0)) @ query[:-1]
        return scores

    def _selector(self, allowed: np.ndarray) -> Any:
        """FAISS's form of a set of rows; that of the last set is kept, as searches come with the same one."""
        kept = self._chosen
        if kept is None or kept[0] is not allowed:
            bits = np.zeros(self.rows, bool)
            bits[allowed] = True
            kept = allowed, faiss_module().IDSelectorBitmap(np.packbits(bits, bitorder="little"))
            self._chosen = kept
        return kept[1]


def joined(z: np.ndarray, hubness: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Some rows of `[z ; hubness]`: (n, k + 1) float32."""
    return np.concatenate([to_float32(np.asarray(z[rows])), np.asarray(hubness[rows])[:, None]], axis=1)


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
