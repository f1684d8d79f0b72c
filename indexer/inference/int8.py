"""Make an int8 network, calibrated on photos, and try it in a separate process.

    photos.npy -> NNCF calibrates on some, all networks embed the others -> int8.json: agreement, speed -> used or not

The memory that this takes is freed when the process ends, and a quantised network that crashes on this CPU, as some do,
ends the trial and not the build.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from indexer.child_process import python_command
from indexer.errors import PhotoseekError, last_line_of
from indexer.inference.network import MODEL, Network
from indexer.inference.openvino_runtime import openvino_core, openvino_runtime
from indexer.inference.precision import Agreement, float_precision, keep_verdict

# Photos from which on `auto` tries int8: a trial takes about a minute, which fewer photos would not win back.
INT8_FROM = 20_000
# `auto` uses int8 if it is at least this many times as fast as the float network.
LEAST_SPEEDUP = 1.1
# Photos to calibrate on, and others to compare on; with fewer photos in the same proportion.
CALIBRATED, COMPARED, FEWEST_PHOTOS = 128, 96, 16
VERDICT, PIXELS = "int8.json", "photos.npy"
# What the process of a trial runs; it gets Python's path and the arguments of `serve_trial`.
START = "import indexer.inference.int8 as int8; int8.serve_trial(*sys.argv[1:])"
# Seconds after which a trial is given up.
DEADLINE = 900.0
# Signals of a crash of the network, which would happen every time; other signals come from outside.
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


@dataclass(frozen=True, slots=True)
class Trial:
    """Result of a trial.

    Attributes:
        agreement: How near the int8 network comes to float32.
        speedup: How many times as fast as the float network it is.
    """

    agreement: Agreement
    speedup: float

    def to_json(self) -> dict[str, Any]:
        """Return the object that `int8.json` holds."""
        return {**asdict(self.agreement), "speedup": self.speedup}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Trial":
        """Read the object that `int8.json` holds."""
        agreement = Agreement(values["cosine_mean"], values["cosine_percentile_1"], values["rows"])
        return cls(agreement, values["speedup"])


class TrialError(PhotoseekError):
    """A trial failed, so that there is no int8 network.

    Args:
        reason: Why.
        for_good: Whether trying again would come to the same.
    """

    def __init__(self, reason: str, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


def try_int8(
    folder: Path, target: Path, asked: str, dim: int, batch: int, decode_sample: Callable[[int], np.ndarray]
) -> tuple[bool, str]:
    """Make an int8 network and decide whether to use it.

    Args:
        folder: The export's folder.
        target: An empty folder for the int8 network.
        asked: "int8" if it is asked for, and only the agreement decides; with "auto" it has to be faster by a tenth,
            too, and is not tried again if it was refused before.
        dim: How many columns of the network's rows, the first, are the embedding.
        batch: Photos of a batch.
        decode_sample: Gives up to n of the user's photos, drawn at random: (n, size, size, 3) uint8 RGB.

    Returns:
        Whether to use it, and why not ("" for nothing to say).

    Raises:
        PhotoseekError: It is asked for and NNCF is missing, or there are too few photos to calibrate on.
    """
    verdict = folder / VERDICT
    if asked == "auto" and (find_spec("nncf") is None or verdict.exists()):
        return False, ""
    if find_spec("nncf") is None:
        raise PhotoseekError("--precision int8 needs an extra: pip install 'photoseek[int8]'")
    pixels = decode_sample(CALIBRATED + COMPARED)
    if len(pixels) < FEWEST_PHOTOS:
        raise PhotoseekError(f"--precision int8 is calibrated on photos, and takes {FEWEST_PHOTOS} or more")
    try:
        trial = run_trial(folder, target, dim, batch, pixels)
    except TrialError as failure:
        if failure.for_good:
            keep_verdict(verdict, {"refused": str(failure)})
        return False, str(failure)
    if not trial.agreement.holds:
        reason = f"int8 moves the embeddings too far ({trial.agreement})"
    elif asked == "auto" and not trial.speedup >= LEAST_SPEEDUP:
        reason = f"int8 is no faster here ({trial.speedup:.2f} times as fast)"
    else:
        return True, ""
    keep_verdict(verdict, {**trial.to_json(), "refused": reason})
    return False, reason


def run_trial(folder: Path, target: Path, dim: int, batch: int, pixels: np.ndarray) -> Trial:
    """Make and measure an int8 network in a process of its own, which leaves it and its verdict in `target`.

    Args:
        folder: The export's folder.
        target: An empty folder for the int8 network.
        dim: How many columns of the network's rows, the first, are the embedding.
        batch: Photos of a batch.
        pixels: (n, size, size, 3) uint8 RGB, the photos to calibrate and compare on.

    Raises:
        TrialError: The process failed, also by a crash.
    """
    np.save(target / PIXELS, pixels)
    command = python_command(START, folder, target, dim, batch)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # NNCF draws bars
            stderr=said,
            process_group=0,  # Ctrl-C is for the process that talks to the user
        ) as child,
    ):
        try:
            code = child.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            child.kill()
            raise TrialError(f"the trial of int8 took over {DEADLINE:g} s and was ended") from None
        if code < 0:
            name = signal.Signals(-code).name
            raise TrialError(f"the trial of int8 crashed ({name})", for_good=-code in CRASHES)
        said.seek(0)
        if code:
            raise TrialError(f"int8 cannot be tried ({last_line_of(said.read().decode(errors='replace'))})")
    return Trial.from_json(json.loads((target / VERDICT).read_text()))


def serve_trial(folder: str, target: str, dim: str, batch: str) -> None:
    """Run a trial in this process, which ends with it.

    Nothing comes on the standard input, which ends with the process that started this one.

    Args:
        folder: The export's folder.
        target: Where the photos lie and the int8 network and its verdict go.
        dim: How many columns of the network's rows, the first, are the embedding.
        batch: Photos of a batch.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pixels = np.load(Path(target) / PIXELS)
    (Path(target) / PIXELS).unlink()
    # NNCF takes 90 MB where there is no torch to import, and 560 with it; nothing here is a torch network.
    sys.modules["torch"] = None  # type: ignore[assignment]
    trial = _calibrate_and_compare(Path(folder), Path(target), int(dim), int(batch), pixels)
    (Path(target) / VERDICT).write_text(json.dumps(trial.to_json(), indent=1))
    # All is written; a crash while OpenVINO shuts down must not count.
    os._exit(0)


def _end_with_parent() -> None:
    """End this process when its standard input ends."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _calibrate_and_compare(folder: Path, target: Path, dim: int, batch: int, pixels: np.ndarray) -> Trial:
    """Calibrate on some photos of (n, size, size, 3) uint8, and compare on the others."""
    split = len(pixels) * CALIBRATED // (CALIBRATED + COMPARED)
    _calibrate(folder, target, batch, pixels[:split])
    held = pixels[split:]
    exact = Network(folder, "f32", "throughput", batch).run_blocks(held)[:, :dim]
    int8 = Network(target, float_precision("int8"), "throughput", batch)
    agreement = Agreement.between(exact, int8.run_blocks(held)[:, :dim])
    float_network = Network(folder, float_precision("auto"), "throughput", batch)
    return Trial(agreement, round(_speedup(int8, float_network, held), 2))


def _calibrate(folder: Path, target: Path, batch: int, pixels: np.ndarray) -> None:
    """Quantise the network of an export folder on (n, size, size, 3) uint8, by NNCF, to `target`.

    It takes `batch` photos at a time and no other number, as some CPUs crash on int8 networks of any shape. Matrix
    products stay as they are: they are little work, and the last ones make the embedding.
    """
    openvino = openvino_runtime()
    import nncf

    nncf.set_log_level(logging.ERROR)
    model = openvino_core().read_model(folder / MODEL)
    model.reshape({0: [1, *pixels.shape[1:]]})
    quantised = nncf.quantize(
        model,
        nncf.Dataset([photo[None] for photo in pixels]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pixels),
        ignored_scope=nncf.IgnoredScope(types=["MatMul"], validate=False),
    )
    quantised.reshape({0: [batch, *pixels.shape[1:]]})
    openvino.save_model(quantised, target / MODEL, compress_to_fp16=False)


def _speedup(fast: Network, other: Network, pixels: np.ndarray, repeats: int = 3) -> float:
    """Return how many times as fast the first is, by the median of interleaved runs."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for network, taken in zip((fast, other), seconds, strict=True):
            start = time.perf_counter()
            network.run_blocks(pixels)
            taken.append(time.perf_counter() - start)
    return float(np.median(seconds[1]) / np.median(seconds[0]))
