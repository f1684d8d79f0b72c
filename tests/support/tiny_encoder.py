"""A real image encoder whose vectors a person can compute: the mean colour beside a constant, of all and of halves."""

from dataclasses import dataclass, field

import numpy as np

from indexer.photos.decode import Fit


@dataclass(frozen=True, slots=True)
class TinyEncoder:
    """Pixels -> [mean red, mean green, mean blue, 0.5], colours from 0 to 1, divided by its norm; as `ImageEncoder`.

    A red photo: (1, 0, 0, 0.5) / sqrt(1.25). White: (1, 1, 1, 0.5) / sqrt(3.25). Black: (0, 0, 0, 1).
    The region vectors are the same of the left half and of the right.
    """

    name: str = "tiny"
    fingerprint: str = "tiny@1"
    dim: int = 4
    fit: Fit = field(default_factory=lambda: Fit(8))
    regions: tuple[int, int] = (2, 4)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """images: (n, size, size, 3) uint8 RGB -> (n, 4) float32, unit rows."""
        colours = images.reshape(len(images), -1, 3).mean(axis=1) / 255
        rows = np.concatenate([colours, np.full((len(images), 1), 0.5)], axis=1)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `encode`, and (n, 2, 4) float32, unit rows."""
        halves = np.split(images, 2, axis=2)
        return self.encode(images), np.stack([TinyEncoder.encode(self, half) for half in halves], axis=1)


@dataclass(frozen=True)
class Refusing(TinyEncoder):
    def encode(self, images: np.ndarray) -> np.ndarray:
        raise AssertionError("something was embedded")

    encode_with_regions = encode
