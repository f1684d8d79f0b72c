"""Hash photos so that photos of the same moment get hashes that are alike, whatever their size and exposure.

A hash is a short description of the picture: its brightness on a grid of 8 x 8 cells, and how much edge of each of four
directions every cell holds. Unlike a hash of signs (64 bits), it bears a shift of a few per cent and a subject that
moves, as in a burst, and it needs no image encoder. It depends on the square that the encoder sees, so hashes of one
index can be compared.

References:
    Torralba, Fergus and Freeman 2008, "80 million tiny images", IEEE Transactions on Pattern Analysis and Machine
    Intelligence 30 (11): pictures compared as 32 x 32 pixels of zero mean and unit norm.
    Dalal and Triggs 2005, "Histograms of oriented gradients for human detection", CVPR: edges by direction and cell.
"""

import numpy as np

# Side of the picture that is described, and cells along a side of the grid, in pixels and cells.
SIDE, GRID = 32, 8
CELL = SIDE // GRID
# Numbers of a hash: the brightness of every cell, and edges of four directions in it.
BRIGHTNESS = GRID * GRID
WIDTH = BRIGHTNESS + 4 * GRID * GRID
# A whole number n of a hash stands for n / SCALE; no number of a photo's hash is above a half.
SCALE = 255
# Grey levels that are added before the logarithm is taken, so that noise in the dark makes no edges.
DARK = 8.0
# Smallest norms that are scaled to 1: with less contrast (two grey levels), a picture has nothing to compare.
LEAST_CONTRAST, LEAST_EDGES = 16.0, 0.1
# (GRID, SIDE), averages a side of the picture over the cells.
_AVERAGING = np.kron(np.eye(GRID, dtype=np.float32), np.full((1, CELL), 1 / CELL, np.float32))


def perceptual_hash(pixels: np.ndarray) -> bytes:
    """Hash a photo.

    Args:
        pixels: (size, size, 3) uint8 RGB, the square that an image encoder sees.

    Returns:
        `WIDTH` signed bytes.
    """
    from PIL import Image  # a search reads hashes, but makes none

    # Reduced by whole numbers first, which takes half the time.
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=1.0).convert("L")
    grey = np.asarray(small, np.float32)
    brightness = _cell_means(grey)
    down, right = np.gradient(np.log(grey + DARK))
    edges = _cell_means(np.maximum(np.stack([right, -right, down, -down]), 0))
    halves = _unit(brightness - brightness.mean(), LEAST_CONTRAST), _unit(edges, LEAST_EDGES)
    values = np.concatenate(halves) * np.float32(SCALE / np.sqrt(2))
    return np.rint(values).clip(-127, 127).astype(np.int8).tobytes()


def likeness_vectors(hashes: np.ndarray) -> np.ndarray:
    """Turn hashes into vectors whose inner product says how alike two photos are: 1 for the same picture.

    Args:
        hashes: (n, WIDTH) int8.

    Returns:
        (n, WIDTH) float32, rows of norm 1; of less where a photo has hardly any contrast, which is like no other.
    """
    return hashes.astype(np.float32) / SCALE


def _cell_means(values: np.ndarray) -> np.ndarray:
    """Average (..., SIDE, SIDE) over the cells of the grid: (..., GRID, GRID)."""
    means: np.ndarray = _AVERAGING @ values @ _AVERAGING.T
    return means


def _unit(values: np.ndarray, least: float) -> np.ndarray:
    """Scale numbers to a vector of norm 1, those of a norm under `least` to less."""
    flat = values.ravel()
    scaled: np.ndarray = flat / max(float(np.linalg.norm(flat)), least)
    return scaled
