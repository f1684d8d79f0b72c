"""In which precision an index is computed: chosen when it is begun, kept in its catalogue, the same ever after."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from indexer.encoders import ImageEncoder
from indexer.encoders.base import BATCH
from indexer.encoders.int8 import INT8_FROM, try_int8
from indexer.errors import PhotoseekError
from indexer.storage.catalogue import Catalogue

SETTING = "precision"
INT8 = "encoder-int8"


def choose_index_precision(
    folder: Path,
    catalogue: Catalogue,
    encoder: ImageEncoder,
    count: int,
    photos: Callable[[int], np.ndarray],
    on_note: Callable[[str], None],
) -> None:
    """Give the encoder the precision of the index in `folder`, choosing that first if there is none.

    `count`: how many photos are to be indexed; `photos(n)` up to n of them, decoded, for int8. An index keeps its int8
    network, so that later photos are computed as the first ones were. `on_note` hears of a precision that was refused.
    Raises PhotoseekError where another precision is asked for than the index has.
    """
    if encoder.module is not None:  # CUDA computes as it does
        return
    if restore(folder, catalogue, encoder):
        return
    asked = encoder.asked_precision
    if encoder.int8 is not None:
        encoder.use_precision("auto")
    if catalogue.row_count() == 0 and (asked == "int8" or (asked == "auto" and count >= INT8_FROM)):
        scratch = Path(tempfile.mkdtemp(prefix=".int8-", dir=folder))
        try:
            taken, reason = try_int8(encoder.folder, scratch, asked, encoder.dim, BATCH, photos)
            if taken:
                scratch.chmod(0o755)
                shutil.rmtree(folder / INT8, ignore_errors=True)  # of a build that was killed before it was named
                scratch.rename(folder / INT8)
                encoder.use_precision("int8", folder / INT8)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if not taken:
            encoder.use_precision("auto")
        if reason:
            on_note(f"{reason}: {encoder.resolve_precision()} is used")
    catalogue.set_setting(SETTING, encoder.resolve_precision())


def restore(folder: Path, catalogue: Catalogue, encoder: ImageEncoder) -> bool:
    """Give the encoder the precision that the index keeps; False if it keeps none, as indexes of before."""
    kept = catalogue.setting(SETTING)
    if kept is None or encoder.module is not None:
        return False
    if encoder.asked_precision not in ("auto", kept):
        raise PhotoseekError(
            f"index {folder} was computed in {kept}, not in {encoder.asked_precision}; give another folder with -i"
        )
    encoder.use_precision(kept, folder / INT8 if kept == "int8" else None)
    return True
