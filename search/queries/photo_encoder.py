"""Encode the photos of queries by the image encoder of the index."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.encoders import ImageEncoder
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.printable import printable
from indexer.storage.fork_safe_lock import ForkSafeLock
from indexer.storage.vector_files import quantise_directions
from indexer.user_paths import absolute_path
from indexer.views.view import EncodedPhotos
from reranker.ranker import Ranker


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPhoto:
    """A photo of a query, encoded.

    Attributes:
        path: Its absolute path.
        digest: 16 bytes of digest of the file.
        embedding: (d,) float32, of norm 1.
        photo: What the ranker makes of it, one row.
    """

    path: str
    digest: bytes
    embedding: np.ndarray
    photo: EncodedPhotos


class PhotoEncoder:
    """Encoder of photos for one index; it loads the image encoder when the first photo comes.

    Args:
        index: The index.
        ranker: The ranker of its view.
        with_regions: Whether the view holds regions.
    """

    def __init__(self, index: Index, ranker: Ranker, with_regions: bool) -> None:
        self._index, self._ranker, self._with_regions = index, ranker, with_regions
        self._lock = ForkSafeLock()
        self._encoder: ImageEncoder | None = None

    def encode(self, photo: str | Path) -> EncodedPhoto:
        """Decode and encode a photo file.

        Args:
            photo: The file.

        Returns:
            The encoded photo.

        Raises:
            PhotoseekError: The photo cannot be read, or this machine has another image encoder than the index.
        """
        from indexer.photos.decode import UnreadablePhotoError, decode_photo

        encoder, path = self._open(), absolute_path(photo)
        try:
            loaded = decode_photo(os.fsencode(path), encoder.transform)
        except UnreadablePhotoError as error:
            raise PhotoseekError(f"photo {printable(os.fspath(photo))}: {error}") from None
        regions = None
        if self._with_regions:
            x, parts = encoder.encode_with_regions(loaded.pixels[None])
            regions = quantise_directions(parts)
        else:
            x = encoder.encode(loaded.pixels[None])
        encoded = self._ranker.encode_photos(x, regions)
        return EncodedPhoto(str(path), loaded.digest, x[0], encoded)

    def _open(self) -> ImageEncoder:
        """Load the image encoder, unless that is done, and check that it is the index's."""
        with self._lock:
            if self._encoder is None:
                encoder = self._index.load_encoder()
                if encoder.fingerprint != self._index.encoder:
                    raise PhotoseekError(
                        f"index {self._index.folder} holds embeddings of {self._index.encoder}, but this machine has "
                        f"{encoder.fingerprint}; build the index again"
                    )
                self._encoder = encoder
            return self._encoder
