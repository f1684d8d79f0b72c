"""The arithmetic that a network runs in: float32, bfloat16 where the CPU has it, or int8 calibrated on photos.

A faster precision is used only where it hardly moves the embeddings: cosine to float32 of 0.99 or more on average, and
of 0.97 or more for all but one photo in a hundred.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from indexer.encoders.network import Network, compiled_folder, core

PRECISIONS = ("auto", "f32", "bf16", "int8")
MEAN, PERCENTILE = 0.99, 0.97
VERDICT = "precision.json"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosines between the embeddings of two precisions: their mean, their first percentile, how many."""

    cosine_mean: float
    cosine_percentile_1: float
    rows: int

    @classmethod
    def between(cls, exact: np.ndarray, fast: np.ndarray) -> "Agreement":
        """exact, fast: (n, d) float32, the same photos."""
        norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(fast, axis=1)
        cosines = (exact * fast).sum(axis=1) / norms
        return cls(float(cosines.mean()), float(np.percentile(cosines, 1)), len(cosines))

    @property
    def holds(self) -> bool:
        """Whether the faster one may be used; not if a row is NaN."""
        return self.cosine_mean >= MEAN and self.cosine_percentile_1 >= PERCENTILE

    def __str__(self) -> str:
        return f"cosine to float32 {self.cosine_mean:.4f} on average, first percentile {self.cosine_percentile_1:.4f}"


def has_bf16() -> bool:
    """Whether this CPU computes in bfloat16."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def float_precision(precision: str) -> str:
    """What is not int8 in a network of this precision, on this CPU: an index from another one may name bf16."""
    return "bf16" if precision != "f32" and has_bf16() else "f32"


def choose_precision(
    folder: Path, wanted: str, sample: Callable[[], tuple[np.ndarray, ...]], dim: int | None = None
) -> str:
    """The inference precision to use: "auto" is bf16 where the CPU computes in it and the embeddings hardly move.

    The embeddings are the first `dim` columns of the network's rows, None for all of them.
    The verdict of the agreement check is kept beside the compiled network, since it belongs to this one on this CPU.
    """
    if wanted != "auto":
        return wanted
    if not has_bf16():
        return "f32"
    verdict = compiled_folder(folder) / VERDICT
    if not verdict.exists():
        inputs = sample()
        exact, fast = (Network(folder, precision, "latency")(*inputs)[:, :dim] for precision in ("f32", "bf16"))
        found = Agreement.between(exact, fast)
        record = {"precision": "bf16" if found.holds else "f32", **asdict(found)}
        if not keep_verdict(verdict, record):
            return str(record["precision"])
    return str(json.loads(verdict.read_text())["precision"])


def keep_verdict(path: Path, record: dict[str, object]) -> bool:
    """Write a verdict whole or not at all; False where nothing can be written."""
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(record, indent=1))
        os.replace(scratch, path)
    except OSError:
        return False
    return True
