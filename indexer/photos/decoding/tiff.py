"""Decode TIFFs: plain ones by Pillow; deep, planar and float ones by their samples, checked against Pillow."""

import re

import numpy as np
from PIL import Image, UnidentifiedImageError

from indexer.photos.decoding import tiff_directory as tag
from indexer.photos.decoding.colour import NOT_NUMBERS, STRIP_PIXELS, note_of_odd_numbers, shown_range, to_8_bit, to_rgb
from indexer.photos.decoding.limits import UnreadablePhotoError, note_of_missing_rows, refuse_large
from indexer.photos.decoding.orientation import orientation_of, upright
from indexer.photos.decoding.picture import FileBytes, Picture, Request, as_file
from indexer.photos.decoding.tiff_directory import TiffDirectory, photo_directory
from indexer.photos.decoding.tiff_samples import PACKBITS, UNSIGNED, SampleLayout, sample_blocks, sample_layout
from indexer.photos.memory.estimates import (
    RGB_BYTES,
    WORKSPACE,
    copies_by_pillow,
    file_bytes,
    picture_bytes,
    rgb_pixels,
)
from indexer.photos.retry import OTHER_DECODER

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, INKS, LAB = 0, 1, 2, 5, 8
CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, INKS: 4, LAB: 3}
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
PREMULTIPLIED, STRAIGHT = 1, 2
# Levels of alpha between a transparent and an opaque pixel, and the share of the pixels that may have them in a mask.
HALF_TRANSPARENT = slice(13, 243)
MOST_HALF_TRANSPARENT = 0.5
# Mean difference, in grey levels, above which two decodings are not the same picture; rounding makes 1.
MOST_DIFFERENCE = 6.0
# Side of the small pictures that are compared.
COMPARED_SIDE = 32


def decode_tiff(data: FileBytes, request: Request) -> Picture:
    """Decode a TIFF.

    Args:
        data: The bytes of a file.
        request: How large the picture should be and may be.

    Returns:
        The picture of the first page that is neither a thumbnail nor a mask.

    Raises:
        UnreadablePhotoError: It is too large, of a kind that is not read, damaged, or two decoders disagree about it.
        Exception: Any of the kinds that Pillow raises for broken data.
    """
    directory = photo_directory(data)
    refuse_large(directory.number(tag.WIDTH, 0), directory.number(tag.HEIGHT, 0), request)
    if directory.number(tag.COMPRESSION, 1) == PACKBITS and directory.number(tag.PREDICTOR, 1) != 1:
        # Some programs write differences there, some only the tag.
        raise UnreadablePhotoError(f"decoders disagree about this TIFF ({_kind(directory)}, with a predictor)")
    layout = sample_layout(directory)
    channels = CHANNELS.get(directory.number(tag.PHOTOMETRIC, -1))
    if layout is None or channels is None or layout.samples < channels:
        return _by_pillow(data, directory, request)
    if _is_plain(directory, layout):
        try:
            return _by_pillow(data, directory, request)
        except (UnreadablePhotoError, MemoryError):
            raise
        except Exception:
            pass  # what Pillow cannot read of it
        return _by_samples(data, directory, layout, request)
    picture = _by_samples(data, directory, layout, request)
    # Pillow takes planes of more than 8 bits for pixels, which gives noise, and does not invert deep greys.
    is_beyond_pillow = layout.bits > 8 and (layout.planes > 1 or directory.number(tag.PHOTOMETRIC, -1) == WHITE_IS_ZERO)
    if picture.note in (None, NOT_NUMBERS) and not is_beyond_pillow:
        _compare(picture, data, directory, request)
    return picture


def _is_plain(directory: TiffDirectory, layout: SampleLayout) -> bool:
    """Tell whether a TIFF is of the kinds that every decoder reads alike."""
    photometric = directory.number(tag.PHOTOMETRIC, -1)
    is_byte = layout.bits in (1, 8) and (set(directory.numbers(tag.SAMPLE_FORMAT)) or {UNSIGNED}) == {UNSIGNED}
    return is_byte and layout.planes == 1 and layout.samples == CHANNELS[photometric] and photometric != LAB


def _by_pillow(data: FileBytes, directory: TiffDirectory, request: Request, held: int = 0) -> Picture:
    """Decode by Pillow while so many bytes of memory are held by another picture."""
    try:
        image = Image.open(as_file(data), formats=("TIFF",))
    except UnidentifiedImageError:
        raise UnreadablePhotoError(f"TIFF of a kind that is not read ({_kind(directory)})") from None
    with image:
        if directory.page:
            image.seek(directory.page)
        refuse_large(*image.size, request, held + _bytes_by_pillow(image, data, directory, request))
        profile = image.info.get("icc_profile")
        try:
            rgb = to_rgb(image, request.min_side, profile)
        except (OSError, ValueError) as error:
            raise OSError(f"{error} ({_kind(directory)})") from None
        width, height = image.size  # Pillow may turn a TIFF upright as it loads
        return Picture(rgb, width, height, orientation_of(image), note_of_odd_numbers(image))


def _bytes_by_pillow(image: Image.Image, data: FileBytes, directory: TiffDirectory, request: Request) -> int:
    """Return the bytes of memory that decoding a TIFF by Pillow takes at its peak."""
    # Pillow has libtiff read compressed ones, which it gives the whole file and gets strips or tiles from.
    copies = copies_by_pillow(data) * (directory.number(tag.COMPRESSION, 1) != 1)
    columns = directory.number(tag.TILE_WIDTH, image.width)
    rows = directory.number(tag.TILE_HEIGHT, min(image.height, directory.number(tag.ROWS_PER_STRIP, image.height)))
    part = columns * rows * max(1, sum(directory.numbers(tag.BITS)) // 8, RGB_BYTES)
    return file_bytes(data, copies) + picture_bytes(image, request) + (part if copies else 0)


def _kind(directory: TiffDirectory) -> str:
    bits = "+".join(map(str, directory.numbers(tag.BITS))) or "1"
    return (
        f"{bits} bits, compression {directory.number(tag.COMPRESSION, 1)}, "
        f"photometric {directory.number(tag.PHOTOMETRIC, -1)}"
    )


def _by_samples(data: FileBytes, directory: TiffDirectory, layout: SampleLayout, request: Request) -> Picture:
    """Decode by the samples."""
    photometric = directory.number(tag.PHOTOMETRIC, -1)
    colours = CHANNELS[photometric]
    extra = directory.numbers(tag.EXTRA_SAMPLES)
    has_alpha = layout.samples > colours and bool(extra) and extra[0] in (PREMULTIPLIED, STRAIGHT)
    kept = colours + has_alpha
    size = layout.dtype.itemsize
    # A strip or tile lies in memory as compressed, as bytes and as numbers, beside the pixels as numbers and as bytes;
    # then the pixels as bytes, rearranged, as an image and as RGB; then the RGB and its turned copy.
    at_once = 3 * size * layout.samples * layout.part[0] * layout.part[1]
    is_rearranged = photometric in (INKS, LAB) or (has_alpha and (kept == 2 or extra[0] == PREMULTIPLIED))
    of_image = (1 if kept == 1 else RGB_BYTES) + RGB_BYTES * is_rearranged
    pixels_of_photo, rgb = layout.width * layout.height, RGB_BYTES * rgb_pixels(layout.width, layout.height, request)
    as_numbers = (kept * size * (size > 2) + kept) * pixels_of_photo + at_once
    peak = max(as_numbers, (kept + of_image) * pixels_of_photo + rgb, 2 * rgb)
    refuse_large(layout.width, layout.height, request, file_bytes(data) + peak + WORKSPACE)
    pixels, share, note = _bytes_of(data, layout, kept, colours, photometric)
    note = note if share == 1 else note_of_missing_rows(share)
    if has_alpha:
        _refuse_half_transparent(pixels[..., colours])
    if photometric == WHITE_IS_ZERO:
        pixels[..., 0] = 255 - pixels[..., 0]
    image = _image(pixels, photometric, has_alpha, extra[:1] == (PREMULTIPLIED,))
    profile = directory.tags.get(tag.PROFILE)
    shown = to_rgb(image, request.min_side, bytes(profile) if profile else None)
    return Picture(shown, layout.width, layout.height, _orientation(directory), note)


def _orientation(directory: TiffDirectory) -> int:
    """Return the orientation that the tag tells, or else the XMP block."""
    found = XMP_ORIENTATION.search(bytes(directory.tags.get(tag.XMP, b"")))
    return directory.number(tag.ORIENTATION, int(found[1]) if found else 1)


def _bytes_of(
    data: FileBytes, layout: SampleLayout, kept: int, colours: int, photometric: int
) -> tuple[np.ndarray, float, str | None]:
    """Read the samples as (height, width, kept) uint8; return them, the share of the rows that is there, and a note."""
    is_float = layout.dtype.kind == "f"
    is_wide = is_float or layout.dtype.itemsize > 2 or layout.dtype.kind == "i"
    shape = (layout.height, layout.width, kept)
    pixels = np.zeros(shape, layout.dtype.newbyteorder("=") if is_wide else np.uint8)
    there = expected = 0
    for block in sample_blocks(data, layout):
        last = min(block.first_sample + block.values.shape[2], kept)
        expected += len(block.values)
        there += block.rows_there
        if block.first_sample >= kept:
            continue
        values = block.values[..., : last - block.first_sample]
        rows, columns = values.shape[:2]
        target = pixels[block.top : block.top + rows, block.left : block.left + columns, block.first_sample : last]
        target[...] = values if is_wide else _to_bytes(values, layout, photometric)
    if not is_wide:
        return pixels, there / expected, None
    step = max(1, STRIP_PIXELS // (layout.width * kept))
    tops = range(0, layout.height, step)
    value_range = shown_range((pixels[top : top + step, :, :colours] for top in tops), is_integer=not is_float)
    if layout.dtype.kind == "i" and layout.bits <= 16 and value_range[0] == 0:
        value_range = (0.0, float(np.iinfo(layout.dtype).max))
    note = note_of_odd_numbers(pixels)
    if note is not None and photometric == WHITE_IS_ZERO:
        pixels[np.isnan(pixels)] = np.inf  # which is shown black
    result = np.empty(shape, np.uint8)
    for top in tops:
        result[top : top + step] = to_8_bit(pixels[top : top + step], value_range)
    return result, there / expected, note


def _to_bytes(values: np.ndarray, layout: SampleLayout, photometric: int) -> np.ndarray:
    """Scale unsigned integers of up to 16 bits to uint8."""
    if values.dtype.itemsize == 1:
        return values
    if photometric == LAB:
        return (values >> 8).astype(np.uint8)  # a and b are signed, so that their high bytes are what 8 bits hold
    if layout.bits < 16:
        return (values.astype(np.float32) * (255 / ((1 << layout.bits) - 1))).round().astype(np.uint8)
    return to_8_bit(values, (0.0, 65535.0))


def _refuse_half_transparent(alpha: np.ndarray) -> None:
    """Refuse a photo whose alpha channel is no mask: with it and without it, viewers show different pictures.

    Args:
        alpha: (height, width) uint8.
    """
    looked_at = alpha[:: max(1, len(alpha) // 1000), :: max(1, alpha.shape[1] // 1000)]
    counts = np.bincount(looked_at.ravel(), minlength=256)
    if counts[HALF_TRANSPARENT].sum() > MOST_HALF_TRANSPARENT * counts.sum():
        raise UnreadablePhotoError("most of this TIFF is half transparent, and decoders disagree about what it shows")


def _image(pixels: np.ndarray, photometric: int, has_alpha: bool, is_premultiplied: bool) -> Image.Image:
    """Make an image of (height, width, channels) uint8."""
    if photometric in (INKS, LAB):
        mode = "CMYK" if photometric == INKS else "LAB"
        channels = Image.getmodebands(mode)
        height, width = pixels.shape[:2]
        return Image.frombytes(mode, (width, height), pixels[..., :channels].tobytes())
    if has_alpha and pixels.shape[2] == 2:
        pixels = pixels[..., [0, 0, 0, 1]]
    if not has_alpha:
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if not is_premultiplied:
        return Image.fromarray(pixels)
    # Over white, a premultiplied colour only needs what its alpha leaves.
    result = np.empty((*pixels.shape[:2], 3), np.uint8)
    for row, target in zip(pixels, result, strict=True):
        target[...] = (row[:, :3] + (255 - row[:, 3:].astype(np.int16))).clip(0, 255)
    return Image.fromarray(result)


def _compare(picture: Picture, data: FileBytes, directory: TiffDirectory, request: Request) -> None:
    """Refuse a TIFF that Pillow reads as another picture."""
    try:
        held = RGB_BYTES * picture.image.width * picture.image.height
        other = _by_pillow(data, directory, request, held)
    except MemoryError:
        raise
    except UnreadablePhotoError as error:
        if error.retry != OTHER_DECODER:  # too large to be compared
            raise
        return
    except Exception:  # Pillow does not read it
        return
    ours, theirs = (
        np.asarray(upright(one.image, one.orientation).resize((COMPARED_SIDE, COMPARED_SIDE), Image.Resampling.BOX))
        for one in (picture, other)
    )
    difference = abs(ours.astype(np.int16) - theirs).mean()
    if difference > MOST_DIFFERENCE:
        raise UnreadablePhotoError(f"two decoders disagree about this TIFF ({_kind(directory)})")
