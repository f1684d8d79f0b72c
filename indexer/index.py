"""An index: one folder that holds the embeddings of a photo folder and a ranker's view of them."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.embedding.precision import SETTING, restore
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.photos.scan import Skipped
from indexer.storage import manifest, vector_files
from indexer.storage.atomic_files import writing
from indexer.storage.catalogue import BuildRecord, Catalogue, write_lock
from indexer.views.build import ViewMaker, renew_view
from indexer.views.view import View, open_view

if TYPE_CHECKING:
    # The decoders, which a search does not need.
    from indexer.embedding.pipeline import Decoding

DEFAULT_ENCODER = "efficientnet-lite"

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
        return cls(path, manifest.read(path), Catalogue(path / "catalogue.sqlite"))

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
        from indexer.builder import update
        from indexer.embedding.pipeline import Decoding

        update(
            photos,
            Path(folder),
            encoder,
            encoder_options or {},
            decoding or Decoding(),
            regions,
            on_progress or (lambda _done, _total: None),
            on_skip or (lambda _: None),
            on_note or (lambda _: None),
        )
        return cls.open(folder)

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
        return vector_files.read(self.folder / self.manifest["embeddings"], self.rows, self.dim)

    @property
    def region_shape(self) -> tuple[int, int]:
        """(how many, how wide) the region vectors of a photo are; (0, 0) if the index keeps none."""
        count, width = self.manifest.get("regions", (0, 0))
        return int(count), int(width)

    def regions(self) -> np.ndarray | None:
        """The stored region vectors, memory-mapped: (rows, count, width) int8, directions; or None.

        Rows without any are zeros (see `indexer.embedding.regions.fill`), dead rows are among them.
        """
        count, width = self.region_shape
        if not count:
            return None
        stored = vector_files.read(self.region_file, self.rows, count * width, vector_files.REGION_DTYPE)
        return stored.reshape(self.rows, count, width)

    @property
    def region_file(self) -> Path:
        """Where the region vectors lie, if there are any: of the same generation as the embeddings."""
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
            with writing(self.folder):
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
        self.manifest = manifest.read(self.folder)
        self.rows = self.catalogue.row_count()
