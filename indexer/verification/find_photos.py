"""Find the photos of a catalogue that was made anew: walk its folders, and tell photos by their digests."""

import os
from contextlib import closing
from pathlib import Path

from indexer.building.builder import BuildSettings, build_index
from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.encoders import ImageEncoder
from indexer.photos.rules.patterns import PhotoFolders
from indexer.storage.catalogue import Catalogue
from indexer.storage.generations import open_for_writing
from indexer.storage.manifest import Manifest
from indexer.storage.tables.rebuilt_tables import FIND_PHOTOS, REBUILDING


def find_photos(
    folder: Path, described: Manifest, encoder: ImageEncoder, decoding: Decoding, callbacks: BuildCallbacks
) -> list[str]:
    """Bring all photo folders of an index up to date; a photo whose digest has a row is not embedded.

    Args:
        folder: The index folder.
        described: Its manifest.
        encoder: The encoder of the index, in its precision.
        decoding: How photos are decoded.
        callbacks: What to call on the way.

    Returns:
        The folders that are not there. Their rows wait for a build of them.

    Raises:
        PhotoseekError: The index cannot be written, or is of another encoder, or so many photos that it knows are gone
            that a disk is likely not mounted.
    """
    with closing(Catalogue(folder / described.catalogue_file)) as catalogue:
        roots = [os.fsdecode(root) for root in catalogue.roots()]
    there = [root for root in roots if os.path.isdir(root) and os.access(root, os.R_OK | os.X_OK)]
    if there:
        settings = BuildSettings(encoder, described.encoder_options, decoding, None, accept_removals=False)
        build_index(PhotoFolders(there), folder, settings, callbacks)
    with open_for_writing(folder) as index:
        left = [word for word in index.catalogue.rebuilt.to_do() if word != FIND_PHOTOS]
        index.catalogue.set_setting(REBUILDING, " ".join(left) or None)
    return [root for root in roots if root not in there]
