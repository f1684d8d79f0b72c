"""Search the vectors of a view as other libraries do: rclip's way, sentence-transformers, FAISS, hnswlib, usearch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from indexer.cpu_count import usable_cores
from indexer.errors import PhotoseekError

# Settings that trade time for recall: `efSearch` of FAISS, `ef` of hnswlib, `expansion_search` of usearch.
EFFORTS = (100, 150, 200, 300, 400, 600, 800, 1_200, 1_600, 2_400, 3_200, 4_800)
# Vectors added to a structure at a time.
BLOCK_ROWS = 16_384


class Baseline(Protocol):
    """A way to find the vectors with the largest inner products.

    Attributes:
        description: The way in words.
        efforts: Its settings that trade time for recall, ascending; none if it is exact.
    """

    description: str
    efforts: Sequence[int]

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        """Build the structure on all cores.

        Args:
            vectors: The vectors, (n, d) float32, mapped.
            path: The file that holds the vectors.
            on_block: Called with the number of vectors that are in the structure.
        """
        ...

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """Return the rows (count,) of the largest products with a query (1, d) float32, best first, on one thread."""
        ...

    def set_effort(self, effort: int) -> None:
        """Search with one of `efforts` from now on."""
        ...

    def resident_bytes(self, scratch: Path) -> int:
        """Return the bytes that searching keeps in memory. `scratch` is a folder for temporary files."""
        ...


class EveryVector:
    """Read every vector from a file, multiply, sort everything: rclip's way."""

    description = (
        "every float32 vector read from a file, one NumPy product, full argsort (rclip reads them from SQLite)"
    )
    efforts: Sequence[int] = ()

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        """Remember the file. See `Baseline`."""
        self.path, self.dim = path, vectors.shape[1]

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """Read the file and sort all products. See `Baseline`."""
        scores = np.fromfile(self.path, np.float32).reshape(-1, self.dim) @ query[0]
        return np.argsort(-scores)[:count]

    def set_effort(self, effort: int) -> None:
        """Do nothing: it is exact. See `Baseline`."""

    def resident_bytes(self, scratch: Path) -> int:
        """Return the size of the file, which is in memory during a search. See `Baseline`."""
        return self.path.stat().st_size


class SemanticSearch:
    """Call `sentence_transformers.util.semantic_search` on a tensor in memory."""

    description = "sentence_transformers.util.semantic_search, dot_score"
    efforts: Sequence[int] = ()

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        """Copy the vectors into a tensor. See `Baseline`."""
        import torch
        from sentence_transformers import util

        torch.set_num_threads(1)
        self.util, self.torch = util, torch
        self.vectors = torch.from_numpy(np.array(vectors))

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """Call the library. See `Baseline`."""
        asked = self.torch.from_numpy(query)
        found = self.util.semantic_search(asked, self.vectors, top_k=count, score_function=self.util.dot_score)
        return np.array([hit["corpus_id"] for hit in found[0]])

    def set_effort(self, effort: int) -> None:
        """Do nothing: it is exact. See `Baseline`."""

    def resident_bytes(self, scratch: Path) -> int:
        """Return the size of the tensor. See `Baseline`."""
        return int(self.vectors.nbytes)


class Faiss:
    """Search a FAISS index that a factory string names.

    Args:
        key: Returns the factory string for so many vectors.
        description: The way in words; `{key}` stands for the factory string.
        efforts: Values of `efSearch`, used if the index is an HNSW graph.
    """

    def __init__(self, key: Callable[[int], str], description: str, efforts: Sequence[int] = ()) -> None:
        self.key, self.description, self.efforts = key, description, efforts
        self.index: Any = None

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        """Build the index. See `Baseline`."""
        import faiss

        key = self.key(len(vectors))
        self.description = self.description.format(key=key)
        self.index = faiss.index_factory(vectors.shape[1], key, faiss.METRIC_INNER_PRODUCT)
        if not hasattr(self.index, "hnsw"):
            self.efforts = ()
        faiss.omp_set_num_threads(usable_cores())
        try:
            for start in range(0, len(vectors), BLOCK_ROWS):
                self.index.add(np.ascontiguousarray(vectors[start : start + BLOCK_ROWS]))
                on_block(min(start + BLOCK_ROWS, len(vectors)))
        finally:
            faiss.omp_set_num_threads(1)

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """Search the index. See `Baseline`."""
        rows: np.ndarray = self.index.search(query, count)[1][0]
        return rows

    def set_effort(self, effort: int) -> None:
        """Set `efSearch`. See `Baseline`."""
        self.index.hnsw.efSearch = effort

    def resident_bytes(self, scratch: Path) -> int:
        """Return the size of the index as a file. See `Baseline`."""
        import faiss

        path = scratch / "peer.faiss"
        faiss.write_index(self.index, str(path))
        return _size_and_delete(path)


class Hnswlib:
    """Search an HNSW graph of hnswlib."""

    description = "hnswlib, inner product, M 16, ef_construction 200"
    efforts: Sequence[int] = EFFORTS

    index: Any

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        """Build the graph. See `Baseline`."""
        import hnswlib

        self.index = hnswlib.Index("ip", vectors.shape[1])
        self.index.init_index(len(vectors), M=16, ef_construction=200, random_seed=0)
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = vectors[start : start + BLOCK_ROWS]
            self.index.add_items(block, np.arange(start, start + len(block)), num_threads=usable_cores())
            on_block(start + len(block))
        self.index.set_num_threads(1)

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """Search the graph. See `Baseline`."""
        rows: np.ndarray = self.index.knn_query(query, count)[0][0]
        return rows.astype(np.int64)

    def set_effort(self, effort: int) -> None:
        """Set `ef`. See `Baseline`."""
        self.index.set_ef(effort)

    def resident_bytes(self, scratch: Path) -> int:
        """Return the size of the graph as a file. See `Baseline`."""
        self.index.save_index(str(scratch / "peer.hnsw"))
        return _size_and_delete(scratch / "peer.hnsw")


class Usearch:
    """Search a graph of usearch with its defaults."""

    description = "usearch, inner product, its defaults (connectivity 16, {dtype})"
    efforts: Sequence[int] = EFFORTS

    index: Any

    def build(self, vectors: np.ndarray, path: Path, on_block: Callable[[int], None]) -> None:
        """Build the graph. See `Baseline`."""
        from usearch.index import Index

        self.index = Index(ndim=vectors.shape[1], metric="ip")
        self.description = self.description.format(dtype=str(self.index.dtype).rpartition(".")[2].lower())
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = np.ascontiguousarray(vectors[start : start + BLOCK_ROWS])
            self.index.add(np.arange(start, start + len(block)), block, threads=usable_cores())
            on_block(start + len(block))

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """Search the graph. See `Baseline`."""
        return np.asarray(self.index.search(query[0], count, threads=1).keys, np.int64)

    def set_effort(self, effort: int) -> None:
        """Set `expansion_search`. See `Baseline`."""
        self.index.expansion_search = effort

    def resident_bytes(self, scratch: Path) -> int:
        """Return the size of the graph. See `Baseline`."""
        return int(self.index.serialized_length)


def autofaiss_key(count: int) -> str:
    """Choose the FAISS index that autofaiss 2.18 chooses, as long as all vectors fit into its default memory of 16 GB.

    autofaiss needs NumPy 1, so its rule is repeated here.

    Args:
        count: How many vectors there are.

    Returns:
        The factory string.

    References:
        `get_optimal_index_keys_v2` of autofaiss, https://github.com/criteo/autofaiss.
    """
    return "Flat" if count < 1_000 else "HNSW15" if count < 10_000 else "HNSW32"


BASELINES: dict[str, Callable[[], Baseline]] = {
    "every-vector": EveryVector,
    "semantic-search": SemanticSearch,
    "flat": lambda: Faiss(lambda count: "Flat", "faiss.IndexFlatIP"),
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "autofaiss": lambda: Faiss(
        autofaiss_key, "autofaiss's choice by its published rule, {key}, 10 ms a query", EFFORTS
    ),
}
# Modules that baselines need beyond what photoseek installs.
MODULES = {"semantic-search": "sentence_transformers", "hnswlib": "hnswlib", "usearch": "usearch"}


def check_names(names: Sequence[str]) -> list[str]:
    """Check the names of baselines.

    Args:
        names: The names.

    Returns:
        The same names.

    Raises:
        PhotoseekError: A name is not in `BASELINES`; the message lists those that are.
    """
    for name in names:
        if name not in BASELINES:
            raise PhotoseekError(f"no peer {name!r}; there are: {', '.join(BASELINES)}")
    return list(names)


def _size_and_delete(path: Path) -> int:
    """Delete a file and return the bytes it had."""
    size = path.stat().st_size
    path.unlink()
    return size
