"""An index: one folder that holds the embeddings of a photo folder and a ranker's view of them."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer import embeddings
from indexer.catalogue import INTACT, BuildRecord, Catalogue, write_lock
from indexer.durable import write_text
from indexer.encoders import REGION_KINDS, ImageEncoder, load_image_encoder
from indexer.errors import DAMAGED, PhotoseekError
from indexer.photos import PhotoFile, Skipped, hidden_folders, walk
from indexer.precision import SETTING, restore, settle
from indexer.views import View, ViewMaker, open_view, renew_view

if TYPE_CHECKING:
    # The decoders, which a search does not need.
    from indexer.pipeline import Decoding, Result

FORMAT = 1
COMMIT_ROWS = 512
UNKNOWN = (-1, 0)  # the size and time of a photo that has no row
DEFAULT_ENCODER = "efficientnet-lite"
# What it takes to load the same image encoder again, for queries by photo.
KEPT_OPTIONS = ("weights", "preprocess")

Progress = Callable[[int, int], None]


class Index:
    """An open index folder.

    `rows`: how many rows the embedding file had when it was opened, or when `view` or `attach` was called last; dead
    ones are among them.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], catalogue: Catalogue) -> None:
        self.folder = folder
        self.manifest = manifest
        self.catalogue = catalogue
        self.rows = catalogue.row_count()

    @classmethod
    def open(cls, folder: str | Path) -> "Index":
        """Open an index for reading. Raises PhotoseekError if it is missing, damaged or of another format."""
        path = Path(folder)
        return cls(path, _read_manifest(path), Catalogue(path / "catalogue.sqlite"))

    @classmethod
    def build(
        cls,
        photos: str | Path,
        folder: str | Path = "indexes/photos",
        *,
        encoder: str | ImageEncoder = DEFAULT_ENCODER,
        encoder_options: dict[str, str] | None = None,
        decoding: "Decoding | None" = None,
        regions: bool | None = None,
        on_progress: Progress | None = None,
        on_skip: Callable[[Skipped], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> "Index":
        """Index a photo folder, or bring its index up to date; returns the index, opened.

        New and changed photos are embedded, photos that are gone become tombstones, all else stays as it is. A build
        that is cut short goes on where it stopped when it is called again. `encoder_options` are the keyword
        arguments of `load_image_encoder` for an encoder given by name; the index remembers `weights` and `preprocess`.
        `on_progress` gets (done, total) files, `on_skip` every photo that was passed over, `on_note` what else there is
        to say: why a faster precision is not used.

        `regions` True keeps the encoder's region vectors, too; an index that was begun without gets them for the photos
        it has. None leaves that as it is, and a new index without.

        Decoding runs in processes of its own that never import the calling script, so a script needs no
        `if __name__ == "__main__":` guard.
        """
        from indexer.pipeline import Decoding, sample_pixels

        root = os.path.abspath(os.fsencode(photos))
        path = Path(folder)
        _check_place(path)
        found = list(walk(os.fsdecode(root)))
        files = [item for item in found if isinstance(item, PhotoFile)]
        if not files and not _has_photos(path, root):
            raise PhotoseekError(f"no photos found under {os.fsdecode(root)!r}")
        options = encoder_options or {}
        network = load_image_encoder(encoder, **options) if isinstance(encoder, str) else encoder
        if regions and not any(network.regions):
            raise PhotoseekError(
                f"image encoder {network.name} gives no region vectors; encoders that do: {REGION_KINDS}"
            )
        kept = {k: v for k, v in options.items() if k in KEPT_OPTIONS and v is not None}
        with _writing(path):
            _create(path, network, kept, bool(regions))
        with write_lock(path), closing(Catalogue(path / "catalogue.sqlite", writable=True)) as catalogue:
            index = cls(path, _read_manifest(path), catalogue)
            index._check_encoder(network)
            if regions is False and any(index.region_shape):
                raise PhotoseekError(f"index {path} keeps region vectors; give another folder for one without")
            progress, skip = on_progress or (lambda _done, _total: None), on_skip or (lambda _: None)
            if isinstance(network, ImageEncoder):
                with _writing(path):
                    settle(
                        path,
                        catalogue,
                        network,
                        len(files),
                        lambda n: sample_pixels(root, files, network.fit, decoding or Decoding(), n),
                        on_note or (lambda _: None),
                    )
            index._update(root, found, network, decoding or Decoding(), bool(regions), progress, skip)
        return cls.open(path)

    @property
    def encoder(self) -> str:
        """Fingerprint of the image encoder that made the embeddings."""
        return str(self.manifest["encoder"])

    def load_encoder(self) -> ImageEncoder:
        """The image encoder as it made the embeddings, in the same precision; by name, so check its fingerprint."""
        encoder = load_image_encoder(self.manifest["encoder_name"], **self.manifest.get("encoder_options", {}))
        if isinstance(encoder, ImageEncoder):
            restore(self.folder, self.catalogue, encoder)
        return encoder

    @property
    def dim(self) -> int:
        return int(self.manifest["dim"])

    def embeddings(self) -> np.ndarray:
        """The stored embeddings, memory-mapped: (rows, d) float16, unit rows. Dead rows are among them."""
        return embeddings.read(self.folder / self.manifest["embeddings"], self.rows, self.dim)

    @property
    def region_shape(self) -> tuple[int, int]:
        """(how many, how wide) the region vectors of a photo are; (0, 0) if the index keeps none."""
        count, width = self.manifest.get("regions", (0, 0))
        return int(count), int(width)

    def regions(self) -> np.ndarray | None:
        """The stored region vectors, memory-mapped: (rows, count, width) int8, directions; or None.

        Rows without any are zeros (see `indexer.regions.fill`), dead rows are among them.
        """
        count, width = self.region_shape
        if not count:
            return None
        stored = embeddings.read(self._region_file, self.rows, count * width, embeddings.REGION_DTYPE)
        return stored.reshape(self.rows, count, width)

    @property
    def _region_file(self) -> Path:
        """Of the same generation as the embeddings."""
        generation = self.manifest["embeddings"].removeprefix("embeddings-").removesuffix(".f16")
        return self.folder / f"regions-{generation}.i8"

    def facts(self) -> dict[str, Any]:
        """The state of the index, for `photoseek info`: counts, encoder, ranker, sizes, skipped photos."""
        photos = list(self.catalogue.all_photos())
        skipped = [(os.fsdecode(photo.path), photo.reason) for photo in photos if photo.row is None]
        active = self.catalogue.active_view()
        size = sum(os.path.getsize(path) for path in self.folder.rglob("*") if path.is_file())
        builds = self.history()
        return {
            "index": str(self.folder),
            "photos": len(photos) - len(skipped),
            "rows": self.rows,
            "dead_rows": len(self.catalogue.dead_rows()),
            "skipped": len(skipped),
            "roots": [os.fsdecode(root) for root in self.catalogue.roots()],
            "encoder": self.encoder,
            "precision": self.catalogue.setting(SETTING),
            "dim": self.dim,
            "regions": any(self.region_shape),
            "ranker": None if active is None else active[0].rpartition("-")[0],
            "tail": self.rows - (0 if active is None else active[1]),
            "policy": self.policy,
            "megabytes": round(size / 1e6, 1),
            "builds": len(builds),
            "unfinished": sum(build.finished is None for build in builds),
            "skipped_photos": skipped,
        }

    def history(self) -> list[BuildRecord]:
        """The builds so far, oldest first."""
        return self.catalogue.builds()

    def attach(self, ranker: ViewMaker, on_progress: Progress | None = None) -> None:
        """Build the ranker's view of every row and switch searches to it; a whole view of all rows is kept as it is.

        One of the same ranker that lacks a few rows gets those, which are then scored beside its structure.
        Whatever else lies among the views, finished or not, is removed: a reader that has an old one open keeps it.
        Raises PhotoseekError if the ranker was trained on another encoder's embeddings.
        """
        if ranker.image_encoder != self.encoder:
            raise PhotoseekError(
                f"ranker {ranker.id} was trained on {ranker.image_encoder}, but index {self.folder} holds "
                f"{self.encoder}; train one for it: photoseek train JUDGED -o RANKER --image-encoder "
                f"{self.encoder.rpartition('@')[0]}"
            )
        views = self.folder / "views"
        with write_lock(self.folder), closing(Catalogue(self.folder / "catalogue.sqlite", writable=True)) as catalogue:
            self._refresh()
            active = catalogue.active_view() or ("", 0)
            with _writing(self.folder):
                renewed = renew_view(views, active, ranker, self.embeddings(), self.regions(), on_progress)
                if renewed != active:
                    catalogue.activate_view(*renewed)
            for path in views.iterdir():
                if path.name != renewed[0]:
                    shutil.rmtree(path, ignore_errors=True)

    def view(self) -> View:
        """The view that searches use, mapped read-only. Raises PhotoseekError if no ranker is attached."""
        active = self.catalogue.active_view()
        while active is not None:
            try:
                view = open_view(self.folder / "views" / active[0], active[1])
            except PhotoseekError:
                # It may have been replaced between its name and its files.
                before, active = active, self.catalogue.active_view()
                if active == before:
                    raise
                continue
            self._refresh()
            return view
        name = self.encoder.rpartition("@")[0]
        raise PhotoseekError(
            f"index {self.folder} has no ranker yet; photoseek use RANKER attaches one, photoseek train JUDGED "
            f"-o RANKER --image-encoder {name} makes one"
        )

    def set_policy(self, policy: str | None) -> None:
        """Keep the name or file of the policy that searches of this index obey; None for none."""
        with write_lock(self.folder), closing(Catalogue(self.folder / "catalogue.sqlite", writable=True)) as catalogue:
            catalogue.set_setting("policy", policy)

    @property
    def policy(self) -> str | None:
        return self.catalogue.setting("policy")

    def _refresh(self) -> None:
        """See what was built since this was opened. The manifest first: regions that it names cover every row."""
        self.manifest = _read_manifest(self.folder)
        self.rows = self.catalogue.row_count()

    def _check_encoder(self, encoder: ImageEncoder) -> None:
        if encoder.fingerprint != self.encoder:
            raise PhotoseekError(
                f"index {self.folder} holds embeddings of {self.encoder}, not of {encoder.fingerprint}; "
                "give another folder with -i, or that encoder with --encoder"
            )

    def _update(
        self,
        root: bytes,
        found: list[PhotoFile | Skipped],
        encoder: ImageEncoder,
        decoding: "Decoding",
        regions: bool,
        on_progress: Progress,
        on_skip: Callable[[Skipped], None],
    ) -> None:
        from indexer.pipeline import embed_files
        from indexer.regions import fill

        catalogue = self.catalogue
        root_id = catalogue.root_id(root)
        known = catalogue.known_files(root_id)
        files = [item for item in found if isinstance(item, PhotoFile)]
        passed_over = [item for item in found if isinstance(item, Skipped)]
        if known and not files:
            raise PhotoseekError(
                f"no photos found under {os.fsdecode(root)!r}, where the index knows {len(known)}; is a disk not "
                "mounted? Nothing was changed"
            )
        build = catalogue.start_build()
        hidden = hidden_folders(root, known, found)
        for item in passed_over + hidden:
            on_skip(item)
        new = [file for file in files if known.get(file.path) != (file.size, file.mtime_ns)]
        counts = {"seen": len(files), "added": 0, "changed": 0, "removed": 0, "skipped": len(passed_over + hidden)}
        pending: list[tuple[PhotoFile, Result]] = []
        stored = any(self.region_shape)
        with closing(embed_files(root, new, encoder, decoding, self._is_known, regions=stored)) as results:
            for done, (file, result) in enumerate(results, 1):
                pending.append((file, result))
                if isinstance(result, Skipped):
                    on_skip(result)
                    counts["skipped"] += 1
                else:
                    counts["changed" if known.get(file.path, UNKNOWN)[0] >= 0 else "added"] += 1
                if len(pending) == COMMIT_ROWS:
                    self._commit(root_id, pending)
                    pending = []
                on_progress(done, len(new))
        self._commit(root_id, pending)
        unseen = tuple(item.path + b"/" for item in passed_over + hidden)
        kept = {file.path for file in files} | {item.path for item in passed_over}
        gone = [path for path in known if path not in kept and not path.startswith(unseen)]
        with catalogue.transaction():
            counts["removed"] = catalogue.remove(root_id, gone)
            catalogue.finish_build(build, counts)
        if regions and not stored:
            with _writing(self.folder):
                fill(catalogue, self._region_file, encoder, decoding, on_progress, on_skip)
                # Only now are there regions: a reader finds every row's, and the next build adds to them.
                self.manifest["regions"] = encoder.regions
                _write_manifest(self.folder, self.manifest)
            catalogue.finish_build(build, counts)  # the time that the regions took is the build's, too

    def _is_known(self, digest: bytes) -> bool:
        return self.catalogue.row_of_digest(digest) is not None

    def _commit(self, root_id: int, pending: "list[tuple[PhotoFile, Result]]") -> None:
        """Embeddings and regions first, fsynced; then the one transaction that makes their rows exist."""
        catalogue = self.catalogue
        rows: dict[bytes, int] = {}
        vectors: list[np.ndarray] = []
        regions: list[np.ndarray] = []
        for _, result in pending:
            if isinstance(result, Skipped):
                continue
            photo, vector, parts = result
            if vector is not None and photo.digest not in rows and not self._is_known(photo.digest):
                rows[photo.digest] = self.rows + len(vectors)
                vectors.append(vector)
                if parts is not None:
                    regions.append(parts.ravel())
        with _writing(self.folder):
            if vectors:
                embeddings.append(self.folder / self.manifest["embeddings"], self.rows, np.stack(vectors))
            if regions:
                embeddings.append(self._region_file, self.rows, np.stack(regions), embeddings.REGION_DTYPE)
        with catalogue.transaction():
            for file, result in pending:
                if isinstance(result, Skipped):
                    catalogue.add_skipped(root_id, file.path, file.size, file.mtime_ns, result.reason)
                    continue
                row = catalogue.row_of_digest(result[0].digest)
                is_new = row is None
                catalogue.add(root_id, result[0], rows[result[0].digest] if row is None else row, new_row=is_new)
        self.rows += len(vectors)


def _check_place(folder: Path) -> None:
    """Refuse a folder that holds something other than an index of this format, or of one that was just begun."""
    if (folder / "manifest.json").exists():
        _read_manifest(folder)
    elif folder.is_dir():
        begun = ("writer.", "catalogue.sqlite", ".manifest.json")
        if any(not path.name.startswith(begun) for path in folder.iterdir()):
            raise PhotoseekError(f"{folder} is not an index and not empty; give another folder with -i")
    elif folder.exists():
        raise PhotoseekError(f"{folder} is a file; give a folder for the index with -i")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line."""
    try:
        yield
    except BrokenPipeError:  # a progress line that nobody reads, and no disk
        raise
    except OSError as error:
        what = "disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise PhotoseekError(f"index {folder}: {what}; {INTACT}") from None


def _create(folder: Path, encoder: ImageEncoder, options: dict[str, str], regions: bool) -> None:
    """Lay out an empty index folder, unless there is one already."""
    if (folder / "manifest.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with write_lock(folder):
        if (folder / "manifest.json").exists():
            return
        for leftover in folder.glob("catalogue.sqlite*"):
            leftover.unlink()
        Catalogue(folder / "catalogue.sqlite", create=True).close()
        manifest = {
            "format": FORMAT,
            "encoder": encoder.fingerprint,
            "encoder_name": encoder.name,
            "encoder_options": options,
            "dim": encoder.dim,
            "dtype": "float16",
            "metric": "inner product",
            "normalisation": "unit rows",
            "embeddings": "embeddings-1.f16",
            "regions": encoder.regions if regions else (0, 0),
        }
        # The manifest comes last: a folder without one is an index that was never begun.
        _write_manifest(folder, manifest)


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        version = manifest["format"]
    except FileNotFoundError:
        raise PhotoseekError(f"no index at {folder}; make one: photoseek build PHOTOS -i {folder}") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise PhotoseekError(f"{path} cannot be read: {DAMAGED}") from None
    if version != FORMAT:
        raise PhotoseekError(
            f"index {folder} has format {version}, this photoseek reads {FORMAT}; delete it and build it again"
        )
    return dict(manifest)


def _has_photos(folder: Path, root: bytes) -> bool:
    """Whether an index at `folder` already knows photos of this root."""
    if not (folder / "manifest.json").exists():
        return False
    with closing(Catalogue(folder / "catalogue.sqlite")) as catalogue:
        return root in catalogue.roots()
