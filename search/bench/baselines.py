"""The peers' ways to find the nearest vectors, on the vectors and queries of a view, in turns with the view itself."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from indexer.errors import PhotoseekError
from indexer.views.view import View
from search.bench.exact_search import best_rows, recall, view_blocks
from search.bench.recall import RECALL_AT, ask, percentiles

TURN = 10
SECONDS = 20.0
FEWEST = 10
EFFORTS = (100, 150, 200, 300, 400, 600, 800, 1_200, 1_600, 2_400, 3_200, 4_800)
AUTOFAISS_MS = 10.0
BLOCK_ROWS = 16_384
INSTALL = "pip install 'photoseek[bench]'"

Progress = Callable[[str, int, int], None]


class Peer(Protocol):
    """A way to search. `what` says how; `efforts` are the settings that trade time for recall, none if it is exact."""

    what: str
    efforts: Sequence[int]

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None: ...

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """(1, d) float32 -> rows (count,)."""
        ...

    def set(self, effort: int) -> None: ...

    def bytes(self, scratch: Path) -> int:
        """What it holds in memory, without what only building needs."""
        ...


class EveryVector:
    """rclip's way: read every vector, one product, sort everything."""

    what = "every float32 vector read from a file, one NumPy product, full argsort (rclip reads them from SQLite)"
    efforts: Sequence[int] = ()

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        self.path, self.dim = path, vectors.shape[1]

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        scores = np.fromfile(self.path, np.float32).reshape(-1, self.dim) @ query[0]
        return np.argsort(-scores)[:count]

    def set(self, effort: int) -> None: ...

    def bytes(self, scratch: Path) -> int:
        return self.path.stat().st_size  # while it searches


class SemanticSearch:
    """`sentence_transformers.util.semantic_search` on a tensor in memory."""

    what = "sentence_transformers.util.semantic_search, dot_score"
    efforts: Sequence[int] = ()

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        import torch
        from sentence_transformers import util

        torch.set_num_threads(1)
        self.util, self.torch = util, torch
        self.vectors = torch.from_numpy(np.array(vectors))

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        asked = self.torch.from_numpy(query)
        found = self.util.semantic_search(asked, self.vectors, top_k=count, score_function=self.util.dot_score)
        return np.array([hit["corpus_id"] for hit in found[0]])

    def set(self, effort: int) -> None: ...

    def bytes(self, scratch: Path) -> int:
        return int(self.vectors.nbytes)


class Faiss:
    """A FAISS index by its factory string."""

    def __init__(self, key: Callable[[int], str], what: str, efforts: Sequence[int] = ()) -> None:
        self.key, self.what, self.efforts = key, what, efforts
        self.index: Any = None

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        import faiss

        key = self.key(len(vectors))
        self.what = self.what.format(key=key)
        self.index = faiss.index_factory(vectors.shape[1], key, faiss.METRIC_INNER_PRODUCT)
        if not hasattr(self.index, "hnsw"):
            self.efforts = ()
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        try:
            for start in range(0, len(vectors), BLOCK_ROWS):
                self.index.add(np.ascontiguousarray(vectors[start : start + BLOCK_ROWS]))
                on_block(min(start + BLOCK_ROWS, len(vectors)))
        finally:
            faiss.omp_set_num_threads(1)

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        rows: np.ndarray = self.index.search(query, count)[1][0]
        return rows

    def set(self, effort: int) -> None:
        self.index.hnsw.efSearch = effort

    def bytes(self, scratch: Path) -> int:
        import faiss

        path = scratch / "peer.faiss"
        faiss.write_index(self.index, str(path))
        return _size_and_delete(path)


class Hnswlib:
    what = "hnswlib, inner product, M 16, ef_construction 200"
    efforts: Sequence[int] = EFFORTS

    index: Any

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        import hnswlib

        self.index = hnswlib.Index("ip", vectors.shape[1])
        self.index.init_index(len(vectors), M=16, ef_construction=200, random_seed=0)
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = vectors[start : start + BLOCK_ROWS]
            self.index.add_items(block, np.arange(start, start + len(block)), num_threads=os.cpu_count() or 1)
            on_block(start + len(block))
        self.index.set_num_threads(1)

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        rows: np.ndarray = self.index.knn_query(query, count)[0][0]
        return rows.astype(np.int64)

    def set(self, effort: int) -> None:
        self.index.set_ef(effort)

    def bytes(self, scratch: Path) -> int:
        self.index.save_index(str(scratch / "peer.hnsw"))
        return _size_and_delete(scratch / "peer.hnsw")


class Usearch:
    what = "usearch, inner product, its defaults (connectivity 16, {dtype})"
    efforts: Sequence[int] = EFFORTS

    index: Any

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        from usearch.index import Index

        self.index = Index(ndim=vectors.shape[1], metric="ip")
        self.what = self.what.format(dtype=str(self.index.dtype).rpartition(".")[2].lower())
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = np.ascontiguousarray(vectors[start : start + BLOCK_ROWS])
            self.index.add(np.arange(start, start + len(block)), block, threads=os.cpu_count() or 1)
            on_block(start + len(block))

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        return np.asarray(self.index.search(query[0], count, threads=1).keys, np.int64)

    def set(self, effort: int) -> None:
        self.index.expansion_search = effort

    def bytes(self, scratch: Path) -> int:
        return int(self.index.serialized_length)


def autofaiss_key(count: int) -> str:
    """The index that autofaiss 2.18 chooses for its default memory of 16 GB, while vectors of float32 fit into it:
    `get_optimal_index_keys_v2`. It wants NumPy 1, so its rule is repeated here."""
    return "Flat" if count < 1_000 else "HNSW15" if count < 10_000 else "HNSW32"


PEERS: dict[str, Callable[[], Peer]] = {
    "every-vector": EveryVector,
    "semantic-search": SemanticSearch,
    "flat": lambda: Faiss(lambda count: "Flat", "faiss.IndexFlatIP"),
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "autofaiss": lambda: Faiss(
        autofaiss_key, "autofaiss's choice by its published rule, {key}, 10 ms a query", EFFORTS
    ),
}
MODULES = {"semantic-search": "sentence_transformers", "hnswlib": "hnswlib", "usearch": "usearch"}


def compare(
    view: View, queries: np.ndarray, names: Sequence[str] = tuple(PEERS), on_progress: Progress | None = None
) -> dict[str, Any]:
    """name -> figures of every peer in turn, `missing` where its package is. queries: (b, k + 1) float32.

    Every peer is built of the same float32 vectors, on all cores; then ten queries of its own and ten of the view
    alternate, on one thread each (`view` is what the view took beside it, `times_slower` the ratio of medians). Those
    with an effort get the least that finds what the view finds; autofaiss the most that it can do in 10 ms, which
    is its rule. One peer is in memory at a time; exact ones are timed for 20 s each, at least.
    """
    report = on_progress or (lambda stage, done, total: None)
    check_names(names)
    queries = np.ascontiguousarray(queries, np.float32)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="photoseek-bench-") as scratch:
        path = Path(scratch) / "vectors.f32"
        with open(path, "wb") as file:
            for block in view_blocks(view):
                file.write(np.ascontiguousarray(block, np.float32).tobytes())
        vectors = np.memmap(path, np.float32, "r").reshape(view.total_rows, -1)
        ((exact, _),) = best_rows(view_blocks(view), queries, RECALL_AT)
        wanted = recall(ask(view, queries)[0], exact)
        for name in names:
            module = MODULES.get(name)
            if module is not None and find_spec(module) is None:
                found[name] = {"missing": f"{module} is not installed; {INSTALL}"}
                continue
            need, free = 2 * vectors.nbytes, _free_memory()
            if need > free:
                found[name] = {"missing": f"needs about {need / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"}
                continue
            found[name] = _measure(name, view, vectors, path, queries, exact, wanted, report)
    return found


def check_names(names: Sequence[str]) -> list[str]:
    """The names, each of `PEERS`; PhotoseekError names the first that is not."""
    for name in names:
        if name not in PEERS:
            raise PhotoseekError(f"no peer {name!r}; there are: {', '.join(PEERS)}")
    return list(names)


def _measure(
    name: str,
    view: View,
    vectors: np.ndarray,
    path: Path,
    queries: np.ndarray,
    exact: np.ndarray,
    wanted: float,
    report: Progress,
) -> dict[str, Any]:
    peer, count = PEERS[name](), exact.shape[1]
    begin = time.perf_counter()
    peer.build(vectors, path, lambda done: report(f"{name}: build", done, len(vectors)))
    build = time.perf_counter() - begin
    curve: list[dict[str, Any]] = []
    for effort in peer.efforts:
        peer.set(effort)
        rows, times = _ask(peer, queries, count)
        point = {"effort": effort, f"recall@{RECALL_AT}": round(recall(rows, exact), 5), **percentiles(times)}
        if name == "autofaiss" and curve and point["p50_ms"] > AUTOFAISS_MS:
            peer.set(curve[-1]["effort"])
            break
        curve.append(point)
        if name != "autofaiss" and point[f"recall@{RECALL_AT}"] >= wanted:
            break
    theirs: list[float] = []
    ours: list[float] = []
    rows = []
    begin = time.perf_counter()
    for start in range(0, len(queries), TURN):
        turn = queries[start : start + TURN]
        part, times = _ask(peer, turn, count)
        rows += part
        theirs += times
        ours += ask(view, turn)[1]
        report(f"{name}: queries", len(rows), len(queries))
        if time.perf_counter() - begin > SECONDS and len(rows) >= FEWEST:
            break
    figures: dict[str, Any] = {
        "what": peer.what,
        "stages": {"candidates": percentiles(theirs)},
        "candidates": {f"recall@{RECALL_AT}": round(recall(rows, exact[: len(rows)]), 5)},
        "memory": {"candidate_bytes_per_photo": round(peer.bytes(path.parent) / len(vectors), 1)},
        "build_s": round(build, 1),
        "queries": len(rows),
        "view": percentiles(ours),
        "times_slower": round(float(np.median(theirs) / np.median(ours)), 2),
    }
    if curve:
        figures |= {"effort": curve[-1]["effort"], "curve": curve}
    return figures


def _ask(peer: Peer, queries: np.ndarray, count: int) -> tuple[list[np.ndarray], list[float]]:
    found, times = [], []
    peer.search(queries[:1], count)
    for i in range(len(queries)):
        begin = time.perf_counter()
        rows = peer.search(queries[i : i + 1], count)
        times.append(time.perf_counter() - begin)
        found.append(rows)
    return found, times


def _free_memory() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("MemAvailable"))) * 1e3
    except (OSError, StopIteration):
        return float("inf")


def _size_and_delete(path: Path) -> int:
    size = path.stat().st_size
    path.unlink()
    return size
