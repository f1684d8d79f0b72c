"""Export networks: fingerprints, exports in the user's cache, and the comparison of an export with its network."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from indexer.cache_folder import ADVICE, cache_folder
from indexer.errors import PhotoseekError, PhotoseekWarning, last_line
from indexer.inference.network import COMPILED, MODEL, Network
from indexer.storage.atomic_files import fsync, publish_folder, scratch_folder
from indexer.storage.integrity.sealed_folder import LIST, is_sealed, seal_folder

# The largest difference between the rows of an export and those of the network itself (components of unit rows).
EXPORT_TOLERANCE = 1e-3
FACTS = "encoder.json"
# Bytes of free space below which a disk is taken for full: an export is larger.
LEAST_SPACE = 1_000_000


def fingerprint(name: str, files: list[Path], settings: str) -> str:
    """Compute the fingerprint of an encoder, which says whether two embeddings can be compared.

    Args:
        name: The encoder's name.
        files: Its weight files.
        settings: Everything else that shapes an embedding, as text. Indexes and rankers keep fingerprints, so an
            encoder's text never changes.

    Returns:
        `name@digest`.
    """
    digest = hashlib.sha256(settings.encode())
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{name}@{digest.hexdigest()[:16]}"


def export_folder(key: str) -> Path:
    """Return the cache folder of an exported network.

    Args:
        key: The encoder's fingerprint.
    """
    name, _, digest = key.rpartition("@")
    readable = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[-60:].strip("-.")
    return cache_folder() / "encoders" / f"{readable}-{digest}"


def export_once(key: str, write: Callable[[Path], None]) -> Path:
    """Export a network into the cache, unless it is there as it was written.

    It is written beside and renamed, under a lock: a killed or a second process leaves nothing half-written. An export
    that is damaged, or of a version that kept no checksums, is replaced.

    Args:
        key: The encoder's fingerprint.
        write: Writes the export into the empty folder that it gets.

    Returns:
        The export's folder.

    Raises:
        PhotoseekError: The cache cannot be written.
    """
    folder = export_folder(key)
    if is_sealed(folder):
        return folder
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not is_sealed(folder):
                if (folder / LIST).exists():
                    warnings.warn(f"{folder} was damaged and is made again", PhotoseekWarning, stacklevel=2)
                with scratch_folder(folder.parent, ".export-") as scratch:
                    write(scratch)
                    seal_folder(scratch)
                    if folder.is_dir():
                        shutil.rmtree(folder)
                    publish_folder(scratch, folder)
                    fsync(folder.parent)
    except OSError as error:
        if folder.is_dir() and not (folder / LIST).exists():
            return folder  # of an older version, where it cannot be replaced
        raise _not_kept(folder, error.strerror or str(error)) from None
    except RuntimeError:
        # OpenVINO says of a full disk no more than that it cannot write.
        if shutil.disk_usage(folder.parent).free > LEAST_SPACE:
            raise
        raise _not_kept(folder, "disk is full") from None
    return folder


def kept_export(key: str) -> Path | None:
    """Return the folder of an export, None if it is not there or not as it was written.

    Args:
        key: The encoder's fingerprint.
    """
    folder = export_folder(key)
    return folder if is_sealed(folder) else None


def _not_kept(folder: Path, reason: str) -> PhotoseekError:
    """Return the error to raise for an export that cannot be written."""
    return PhotoseekError(f"cannot keep the exported encoder in {folder.parent}: {reason} ({ADVICE})")


def export_module(module: Any, example: tuple[Any, ...], folder: Path) -> None:
    """Export a torch module to `model.xml`.

    Args:
        module: The module.
        example: Its inputs, torch tensors. The first axis stays free, and of integer inputs the second, too.
        folder: Where the export is written.
    """
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
    openvino.save_model(converted, folder / MODEL, compress_to_fp16=False)


def export_checked_module(
    name: str, module: Any, example: tuple[Any, ...], inputs: tuple[np.ndarray, ...], expected: np.ndarray, folder: Path
) -> None:
    """Export a torch module that is not tested here, and refuse it if the export gives other rows.

    Args:
        name: The encoder's name, for the refusal.
        module: The module.
        example: Its inputs, torch tensors, by which it is exported.
        inputs: Inputs that the export is tried on.
        expected: (n, d) float32, what the module gives for these.
        folder: Where the export is written.

    Raises:
        PhotoseekError: OpenVINO cannot convert or run it, or it gives other rows.
    """
    try:
        export_module(module, example, folder)
    except Exception as error:  # the converter raises many kinds, and tracing whatever the network raises
        raise PhotoseekError(f"{name}: OpenVINO cannot convert this network ({last_line(error)})") from None
    check_export(name, inputs, expected, folder)


def check_export(name: str, inputs: tuple[np.ndarray, ...], expected: np.ndarray, folder: Path) -> None:
    """Run an export once and refuse it if its rows are not those of the network itself.

    Args:
        name: The encoder's name, for the refusal.
        inputs: Inputs that it is tried on.
        expected: (n, d) float32, what the network itself gives for these.
        folder: The export's folder.

    Raises:
        PhotoseekError: OpenVINO cannot run it, or it gives other rows.
    """
    try:
        rows = Network(folder, "f32", "latency")(*inputs)
    except RuntimeError as error:
        raise PhotoseekError(f"{name}: OpenVINO cannot run this network ({last_line(error)})") from None
    shutil.rmtree(folder / COMPILED, ignore_errors=True)
    if rows.shape != expected.shape or not np.abs(rows - expected).max() < EXPORT_TOLERANCE:
        raise PhotoseekError(
            f"{name}: its OpenVINO export gives other vectors than the network itself; it cannot be used"
        )


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Keep what a cached encoder must know without loading its network again.

    Args:
        folder: The export's folder.
        facts: JSON values by name.
    """
    (folder / FACTS).write_text(json.dumps(facts, indent=1))


def read_facts(folder: Path) -> dict[str, Any]:
    """Read what `write_facts` kept in an export's folder."""
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
    return facts
