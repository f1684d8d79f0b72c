"""Views: what one ranker adds to one index. Built beside, renamed, then named in the catalogue; read-only ever after."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from indexer.errors import PhotoseekError

# Above this many photos the candidate vectors are kept in half precision, which costs no recall that can be measured.
FLOAT32_ROWS = 50_000
BLOCK_ROWS = 16_384
# Filters that keep fewer rows than this are scored directly, without the index.
DIRECT_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class PhotoSide:
    """What a ranker computes once a photo.

    `z`: (n, k) float32, unit rows; `hub`: (n,) float32, how near a photo is to queries at large;
    `hidden`: (n, m) float32, the photo's share of the reranker's first layer.
    """

    z: np.ndarray
    hub: np.ndarray
    hidden: np.ndarray


class ViewMaker(Protocol):
    """The part of a ranker that the indexer knows."""

    id: str
    image_encoder: str
    text_encoder: str

    def photo_side(self, embeddings: np.ndarray) -> PhotoSide: ...

    def save(self, folder: Path) -> None: ...


@dataclass(slots=True)
class View:
    """An open view, with the photos that came after it (the tail) scored exactly beside it.

    `z` and `hidden` are float16 memory maps, (rows, k) and (rows, m); `hub` (rows,) float32.
    """

    folder: Path
    rows: int
    z: np.ndarray
    hub: np.ndarray
    hidden: np.ndarray
    tail: PhotoSide | None = None
    _candidates: Any = field(default=None, repr=False)

    @property
    def ranker_folder(self) -> Path:
        return self.folder / "ranker"

    @property
    def total_rows(self) -> int:
        return self.rows + (0 if self.tail is None else len(self.tail.hub))

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Best `count` rows a query by inner product with `[z ; hub]`.

        queries: (b, k + 1) float32, the last coordinate weighs the hub term. allowed: sorted rows to choose from, or
        None for all. Returns rows (b, c) int64 and scores (b, c) float32 with c <= count, best first, ties by row.
        """
        if allowed is not None and len(allowed) <= DIRECT_ROWS:
            vectors = np.concatenate([self.gather_z(allowed), self.gather_hub(allowed)[:, None]], axis=1)
            return _top(queries @ vectors.T, allowed, count)
        base = allowed[allowed < self.rows] if allowed is not None else None
        wanted = min(count, self.rows if base is None else len(base))
        rows = np.empty((len(queries), 0), np.int64)
        scores = np.empty((len(queries), 0), np.float32)
        if wanted:
            scores, rows = self._index().search(np.ascontiguousarray(queries), wanted, params=_selector(base))
        if self.tail is not None:
            side = self.tail
            tail_scores = queries @ np.concatenate([side.z, side.hub[:, None]], axis=1).T
            tail_rows = np.arange(self.rows, self.total_rows)
            if allowed is not None:
                keep = np.isin(tail_rows, allowed)
                tail_scores, tail_rows = tail_scores[:, keep], tail_rows[keep]
            scores = np.concatenate([scores, tail_scores], axis=1)
            rows = np.concatenate([rows, np.broadcast_to(tail_rows, tail_scores.shape)], axis=1)
        return _top(scores, rows, count)

    def gather_z(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), k) float32."""
        return self._gather(rows, self.z, None if self.tail is None else self.tail.z)

    def gather_hub(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float32."""
        return self._gather(rows, self.hub, None if self.tail is None else self.tail.hub)

    def gather_hidden(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), m) float32."""
        return self._gather(rows, self.hidden, None if self.tail is None else self.tail.hidden)

    def _gather(self, rows: np.ndarray, base: np.ndarray, tail: np.ndarray | None) -> np.ndarray:
        if tail is None:
            return base[rows].astype(np.float32)
        gathered = np.empty((len(rows), *base.shape[1:]), np.float32)
        late = rows >= self.rows
        gathered[~late] = base[rows[~late]]
        gathered[late] = tail[rows[late] - self.rows]
        return gathered

    def _index(self) -> Any:
        if self._candidates is None:
            import faiss

            faiss.omp_set_num_threads(1)
            self._candidates = faiss.read_index(str(self.folder / "candidates.faiss"))
        return self._candidates


def build_view(
    views: Path, ranker: ViewMaker, embeddings: np.ndarray, on_progress: Callable[[int, int], None] | None = None
) -> tuple[str, int]:
    """Write a new view of `embeddings` (n, d) float16 under `views`; returns (id, n). Memory does not grow with n."""
    import faiss

    views.mkdir(exist_ok=True)
    rows = len(embeddings)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=views))
    try:
        index: Any = None
        with (
            open(scratch / "z.f16", "wb") as z_file,
            open(scratch / "hidden.f16", "wb") as hidden_file,
            open(scratch / "hub.f32", "wb") as hub_file,
        ):
            for start in range(0, rows, BLOCK_ROWS):
                side = ranker.photo_side(np.asarray(embeddings[start : start + BLOCK_ROWS], np.float32))
                if index is None:
                    index = _empty_index(faiss, side.z.shape[1] + 1, rows)
                index.add(np.ascontiguousarray(np.concatenate([side.z, side.hub[:, None]], axis=1), np.float32))
                z_file.write(side.z.astype("<f2").tobytes())
                hidden_file.write(side.hidden.astype("<f2").tobytes())
                hub_file.write(side.hub.astype("<f4").tobytes())
                if on_progress is not None:
                    on_progress(min(start + BLOCK_ROWS, rows), rows)
        if index is None:
            raise PhotoseekError("the index holds no photos; build it first: photoseek build PHOTOS")
        faiss.write_index(index, str(scratch / "candidates.faiss"))
        ranker.save(scratch / "ranker")
        shape = {"rows": rows, "k": side.z.shape[1], "hidden": side.hidden.shape[1], "ranker": ranker.id}
        (scratch / "view.json").write_text(json.dumps(shape, indent=1))
        for path in [*scratch.rglob("*"), scratch]:
            _fsync(path)
        name = f"{ranker.id}-{scratch.name.removeprefix('.building-')}"
        scratch.chmod(0o755)
        os.rename(scratch, views / name)
        _fsync(views)
        return name, rows
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def open_view(folder: Path) -> View:
    """Map a finished view read-only."""
    try:
        shape = json.loads((folder / "view.json").read_text())
        rows, k, m = shape["rows"], shape["k"], shape["hidden"]
        z = np.memmap(folder / "z.f16", "<f2", "r", shape=(rows, k))
        hidden = np.memmap(folder / "hidden.f16", "<f2", "r", shape=(rows, m))
        hub = np.memmap(folder / "hub.f32", "<f4", "r", shape=(rows,))
    except (OSError, ValueError, KeyError) as error:
        raise PhotoseekError(f"view {folder} is damaged ({error}); run: photoseek use RANKER") from None
    return View(folder, rows, z, hub, hidden)


def _empty_index(faiss: Any, dim: int, rows: int) -> Any:
    if rows <= FLOAT32_ROWS:
        return faiss.IndexFlatIP(dim)
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _selector(rows: np.ndarray | None) -> Any:
    if rows is None:
        return None
    import faiss

    return faiss.SearchParameters(sel=faiss.IDSelectorBatch(rows))


def _top(scores: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` best of each line, best first, ties by row. rows: (c,) or (b, c)."""
    rows = np.broadcast_to(rows, scores.shape)
    count = min(count, scores.shape[1])
    order = np.lexsort((rows, -scores), axis=1)[:, :count]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1).astype(np.float32)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
