"""The arithmetic that a network runs in: float32, bfloat16 where the CPU has it, or int8 calibrated on photos.

A faster precision is used only where it hardly moves the embeddings: cosine to float32 of 0.99 or more on average, and
of 0.97 or more for all but one photo in a hundred.
"""

import contextlib
import io
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from indexer.encoders.network import Network, compiled_folder, runtime
from indexer.errors import PhotoseekError

PRECISIONS = ("auto", "f32", "bf16", "int8")
MEAN, PERCENTILE = 0.99, 0.97
# Calibrating takes about a minute, and as long again to no avail; "auto" tries it where that is little.
INT8_FROM = 20_000
INT8_GAIN = 1.1
CALIBRATED, CHECKED = 128, 96
VERDICT, INT8_VERDICT = "precision.json", "int8.json"


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
    return "BF16" in runtime().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


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
        if not _keep(verdict, record):
            return str(record["precision"])
    return str(json.loads(verdict.read_text())["precision"])


def try_int8(
    folder: Path, target: Path, wanted: str, dim: int, batch: int, photos: Callable[[int], np.ndarray]
) -> tuple[bool, str]:
    """Make an int8 network of the one in `folder`, in the empty folder `target`: (whether to use it, why not).

    `wanted` "int8" asks for it, and only the agreement decides; "auto" takes it where it is faster by a tenth, too,
    and does not try again what was refused before. `photos(n)` gives up to n of the user's photos, drawn at random:
    (n, size, size, 3) uint8. Raises PhotoseekError without NNCF, or with too few photos to calibrate on.
    """
    verdict = folder / INT8_VERDICT
    if wanted == "auto" and (find_spec("nncf") is None or verdict.exists()):
        return False, ""
    if find_spec("nncf") is None:
        raise PhotoseekError("--precision int8 needs an extra: pip install 'photoseek[int8]'")
    pixels = photos(CALIBRATED + CHECKED)
    if len(pixels) < 16:
        raise PhotoseekError("--precision int8 is calibrated on photos, and takes 16 or more")
    # Checked on other photos than calibrated on.
    split = len(pixels) * CALIBRATED // (CALIBRATED + CHECKED)
    calibrate(folder, target, pixels[:split])
    others = Network(folder, float_precision("auto"), "throughput", batch)
    int8 = Network(target, float_precision("int8"), "throughput", batch)
    held = pixels[split:]
    found = Agreement.between(Network(folder, "f32", "latency")(held)[:, :dim], int8.run_blocks(held)[:, :dim])
    gain = _speedup(int8, others, held)
    record = {**asdict(found), "speedup": round(gain, 2)}
    if not found.holds:
        reason = f"int8 moves the embeddings too far ({found})"
    elif wanted == "auto" and not gain >= INT8_GAIN:
        reason = f"int8 is no faster here ({gain:.2f} times as fast)"
    else:
        _keep(target / INT8_VERDICT, record)
        return True, ""
    _keep(verdict, {**record, "refused": reason})
    return False, reason


def calibrate(folder: Path, target: Path, pixels: np.ndarray) -> None:
    """Quantise the network of an export folder on photos, by NNCF: (n, size, size, 3) uint8 -> `target`/model.xml.

    Matrix products stay as they are: they are little work, and the last ones make the embedding.
    """
    import openvino

    with contextlib.redirect_stdout(io.StringIO()):  # NNCF draws bars of its own
        import nncf

        nncf.set_log_level(logging.ERROR)
        model = openvino.Core().read_model(folder / "model.xml")
        shape = model.inputs[0].get_partial_shape()
        model.reshape({0: [1, *pixels.shape[1:]]})
        quantised = nncf.quantize(
            model,
            nncf.Dataset([photo[None] for photo in pixels]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pixels),
            ignored_scope=nncf.IgnoredScope(types=["MatMul"], validate=False),
        )
    quantised.reshape({0: shape})
    openvino.save_model(quantised, target / "model.xml", compress_to_fp16=False)


def _speedup(fast: Network, other: Network, pixels: np.ndarray, repeats: int = 3) -> float:
    """How many times as fast, by the median of interleaved runs."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for network, taken in zip((fast, other), seconds, strict=True):
            start = time.perf_counter()
            network.run_blocks(pixels)
            taken.append(time.perf_counter() - start)
    return float(np.median(seconds[1]) / np.median(seconds[0]))


def _keep(path: Path, record: dict[str, object]) -> bool:
    """Write a verdict whole or not at all; False where nothing can be written."""
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(record, indent=1))
        os.replace(scratch, path)
    except OSError:
        return False
    return True
