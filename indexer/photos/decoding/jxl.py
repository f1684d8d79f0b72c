"""Decode JPEG XL by the extra, whose plugin decodes as soon as it opens; so the size is read from the header first."""

from PIL import Image

from indexer.photos.boxes import walk
from indexer.photos.decoding.colour import to_rgb
from indexer.photos.decoding.damage.cut_files import is_cut
from indexer.photos.decoding.limits import TRUNCATED, UnreadablePhotoError, refuse_large
from indexer.photos.decoding.orientation import orientation_of
from indexer.photos.decoding.picture import FileBytes, Picture, Request, as_file
from indexer.photos.memory.estimates import file_bytes
from indexer.photos.retry import with_module

# Bytes of memory per pixel at the peak of decoding, as measured.
PEAK_BYTES = 16
# How often the plugin copies the file.
FILE_COPIES = 1
# Widths as a fraction of the height, by their number in the header (ISO/IEC 18181-1, size header).
RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def decode_jxl(data: FileBytes, request: Request) -> Picture:
    """Decode a JPEG XL file.

    Args:
        data: The bytes of a file.
        request: How large the picture should be and may be.

    Returns:
        The picture.

    Raises:
        UnreadablePhotoError: It is too large, or the extra is not installed.
        Exception: Any of the kinds that the plugin raises for broken data.
    """
    try:
        import pillow_jxl  # noqa: F401
    except ImportError:
        reason = "JPEG XL needs an extra: pip install 'photoseek[jxl]'"
        raise UnreadablePhotoError(reason, with_module("pillow_jxl")) from None
    width, height = _size(_codestream_start(data))
    refuse_large(width, height, request, file_bytes(data, FILE_COPIES) + PEAK_BYTES * width * height)
    with _opened(data) as image:
        # Pixels come upright, unless the file is a JPEG that was packed without loss.
        orientation = orientation_of(image) if getattr(image, "jpeg", False) else 1
        width, height = image.size
        return Picture(to_rgb(image, request.min_side, image.info.get("icc_profile")), width, height, orientation)


def _opened(data: FileBytes) -> Image.Image:
    """Open a JPEG XL file, which decodes it."""
    try:
        return Image.open(as_file(data), formats=("JXL",))
    except RuntimeError:  # in words for those who build the library
        if is_cut(data, "JXL"):
            raise UnreadablePhotoError(TRUNCATED) from None
        raise UnreadablePhotoError("the JPEG XL is damaged or cut short") from None


def _codestream_start(data: FileBytes) -> bytes:
    """Return the first bytes of the codestream, which may lie in boxes."""
    if data[:2] == b"\xff\x0a":
        return bytes(data[:16])
    for box in walk(data, 0, len(data)):
        if box.kind in (b"jxlc", b"jxlp"):
            content = box.begin + 4 * (box.kind == b"jxlp")  # the number of the part
            return bytes(data[content : content + 16])
    raise UnreadablePhotoError(TRUNCATED)


def _size(codestream: bytes) -> tuple[int, int]:
    """Read (width, height) from the beginning of a codestream."""
    bits, place = int.from_bytes(codestream, "little"), 16

    def take(count: int) -> int:
        nonlocal place
        place += count
        return bits >> (place - count) & ((1 << count) - 1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else 1 + take((9, 13, 18, 30)[take(2)])

    small = take(1)
    height = side()
    ratio = take(3)
    if ratio == 0:
        return side(), height
    above, below = RATIOS[ratio]
    return height * above // below, height
