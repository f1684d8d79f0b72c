"""Views: what one ranker adds to one index. Built beside, renamed, named in the catalogue; read-only ever after."""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from indexer.durable import fsync
from indexer.errors import PhotoseekError
from indexer.half import widened

# Above this many photos the candidate vectors are kept in half precision, which costs no recall that can be measured.
FLOAT32_ROWS = 50_000
BLOCK_ROWS = 16_384
REGION_BLOCK_ROWS = 4_096  # ten regions of 512 are 84 MB then, should the ranker make float32 of them
# Filters that keep fewer rows than this are scored directly, without the index.
DIRECT_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class PhotoSide:
    """What a ranker computes once a photo.

    `z`: (n, k) float32, unit rows; `hub`: (n,) float32, how near a photo is to queries at large;
    `hidden`: (n, m) float32, the photo's share of the reranker's first layer. `regions`: (n, count, m) int8, what it
    makes of the photo's region vectors, None where there are none or it does not use them.
    """

    z: np.ndarray
    hub: np.ndarray
    hidden: np.ndarray
    regions: np.ndarray | None = None


class ViewMaker(Protocol):
    """The part of a ranker that the indexer knows."""

    @property
    def id(self) -> str: ...

    @property
    def image_encoder(self) -> str: ...

    @property
    def text_encoder(self) -> str: ...

    def photo_side(self, embeddings: np.ndarray, regions: np.ndarray | None) -> PhotoSide: ...

    def save(self, folder: Path) -> None: ...


@dataclass(slots=True)
class View:
    """An open view, with the photos that came after it (the tail) scored exactly beside it.

    `z` and `hidden` are float16 memory maps, (rows, k) and (rows, m); `hub` (rows,) float32; `regions`
    (rows, count, m) int8, or None. `saw_regions`: whether it was built from an index with regions, whatever its ranker
    made of them. Everything is open, so a view that a newer one replaces in the meantime stays whole.
    """

    folder: Path
    rows: int
    z: np.ndarray
    hub: np.ndarray
    hidden: np.ndarray
    file: BinaryIO = field(repr=False)
    regions: np.ndarray | None = None
    saw_regions: bool = False
    tail: PhotoSide | None = None
    _candidates: Any = field(default=None, repr=False)
    _reading: Any = field(default_factory=threading.Lock, repr=False)

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
        if allowed is not None:
            allowed = allowed[allowed < self.total_rows]  # others were added since this was opened
        if allowed is not None and len(allowed) <= min(DIRECT_ROWS, self.total_rows // 2):
            vectors = np.concatenate([self.gather_z(allowed), self.gather_hub(allowed)[:, None]], axis=1)
            return _top(queries @ vectors.T, allowed, count)
        base = allowed[allowed < self.rows] if allowed is not None else None
        scores, rows = self._search_index(queries, count, base)
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

    def _search_index(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores and rows of the best `count` or more, none of them tied with one that is left out."""
        available = self.rows if allowed is None else len(allowed)
        wanted = min(count, available)
        if not wanted:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        faiss = _faiss()
        chosen = None
        if allowed is not None:
            bits = np.zeros(self.rows, bool)
            bits[allowed] = True
            chosen = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little")))
        while True:
            asked = min(wanted + 1, available)
            scores, rows = self._index().search(np.ascontiguousarray(queries, np.float32), asked, params=chosen)
            if asked == available or (scores[:, count - 1] > scores[:, -1]).all():
                return scores, rows
            wanted = 4 * wanted

    def gather_z(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), k) float32."""
        return self._gather(rows, self.z, None if self.tail is None else self.tail.z)

    def gather_hub(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float32."""
        return self._gather(rows, self.hub, None if self.tail is None else self.tail.hub)

    def gather_hidden(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), m) float32."""
        return self._gather(rows, self.hidden, None if self.tail is None else self.tail.hidden)

    def gather_regions(self, rows: np.ndarray) -> np.ndarray | None:
        """(len(rows), count, m) int8, or None if the view has none."""
        if self.regions is None:
            return None
        return self._gather(rows, self.regions, None if self.tail is None else self.tail.regions, np.int8)

    def _gather(
        self, rows: np.ndarray, base: np.ndarray, tail: np.ndarray | None, dtype: type = np.float32
    ) -> np.ndarray:
        if tail is None:
            return _read(base, rows)
        gathered = np.empty((len(rows), *base.shape[1:]), dtype)
        late = rows >= self.rows
        gathered[~late] = _read(base, rows[~late])
        gathered[late] = tail[rows[late] - self.rows]
        return gathered

    def open_candidates(self) -> None:
        """Read the candidate structure now rather than at the first search. Raises PhotoseekError if it is damaged."""
        self._index()

    def _index(self) -> Any:
        with self._reading:
            if self._candidates is None:
                faiss = _faiss()
                faiss.omp_set_num_threads(1)
                try:
                    self._candidates = faiss.read_index(faiss.PyCallbackIOReader(self.file.read))
                except RuntimeError:
                    raise _damaged(self.folder, "candidates.faiss cannot be read") from None
                finally:
                    self.file.close()
            return self._candidates


def build_view(
    views: Path,
    ranker: ViewMaker,
    embeddings: np.ndarray,
    regions: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[str, int]:
    """Write a new view of `embeddings` (n, d) float16 and `regions` (n, count, w) int8 under `views`; returns (id, n).

    Holds the candidate vectors, and no more than a block of anything else, in memory.
    """
    faiss = _faiss()
    views.mkdir(exist_ok=True)
    rows = len(embeddings)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=views))
    try:
        index: Any = None
        block = BLOCK_ROWS if regions is None else REGION_BLOCK_ROWS
        for start in range(0, rows, block):
            stop = min(start + block, rows)
            x = np.asarray(embeddings[start:stop], np.float32)
            side = ranker.photo_side(x, None if regions is None else regions[start:stop])
            if index is None:
                index = _empty_index(faiss, side.z.shape[1] + 1, rows)
            index.add(np.ascontiguousarray(np.concatenate([side.z, side.hub[:, None]], axis=1), np.float32))
            parts = {"z.f16": side.z.astype("<f2"), "hidden.f16": side.hidden.astype("<f2")}
            parts["hub.f32"] = side.hub.astype("<f4")
            if side.regions is not None:
                parts["regions.i8"] = side.regions
            for file_name, part in parts.items():
                with open(scratch / file_name, "ab") as file:
                    file.write(part.tobytes())
            if on_progress is not None:
                on_progress(stop, rows)
        if index is None:
            raise PhotoseekError("the index holds no photos; build it first: photoseek build PHOTOS")
        try:
            faiss.write_index(index, str(scratch / "candidates.faiss"))
        except RuntimeError:
            raise PhotoseekError(f"view under {views} cannot be written; is the disk full?") from None
        ranker.save(scratch / "ranker")
        shape = {
            "rows": rows,
            "k": side.z.shape[1],
            "hidden": side.hidden.shape[1],
            "regions": [0, 0] if side.regions is None else side.regions.shape[1:],
            "saw_regions": regions is not None,
            "ranker": ranker.id,
        }
        (scratch / "view.json").write_text(json.dumps(shape, indent=1))
        for path in [*scratch.rglob("*"), scratch]:
            fsync(path)
        name = f"{ranker.id}-{scratch.name.removeprefix('.building-')}"
        scratch.chmod(0o755)
        os.rename(scratch, views / name)
        fsync(views)
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
        count, width = shape.get("regions", (0, 0))  # views of older versions have none
        regions = np.memmap(folder / "regions.i8", np.int8, "r", shape=(rows, count, width)) if count else None
        saw_regions = bool(shape.get("saw_regions"))
        return View(folder, rows, z, hub, hidden, open(folder / "candidates.faiss", "rb"), regions, saw_regions)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, str(error)) from None


def is_whole(folder: Path, with_regions: bool = False) -> bool:
    """Whether a view can be opened and searched; `with_regions`: and was built from an index with regions."""
    try:
        view = open_view(folder)
        view._index()
    except PhotoseekError:
        return False
    return view.saw_regions or not with_regions


def _empty_index(faiss: Any, dim: int, rows: int) -> Any:
    if rows <= FLOAT32_ROWS:
        return faiss.IndexFlatIP(dim)
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _top(scores: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` best of each line, best first, ties by row. rows: (c,) or (b, c)."""
    rows = np.broadcast_to(rows, scores.shape)
    count = min(count, scores.shape[1])
    best = np.empty((len(scores), count), np.int64)
    for i, line in enumerate(scores):
        some = np.arange(len(line))
        if 0 < count < len(line):
            some = np.flatnonzero(line >= np.partition(line, len(line) - count)[len(line) - count])
        best[i] = some[np.lexsort((rows[i, some], -line[some]))][:count]
    return np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1).astype(np.float32)


def _read(file: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a mapped file, halves as float32. As a plain array: whatever is made from a memmap is slow like one."""
    found = np.asarray(file)[rows]
    return widened(found) if found.dtype == np.float16 else found


def _damaged(folder: Path, what: str) -> PhotoseekError:
    return PhotoseekError(f"view {folder} is damaged ({what}); run: photoseek use RANKER -i {folder.parents[1]}")


def _faiss() -> Any:
    import faiss  # typed as Any: its stubs lack the keyword arguments that its own wrappers add

    return faiss
