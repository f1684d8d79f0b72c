"""An index: one folder that holds the embeddings of photo folders and a ranker's view of them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from indexer.building.unfinished_build import copied_without_changes, has_other_view, no_view
from indexer.callbacks import BuildCallbacks, Progress
from indexer.embedding.index_precision import restore_precision
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.index_facts import IndexFacts, read_facts
from indexer.stacks.photo_groups import GroupedPhoto, photo_groups
from indexer.storage import manifest, vector_files
from indexer.storage.atomic_files import explain_disk_errors
from indexer.storage.catalogue import Catalogue
from indexer.storage.consistency import check_consistency
from indexer.storage.generations import open_for_reading, open_for_writing
from indexer.storage.integrity.checked_files import has_checksum
from indexer.storage.manifest import Manifest
from indexer.storage.records import ActiveView, BuildRecord
from indexer.storage.recovery.recovery_card import keep_recovery_card
from indexer.storage.row_files import RowFiles
from indexer.user_paths import absolute_path
from indexer.views.build import ViewMaker, remove_all_but, renew_view
from indexer.views.view import View, open_view
from indexer.views.view_checksums import file_of_view, view_checksums
from indexer.views.view_files import STRUCTURE

if TYPE_CHECKING:
    # The decoders, which a search does not need.
    from indexer.embedding.pipeline import Decoding
    from indexer.photos.rules.patterns import PhotoFolders

DEFAULT_ENCODER = "efficientnet-lite"
# The policies that come with photoseek: the files in reranker/moderation/policies.
POLICIES = ("minors",)


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
        self._state = catalogue.state()
        self._row_files = RowFiles(folder, manifest)

    def close(self) -> None:
        """Close the files that the index holds open; whatever is asked of it later opens them again."""
        self.catalogue.close()
        self._row_files.close()

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Index cannot be pickled: open it in every process, Index.open(folder)")

    @classmethod
    def open(cls, folder: str | Path) -> "Index":
        """Open an index for reading.

        Args:
            folder: The index folder.

        Raises:
            PhotoseekError: The index is missing, damaged or of another format.
        """
        path = absolute_path(folder)
        while True:
            described, catalogue = open_for_reading(path)
            opened = cls(path, described, catalogue)
            try:
                check_consistency(path, described, catalogue)
                return opened
            except PhotoseekError:
                opened.close()
                # A compaction may have removed files since.
                if manifest.read(path).generation == described.generation:
                    raise

    @classmethod
    def build(
        cls,
        photos: "str | Path | PhotoFolders",
        folder: str | Path = "indexes/photos",
        *,
        encoder: str | ImageEncoder = DEFAULT_ENCODER,
        encoder_options: dict[str, str] | None = None,
        decoding: "Decoding | None" = None,
        regions: bool | None = None,
        callbacks: BuildCallbacks | None = None,
    ) -> "Index":
        """Index photo folders, or bring their index up to date.

        New and changed photos are embedded, photos that are gone become dead rows, and all else stays as it is. A build
        that is cut short goes on where it stopped when it is called again.

        Decoding runs in processes of its own that never import the calling script, so a script needs no
        `if __name__ == "__main__":` guard.

        Args:
            photos: The photo folder, or several, and what is left out in them.
            folder: The index folder, made if it is missing. It holds all photo folders that were ever built into it.
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
            PhotoseekError: There are no photos, so many are gone that a disk is likely not mounted, or the index cannot
                be written or is of another encoder.
        """
        from indexer.building.builder import BuildSettings, build_index
        from indexer.embedding.pipeline import Decoding
        from indexer.photos.rules.patterns import PhotoFolders

        folders = photos if isinstance(photos, PhotoFolders) else PhotoFolders([photos])
        settings = BuildSettings(
            encoder, encoder_options or {}, decoding or Decoding(), regions, folders.accept_removals
        )
        folders = replace(folders, paths=[absolute_path(path) for path in folders.paths])
        build_index(folders, absolute_path(folder), settings, callbacks or BuildCallbacks())
        return cls.open(folder)

    @property
    def encoder(self) -> str:
        """Fingerprint of the image encoder that made the embeddings."""
        return self.manifest.encoder

    def load_encoder(self) -> ImageEncoder:
        """Load the image encoder by its name, in the precision that made the embeddings; check its fingerprint."""
        encoder = load_image_encoder(self.manifest.encoder_name, **self.manifest.encoder_options)
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
        return self._row_files.read(self.manifest.embeddings, self.rows, self.dim, vector_files.EMBEDDING_DTYPE)

    def regions(self) -> np.ndarray | None:
        """Map the stored region vectors into memory.

        Returns:
            (rows, count, width) int8, of which the direction counts, or None if the index keeps none. Rows without any
            are zeros (see `indexer.embedding.regions.fill_regions`); dead rows are among them.
        """
        count, width = self.manifest.region_shape
        if not count:
            return None
        name, width_of_row = self.manifest.region_file, count * width
        stored = self._row_files.read(name, self.rows, width_of_row, vector_files.REGION_DTYPE)
        return stored.reshape(self.rows, count, width)

    def facts(self) -> IndexFacts:
        """Return the state of the index: counts, encoder, ranker, sizes, skipped photos."""
        return read_facts(self.folder, self.manifest, self.catalogue, self.rows)

    def groups(self) -> list[tuple[GroupedPhoto, ...]]:
        """List the photos that belong together, as `photoseek duplicates` does.

        Returns:
            Each group of two photos or more, the best copy first: copies in any size, bursts, RAW + JPEG.
        """
        return photo_groups(self.catalogue)

    def forget(self, folder: str | Path) -> int:
        """Forget a photo folder, or what is below a folder in one; the photo files are not touched.

        Args:
            folder: The folder, which need not be there any more. A part of a photo folder is indexed again by the next
                build, unless it is excluded.

        Returns:
            How many photos were forgotten.

        Raises:
            PhotoseekError: The index knows no photos there, or cannot be written.
        """
        from indexer.building.roots.ownership import forget_folder

        with open_for_writing(self.folder) as index:
            count = forget_folder(index.catalogue, os.fsencode(absolute_path(folder)))
            keep_recovery_card(self.folder, index.catalogue)
        return count

    def history(self) -> list[BuildRecord]:
        """Return the builds so far, oldest first."""
        return self.catalogue.builds()

    def attach(self, ranker: ViewMaker, on_progress: Progress | None = None, *, anew: bool = False) -> None:
        """Build the ranker's view of every row and switch searches to it; a whole view of all rows is kept as it is.

        A view of the same ranker that lacks a few rows gets those, which are then scored beside its structure. Whatever
        else lies among the views, finished or not, is removed; a reader that has an old one open keeps it.

        Args:
            ranker: What makes the view.
            on_progress: Gets (done, total) steps.
            anew: Whether a view of the same ranker is built again, too, as one that may be damaged.

        Raises:
            PhotoseekError: The ranker was trained on another encoder's embeddings, or the index cannot be written.
        """
        if ranker.image_encoder != self.encoder:
            raise PhotoseekError(
                f"ranker {ranker.id} was trained on {ranker.image_encoder}, but index {self.folder} holds "
                f"{self.encoder}; train one for it: {self.manifest.training_command}"
            )
        views = self.folder / "views"
        with open_for_writing(self.folder) as index:
            self.refresh()
            catalogue = index.catalogue
            active = catalogue.active_view() or ActiveView("", 0)
            remove_all_but(views, active.id)  # what a killed process left would take the room
            anew = anew or self._has_changed_structure(active)
            with explain_disk_errors(self.folder):
                renewed = renew_view(views, active, ranker, self.embeddings(), self.regions(), on_progress, anew=anew)
                if renewed != active:
                    first_row = active.rows if renewed.id == active.id else 0
                    checksums = view_checksums(views / renewed.id, first_row, renewed.rows)
                    catalogue.activate_view(renewed, list(checksums))
            remove_all_but(views, renewed.id)

    def _has_changed_structure(self, view: ActiveView) -> bool:
        """Return whether the candidate structure of a view is there and has not its checksum."""
        checksums = self.catalogue.checksums.of_file(file_of_view(view.id, STRUCTURE))
        try:
            with open(self.folder / "views" / view.id / STRUCTURE, "rb") as file:
                return bool(checksums) and not has_checksum(file.fileno(), checksums[0].digest)
        except OSError:
            return False

    def view(self) -> View:
        """Open the view that searches use, mapped read-only.

        Raises:
            PhotoseekError: No ranker is attached, or the view is damaged.
        """
        while True:
            self.refresh()
            active = self.catalogue.active_view()
            if active is None:
                raise no_view(self.folder, self.manifest, self.catalogue)
            try:
                checksums = self.catalogue.checksums.of_file(file_of_view(active.id, STRUCTURE))
                digest = checksums[0].digest if checksums else None
                view = open_view(self.folder / "views" / active.id, active.rows, digest)
            except PhotoseekError:
                # It may have been replaced between its name and its files.
                if self.catalogue.active_view() != active or self._is_compacted():
                    continue
                if has_other_view(self.folder, active.id):
                    raise copied_without_changes(self.folder) from None
                raise
            self.rows = self.catalogue.row_count()
            return view

    def set_policy(self, policy: str | None) -> None:
        """Keep the policy that searches of this index obey.

        Args:
            policy: Its name, one of `POLICIES`, or its `.toml` file; None for none.

        Raises:
            PhotoseekError: There is no such policy, or the index cannot be written.
        """
        if policy is not None and policy not in POLICIES:
            # Every search reads the file again, whatever folder it is started in.
            file = absolute_path(policy)
            if file.suffix != ".toml" or not file.is_file():
                known = ", ".join(POLICIES)
                raise PhotoseekError(f"no policy {policy!r}; there are: {known}, or a path to a .toml file")
            policy = str(file)
        with open_for_writing(self.folder) as index:
            index.catalogue.set_setting("policy", policy)
            keep_recovery_card(self.folder, index.catalogue)

    @property
    def policy(self) -> str | None:
        """Name or file of the policy that searches obey, None if there is none."""
        return self.catalogue.setting("policy")

    @property
    def changed(self) -> bool:
        """Whether another process, or another object of this one, has written the index since it was opened."""
        return manifest.read(self.folder) != self.manifest or self.catalogue.state() != self._state

    def _is_compacted(self) -> bool:
        """Return whether the index has other files now than this object has open."""
        return manifest.read(self.folder).generation != self.manifest.generation

    def refresh(self) -> None:
        """See what was written since: photos and rows, regions, another view, the files of a compaction."""
        # The manifest comes first: the regions that it names cover every row.
        if manifest.read(self.folder) != self.manifest:
            renewed = Index.open(self.folder)
            self.close()
            self.manifest, self.catalogue, self._row_files = renewed.manifest, renewed.catalogue, renewed._row_files
        self._state = self.catalogue.state()
        self.rows = self.catalogue.row_count()
