"""The precision that a network computes in: float32, bfloat16 where the CPU has it, or int8 calibrated on photos.

A faster precision is used only where it hardly moves the embeddings.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from indexer.inference.network import Network, compiled_folder
from indexer.inference.openvino_runtime import openvino_core
from indexer.storage.atomic_files import atomic_write

# What a faster precision has to reach of cosine to float32: on average, and at the first percentile of the photos.
LEAST_MEAN, LEAST_PERCENTILE_1 = 0.99, 0.97
VERDICT = "precision.json"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement between the embeddings of a faster precision and those of float32.

    Attributes:
        cosine_mean: Mean cosine of a photo's two embeddings.
        cosine_percentile_1: First percentile of the cosines.
        rows: How many photos.
    """

    cosine_mean: float
    cosine_percentile_1: float
    rows: int

    @classmethod
    def between(cls, exact: np.ndarray, fast: np.ndarray) -> "Agreement":
        """Compare two embeddings of each photo.

        Args:
            exact: (n, d) float32, computed in float32.
            fast: (n, d) float32, computed in the faster precision.
        """
        norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(fast, axis=1)
        cosines = (exact * fast).sum(axis=1) / norms
        return cls(float(cosines.mean()), float(np.percentile(cosines, 1)), len(cosines))

    @property
    def holds(self) -> bool:
        """Whether the faster precision may be used; not if a row is NaN."""
        return self.cosine_mean >= LEAST_MEAN and self.cosine_percentile_1 >= LEAST_PERCENTILE_1

    def __str__(self) -> str:
        return f"cosine to float32 {self.cosine_mean:.4f} on average, first percentile {self.cosine_percentile_1:.4f}"


def has_bf16() -> bool:
    """Return whether this CPU computes in bfloat16."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def float_precision(precision: str) -> str:
    """Return what the part of a network that is not int8 computes in on this CPU.

    Args:
        precision: "f32", "bf16" or "int8"; an index from another CPU may name bf16 although this one has none.
    """
    return "bf16" if precision != "f32" and has_bf16() else "f32"


def choose_precision(
    folder: Path, asked: str, sample: Callable[[], tuple[np.ndarray, ...]], dim: int | None = None
) -> str:
    """Choose the precision that a network computes in.

    The verdict on bfloat16 is kept beside the compiled network, since it belongs to this one on this CPU.

    Args:
        folder: The export's folder.
        asked: "auto" for bfloat16 where the CPU has it and the embeddings hardly move; anything else is returned.
        sample: Gives inputs to compare precisions on.
        dim: How many columns of the network's rows, the first, are the embedding; None for all.
    """
    if asked != "auto":
        return asked
    if not has_bf16():
        return "f32"
    verdict = compiled_folder(folder) / VERDICT
    kept = _kept_precision(verdict)
    if kept is not None:
        return kept
    inputs = sample()
    exact, fast = (Network(folder, precision, "latency")(*inputs)[:, :dim] for precision in ("f32", "bf16"))
    agreement = Agreement.between(exact, fast)
    chosen = "bf16" if agreement.holds else "f32"
    keep_verdict(verdict, {"precision": chosen, **asdict(agreement)})
    return chosen


def _kept_precision(verdict: Path) -> str | None:
    """Read the precision of a verdict, None if there is none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        precision = json.loads(verdict.read_text())["precision"]
        return precision if precision in ("bf16", "f32") else None
    return None


def keep_verdict(path: Path, record: dict[str, object]) -> bool:
    """Write the result of a precision check whole or not at all.

    Args:
        path: The file.
        record: JSON values by name.

    Returns:
        Whether it could be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as scratch:
            scratch.write_text(json.dumps(record, indent=1))
    except OSError:
        return False
    return True
