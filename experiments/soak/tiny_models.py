"""Models small enough that an index of a few photos is written, and checked, in a hundredth of a second."""

import json
import os
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from indexer.photos.decode import UnreadablePhotoError, decode_read, read_photo
from indexer.photos.decode_pool import PhotoInfo, SlowestFile
from indexer.photos.known_digests import NO_DIGESTS, may_be_known
from indexer.photos.metadata.reading import read_metadata
from indexer.photos.perceptual_hash import perceptual_hash
from indexer.photos.square_transform import SquareTransform
from indexer.views.view import EncodedPhotos

# Side of a made photo in pixels.
SIDE = 16


def write_photo(path: Path, seed: int) -> None:
    """Write a PNG of four random colours, one per quarter; another seed, another photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), np.uint8)
    Image.fromarray(np.kron(colours, np.ones((SIDE // 2, SIDE // 2, 1), np.uint8))).save(path)


@dataclass(frozen=True, slots=True)
class TinyEncoder:
    """Image encoder of the mean colours of a photo's quarters and a constant, divided by their norm.

    The region vectors are the embeddings of the left and of the right half.
    """

    name: str = "tiny"
    fingerprint: str = "tiny@1"
    dim: int = 13
    transform: SquareTransform = field(default_factory=lambda: SquareTransform(SIDE))
    region_shape: tuple[int, int] = (2, 13)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Embed images (n, size, size, 3) uint8 RGB: (n, 13) float32, unit rows."""
        height, width = images.shape[1] // 2, images.shape[2] // 2
        quarters = images.reshape(len(images), 2, height, 2, width, 3).mean(axis=(2, 4)) / 255
        rows = np.concatenate([quarters.reshape(len(images), 12), np.full((len(images), 1), 0.5)], axis=1)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embed images and their halves: (n, 13) and (n, 2, 13) float32, unit rows."""
        halves = np.split(images, 2, axis=2)
        return self.encode(images), np.stack([self.encode(half) for half in halves], axis=1)


@dataclass(frozen=True, slots=True)
class TinyRanker:
    """Ranker that keeps embeddings as they are: z is all but the last number, hubness the last."""

    id: str = "0123456789ab"
    image_encoder: str = "tiny@1"
    text_encoder: str = "tiny-text@1"

    @classmethod
    def load(cls, folder: Path) -> "TinyRanker":
        """Read what `save` wrote."""
        return cls(json.loads((folder / "ranker.json").read_text())["id"])

    def encode_photos(self, embeddings: np.ndarray, regions: np.ndarray | None) -> EncodedPhotos:
        """Encode (n, d) float32: z (n, d - 1), hubness (n,), hidden (n, 1), the first number of each region."""
        first = None if regions is None else regions[:, :, :1]
        return EncodedPhotos(embeddings[:, :-1], embeddings[:, -1], embeddings[:, :1], first)

    def queries(self) -> Mapping[str, np.ndarray]:
        """Return no typical queries, so that every photo is scored."""
        return {}

    def save(self, folder: Path) -> None:
        """Write the ranker to a new folder."""
        folder.mkdir()
        (folder / "ranker.json").write_text(json.dumps({"id": self.id}))


class DecoderInProcess:
    """A stand-in for `DecodeWorkers` that decodes at once and in this process, whose writes are all that is watched."""

    def __init__(
        self,
        count: int,
        transform: SquareTransform,
        max_pixels: int,
        deadline: float,
        slots: int = 1,
        beginnings: np.ndarray = NO_DIGESTS,
    ) -> None:
        self._transform, self._max_pixels, self._beginnings = transform, max_pixels, beginnings
        self.pixels = np.zeros((slots, transform.size, transform.size, 3), np.uint8)
        self.slowest = SlowestFile(b"", 0.0)

    def schedule(self, path: bytes, slot: int = 0, *, known_too: bool = False) -> "Future[PhotoInfo]":
        """Decode a file into a slot; see `DecodeWorkers.schedule`."""
        done: Future[PhotoInfo] = Future()
        try:
            done.set_result(self._decode(path, slot, known_too))
        except UnreadablePhotoError as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Do nothing: there are no processes to end."""

    def _decode(self, path: bytes, slot: int, known_too: bool) -> PhotoInfo:
        read = read_photo(path, self._max_pixels)
        if not known_too and may_be_known(self._beginnings, read.digest):
            return PhotoInfo(read.digest, 0, 0, metadata=read_metadata(path), is_decoded=False)
        decoded = decode_read(read, self._transform, self._max_pixels)
        self.pixels[slot] = decoded.pixels
        found = (decoded.note, read_metadata(os.fsencode(path)), perceptual_hash(decoded.pixels))
        return PhotoInfo(decoded.digest, decoded.width, decoded.height, *found)
