"""Build views: beside, then renamed, then named in the catalogue; later rows are only ever appended."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from indexer.errors import PhotoseekError
from indexer.storage import vector_files
from indexer.storage.atomic_files import fsync
from indexer.storage.half_precision import to_float32
from indexer.storage.mapped_files import release_pages
from indexer.views.ann_build import EXACT_BYTES, build, is_large
from indexer.views.view import CODES, MEANS, EncodedPhotos, digests, is_whole, mapped_file, open_view

BLOCK_ROWS = 4_096  # ten regions of 512 are 84 MB then, should the ranker make float32 of them
# So many rows that came later are scored beside the structure before all is built anew: a share of it, and a limit.
TAIL_SHARE, TAIL_ROWS = 0.05, 10_000


class ViewMaker(Protocol):
    """The part of a ranker that the indexer knows."""

    @property
    def id(self) -> str: ...

    @property
    def image_encoder(self) -> str: ...

    @property
    def text_encoder(self) -> str: ...

    def encode_photos(self, embeddings: np.ndarray, regions: np.ndarray | None) -> EncodedPhotos: ...

    def queries(self) -> Mapping[str, np.ndarray]:
        """Typical candidate queries by kind, (s, k + 1) float32, to which a search of many photos is tuned; without
        any, every photo is scored."""

    def save(self, folder: Path) -> None: ...


def renew_view(
    views: Path,
    active: tuple[str, int],
    ranker: ViewMaker,
    embeddings: np.ndarray,
    regions: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[str, int]:
    """Bring the active view (id, rows) to the ranker and all rows of `embeddings`; returns the (id, rows) to activate.

    A whole view of the ranker stays as it is, or gets the rows that it lacks, if those are few; else one is built.
    """
    name, rows = active
    same = name.rpartition("-")[0] == ranker.id
    if not same or not is_whole(views / name, rows, with_regions=regions is not None):
        return build_view(views, ranker, embeddings, regions, on_progress)
    if rows == len(embeddings):
        return active
    if not may_extend(views / name, rows, len(embeddings)):
        return build_view(views, ranker, embeddings, regions, on_progress)
    late = None if regions is None else regions[rows:]
    return name, rows + extend_view(views / name, ranker, rows, embeddings[rows:], late)


def build_view(
    views: Path,
    ranker: ViewMaker,
    embeddings: np.ndarray,
    regions: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    exact_bytes: int = EXACT_BYTES,
) -> tuple[str, int]:
    """Write a new view of `embeddings` (n, d) float16 and `regions` (n, count, w) int8 under `views`; returns (id, n).

    Holds what candidates are found with, and no more than some blocks of anything else, in memory. Every row is scored
    while vectors take no more than `exact_bytes` in float32.
    """
    views.mkdir(exist_ok=True)
    rows = len(embeddings)
    if not rows:
        raise PhotoseekError("the index holds no photos; build it first: photoseek build PHOTOS")
    report = on_progress or (lambda _done, _total: None)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=views))
    try:
        shape: dict[str, Any] = {"rows": rows}
        for start, side in _sides(ranker, embeddings, regions, 0):
            for name, part in _parts(side).items():
                with open(scratch / name, "ab") as file:
                    file.write(part.tobytes())
            # A structure of lists takes its own three rounds.
            steps = rows * (1 + 3 * is_large(rows, side.z.shape[1] + 1, exact_bytes))
            report(start + len(side.hubness), steps)
            shape["k"], shape["hidden"] = side.z.shape[1], side.hidden.shape[1]
            shape["regions"] = [0, 0] if side.regions is None else side.regions.shape[1:]
        z, hubness = (mapped_file(scratch, name, rows, shape) for name in ("z.f16", "hub.f32"))
        behind = (lambda done, _: report(rows + done, steps)) if steps > rows else (lambda _, __: None)
        found = build(scratch / "candidates.faiss", scratch / CODES, z, hubness, ranker.queries, behind, exact_bytes)
        if steps > rows:
            report(steps, steps)
        ranker.save(scratch / "ranker")
        shape["saw_regions"], shape["ranker"] = regions is not None, ranker.id
        shape["ranker_files"] = digests(scratch / "ranker")
        # How the structure is tuned, or why it scores every row.
        if isinstance(found, str):
            shape["exact"] = found
        else:
            shape["tuning"] = found.card()
            np.save(scratch / MEANS, found.means)
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


def extend_view(
    folder: Path, ranker: ViewMaker, rows: int, embeddings: np.ndarray, regions: np.ndarray | None = None
) -> int:
    """Append the rows of `embeddings` (n, d) float16 behind the first `rows` to the view's files; returns n.

    They exist once the catalogue names them: what an interrupted call left behind is written over by the next.
    """
    for start, side in _sides(ranker, embeddings, regions, rows):
        for name, part in _parts(side).items():
            flat = part.reshape(len(part), -1)
            vector_files.append(folder / name, start, flat, flat.dtype)
    return len(embeddings)


def may_extend(folder: Path, rows: int, total: int) -> bool:
    """Whether a view of `rows` rows is to grow to `total` by appending: few rows lie beside its structure then."""
    return total - open_view(folder, rows).indexed <= min(TAIL_ROWS, TAIL_SHARE * total)


def _sides(
    ranker: ViewMaker, embeddings: np.ndarray, regions: np.ndarray | None, first: int
) -> Iterator[tuple[int, EncodedPhotos]]:
    """What the ranker makes of photos, block by block, each with the row that it begins at; the first is `first`."""
    for start in range(0, len(embeddings), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        x = to_float32(embeddings[block])
        yield first + start, ranker.encode_photos(x, None if regions is None else regions[block])
        release_pages(embeddings)
        release_pages(regions)


def _parts(side: EncodedPhotos) -> dict[str, np.ndarray]:
    """A photo side as the files of a view keep it."""
    parts = {
        "z.f16": side.z.astype("<f2"),
        "hidden.f16": side.hidden.astype("<f2"),
        "hub.f32": side.hubness.astype("<f4"),
    }
    return parts if side.regions is None else parts | {"regions.i8": side.regions}
