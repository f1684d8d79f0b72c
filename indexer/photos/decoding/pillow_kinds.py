"""Decode the kinds of photos that Pillow alone reads, HEIC with an extra."""

from dataclasses import replace

from PIL import Image

from indexer.photos.decoding.colour import note_of_odd_numbers, to_rgb
from indexer.photos.decoding.damage.gif import complete_gif
from indexer.photos.decoding.limits import UnreadablePhotoError, note_of_missing_rows, refuse_large
from indexer.photos.decoding.orientation import orientation_of
from indexer.photos.decoding.picture import FileBytes, Picture, Request, as_file
from indexer.photos.retry import with_module

# Bytes of memory per pixel at the peak of decoding, as measured; 4 for all others.
PEAK_BYTES = {"WEBP": 16, "AVIF": 10, "HEIF": 12, "JPEG2000": 20}
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
    with Image.open(as_file(data), formats=(kind,)) as image:
        width, height = image.size
        refuse_large(width, height, request.max_pixels, PEAK_BYTES.get(kind, 4))
        missing, share = _missing_bytes(image, len(data)) if kind in UNCOMPRESSED else (0, 1.0)
        if missing:
            note = note_of_missing_rows(share)
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
    whole, note = complete_gif(data, request.max_pixels)
    return replace(decode_with_pillow(whole, request, "GIF"), note=note)


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
