"""Decode the kinds of photos that Pillow alone reads, HEIC with an extra."""

from dataclasses import replace

from PIL import Image
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from indexer.photos.decoding.colour import note_of_odd_numbers, to_rgb
from indexer.photos.decoding.damage.gif import complete_gif
from indexer.photos.decoding.limits import UnreadablePhotoError, memory_budget, note_of_missing_rows, refuse_large
from indexer.photos.decoding.orientation import orientation_of
from indexer.photos.decoding.picture import MAPPED_BYTES, FileBytes, Picture, Request, as_file
from indexer.photos.memory.estimates import RGB_BYTES, WORKSPACE, copies_by_pillow, file_bytes, picture_bytes
from indexer.photos.memory.webp_size import webp_size
from indexer.photos.retry import with_module

# Bytes of memory per pixel that decoders take for themselves at their peak, as measured; others decode into the image.
DECODER_BYTES = {"WEBP": 13, "AVIF": 10, "HEIF": 10, "JPEG2000": 16}
# Bytes per pixel of the frames before, and of the search for a frame that shows something.
FRAMES_BYTES = 12
# How often a file is copied while frames are looked for in it.
GIF_COPIES = 3
# Bits per pixel of the raw modes in which bitmaps and portable pixmaps are stored.
RAW_BITS = {
    "1": 1,
    "1;I": 1,
    "P;1": 1,
    "P;4": 4,
    "P": 8,
    "L": 8,
    "I;16B": 16,
    "BGR;15": 16,
    "BGR;16": 16,
    "RGB": 24,
    "BGR": 24,
    "BGRX": 32,
    "BGRA": 32,
}
UNCOMPRESSED = ("BMP", "DIB", "PPM")
# Kinds that may have several frames, and how many of them are looked at: a longer fade-in counts as empty.
ANIMATED = ("GIF", "WEBP", "AVIF", "PNG")
MOST_FRAMES = 32


def decode_with_pillow(data: FileBytes, request: Request, kind: str) -> Picture:
    """Decode a photo of a kind that Pillow reads.

    Args:
        data: The bytes of a file.
        request: How large the picture should be and may be.
        kind: The kind, as `kind_of_content` tells it.

    Returns:
        The picture.

    Raises:
        UnreadablePhotoError: It is too large, or needs an extra that is not installed.
        Exception: Any of the kinds that Pillow raises for broken data.
    """
    if kind == "HEIF":
        _enable_heif()
    if kind == "WEBP":
        # Pillow's decoder takes memory for all pixels as soon as it opens a file.
        width, height = webp_size(data)
        refuse_large(width, height, request, DECODER_BYTES[kind] * width * height)
    with Image.open(as_file(data), formats=(kind,)) as image:
        width, height = image.size
        needed = _bytes_needed(image, data, request, kind)
        if kind == "JPEG2000" and needed > memory_budget(request.max_pixels):
            needed = _reduce(image, data, request) or needed
        refuse_large(width, height, request, needed)
        missing, share = _missing_bytes(image, len(data)) if kind in UNCOMPRESSED else (0, 1.0)
        if missing:
            note = note_of_missing_rows(share)
            refuse_large(width, height, request, needed + file_bytes(data, 1) + missing)
            return replace(decode_with_pillow(bytes(data) + bytes(missing), request, kind), note=note)
        if kind in ANIMATED:
            _seek_shown_frame(image)
        rgb = to_rgb(image, request.min_side, image.info.get("icc_profile"))
        if kind == "AVIF":
            image.info.pop("xmp", None)  # Pillow tells the turns of the container as EXIF
        # The HEIC reader turns by what its container tells; EXIF and XMP inside it only repeat that.
        orientation = 1 if kind == "HEIF" else orientation_of(image)
        return Picture(rgb, width, height, orientation, note_of_odd_numbers(image))


def decode_gif(data: FileBytes, request: Request) -> Picture:
    """Decode a GIF, also one that lacks its end.

    Args:
        data: The bytes of a file.
        request: How large the picture should be and may be.

    Returns:
        The picture, with a note if something is missing.

    Raises:
        UnreadablePhotoError: It is too large, or lacks too much.
        Exception: Any of the kinds that Pillow raises for broken data.
    """
    whole, note = complete_gif(data, request)
    return replace(decode_with_pillow(whole, request, "GIF"), note=note)


def _bytes_needed(image: Image.Image, data: FileBytes, request: Request, kind: str) -> int:
    """Return the bytes of memory that decoding an opened image takes at its peak."""
    pixels = image.width * image.height
    if kind == "PSD":  # its layers are not read
        file = min(len(data), MAPPED_BYTES + RGB_BYTES * pixels)
    elif kind == "GIF":
        file = file_bytes(data, GIF_COPIES)
    elif kind in DECODER_BYTES:
        file = file_bytes(data, copies_by_pillow(data))
    else:
        file = file_bytes(data)
    frames = FRAMES_BYTES if kind in ANIMATED and getattr(image, "n_frames", 1) > 1 else 0
    return file + picture_bytes(image, request) + (DECODER_BYTES.get(kind, 0) + frames) * pixels


def _reduce(image: Image.Image, data: FileBytes, request: Request) -> int:
    """Have a JPEG 2000 decoded at the first of 1/2, 1/4, ... that fits; return its bytes, 0 if it must stay large."""
    assert isinstance(image, Jpeg2KImageFile)
    pixels = image.width * image.height
    most = (min(image.size) // request.min_side).bit_length() - 1 if request.min_side else 0
    needed = 0
    for halvings in range(1, most + 1):
        image.reduce = halvings
        reduced = (DECODER_BYTES["JPEG2000"] + 2 * RGB_BYTES) * pixels >> 2 * halvings
        needed = file_bytes(data, copies_by_pillow(data)) + WORKSPACE + reduced
        if needed <= memory_budget(request.max_pixels):
            break
    return needed


def _missing_bytes(image: Image.Image, size: int) -> tuple[int, float]:
    """Return how many bytes of plain, uncompressed pixels are missing at the end of a file, and the share there is."""
    tiles = getattr(image, "tile", [])
    if len(tiles) != 1 or tiles[0].codec_name != "raw":
        return 0, 1.0
    tile = tiles[0]
    arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    bits = RAW_BITS.get(str(arguments[0]))
    if bits is None:
        return 0, 1.0
    stride = int(arguments[1]) if len(arguments) > 1 else 0
    length = image.height * (stride or -(-image.width * bits // 8))
    missing = max(0, int(tile.offset) + length - size)
    return missing, 1 - missing / length


def _seek_shown_frame(image: Image.Image) -> None:
    """Go to the first frame that shows something; stay at the first one if none does or there is only one."""
    frames = getattr(image, "n_frames", 1)
    if frames < 2 or not _is_empty(image):
        return
    for number in range(1, min(frames, MOST_FRAMES)):
        try:
            image.seek(number)
            if not _is_empty(image):
                return
        except Exception:  # a damaged frame; those before it are fine
            break
    image.seek(0)


def _is_empty(image: Image.Image) -> bool:
    """Tell whether the current frame has one colour only or is all transparent."""
    shown = image.convert("RGBA" if image.has_transparency_data else "RGB")
    bounds = [channel.getextrema() for channel in shown.split()]
    if len(bounds) == 4 and bounds[3] == (0, 0):
        return True
    return all(low == high for low, high in bounds)


def _enable_heif() -> None:
    """Register the HEIC reader with Pillow."""
    try:
        import pillow_heif
    except ImportError:
        reason = "HEIC needs an extra: pip install 'photoseek[heic]'"
        raise UnreadablePhotoError(reason, with_module("pillow_heif")) from None
    pillow_heif.register_heif_opener()
