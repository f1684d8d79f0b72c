"""An index: one folder that holds the embeddings of a photo folder and a ranker's view of them."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from indexer import embeddings
from indexer.catalogue import BuildRecord, Catalogue, Embedded, write_lock
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.photos import PhotoFile, Skipped, walk
from indexer.pipeline import Decoding, embed_files
from indexer.views import View, ViewMaker, build_view, open_view

FORMAT = 1
COMMIT_ROWS = 512
DEFAULT_ENCODER = "efficientnet-lite2"
# What it takes to load the same image encoder again, for queries by photo.
KEPT_OPTIONS = ("weights", "preprocess")

Progress = Callable[[int, int], None]


class Index:
    """An open index folder, read from one snapshot of its catalogue.

    `rows`: how many rows the embedding file had at that moment, dead ones included.
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
        decoding: Decoding | None = None,
        on_progress: Progress | None = None,
        on_skip: Callable[[Skipped], None] | None = None,
    ) -> "Index":
        """Index a photo folder, or bring its index up to date; returns the index, opened.

        New and changed photos are embedded, photos that are gone become tombstones, all else stays as it is. A build
        that is cut short goes on where it stopped when it is called again. `encoder_options` are the keyword arguments of
        `load_image_encoder` for an encoder given by name; the index remembers `weights` and `preprocess`. `on_progress` gets (done, total) files,
        `on_skip` every photo that was passed over.
        """
        root = os.path.abspath(os.fsencode(photos))
        path = Path(folder)
        found = list(walk(os.fsdecode(root)))
        files = [item for item in found if isinstance(item, PhotoFile)]
        if not files and not _has_photos(path, root):
            raise PhotoseekError(f"no photos found under {os.fsdecode(root)!r}")
        options = encoder_options or {}
        network = load_image_encoder(encoder, **options) if isinstance(encoder, str) else encoder
        try:
            _create(path, network, {k: v for k, v in options.items() if k in KEPT_OPTIONS and v is not None})
            with write_lock(path):
                index = cls(path, _read_manifest(path), Catalogue(path / "catalogue.sqlite", writable=True))
                index._check_encoder(network)
                index._update(root, found, network, decoding or Decoding(), on_progress, on_skip or (lambda _: None))
        except OSError as error:
            what = "disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise PhotoseekError(f"index {path}: {what}; what was committed is intact, run the build again") from None
        return cls.open(path)

    @property
    def encoder(self) -> str:
        """Fingerprint of the image encoder that made the embeddings."""
        return str(self.manifest["encoder"])

    @property
    def dim(self) -> int:
        return int(self.manifest["dim"])

    def embeddings(self) -> np.ndarray:
        """The stored embeddings, memory-mapped: (rows, d) float16, unit rows. Dead rows are among them."""
        return embeddings.read(self.folder / self.manifest["embeddings"], self.rows, self.dim)

    def facts(self) -> dict[str, Any]:
        """The state of the index, for `photoseek info`: counts, encoder, ranker, sizes, skipped photos."""
        photos = list(self.catalogue.all_photos())
        skipped = [(os.fsdecode(photo.path), photo.reason) for photo in photos if photo.row is None]
        active = self.catalogue.active_view()
        size = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        builds = self.history()
        return {
            "index": str(self.folder),
            "photos": len(photos) - len(skipped),
            "rows": self.rows,
            "dead_rows": len(self.catalogue.dead_rows()),
            "skipped": len(skipped),
            "roots": [os.fsdecode(root) for root in self.catalogue.roots()],
            "encoder": self.encoder,
            "dim": self.dim,
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
        """Build the ranker's view of every row and switch searches to it; a finished view is kept as it is.

        Raises PhotoseekError if the ranker was trained on another encoder's embeddings.
        """
        if ranker.image_encoder != self.encoder:
            raise PhotoseekError(
                f"ranker {ranker.id} was trained on {ranker.image_encoder}, but index {self.folder} holds "
                f"{self.encoder}; train one for it: photoseek train JUDGED -o RANKER --image-encoder "
                f"{self.encoder.rpartition('@')[0]}"
            )
        with write_lock(self.folder):
            catalogue = Catalogue(self.folder / "catalogue.sqlite", writable=True)
            self.rows = catalogue.row_count()
            active = catalogue.active_view()
            if active is None or not active[0].startswith(f"{ranker.id}-") or active[1] != self.rows:
                view, rows = build_view(self.folder / "views", ranker, self.embeddings(), on_progress)
                for old in catalogue.activate_view(view, rows):
                    # A reader that has an old view mapped keeps its pages until it closes them.
                    shutil.rmtree(self.folder / "views" / old, ignore_errors=True)
            catalogue.close()

    def view(self) -> View:
        """The view that searches use, mapped read-only. Raises PhotoseekError if no ranker is attached."""
        for _ in range(2):
            active = self.catalogue.active_view()
            if active is None:
                break
            folder = self.folder / "views" / active[0]
            if folder.is_dir():
                return open_view(folder)
        if active is None:
            name = self.encoder.rpartition("@")[0]
            raise PhotoseekError(
                f"index {self.folder} has no ranker yet; photoseek use RANKER attaches one, photoseek train JUDGED "
                f"-o RANKER --image-encoder {name} makes one"
            )
        raise PhotoseekError(f"view {folder} is missing; run: photoseek use RANKER -i {self.folder}")

    def set_policy(self, policy: str | None) -> None:
        """Keep the name or file of the policy that searches of this index obey; None for none."""
        with write_lock(self.folder):
            catalogue = Catalogue(self.folder / "catalogue.sqlite", writable=True)
            catalogue.set_setting("policy", policy)
            catalogue.close()

    @property
    def policy(self) -> str | None:
        return self.catalogue.setting("policy")

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
        decoding: Decoding,
        on_progress: Progress | None,
        on_skip: Callable[[Skipped], None],
    ) -> None:
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
        for item in passed_over:
            on_skip(item)
        new = [file for file in files if known.get(file.path) != (file.size, file.mtime_ns)]
        counts = {"seen": len(files), "added": 0, "changed": 0, "removed": 0, "skipped": len(passed_over)}
        pending: list[tuple[PhotoFile, tuple[Embedded, np.ndarray] | Skipped]] = []
        for done, (file, result) in enumerate(embed_files(root, new, encoder, decoding), 1):
            pending.append((file, result))
            if isinstance(result, Skipped):
                on_skip(result)
                counts["skipped"] += 1
            else:
                counts["changed" if file.path in known else "added"] += 1
            if len(pending) == COMMIT_ROWS:
                self._commit(root_id, pending)
                pending = []
            if on_progress is not None:
                on_progress(done, len(new))
        self._commit(root_id, pending)
        unseen = tuple(item.path + b"/" for item in passed_over if item.is_folder)
        kept = {file.path for file in files} | {item.path for item in passed_over}
        gone = [path for path in known if path not in kept and not path.startswith(unseen)]
        with catalogue.transaction():
            counts["removed"] = catalogue.remove(root_id, gone)
            catalogue.finish_build(build, counts)
        catalogue.close()

    def _commit(self, root_id: int, pending: list[tuple[PhotoFile, tuple[Embedded, np.ndarray] | Skipped]]) -> None:
        """Embeddings first, fsynced; then the one transaction that makes their rows exist."""
        catalogue = self.catalogue
        rows: dict[bytes, int] = {}
        vectors = []
        for _, result in pending:
            if isinstance(result, Skipped) or result[0].digest in rows:
                continue
            if catalogue.row_of_digest(result[0].digest) is None:
                rows[result[0].digest] = self.rows + len(vectors)
                vectors.append(result[1])
        if vectors:
            embeddings.append(self.folder / self.manifest["embeddings"], self.rows, np.stack(vectors))
        with catalogue.transaction():
            for file, result in pending:
                if isinstance(result, Skipped):
                    catalogue.add_skipped(root_id, file.path, file.size, file.mtime_ns, result.reason)
                    continue
                row = catalogue.row_of_digest(result[0].digest)
                is_new = row is None
                catalogue.add(root_id, result[0], rows[result[0].digest] if row is None else row, new_row=is_new)
        self.rows += len(vectors)


def _create(folder: Path, encoder: ImageEncoder, options: dict[str, str]) -> None:
    """Lay out an empty index folder, unless there is one already."""
    if (folder / "manifest.json").exists():
        return
    if folder.exists() and any(folder.iterdir()):
        strangers = {path.name for path in folder.iterdir()} - {"writer.lock", "catalogue.sqlite"}
        strangers = {name for name in strangers if not name.startswith(("catalogue.sqlite", ".manifest"))}
        if strangers:
            raise PhotoseekError(f"{folder} is not an index and not empty; give another folder with -i")
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
        }
        # The manifest comes last: a folder without one is an index that was never begun.
        scratch = folder / ".manifest.json"
        scratch.write_text(json.dumps(manifest, indent=1) + "\n")
        os.replace(scratch, folder / "manifest.json")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        version = manifest["format"]
    except FileNotFoundError:
        raise PhotoseekError(f"no index at {folder}; make one: photoseek build PHOTOS -i {folder}") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise PhotoseekError(f"{path} cannot be read: the index is damaged; build it again") from None
    if version != FORMAT:
        raise PhotoseekError(f"index {folder} has format {version}, this photoseek reads {FORMAT}; build it again")
    return dict(manifest)


def _has_photos(folder: Path, root: bytes) -> bool:
    """Whether an index at `folder` already knows photos of this root."""
    if not (folder / "manifest.json").exists():
        return False
    return root in Index.open(folder).catalogue.roots()
