"""An index: one folder that holds the embeddings of photo folders and a ranker's view of them."""

import os
import shlex
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from indexer.callbacks import BuildCallbacks, Progress
from indexer.embedding.index_precision import SETTING, restore_precision
from indexer.encoders import ImageEncoder, is_joint_name, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.storage import manifest, vector_files
from indexer.storage.atomic_files import explain_disk_errors
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import Manifest
from indexer.storage.records import ActiveView, BuildRecord
from indexer.storage.write_lock import write_lock
from indexer.views.build import ViewMaker, renew_view
from indexer.views.view import View, open_view

if TYPE_CHECKING:
    # The decoders, which a search does not need.
    from indexer.embedding.pipeline import Decoding

DEFAULT_ENCODER = "efficientnet-lite"


class IndexFacts(TypedDict):
    """The state of an index, as `photoseek info --json` prints it.

    Attributes:
        index: Its folder.
        photos: How many photos have an embedding; exact duplicates count each.
        rows: How many embeddings there are, dead ones included.
        dead_rows: How many of these no photo has any more.
        skipped: How many photos were skipped.
        roots: The photo folders.
        encoder: Fingerprint of the image encoder.
        precision: What the embeddings were computed in; None in CUDA and in indexes of older versions.
        dim: Width of an embedding.
        regions: Whether the index keeps region vectors.
        ranker: Id of the attached ranker, None if there is none.
        tail: How many rows are not in the ranker's view yet.
        policy: Name or file of the policy that searches obey, None if there is none.
        megabytes: Size of the folder, in 10^6 bytes.
        builds: How many builds there were.
        unfinished: How many of them were cut short.
        skipped_photos: Path and reason of each skipped photo.
    """

    index: str
    photos: int
    rows: int
    dead_rows: int
    skipped: int
    roots: list[str]
    encoder: str
    precision: str | None
    dim: int
    regions: bool
    ranker: str | None
    tail: int
    policy: str | None
    megabytes: float
    builds: int
    unfinished: int
    skipped_photos: list[tuple[str, str | None]]


class Index:
    """An open index folder, made by `Index.open` or `Index.build`.

    Attributes:
        folder: The index folder.
        manifest: What it holds.
        catalogue: Which photo has which row.
        rows: How many rows the embedding file had when the index was opened, or when `view` or `attach` was called
            last; dead ones are among them.
    """

    def __init__(self, folder: Path, manifest: Manifest, catalogue: Catalogue) -> None:
        self.folder = folder
        self.manifest = manifest
        self.catalogue = catalogue
        self.rows = catalogue.row_count()

    @classmethod
    def open(cls, folder: str | Path) -> "Index":
        """Open an index for reading.

        Args:
            folder: The index folder.

        Raises:
            PhotoseekError: The index is missing, damaged or of another format.
        """
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
        callbacks: BuildCallbacks | None = None,
    ) -> "Index":
        """Index a photo folder, or bring its index up to date.

        New and changed photos are embedded, photos that are gone become dead rows, and all else stays as it is. A build
        that is cut short goes on where it stopped when it is called again.

        Decoding runs in processes of its own that never import the calling script, so a script needs no
        `if __name__ == "__main__":` guard.

        Args:
            photos: The photo folder.
            folder: The index folder, made if it is missing. It may hold several photo folders.
            encoder: The image encoder, or its name.
            encoder_options: Keyword arguments of `load_image_encoder`, for an encoder given by name. The index
                remembers `weights` and `preprocess`.
            decoding: How photos are decoded.
            regions: True keeps the encoder's region vectors, too; an index that was begun without gets them for the
                photos that it has. None leaves that as it is, and a new index has none.
            callbacks: What to call on the way.

        Returns:
            The index, open.

        Raises:
            PhotoseekError: There are no photos, or the index cannot be written or is of another encoder.
        """
        from indexer.builder import BuildSettings, build_index
        from indexer.embedding.pipeline import Decoding

        settings = BuildSettings(encoder, encoder_options or {}, decoding or Decoding(), regions)
        build_index(photos, Path(folder), settings, callbacks or BuildCallbacks())
        return cls.open(folder)

    @property
    def encoder(self) -> str:
        """Fingerprint of the image encoder that made the embeddings."""
        return self.manifest.encoder

    def load_encoder(self) -> ImageEncoder:
        """Load the image encoder by its name, in the precision that made the embeddings; check its fingerprint."""
        encoder = load_image_encoder(self.manifest.encoder_name, **self.manifest.encoder_options)
        if isinstance(encoder, ImageEncoder):
            restore_precision(self.folder, self.catalogue, encoder)
        return encoder

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self.manifest.dim

    def embeddings(self) -> np.ndarray:
        """Map the stored embeddings into memory.

        Returns:
            (rows, dim) float16, unit rows; dead rows are among them.
        """
        return vector_files.read(self.folder / self.manifest.embeddings, self.rows, self.dim)

    def regions(self) -> np.ndarray | None:
        """Map the stored region vectors into memory.

        Returns:
            (rows, count, width) int8, of which the direction counts, or None if the index keeps none. Rows without any
            are zeros (see `indexer.embedding.regions.fill_regions`); dead rows are among them.
        """
        count, width = self.manifest.region_shape
        if not count:
            return None
        file = self.folder / self.manifest.region_file
        stored = vector_files.read(file, self.rows, count * width, vector_files.REGION_DTYPE)
        return stored.reshape(self.rows, count, width)

    def facts(self) -> IndexFacts:
        """Return the state of the index: counts, encoder, ranker, sizes, skipped photos."""
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
            "regions": self.manifest.has_regions,
            "ranker": None if active is None else active.ranker_id,
            "tail": self.rows - (0 if active is None else active.rows),
            "policy": self.policy,
            "megabytes": round(size / 1e6, 1),
            "builds": len(builds),
            "unfinished": sum(build.finished is None for build in builds),
            "skipped_photos": skipped,
        }

    def history(self) -> list[BuildRecord]:
        """Return the builds so far, oldest first."""
        return self.catalogue.builds()

    def attach(self, ranker: ViewMaker, on_progress: Progress | None = None) -> None:
        """Build the ranker's view of every row and switch searches to it; a whole view of all rows is kept as it is.

        A view of the same ranker that lacks a few rows gets those, which are then scored beside its structure. Whatever
        else lies among the views, finished or not, is removed; a reader that has an old one open keeps it.

        Args:
            ranker: What makes the view.
            on_progress: Gets (done, total) steps.

        Raises:
            PhotoseekError: The ranker was trained on another encoder's embeddings, or the index cannot be written.
        """
        if ranker.image_encoder != self.encoder:
            raise PhotoseekError(
                f"ranker {ranker.id} was trained on {ranker.image_encoder}, but index {self.folder} holds "
                f"{self.encoder}; train one for it: photoseek train JUDGED -o RANKER --image-encoder "
                f"{shlex.quote(self.manifest.encoder_name)}"
            )
        views = self.folder / "views"
        with write_lock(self.folder), closing(Catalogue(self.folder / "catalogue.sqlite", writable=True)) as catalogue:
            self._refresh()
            active = catalogue.active_view() or ActiveView("", 0)
            with explain_disk_errors(self.folder):
                renewed = renew_view(views, active, ranker, self.embeddings(), self.regions(), on_progress)
                if renewed != active:
                    catalogue.activate_view(renewed)
            for path in views.iterdir():
                if path.name != renewed.id:
                    shutil.rmtree(path, ignore_errors=True)

    def view(self) -> View:
        """Open the view that searches use, mapped read-only.

        Raises:
            PhotoseekError: No ranker is attached, or the view is damaged.
        """
        active = self.catalogue.active_view()
        while active is not None:
            try:
                view = open_view(self.folder / "views" / active.id, active.rows)
            except PhotoseekError:
                # It may have been replaced between its name and its files.
                before, active = active, self.catalogue.active_view()
                if active == before:
                    raise
                continue
            self._refresh()
            return view
        name = self.manifest.encoder_name
        if is_joint_name(name):
            raise PhotoseekError(
                f"index {self.folder} has no ranker yet; photoseek build PHOTOS -i {self.folder} attaches {name}'s own"
            )
        raise PhotoseekError(
            f"index {self.folder} has no ranker yet; photoseek use RANKER attaches one, photoseek train JUDGED "
            f"-o RANKER --image-encoder {shlex.quote(name)} makes one"
        )

    def set_policy(self, policy: str | None) -> None:
        """Keep the policy that searches of this index obey.

        Args:
            policy: Its name or file, None for none.

        Raises:
            PhotoseekError: The index cannot be written.
        """
        with write_lock(self.folder), closing(Catalogue(self.folder / "catalogue.sqlite", writable=True)) as catalogue:
            catalogue.set_setting("policy", policy)

    @property
    def policy(self) -> str | None:
        """Name or file of the policy that searches obey, None if there is none."""
        return self.catalogue.setting("policy")

    def _refresh(self) -> None:
        """Read the manifest and the row count again, to see what was built since.

        The manifest comes first: the regions that it names cover every row.
        """
        self.manifest = manifest.read(self.folder)
        self.rows = self.catalogue.row_count()
