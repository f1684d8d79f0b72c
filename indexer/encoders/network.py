"""Networks as they run: a torch module, exported once into the user's cache and compiled by OpenVINO."""

import hashlib
import json
import os
import queue
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from indexer.errors import PhotoseekError

# OpenVINO reports its use over the network, from forked processes, at every import and conversion, unless its reporter
# is not there. Photoseek works offline.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# A sentence gains nothing from a second thread, which spins while it waits, and a pinned one cannot leave a busy core.
MODES: dict[str, dict[str, Any]] = {
    "throughput": {"PERFORMANCE_HINT": "THROUGHPUT"},
    "latency": {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False},
}
# An exported network gives the rows of the original to this much (components of unit rows, float32).
EXPORT_TOLERANCE = 1e-3
FACTS = "encoder.json"
_RUNTIME = threading.Lock()


def cache_folder() -> Path:
    """Where exported networks and cached embeddings live: `$PHOTOSEEK_CACHE`, else the user's cache directory."""
    override = os.environ.get("PHOTOSEEK_CACHE")
    return Path(override) if override else user_cache_path("photoseek")


def fingerprint(name: str, files: list[Path], *settings: object) -> str:
    """`name@digest`: the digest covers the bytes of the weight files and everything else that shapes an embedding."""
    digest = hashlib.sha256(repr(settings).encode())
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{name}@{digest.hexdigest()[:16]}"


def export_folder(key: str) -> Path:
    """The cache folder of one exported network, named after its fingerprint."""
    name, _, digest = key.rpartition("@")
    readable = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[-60:].strip("-.")
    return cache_folder() / "encoders" / f"{readable}-{digest}"


def export(key: str, write: Callable[[Path], None]) -> Path:
    """Return the export folder of `key`, calling `write(empty_folder)` first if it does not exist yet.

    Written beside and renamed, under a lock: a killed or a second process leaves nothing half-written.
    """
    folder = export_folder(key)
    if folder.is_dir():
        return folder
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.is_dir():
                scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=folder.parent))
                try:
                    write(scratch)
                    scratch.chmod(0o755)
                    os.rename(scratch, folder)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise PhotoseekError(
            f"cannot keep the exported encoder in {folder.parent}: {error.strerror} "
            "(set PHOTOSEEK_CACHE to a folder that can be written)"
        ) from None
    return folder


def write_module(module: Any, example: tuple[Any, ...], folder: Path) -> None:
    """Export a torch module to `folder`/model.xml, with every axis that the example shares left dynamic."""
    import warnings

    import openvino
    import torch

    module.eval()
    with torch.no_grad(), warnings.catch_warnings():
        # Tracing warns of every Python branch; that the export equals the module is for the tests to say.
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(module, example_input=example if len(example) > 1 else example[0])
    for port in converted.inputs:
        shape = port.get_partial_shape()
        shape[0] = -1
        if port.get_element_type() == openvino.Type.i64:
            shape[1] = -1
        port.get_node().set_partial_shape(shape)
    converted.validate_nodes_and_infer_types()
    openvino.save_model(converted, folder / "model.xml", compress_to_fp16=False)


def write_checked(
    name: str, module: Any, example: tuple[Any, ...], inputs: tuple[np.ndarray, ...], expected: np.ndarray, folder: Path
) -> None:
    """`write_module` for a network that no test knows: refused where its export gives other rows than `expected`."""
    try:
        write_module(module, example, folder)
    except Exception as error:  # the converter raises many kinds, and tracing whatever the network raises
        raise PhotoseekError(f"{name}: OpenVINO cannot convert this network ({one_line(error)})") from None
    check_export(name, inputs, expected, folder)


def check_export(name: str, inputs: tuple[np.ndarray, ...], expected: np.ndarray, folder: Path) -> None:
    """Run the export once and refuse it where its rows are not `expected`: (n, dim) float32."""
    try:
        rows = Network(folder, "f32", "latency")(*inputs)
    except RuntimeError as error:
        raise PhotoseekError(f"{name}: OpenVINO cannot run this network ({one_line(error)})") from None
    shutil.rmtree(folder / "compiled", ignore_errors=True)
    if rows.shape != expected.shape or not np.abs(rows - expected).max() < EXPORT_TOLERANCE:
        raise PhotoseekError(
            f"{name}: its OpenVINO export gives other vectors than the network itself; it cannot be used"
        )


def one_line(error: Exception) -> str:
    """The last line of an error's text, which is where OpenVINO and torch say what is wrong, or its kind."""
    return last_line(str(error)) or type(error).__name__


def last_line(text: str) -> str:
    """The last line that says something, up to 200 letters of it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Keep what a cached encoder must know without loading its network again (dim, preprocessing, lengths)."""
    (folder / FACTS).write_text(json.dumps(facts, indent=1))


def read_facts(folder: Path) -> dict[str, Any]:
    """What `write_facts` kept."""
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
    return facts


def runtime() -> Any:
    """openvino, ready for use from several threads, and without its model converter, which takes longer to import than
    all the rest of it."""
    with _RUNTIME:
        openvino = _import_runtime()
        # The bindings fill their table of numpy's types at its first use, and two threads that are first together wait
        # for each other for ever: one holds the table and wants the interpreter, the other the reverse.
        openvino.Type.f32.to_dtype()
        return openvino


def core() -> Any:
    """The `openvino.Core` of this process, which is never destroyed.

    The CPU plugin gives the thread that opens it a stack for signal handlers, and takes that memory back with itself,
    whichever thread that happens in: the next Ctrl-C would find no stack, and end the process with a memory fault.
    """
    openvino = runtime()
    with _RUNTIME:
        return _core(openvino)


@cache
def _core(openvino: Any) -> Any:
    return openvino.Core()


def _import_runtime() -> Any:
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules:
        import openvino

        return openvino
    sys.modules[converter] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        sys.modules.pop(converter, None)

    def __getattr__(name: str) -> Any:
        # For whoever asks later, here or in the program around us.
        if name != "convert_model":
            raise AttributeError(f"module 'openvino' has no attribute {name!r}")
        from openvino.tools.ovc import convert_model

        return convert_model

    openvino.__getattr__ = __getattr__
    return openvino


def compiled_folder(folder: Path) -> Path:
    """What this CPU and this OpenVINO make of an exported network; others that share the cache make their own."""
    return folder / "compiled" / _platform()


@cache
def _platform() -> str:
    names = [core().get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    return hashlib.sha256(repr([runtime().get_version(), *names]).encode()).hexdigest()[:12]


def _compile(model: Any, settings: dict[str, Any], kept: Path) -> Any:
    """Compile a model, or read what was compiled of it and is kept in a folder.

    A folder is of one model and its settings: OpenVINO tells cached networks apart by the model alone, and one in
    bfloat16 that reads what was compiled in float32 writes past its memory. It is written beside and renamed, since
    OpenVINO maps its files into memory, where another process may not write.
    """
    if kept.is_dir():
        return core().compile_model(model, "CPU", {**settings, "CACHE_DIR": str(kept)})
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=".compile-", dir=kept.parent)
    except OSError:
        return core().compile_model(model, "CPU", settings)
    try:
        compiled = core().compile_model(model, "CPU", {**settings, "CACHE_DIR": scratch})
        os.chmod(scratch, 0o755)
        with suppress(OSError):  # another process was first
            os.rename(scratch, kept)
        return compiled
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class Network:
    """A compiled network: arrays in, float32 arrays out.

    `mode` "throughput" keeps several batches in flight, "latency" answers one call soonest (a query).
    """

    def __init__(self, folder: Path, precision: str, mode: str, batch: int | None = None) -> None:
        settings = {**MODES[mode], "INFERENCE_PRECISION_HINT": precision}
        model: Any = folder / "model.xml"
        if batch is not None:
            model = core().read_model(model)
            model.reshape({0: [batch, *list(model.inputs[0].get_partial_shape())[1:]]})
        self.batch = batch
        name = f"{precision}-{mode}" if batch is None else f"{precision}-{mode}-{batch}"
        self._compiled = _compile(model, settings, compiled_folder(folder) / name)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        count = 1 if mode == "latency" else self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        for _ in range(count):
            self._requests.put(self._compiled.create_infer_request())
        self._in_flight = count

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        """One call, no batching: the network's first output, copied out."""
        return self._infer(inputs, 1)[0]

    def all(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """One call, no batching: every output of the network, copied out."""
        return self._infer(inputs, len(self._compiled.outputs))

    def each(self, calls: Iterable[tuple[np.ndarray, ...]], keep: Callable[[int, Sequence[np.ndarray]], None]) -> None:
        """Many calls of any shape, several in flight. `keep(i, outputs)` gets what call i gives, in no set order, and
        has to copy what it wants of it."""
        import openvino

        waiting = openvino.AsyncInferQueue(self._compiled)
        count = len(self._compiled.outputs)
        waiting.set_callback(lambda request, i: keep(i, [request.get_output_tensor(k).data for k in range(count)]))
        for i, inputs in enumerate(calls):
            waiting.start_async(dict(enumerate(inputs)), i)
        waiting.wait_all()

    def run_blocks(self, images: np.ndarray) -> np.ndarray:
        """Many rows through a fixed batch, several batches in flight: (n, ...) -> (n, d) float32.

        A full batch is read where it lies. May be called from several threads, which then share the requests.
        """
        assert self.batch is not None
        if len(images) <= self.batch:
            return self._run_block(images)
        blocks = (images[start : start + self.batch] for start in range(0, len(images), self.batch))
        with ThreadPoolExecutor(self._in_flight) as threads:
            return np.concatenate(list(threads.map(self._run_block, blocks)))

    def _run_block(self, block: np.ndarray) -> np.ndarray:
        assert self.batch is not None
        count = len(block)
        if count < self.batch:
            padding = np.zeros((self.batch - count, *block.shape[1:]), block.dtype)
            block = np.concatenate([block, padding])
        return self._infer((np.ascontiguousarray(block),), 1)[0][:count]

    def _infer(self, inputs: tuple[np.ndarray, ...], count: int) -> list[np.ndarray]:
        request = self._requests.get()
        try:
            if self._in_flight == 1:
                # Without share_outputs OpenVINO copies every output into the dictionary that it returns.
                request.infer(dict(enumerate(inputs)), share_inputs=True, share_outputs=True)
            else:
                request.start_async(dict(enumerate(inputs)), share_inputs=True)
                request.wait()
            outputs = (request.get_output_tensor(i).data for i in range(count))
            return [output.astype(np.float32, copy=True) for output in outputs]
        finally:
            self._requests.put(request)
