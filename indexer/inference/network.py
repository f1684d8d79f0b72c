"""Run exported networks, compiled by OpenVINO for this CPU."""

import hashlib
import os
import queue
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from indexer.errors import PhotoseekError
from indexer.inference.openvino_runtime import openvino_core, openvino_runtime
from indexer.storage.atomic_files import publish_folder, scratch_folder
from indexer.storage.integrity.sealed_folder import is_sealed, seal_folder

# A sentence gains nothing from a second thread, which spins while it waits, and a pinned one cannot leave a busy core.
MODES: dict[str, dict[str, Any]] = {
    "throughput": {"PERFORMANCE_HINT": "THROUGHPUT"},
    "latency": {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False},
}
# In the folder of an export: the network, and the folder of the compiled networks.
MODEL = "model.xml"
COMPILED = "compiled"
# Networks that a forked child found compiled. They are never freed, which would wait for their threads.
_PARENTS: list[Any] = []
# The process that compiled the first network, None before.
_compiled_in: int | None = None
LEFT_THREADS = (
    "this process was forked after its parent had encoded a query or a photo, with threads that stayed behind; fork "
    "before the first one, or start the process by multiprocessing's 'spawn'"
)


class Network:
    """A compiled network: arrays in, float32 arrays out. It may be called from several threads.

    OpenVINO keeps the threads of a network for the next one, and a forked child would wait for those of its parent. So
    a child of a process that has compiled a network is refused.

    Args:
        folder: The export's folder.
        precision: What it computes in, "f32" or "bf16".
        mode: "throughput" keeps several batches in flight, "latency" answers one call soonest (a query).
        batch: Rows of every call of `run_blocks`, None for a network of any batch size, which has no such calls.
    """

    def __init__(self, folder: Path, precision: str, mode: str, batch: int | None = None) -> None:
        self.batch = batch
        global _compiled_in
        _refuse_left_threads()
        _compiled_in = os.getpid()
        settings = {**MODES[mode], "INFERENCE_PRECISION_HINT": precision}
        model: Any = folder / MODEL
        name = f"{precision}-{mode}"
        if self.batch is not None:
            model = openvino_core().read_model(model)
            model.reshape({0: [self.batch, *list(model.inputs[0].get_partial_shape())[1:]]})
            name = f"{name}-{self.batch}"
        self._compiled = _compile(model, settings, compiled_folder(folder) / name)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        count = 1 if mode == "latency" else self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        for _ in range(count):
            self._requests.put(self._compiled.create_infer_request())
        self._request_count = count
        _COMPILED.add(self)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        """Run the network once and return a copy of its first output."""
        return self._infer(inputs, 1)[0]

    def all_outputs(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Run the network once and return copies of all its outputs."""
        return self._infer(inputs, len(self._compiled.outputs))

    def run_each(
        self, calls: Iterable[tuple[np.ndarray, ...]], on_outputs: Callable[[int, Sequence[np.ndarray]], None]
    ) -> None:
        """Run the network for many calls of any shape, several in flight.

        Args:
            calls: The inputs of each call.
            on_outputs: Gets the number of a call and its outputs, in no set order; it has to copy what it keeps.
        """
        import openvino

        _refuse_left_threads()
        waiting = openvino.AsyncInferQueue(self._compiled)
        count = len(self._compiled.outputs)
        waiting.set_callback(
            lambda request, i: on_outputs(i, [request.get_output_tensor(k).data for k in range(count)])
        )
        for i, inputs in enumerate(calls):
            waiting.start_async(dict(enumerate(inputs)), i)
        waiting.wait_all()

    def run_blocks(self, images: np.ndarray) -> np.ndarray:
        """Run many rows through the fixed batch, several batches in flight.

        A full batch is read without a copy. Several threads that call this share the requests.

        Args:
            images: (n, ...), n >= 1.

        Returns:
            (n, d) float32.
        """
        assert self.batch is not None
        _refuse_left_threads()
        if len(images) <= self.batch:
            return self._run_block(images)
        blocks = (images[start : start + self.batch] for start in range(0, len(images), self.batch))
        with ThreadPoolExecutor(self._request_count) as threads:
            return np.concatenate(list(threads.map(self._run_block, blocks)))

    def _run_block(self, block: np.ndarray) -> np.ndarray:
        """Run a batch that may be too short: (n, ...) -> (n, d) float32."""
        assert self.batch is not None
        count = len(block)
        if count < self.batch:
            padding = np.zeros((self.batch - count, *block.shape[1:]), block.dtype)
            block = np.concatenate([block, padding])
        return self._infer((np.ascontiguousarray(block),), 1)[0][:count]

    def _infer(self, inputs: tuple[np.ndarray, ...], count: int) -> list[np.ndarray]:
        """Run the network once and return copies of its first `count` outputs."""
        _refuse_left_threads()
        request = self._requests.get()
        try:
            if self._request_count == 1:
                # Without share_outputs OpenVINO copies every output into the dictionary that it returns.
                request.infer(dict(enumerate(inputs)), share_inputs=True, share_outputs=True)
            else:
                request.start_async(dict(enumerate(inputs)), share_inputs=True)
                request.wait()
            outputs = (request.get_output_tensor(i).data for i in range(count))
            return [output.astype(np.float32, copy=True) for output in outputs]
        finally:
            self._requests.put(request)


def _refuse_left_threads() -> None:
    """Refuse to compute in a process that was forked from one which has compiled a network."""
    if _compiled_in not in (None, os.getpid()):
        raise PhotoseekError(LEFT_THREADS)


def _keep_those_of_parent() -> None:
    """Keep the networks that a forked child has from its parent for as long as it lives."""
    _PARENTS.extend((network._compiled, network._requests) for network in _COMPILED)


# Networks of this process.
_COMPILED: "WeakSet[Network]" = WeakSet()
os.register_at_fork(after_in_child=_keep_those_of_parent)


def compiled_folder(folder: Path) -> Path:
    """Return the folder of the networks compiled from an export by this CPU and this version of OpenVINO.

    Args:
        folder: The export's folder, which several machines may share.
    """
    return folder / COMPILED / _platform()


@cache
def _platform() -> str:
    """Return a digest of the CPU and of OpenVINO's version."""
    names = [openvino_core().get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    return hashlib.sha256(repr([openvino_runtime().get_version(), *names]).encode()).hexdigest()[:12]


def _compile(model: Any, settings: dict[str, Any], kept: Path) -> Any:
    """Compile a model, or read the compiled model that is kept in a folder.

    A folder is of one model and its settings: OpenVINO tells cached networks apart by the model alone, and one in
    bfloat16 that reads what was compiled in float32 writes past its memory. It is written beside and renamed, since
    OpenVINO maps its files into memory, where another process may not write.
    """
    core = openvino_core()
    if is_sealed(kept):
        return core.compile_model(model, "CPU", {**settings, "CACHE_DIR": str(kept)})
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(kept.parent, ".compile-") as scratch:
            compiled = core.compile_model(model, "CPU", {**settings, "CACHE_DIR": str(scratch)})
            with suppress(OSError):  # another process was first
                if kept.is_dir() and not is_sealed(kept):
                    shutil.rmtree(kept)
                seal_folder(scratch)
                publish_folder(scratch, kept)
            return compiled
    except (OSError, RuntimeError):  # the cache cannot be written, or OpenVINO says so of a full disk
        return core.compile_model(model, "CPU", settings)
