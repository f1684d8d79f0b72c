"""An int8 network, calibrated on photos and tried in a process of its own.

    photos.npy -> NNCF calibrates on some, all networks embed the others -> int8.json: agreement, speed -> used or not

What that takes of memory goes when the process ends, and a quantised network that crashes on this CPU, as some do,
costs the trial and not the build.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from indexer.encoders.network import Network, core, last_line, runtime
from indexer.encoders.precision import Agreement, float_precision, keep_verdict
from indexer.errors import PhotoseekError

# Calibrating takes about a minute, and as long again to no avail; "auto" tries it where that is little.
INT8_FROM = 20_000
INT8_GAIN = 1.1
CALIBRATED, CHECKED = 128, 96
VERDICT, PIXELS = "int8.json", "photos.npy"
START = (
    "import json, sys; sys.path = json.loads(sys.argv[1]); import indexer.encoders.int8 as i; i.serve(*sys.argv[2:])"
)
# Seconds after which a trial is given up.
DEADLINE = 900.0
# What a network dies of by itself: it would again. Other signals come from outside.
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


@dataclass(frozen=True, slots=True)
class Trial:
    """How near an int8 network comes to float32, and how many times as fast as the float network it is."""

    agreement: Agreement
    speedup: float

    def record(self) -> dict[str, object]:
        return {**asdict(self.agreement), "speedup": self.speedup}

    @classmethod
    def of_record(cls, record: dict[str, float]) -> "Trial":
        speedup = record.pop("speedup")
        return cls(Agreement(**record), speedup)  # type: ignore[arg-type]


class TrialFailed(PhotoseekError):
    """There is no int8 network; `for_good` if trying again would come to the same."""

    def __init__(self, reason: str, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


def try_int8(
    folder: Path, target: Path, wanted: str, dim: int, batch: int, photos: Callable[[int], np.ndarray]
) -> tuple[bool, str]:
    """Make an int8 network of the one in `folder`, in the empty folder `target`: (whether to use it, why not).

    `wanted` "int8" asks for it, and only the agreement decides; "auto" takes it where it is faster by a tenth, too,
    and does not try again what was refused before. `photos(n)` gives up to n of the user's photos, drawn at random:
    (n, size, size, 3) uint8. Raises PhotoseekError without NNCF, or with too few photos to calibrate on.
    """
    verdict = folder / VERDICT
    if wanted == "auto" and (find_spec("nncf") is None or verdict.exists()):
        return False, ""
    if find_spec("nncf") is None:
        raise PhotoseekError("--precision int8 needs an extra: pip install 'photoseek[int8]'")
    pixels = photos(CALIBRATED + CHECKED)
    if len(pixels) < 16:
        raise PhotoseekError("--precision int8 is calibrated on photos, and takes 16 or more")
    try:
        found = tried(folder, target, dim, batch, pixels)
    except TrialFailed as failure:
        if failure.for_good:
            keep_verdict(verdict, {"refused": str(failure)})
        return False, str(failure)
    if not found.agreement.holds:
        reason = f"int8 moves the embeddings too far ({found.agreement})"
    elif wanted == "auto" and not found.speedup >= INT8_GAIN:
        reason = f"int8 is no faster here ({found.speedup:.2f} times as fast)"
    else:
        return True, ""
    keep_verdict(verdict, {**found.record(), "refused": reason})
    return False, reason


def tried(folder: Path, target: Path, dim: int, batch: int, pixels: np.ndarray) -> Trial:
    """What `trial` finds in a process of its own, which leaves the network and the record in `target`.

    Raises TrialFailed in one line, whatever the process dies of.
    """
    np.save(target / PIXELS, pixels)
    command = [sys.executable, "-P", "-c", START, json.dumps(sys.path), str(folder), str(target), str(dim), str(batch)]
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
            raise TrialFailed(f"the trial of int8 took over {DEADLINE:g} s and was ended") from None
        if code < 0:
            name = signal.Signals(-code).name
            raise TrialFailed(f"the trial of int8 crashed ({name})", for_good=-code in CRASHES)
        said.seek(0)
        if code:
            raise TrialFailed(f"int8 cannot be tried ({last_line(said.read().decode(errors='replace'))})")
    return Trial.of_record(json.loads((target / VERDICT).read_text()))


def serve(folder: str, target: str, dim: str, batch: str) -> None:
    """The life of the process. Nothing comes on its standard input, which ends with the process that started it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pixels = np.load(Path(target) / PIXELS)
    (Path(target) / PIXELS).unlink()
    # NNCF takes 90 MB where there is no torch to import, and 560 with it; nothing here is a torch network.
    sys.modules["torch"] = None  # type: ignore[assignment]
    found = trial(Path(folder), Path(target), int(dim), int(batch), pixels)
    (Path(target) / VERDICT).write_text(json.dumps(found.record(), indent=1))
    # All is written; how OpenVINO takes itself down is no part of the trial.
    os._exit(0)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def trial(folder: Path, target: Path, dim: int, batch: int, pixels: np.ndarray) -> Trial:
    """Calibrate on some of the photos, (n, size, size, 3) uint8, and compare on the others, which it has not seen."""
    split = len(pixels) * CALIBRATED // (CALIBRATED + CHECKED)
    calibrate(folder, target, batch, pixels[:split])
    held = pixels[split:]
    exact = Network(folder, "f32", "throughput", batch).run_blocks(held)[:, :dim]
    int8 = Network(target, float_precision("int8"), "throughput", batch)
    agreement = Agreement.between(exact, int8.run_blocks(held)[:, :dim])
    others = Network(folder, float_precision("auto"), "throughput", batch)
    return Trial(agreement, round(_speedup(int8, others, held), 2))


def calibrate(folder: Path, target: Path, batch: int, pixels: np.ndarray) -> None:
    """Quantise the network of an export folder on photos, by NNCF: (n, size, size, 3) uint8 -> `target`/model.xml.

    It takes `batch` photos at a time and no other number, as some CPUs crash on int8 networks of any shape. Matrix
    products stay as they are: they are little work, and the last ones make the embedding.
    """
    openvino = runtime()
    import nncf

    nncf.set_log_level(logging.ERROR)
    model = core().read_model(folder / "model.xml")
    model.reshape({0: [1, *pixels.shape[1:]]})
    quantised = nncf.quantize(
        model,
        nncf.Dataset([photo[None] for photo in pixels]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pixels),
        ignored_scope=nncf.IgnoredScope(types=["MatMul"], validate=False),
    )
    quantised.reshape({0: [batch, *pixels.shape[1:]]})
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
