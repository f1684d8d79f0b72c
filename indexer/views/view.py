"""Open and search a view: what one ranker adds to one index. `indexer.views.build` makes views."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError
from indexer.storage.half_precision import to_float32
from indexer.storage.mapped_files import prefetch, read_at_random
from indexer.views import view_files
from indexer.views.ann_search import REFINED_ROWS, Tuning, top_rows
from indexer.views.byte_codes import ByteCodes
from indexer.views.lazy_structure import LazyStructure
from indexer.views.view_files import ViewCard, digests, explain_view_errors, map_file, read_card

# Filters that keep fewer rows than this are scored row by row, without the structure.
DIRECT_ROWS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPhotos:
    """Arrays that a ranker computes once per photo.

    Attributes:
        z: (n, k) float32, unit rows in the space that photos and queries share.
        hubness: (n,) float32, how near a photo is to queries at large.
        hidden: (n, m) float32, the photo's share of the first hidden layer of the ranker's MLPs.
        regions: (n, count, m) int8, what the ranker makes of the photo's region vectors; None if there are none, or if
            it does not use them.
    """

    z: np.ndarray
    hubness: np.ndarray
    hidden: np.ndarray
    regions: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "EncodedPhotos":
        """Return some of the photos.

        Args:
            rows: (c,) int64 places among the photos.
        """
        regions = None if self.regions is None else self.regions[rows]
        return EncodedPhotos(self.z[rows], self.hubness[rows], self.hidden[rows], regions)


@dataclass(slots=True)
class _LastAnswers:
    """Intermediate results that the searches of a view need again and again.

    `divided`: allowed rows, those of them in the structure, and the places of the others beside it;
    `beside`: (n, k + 1) float32, the vectors beside it.
    """

    divided: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    beside: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """An open view. Its candidate structure holds the first rows; those that came later are scored exactly beside it.

    Everything is open, so a view that a newer one replaces in the meantime stays whole.

    Attributes:
        folder: The view's folder.
        rows: Rows in its files.
        indexed_rows: How many of these, the first, are in the candidate structure; the others were appended.
        z: (rows, k) float16, memory-mapped, as in `EncodedPhotos`.
        hubness: (rows,) float32, memory-mapped.
        hidden: (rows, m) float16, memory-mapped.
        regions: (rows, count, m) int8, memory-mapped, or None.
        structure: The candidate structure.
        tuning: How its lists are searched, None where every row is scored.
        codes: 8-bit codes of the rows in it, None where every row is scored.
        built_with_regions: Whether the index kept regions, whatever the ranker made of them.
        ranker_id: Id of its ranker, "" if it is not known.
        tail: Photos that are in the index and not in the view's files.
    """

    folder: Path
    rows: int
    indexed_rows: int
    z: np.ndarray
    hubness: np.ndarray
    hidden: np.ndarray
    regions: np.ndarray | None = None
    structure: LazyStructure = field(repr=False)
    tuning: Tuning | None = None
    codes: ByteCodes | None = field(default=None, repr=False)
    built_with_regions: bool = False
    ranker_id: str = ""
    tail: EncodedPhotos | None = None
    _last: _LastAnswers = field(default_factory=_LastAnswers, init=False, repr=False)

    @property
    def ranker_folder(self) -> Path:
        """Folder of the view's own copy of its ranker."""
        return self.folder / view_files.RANKER

    @property
    def total_rows(self) -> int:
        """Number of photos that can be found, those of the tail included."""
        return self.rows + (0 if self.tail is None else len(self.tail.hubness))

    def with_tail(self, photos: EncodedPhotos) -> "View":
        """Return this view with photos behind its rows, which are scored exactly.

        Args:
            photos: What the view's ranker makes of the index's rows from `rows` on.
        """
        return replace(self, tail=photos)

    def with_tuning(self, tuning: Tuning) -> "View":
        """Return this view with another tuning of the same lists."""
        return replace(self, tuning=tuning)

    def search(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None, threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the best rows of each query by inner product with `[z ; hubness]`.

        Args:
            queries: (b, k + 1) float32; the last coordinate weighs the hubness.
            count: How many rows of each are wanted.
            allowed: Sorted rows to choose from, None for all.
            threads: How many threads search a batch, None for one per usable core.

        Returns:
            Rows (b, c) int64 and scores (b, c) float32 with c <= count, best first, ties by row.

        Raises:
            PhotoseekError: The candidate structure is damaged.
        """
        inside, late = None, np.arange(self.total_rows - self.indexed_rows)
        if allowed is not None:
            inside, late = self._divide(allowed)
            chosen = len(inside) + len(late)
            if chosen <= min(DIRECT_ROWS, self.total_rows // 2):
                return top_rows(self._scores(queries, allowed[:chosen]), allowed[:chosen], count)
        structure = self.structure.get()
        cold = structure.cold
        scores, rows = structure.search(queries, count, inside, self.tuning, threads)
        if len(late):
            late_scores = (queries @ self._vectors_beside().T)[:, late]
            scores = np.concatenate([scores, late_scores], axis=1)
            rows = np.concatenate([rows, np.broadcast_to(late + self.indexed_rows, late_scores.shape)], axis=1)
        found, scores = top_rows(scores, rows, count)
        if cold:
            self._prefetch_reranking(found[:cold])
        return found, scores

    def open_candidates(self) -> None:
        """Read the candidate structure now rather than at the first search.

        Raises:
            PhotoseekError: It is damaged.
        """
        self.structure.get()

    def close(self) -> None:
        """Close the file of the candidate structure; the mapped arrays go with the view."""
        self.structure.close()

    def gather(self, rows: np.ndarray) -> EncodedPhotos:
        """Return what the view keeps of some photos.

        Args:
            rows: (c,) int64 rows of the index.
        """
        hidden = self._gather(rows, self.hidden, None if self.tail is None else self.tail.hidden)
        regions = None
        if self.regions is not None:
            regions = self._gather(rows, self.regions, None if self.tail is None else self.tail.regions, np.int8)
        return EncodedPhotos(self.gather_z(rows), self.gather_hubness(rows), hidden, regions)

    def gather_z(self, rows: np.ndarray) -> np.ndarray:
        """Return `z` of some photos.

        Args:
            rows: (c,) int64 rows of the index.

        Returns:
            (c, k) float32.
        """
        return self._gather(rows, self.z, None if self.tail is None else self.tail.z)

    def gather_hubness(self, rows: np.ndarray) -> np.ndarray:
        """Return the hubness of some photos.

        Args:
            rows: (c,) int64 rows of the index.

        Returns:
            (c,) float32.
        """
        return self._gather(rows, self.hubness, None if self.tail is None else self.tail.hubness)

    def _gather(
        self, rows: np.ndarray, base: np.ndarray, tail: np.ndarray | None, dtype: type = np.float32
    ) -> np.ndarray:
        """Read rows of one of the view's files and of the tail behind it."""
        if tail is None:
            return _read_rows(base, rows)
        gathered = np.empty((len(rows), *base.shape[1:]), dtype)
        late = rows >= self.rows
        gathered[~late] = _read_rows(base, rows[~late])
        gathered[late] = tail[rows[late] - self.rows]
        return gathered

    def _scores(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Score rows for queries (b, k + 1) without the structure: (b, len(rows)) float32."""
        scores = queries[:, -1:] * self.gather_hubness(rows)
        for start in range(0, len(rows), REFINED_ROWS):
            part = slice(start, start + REFINED_ROWS)
            scores[:, part] += queries[:, :-1] @ self.gather_z(rows[part]).T
        return scores

    def _divide(self, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Divide sorted rows into those in the structure and the places of the others among the rows beside it.

        Rows that were added since this was opened are passed over. The last answer is kept, as searches come with the
        same rows.
        """
        kept = self._last.divided
        if kept is None or kept[0] is not allowed:
            first, last = np.searchsorted(allowed, (self.indexed_rows, self.total_rows))
            kept = self._last.divided = allowed, allowed[:first], allowed[first:last] - self.indexed_rows
        return kept[1:]

    def _vectors_beside(self) -> np.ndarray:
        """Return `[z ; hubness]` of the rows that are not in the structure, (n, k + 1) float32."""
        if self._last.beside is None:
            rows = np.arange(self.indexed_rows, self.total_rows)
            self._last.beside = np.concatenate([self.gather_z(rows), self.gather_hubness(rows)[:, None]], axis=1)
        return self._last.beside

    def _prefetch_reranking(self, found: np.ndarray) -> None:
        """Ask the system to read what reranking will gather of rows (b, c)."""
        needed = np.array(sorted({row for row in found.ravel().tolist() if row < self.rows}), np.int64)
        prefetch(self.hidden, needed, self.hidden.strides[0])
        if self.regions is not None:
            prefetch(self.regions, needed, self.regions.strides[0])


def open_view(folder: Path, rows: int | None = None, structure_digest: bytes | None = None) -> View:
    """Map a finished view read-only.

    Args:
        folder: Its folder.
        rows: How many rows it has by now, by default those that it was built with.
        structure_digest: SHA-256 of its candidate structure, which is checked before it is read; None if it is not
            known.

    Raises:
        PhotoseekError: It is damaged.
    """
    with explain_view_errors(folder, view_files.CARD):
        card = read_card(folder)
    count = card.rows if rows is None else rows
    names = (view_files.Z, view_files.HUBNESS, view_files.HIDDEN)
    z, hubness, hidden = (_map(folder, name, count, card) for name in names)
    regions = _map(folder, view_files.REGIONS, count, card) if card.region_shape[0] else None
    tuning = codes = None
    if card.kinds:
        with explain_view_errors(folder, view_files.MEANS):
            tuning = _read_tuning(folder, card)
        with explain_view_errors(folder, view_files.CODES):
            codes = ByteCodes.open(folder / view_files.CODES, card.rows)
    with explain_view_errors(folder, view_files.STRUCTURE):
        file = open(folder / view_files.STRUCTURE, "rb")  # noqa: SIM115 - closed once it is read
    for gathered in (z, hidden, *([] if codes is None else [codes.codes])):
        read_at_random(gathered)
    return View(
        folder=folder,
        rows=count,
        indexed_rows=card.rows,
        z=z,
        hubness=hubness,
        hidden=hidden,
        regions=regions,
        structure=LazyStructure(folder, file, z, hubness, codes, card.rows, structure_digest),
        tuning=tuning,
        codes=codes,
        built_with_regions=card.built_with_regions,
        ranker_id=card.ranker_id,
    )


def is_whole(folder: Path, rows: int | None = None, with_regions: bool = False) -> bool:
    """Return whether a view can be opened and searched, and its ranker is as it was saved.

    Args:
        folder: Its folder.
        rows: How many rows it has by now, by default those that it was built with.
        with_regions: Whether it must have been built from an index with regions, too.
    """
    try:
        view = open_view(folder, rows)
        view.open_candidates()
        kept = read_card(folder).ranker_files
        if kept is not None and kept != digests(view.ranker_folder):
            return False
    except (PhotoseekError, OSError):
        return False
    return view.built_with_regions or not with_regions


def _map(folder: Path, name: str, rows: int, card: ViewCard) -> np.memmap:
    """Map the first rows of a file of a view. Raises PhotoseekError if it cannot be read or is too short."""
    with explain_view_errors(folder, name):
        return map_file(folder, name, rows, card)


def _read_tuning(folder: Path, card: ViewCard) -> Tuning:
    """Read how the lists of a view are searched. Raises ValueError if its files do not fit together."""
    means = np.load(folder / view_files.MEANS)
    if means.shape != (len(card.kinds), card.z_width + 1):
        raise ValueError("other means than kinds")
    return Tuning(card.nlist, card.kinds, np.asarray(means, np.float32))


def _read_rows(file: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Read rows of a mapped file, float16 as float32, into a plain array, which is quicker to use than a memmap."""
    found = np.asarray(file).take(rows, axis=0)
    return to_float32(found) if found.dtype == np.float16 else found
