"""OpenVINO, imported when it is first needed, and its one core per process."""

import sys
from functools import cache
from typing import Any

from indexer.storage.fork_safe_lock import ForkSafeLock

# OpenVINO reports its use over the network, from forked processes, at every import and conversion, unless its reporter
# is not there. Photoseek works offline.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_LOCK = ForkSafeLock()


def openvino_runtime() -> Any:
    """Import OpenVINO, ready for use from several threads.

    Its model converter, which takes longer to import than all the rest of it, is imported when it is first used.

    Returns:
        The module.
    """
    with _LOCK:
        openvino = _import_without_converter()
        # The bindings fill their table of numpy's types at its first use, and two threads that are first together wait
        # for each other for ever: one holds the table and wants the interpreter, the other the reverse.
        openvino.Type.f32.to_dtype()
        return openvino


def openvino_core() -> Any:
    """Return the `openvino.Core` of this process, which is never destroyed.

    The CPU plugin gives the thread that opens it a stack for signal handlers, and takes that memory back with itself,
    whichever thread that happens in: the next Ctrl-C would find no stack, and end the process with a memory fault.
    """
    openvino = openvino_runtime()
    with _LOCK:
        return _core(openvino)


@cache
def _core(openvino: Any) -> Any:
    return openvino.Core()


def _import_without_converter() -> Any:
    """Import OpenVINO and put off its converter."""
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules:
        import openvino

        return openvino
    sys.modules[converter] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        sys.modules.pop(converter, None)

    def load_converter(name: str) -> Any:
        # For whoever asks later, here or in the program around us.
        if name != "convert_model":
            raise AttributeError(f"module 'openvino' has no attribute {name!r}")
        from openvino.tools.ovc import convert_model

        return convert_model

    openvino.__getattr__ = load_converter
    return openvino
