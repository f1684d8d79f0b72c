"""Image encoders: a name, a fingerprint, and a way from pixels to unit vectors."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders.samples import sample_photos
from indexer.errors import PhotoseekError
from indexer.inference.export import read_facts, write_facts
from indexer.inference.network import Network
from indexer.inference.precision import choose_precision, float_precision
from indexer.photos.square_transform import SquareTransform
from indexer.storage.fork_safe_lock import ForkSafeLock

# Photos of a batch on the CPU, and on a CUDA device.
IMAGE_BATCH, CUDA_BATCH = 8, 64


@dataclass(slots=True)
class ImageEncoder:
    """An image encoder: pixels -> embeddings, and region vectors where it has any.

    Its network takes (n, size, size, 3) uint8 RGB and gives float32 rows; scaling and normalising the pixels are part
    of it. A row is the embedding, and behind it the region vectors one after the other, each the unit vector of a part
    of the photo.

    Attributes:
        name: Its name, as `load_image_encoder` takes it.
        fingerprint: Which says whether two embeddings can be compared.
        dim: Width of an embedding.
        transform: How a photo becomes the square that the network sees.
        folder: The exported network's folder, empty on CUDA.
        precision: What it computes in, "f32", "bf16" or "int8"; "auto" until the first photo.
        cuda_module: The torch module that runs on the CUDA device instead of the exported network.
        region_shape: (how many region vectors per photo, how wide), (0, 0) if there are none.
        class_dim: How many of an embedding's columns, the last, say what a classifier makes of the photo.
        prototypes: (classes, dim) float32, unit rows: embeddings of photos that show one of the classifier's classes
            and nothing else; None without a classifier.
        int8_folder: Folder of the network that was calibrated for "int8".
        asked_precision: What `precision` was at first.
    """

    name: str
    fingerprint: str
    dim: int
    transform: SquareTransform
    folder: Path
    precision: str = "auto"
    cuda_module: Any = None
    region_shape: tuple[int, int] = (0, 0)
    class_dim: int = 0
    prototypes: np.ndarray | None = field(default=None, repr=False)
    int8_folder: Path | None = None
    asked_precision: str = field(init=False)
    _network: Network | None = field(default=None, repr=False)
    _lock: ForkSafeLock = field(default_factory=ForkSafeLock, repr=False)

    def __post_init__(self) -> None:
        self.asked_precision = self.precision

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Embed photos.

        Args:
            images: (n, size, size, 3) uint8 RGB.

        Returns:
            (n, dim) float32, unit rows.
        """
        return np.ascontiguousarray(self._rows(images)[:, : self.dim])

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embed photos and their regions.

        Args:
            images: (n, size, size, 3) uint8 RGB.

        Returns:
            (n, dim) and (n, count, width) float32, all unit vectors.
        """
        embeddings, regions = np.split(self._rows(images), [self.dim], axis=1)
        return np.ascontiguousarray(embeddings), regions.reshape(len(images), *self.region_shape)

    def _rows(self, images: np.ndarray) -> np.ndarray:
        """Run the network: (n, dim + count * width) float32."""
        if len(images) == 0:
            count, width = self.region_shape
            return np.zeros((0, self.dim + count * width), np.float32)
        if self.cuda_module is not None:
            return _run_on_cuda(self.cuda_module, images)
        with self._lock:
            if self._network is None:
                self._network = self._load()
        return self._network.run_blocks(images)

    def use_precision(self, precision: str, int8_folder: Path | None = None) -> None:
        """Compute in another precision from now on.

        Args:
            precision: "auto", "f32", "bf16" or "int8".
            int8_folder: Folder of the calibrated network, for "int8".
        """
        if (precision, int8_folder) != (self.precision, self.int8_folder):
            self.precision, self.int8_folder, self._network = precision, int8_folder, None

    def resolve_precision(self) -> str:
        """Return the precision; choose it first if it was not chosen yet."""
        # The embeddings alone decide: they find a photo, its regions only move it among those found.
        self.precision = choose_precision(
            self.folder, self.precision, lambda: (sample_photos(self.transform.size),), self.dim
        )
        return self.precision

    def _load(self) -> Network:
        """Compile the network, or read what was compiled of it."""
        precision, folder = self.resolve_precision(), self.folder
        if precision == "int8":
            if self.int8_folder is None:
                raise PhotoseekError("int8 is calibrated on photos: photoseek build PHOTOS --precision int8 does")
            folder = self.int8_folder
        return Network(folder, float_precision(precision), "throughput", IMAGE_BATCH)


@dataclass(frozen=True, slots=True)
class ImageExport:
    """Metadata of an exported image encoder, kept beside it so that its network need not be loaded to know them.

    Attributes:
        dim: As in `ImageEncoder`.
        transform: As in `ImageEncoder`.
        region_shape: As in `ImageEncoder`.
    """

    dim: int
    transform: SquareTransform
    region_shape: tuple[int, int] = (0, 0)

    def write(self, folder: Path) -> None:
        """Write it to the export's folder."""
        write_facts(folder, {"dim": self.dim, "fit": asdict(self.transform), "regions": self.region_shape})

    @classmethod
    def read(cls, folder: Path) -> "ImageExport":
        """Read it from the export's folder; exports of older versions have no regions."""
        facts = read_facts(folder)
        count, width = facts.get("regions", (0, 0))
        return cls(facts["dim"], SquareTransform(**facts["fit"]), (count, width))


def _run_on_cuda(module: Any, images: np.ndarray) -> np.ndarray:
    """Run a torch module on the CUDA device: (n, size, size, 3) uint8 -> (n, d) float32."""
    import torch

    rows = []
    with torch.inference_mode():
        for start in range(0, len(images), CUDA_BATCH):
            block = torch.from_numpy(images[start : start + CUDA_BATCH]).to("cuda", non_blocking=True)
            rows.append(module(block).float().cpu().numpy())
    return np.concatenate(rows)
