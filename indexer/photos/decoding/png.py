"""Decode PNGs; damaged ones after their chunks are put right, as viewers show them."""

from dataclasses import replace

from indexer.photos.decoding.limits import UnreadablePhotoError
from indexer.photos.decoding.picture import FileBytes, Picture, Request
from indexer.photos.decoding.pillow_kinds import decode_with_pillow
from indexer.photos.decoding.png_chunks import (
    PngChunks,
    has_sound_pixels,
    read_chunks,
    whole_rows,
    without_side_chunks,
)


def decode_png(data: FileBytes, request: Request) -> Picture:
    """Decode a PNG.

    Args:
        data: The bytes of a file.
        request: How large the picture should be and may be.

    Returns:
        The picture, with a note if chunks had to be left out or rows are missing.

    Raises:
        UnreadablePhotoError: It is too large, or too few of its rows are there.
        Exception: Any of the kinds that Pillow raises for broken data.
    """
    try:
        picture = decode_with_pillow(data, request, "PNG")
        if has_sound_pixels(data):
            return picture
        del picture
        raise OSError("wrong checksum of the pixels")
    except (UnreadablePhotoError, MemoryError):
        raise
    except Exception:
        chunks = read_chunks(data)
        if chunks is None:
            raise
    # The error is gone here, and with it the pixels that its traceback held.
    return _decode_damaged(chunks, request)


def _decode_damaged(chunks: PngChunks, request: Request) -> Picture:
    """Decode a PNG that Pillow refused, or of whose pixels the checksum is wrong."""
    if chunks.sound_pixels == len(chunks.pixels):
        try:
            picture = decode_with_pillow(without_side_chunks(chunks), request, "PNG")
            return replace(picture, note=_note_on_chunks(chunks))
        except (UnreadablePhotoError, MemoryError):
            raise
        except Exception:
            pass  # it is the pixels that are damaged, too
    repaired, note = whole_rows(chunks, request)
    return replace(decode_with_pillow(repaired, request, "PNG"), note=note)


def _note_on_chunks(chunks: PngChunks) -> str:
    if chunks.wrong:
        return f"damaged chunks of the PNG ({', '.join(chunks.wrong)})"
    return f"chunks of the PNG that are too large or wrong were left out ({', '.join(chunks.left_out)})"
