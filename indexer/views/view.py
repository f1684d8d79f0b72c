"""A view, open: what one ranker adds to one index. `indexer.views.build` makes them."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from indexer.errors import PhotoseekError
from indexer.storage.half_precision import to_float32
from indexer.storage.mapped_files import prefetch, read_at_random
from indexer.views.ann_search import REFINED_ROWS, Candidates, Tuning, best
from indexer.views.byte_codes import ByteCodes

# Filters that keep fewer rows than this are scored directly, without the structure.
DIRECT_ROWS = 10_000
# Beside view.json: the mean directions of the kinds of query that it names.
MEANS = "kinds.npy"
# Beside candidates.faiss, where there are lists.
CODES = "codes.u8"


@dataclass(frozen=True, slots=True)
class EncodedPhotos:
    """What a ranker computes once a photo.

    `z`: (n, k) float32, unit rows; `hubness`: (n,) float32, how near a photo is to queries at large;
    `hidden`: (n, m) float32, the photo's share of the reranker's first layer. `regions`: (n, count, m) int8, what it
    makes of the photo's region vectors, None where there are none or it does not use them.
    """

    z: np.ndarray
    hubness: np.ndarray
    hidden: np.ndarray
    regions: np.ndarray | None = None


@dataclass(slots=True)
class View:
    """An open view, with the photos that came after it (the tail) scored exactly beside it.

    `z` and `hidden` are float16 memory maps, (rows, k) and (rows, m); `hubness` (rows,) float32; `regions`
    (rows, count, m) int8, or None. The first `indexed` rows are in the candidate structure, the others were appended;
    `tuning` and `codes` as in `ann_search`. `saw_regions`: whether it was built from an index with regions,
    whatever its ranker made of them; `ranker_id`: whose it is, or empty. Everything is open, so a view that a newer one
    replaces in the meantime stays whole.
    """

    folder: Path
    rows: int
    indexed: int
    z: np.ndarray
    hubness: np.ndarray
    hidden: np.ndarray
    file: BinaryIO = field(repr=False)
    tuning: Tuning | None = None
    codes: ByteCodes | None = field(default=None, repr=False)
    regions: np.ndarray | None = None
    saw_regions: bool = False
    ranker_id: str = ""
    tail: EncodedPhotos | None = None
    _candidates: Candidates | None = field(default=None, repr=False)
    _reading: Any = field(default_factory=threading.Lock, repr=False)
    _beside: tuple[int, np.ndarray] | None = field(default=None, repr=False)
    _divided: tuple[np.ndarray, np.ndarray, np.ndarray] | None = field(default=None, repr=False)

    @property
    def ranker_folder(self) -> Path:
        return self.folder / "ranker"

    @property
    def total_rows(self) -> int:
        return self.rows + (0 if self.tail is None else len(self.tail.hubness))

    def search(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None, threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best `count` rows a query by inner product with `[z ; hubness]`.

        queries: (b, k + 1) float32, the last coordinate weighs the hub term. allowed: sorted rows to choose from, or
        None for all; threads: how many search a batch, None for one a core. Returns rows (b, c) int64 and scores (b, c)
        float32 with c <= count, best first, ties by row.
        """
        inside, late = None, np.arange(self.total_rows - self.indexed)
        if allowed is not None:
            inside, late = self._divide(allowed)
            chosen = len(inside) + len(late)
            if chosen <= min(DIRECT_ROWS, self.total_rows // 2):
                return best(self._scores(queries, allowed[:chosen]), allowed[:chosen], count)
        structure = self._structure()
        cold = structure.cold
        scores, rows = structure.search(queries, count, inside, threads)
        if len(late):
            late_scores = (queries @ self._vectors_beside().T)[:, late]
            scores = np.concatenate([scores, late_scores], axis=1)
            rows = np.concatenate([rows, np.broadcast_to(late + self.indexed, late_scores.shape)], axis=1)
        found, scores = best(scores, rows, count)
        if cold:
            # They are gathered next.
            needed = np.array(sorted({row for row in found[:cold].ravel().tolist() if row < self.rows}), np.int64)
            prefetch(self.hidden, needed, self.hidden.strides[0])
            if self.regions is not None:
                prefetch(self.regions, needed, self.regions.strides[0])
        return found, scores

    def _scores(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Of queries (b, k + 1) with rows: (b, len(rows)) float32."""
        scores = queries[:, -1:] * self.gather_hubness(rows)
        for start in range(0, len(rows), REFINED_ROWS):
            part = slice(start, start + REFINED_ROWS)
            scores[:, part] += queries[:, :-1] @ self.gather_z(rows[part]).T
        return scores

    def _divide(self, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sorted rows -> those in the structure, and the places of the others among the rows beside it. Rows that were
        added since this was opened are passed over. The last answer is kept, as searches come with the same rows."""
        kept = self._divided
        if kept is None or kept[0] is not allowed:
            first, last = np.searchsorted(allowed, (self.indexed, self.total_rows))
            kept = self._divided = allowed, allowed[:first], allowed[first:last] - self.indexed
        return kept[1:]

    def _vectors_beside(self) -> np.ndarray:
        """`[z ; hubness]` of the rows that are not in the structure: (n, k + 1) float32."""
        if self._beside is None or self._beside[0] != self.total_rows:
            rows = np.arange(self.indexed, self.total_rows)
            vectors = np.concatenate([self.gather_z(rows), self.gather_hubness(rows)[:, None]], axis=1)
            self._beside = self.total_rows, vectors
        return self._beside[1]

    def gather_z(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), k) float32."""
        return self._gather(rows, self.z, None if self.tail is None else self.tail.z)

    def gather_hubness(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float32."""
        return self._gather(rows, self.hubness, None if self.tail is None else self.tail.hubness)

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
        self._structure()

    def _structure(self) -> Candidates:
        with self._reading:
            if self._candidates is None:
                try:
                    found = Candidates.read(self.file, self.z, self.hubness, self.tuning, self.codes)
                    if found.rows != self.indexed:
                        raise RuntimeError("not of these rows")
                except RuntimeError:
                    raise damaged(self.folder, "candidates.faiss cannot be read") from None
                finally:
                    self.file.close()
                self._candidates = found
            return self._candidates


def open_view(folder: Path, rows: int | None = None) -> View:
    """Map a finished view read-only; `rows`: how many it has by now, by default those that it was built with."""
    try:
        shape = json.loads((folder / "view.json").read_text())
        indexed = shape["rows"]
        count = indexed if rows is None else rows
        z, hubness, hidden = (mapped_file(folder, name, count, shape) for name in ("z.f16", "hub.f32", "hidden.f16"))
        regions = mapped_file(folder, "regions.i8", count, shape) if shape.get("regions", (0, 0))[0] else None
        tuned = shape.get("tuning")
        tuning = None if tuned is None else Tuning.of_card(tuned, np.load(folder / MEANS), shape["k"] + 1)
        codes = None if tuning is None else ByteCodes.open(folder / CODES, indexed)
        saw_regions = bool(shape.get("saw_regions"))
        file = open(folder / "candidates.faiss", "rb")  # noqa: SIM115
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, str(error)) from None
    for gathered in (z, hidden, *([] if codes is None else [codes.codes])):
        read_at_random(gathered)
    return View(
        folder, count, indexed, z, hubness, hidden, file, tuning, codes, regions, saw_regions, shape.get("ranker", "")
    )


def is_whole(folder: Path, rows: int | None = None, with_regions: bool = False) -> bool:
    """Whether a view of so many rows can be opened and searched and its ranker is as it was saved; `with_regions`: and
    whether it was built from an index with regions."""
    try:
        view = open_view(folder, rows)
        view.open_candidates()
        kept = json.loads((folder / "view.json").read_text()).get("ranker_files")
        if kept is not None and kept != digests(view.ranker_folder):
            return False
    except (PhotoseekError, OSError):
        return False
    return view.saw_regions or not with_regions


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, in hex digits."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def mapped_file(folder: Path, name: str, rows: int, shape: dict[str, Any]) -> np.memmap:
    widths = {"z.f16": (shape["k"],), "hidden.f16": (shape["hidden"],), "hub.f32": ()}
    width = widths[name] if name in widths else tuple(shape["regions"])
    return np.memmap(folder / name, {"f16": "<f2", "f32": "<f4", ".i8": "i1"}[name[-3:]], "r", shape=(rows, *width))


def _read(file: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a mapped file, halves as float32. As a plain array: whatever is made from a memmap is slow like one."""
    found = np.asarray(file).take(rows, axis=0)
    return to_float32(found) if found.dtype == np.float16 else found


def damaged(folder: Path, what: str) -> PhotoseekError:
    """What to raise for a view that cannot be used."""
    return PhotoseekError(f"view {folder} is damaged ({what}); run: photoseek use RANKER -i {folder.parents[1]}")
