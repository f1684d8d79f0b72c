"""The precision of an index: chosen by its first build, kept in its catalogue, and used by every later build."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from indexer.encoders import ImageEncoder
from indexer.encoders.image_encoder import IMAGE_BATCH
from indexer.errors import PhotoseekError
from indexer.inference.int8 import INT8_FROM, try_int8
from indexer.storage.atomic_files import fsync, publish_folder, scratch_folder
from indexer.storage.catalogue import Catalogue
from indexer.storage.integrity.checksums import BlockChecksum, digest_of_file

# The catalogue's setting that names the precision.
SETTING = "precision"
# The folder in an index that holds its int8 network.
INT8_FOLDER = "encoder-int8"


def choose_index_precision(
    folder: Path,
    catalogue: Catalogue,
    encoder: ImageEncoder,
    photo_count: int,
    decode_sample: Callable[[int], np.ndarray],
    on_note: Callable[[str], None],
) -> None:
    """Set an encoder to the precision of an index; choose the precision if the index has none.

    An index keeps its int8 network, so that later photos are computed as the first ones were.

    Args:
        folder: The index folder.
        catalogue: Its catalogue, open for writing.
        encoder: The encoder; one that runs on CUDA is left as it is.
        photo_count: How many photos are to be indexed; int8 is tried unasked only for many.
        decode_sample: Decodes up to n photos drawn at random, for int8: (n, size, size, 3) uint8 RGB.
        on_note: Gets a line that says why int8 was refused.

    Raises:
        PhotoseekError: Another precision is asked for than the index has, or int8 cannot be calibrated.
    """
    if encoder.cuda_module is not None or restore_precision(folder, catalogue, encoder):
        return
    asked = encoder.asked_precision
    if encoder.int8_folder is not None:
        encoder.use_precision("auto")
    if catalogue.row_count() == 0 and (asked == "int8" or (asked == "auto" and photo_count >= INT8_FROM)):
        reason = _try_int8(folder, encoder, decode_sample)
        if reason:
            on_note(f"{reason}: {encoder.resolve_precision()} is used")
    with catalogue.transaction():
        catalogue.set_setting(SETTING, encoder.resolve_precision())
        catalogue.checksums.drop(INT8_FOLDER)
        for name, checksum in network_checksums(folder) if encoder.int8_folder is not None else ():
            catalogue.checksums.put(name, checksum)


def network_checksums(folder: Path) -> list[tuple[str, BlockChecksum]]:
    """Return the checksums of the files of an index's int8 network, by path below the index folder.

    Args:
        folder: The index folder, which may have none.
    """
    files = sorted(path for path in (folder / INT8_FOLDER).glob("*") if path.is_file())
    return [(f"{INT8_FOLDER}/{path.name}", BlockChecksum(0, 0, digest_of_file(path))) for path in files]


def restore_precision(folder: Path, catalogue: Catalogue, encoder: ImageEncoder) -> bool:
    """Set an encoder to the precision that an index keeps.

    Args:
        folder: The index folder.
        catalogue: Its catalogue.
        encoder: The encoder; one that runs on CUDA is left as it is.

    Returns:
        Whether the index keeps one; indexes of older versions do not.

    Raises:
        PhotoseekError: The encoder was asked for in another precision.
    """
    kept = catalogue.setting(SETTING)
    if kept is None or encoder.cuda_module is not None:
        return False
    if encoder.asked_precision not in ("auto", kept):
        raise PhotoseekError(
            f"index {folder} was computed in {kept}, not in {encoder.asked_precision}; give another folder with -i"
        )
    encoder.use_precision(kept, folder / INT8_FOLDER if kept == "int8" else None)
    return True


def _try_int8(folder: Path, encoder: ImageEncoder, decode_sample: Callable[[int], np.ndarray]) -> str:
    """Switch the encoder to int8 if that is good enough; return the reason if it is not, else ""."""
    with scratch_folder(folder, ".int8-") as scratch:
        taken, reason = try_int8(
            encoder.folder, scratch, encoder.asked_precision, encoder.dim, IMAGE_BATCH, decode_sample
        )
        if taken:
            shutil.rmtree(
                folder / INT8_FOLDER, ignore_errors=True
            )  # left by a build that was killed before the catalogue named it
            for path in [*scratch.iterdir(), scratch]:
                fsync(path)
            publish_folder(scratch, folder / INT8_FOLDER)
            fsync(folder)
            encoder.use_precision("int8", folder / INT8_FOLDER)
    if not taken:
        encoder.use_precision("auto")
    return reason
