"""Read the samples of a TIFF of any depth, which Pillow does only for some: strips and tiles -> an array of numbers."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from indexer.photos.decoding import tiff_directory as tag
from indexer.photos.decoding.picture import FileBytes
from indexer.photos.decoding.tiff_directory import TiffDirectory

# Compressions that give back bytes as they were: none, LZW, deflate (two numbers), PackBits, LZMA, Zstandard.
NONE, PACKBITS, DEFLATE, OTHERS = 1, 32773, (8, 32946), (5, 32773, 34925, 50000)
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
# Bits per sample that NumPy has a type for, by sample format.
TYPES = {
    UNSIGNED: {8: "u1", 16: "u2", 32: "u4"},
    SIGNED: {8: "i1", 16: "i2", 32: "i4"},
    FLOAT: {16: "f2", 32: "f4", 64: "f8"},
}
# Samples per pixel of what is still a photo, and pixels that are read at once where the file lets us choose.
MOST_SAMPLES = 16
BAND_PIXELS = 1_000_000
# Pixels of a tile that is larger than its picture.
LARGEST_TILE = 1 << 22
DIFFERENCES, FLOAT_DIFFERENCES = 2, 3


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """Layout of the samples of a TIFF in its file.

    Attributes:
        width: Pixels of a row.
        height: Rows.
        samples: Samples per pixel.
        bits: Bits per sample.
        dtype: NumPy's type of a sample in the file; for packed bits, of the unpacked numbers.
        planes: 1 if the samples of a pixel lie together, else `samples`.
        compression: The number of the compression.
        predictor: 1 for none, 2 for differences, 3 for differences of the bytes of floats.
        part: (width, height) of a strip or tile.
        offsets: Where each strip or tile begins.
        counts: Bytes of each.
    """

    width: int
    height: int
    samples: int
    bits: int
    dtype: np.dtype
    planes: int
    compression: int
    predictor: int
    part: tuple[int, int]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a strip or tile."""
        return -(-self.part[0] * (self.samples // self.planes) * self.bits // 8)

    @property
    def is_packed(self) -> bool:
        """Whether samples share bytes."""
        return self.dtype.itemsize * 8 != self.bits


def sample_layout(directory: TiffDirectory) -> SampleLayout | None:
    """Find how samples lie in a file.

    Args:
        directory: The directory of the picture.

    Returns:
        The layout, None if it is one that is not read here.
    """
    bits, formats = set(directory.numbers(tag.BITS)) or {1}, set(directory.numbers(tag.SAMPLE_FORMAT)) or {UNSIGNED}
    compression = directory.number(tag.COMPRESSION, NONE)
    predictor = 1 if compression == NONE else directory.number(tag.PREDICTOR, 1)
    if len(bits) != 1 or len(formats) != 1 or directory.number(tag.FILL_ORDER, 1) != 1:
        return None
    depth, kind = bits.pop(), formats.pop()
    name = TYPES.get(kind, {}).get(depth)
    if name is None and kind == UNSIGNED and 0 < depth < 16 and predictor == 1:
        name = "u2"
    if name is None or compression not in (NONE, *DEFLATE, *OTHERS) or predictor not in (1, 2, 3):
        return None
    if (predictor == DIFFERENCES and kind == FLOAT) or (predictor == FLOAT_DIFFERENCES and kind != FLOAT):
        return None
    width, height = directory.number(tag.WIDTH, 0), directory.number(tag.HEIGHT, 0)
    samples = directory.number(tag.SAMPLES, 1)
    if tag.TILE_OFFSETS in directory.tags:
        part = directory.number(tag.TILE_WIDTH, 0), directory.number(tag.TILE_HEIGHT, 0)
        places = directory.numbers(tag.TILE_OFFSETS), directory.numbers(tag.TILE_COUNTS)
    else:
        part = width, min(height, directory.number(tag.ROWS_PER_STRIP, height) or height)
        places = directory.numbers(tag.STRIP_OFFSETS), directory.numbers(tag.STRIP_COUNTS)
    planes = samples if directory.number(tag.PLANAR, 1) == 2 else 1
    if min(width, height, samples, *part) < 1 or samples > MOST_SAMPLES or len(places[0]) != len(places[1]):
        return None
    if len(places[0]) < planes * -(-width // part[0]) * -(-height // part[1]):
        return None
    if part[0] * part[1] > max(width * height, LARGEST_TILE):
        return None
    dtype = np.dtype(directory.byte_order + name)
    layout = SampleLayout(width, height, samples, depth, dtype, planes, compression, predictor, part, *places)
    is_strip = tag.TILE_OFFSETS not in directory.tags
    return _in_bands(layout) if compression == NONE and is_strip and width * part[1] > BAND_PIXELS else layout


def _in_bands(layout: SampleLayout) -> SampleLayout:
    """Cut the strips of uncompressed samples into lower ones, which take less memory at once."""
    rows = min(max(1, BAND_PIXELS // layout.width), layout.part[1])
    strips = -(-layout.height // layout.part[1])
    while strips > 1 and layout.part[1] % rows:
        rows -= 1  # all bands but the last one of the picture are alike
    offsets, counts = [], []
    for number, (offset, count) in enumerate(zip(layout.offsets, layout.counts, strict=True)):
        height = min(layout.part[1], layout.height - number % strips * layout.part[1])
        for top in range(0, height, rows):
            start = top * layout.row_bytes
            offsets.append(offset + start)
            counts.append(max(0, min(count - start, rows * layout.row_bytes)))
    return replace(layout, part=(layout.width, rows), offsets=tuple(offsets), counts=tuple(counts))


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """The samples of a strip or tile.

    Attributes:
        top: Its first row in the picture.
        left: Its first column.
        first_sample: The first of its samples.
        values: (rows, columns, samples) in the native byte order, cut to the picture.
        rows_there: How many of its rows were in the file; the others are zeros.
    """

    top: int
    left: int
    first_sample: int
    values: np.ndarray
    rows_there: int


def sample_blocks(data: FileBytes, layout: SampleLayout) -> Iterator[SampleBlock]:
    """Read the strips or tiles of a TIFF.

    Args:
        data: The bytes of the file; they may end too early.
        layout: How the samples lie in it.

    Yields:
        The blocks, in the order of the file's tables.
    """
    part_width, part_height = layout.part
    across, down = -(-layout.width // part_width), -(-layout.height // part_height)
    samples = layout.samples // layout.planes
    row_bytes = layout.row_bytes
    is_tiled = part_width != layout.width or layout.height < part_height
    for number in range(layout.planes * across * down):
        plane, place = divmod(number, across * down)
        top, left = place // across * part_height, place % across * part_width
        rows = part_height if is_tiled else min(part_height, layout.height - top)
        raw = bytes(data[layout.offsets[number] : layout.offsets[number] + layout.counts[number]])
        content = _decompressed(raw, layout.compression, row_bytes, rows)
        rows_there = min(len(content) // row_bytes, rows)
        content = content[: row_bytes * rows].ljust(row_bytes * rows, b"\0")
        values = _values(content, layout, rows, part_width, samples)
        values = values[: layout.height - top, : layout.width - left]
        yield SampleBlock(top, left, plane, values, min(rows_there, len(values)))


def _decompressed(raw: bytes, compression: int, row_bytes: int, rows: int) -> bytes:
    """Decompress a strip or tile as far as it can be."""
    if compression == NONE or not raw:
        return raw
    if compression in DEFLATE:
        stream = zlib.decompressobj()
        try:
            return stream.decompress(raw, row_bytes * rows)
        except zlib.error:
            return b""
    # Pillow's decoder (libtiff) sees the bytes as the grey pixels of a TIFF of one strip, and so leaves them alone.
    entries = {256: row_bytes, 257: rows, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: rows, 279: len(raw)}
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in entries.items())
    padding = bytes(len(raw) % 2)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(raw) + len(padding))
    try:
        with Image.open(io.BytesIO(start + raw + padding + directory + bytes(4)), formats=("TIFF",)) as image:
            return image.tobytes()
    except OSError:
        return b""


def _values(content: bytes, layout: SampleLayout, rows: int, columns: int, samples: int) -> np.ndarray:
    """Make numbers of decompressed bytes: (rows, columns, samples) in the native byte order."""
    if layout.is_packed:
        bits = np.unpackbits(np.frombuffer(content, np.uint8).reshape(rows, -1), axis=1)
        bits = bits[:, : columns * samples * layout.bits].reshape(rows, columns, samples, layout.bits)
        return bits @ (1 << np.arange(layout.bits - 1, -1, -1, dtype=np.uint16))
    if layout.predictor == FLOAT_DIFFERENCES:
        size = layout.dtype.itemsize
        differences = np.frombuffer(content, np.uint8).reshape(rows, -1, samples)
        planes = differences.cumsum(axis=1, dtype=np.uint8).reshape(rows, size, columns * samples)
        big_endian = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(layout.dtype.newbyteorder(">"))
        return big_endian.astype(layout.dtype.newbyteorder("=")).reshape(rows, columns, samples)
    native = layout.dtype.newbyteorder("=")
    values = np.frombuffer(content, layout.dtype).astype(native, copy=False).reshape(rows, columns, samples)
    return values.cumsum(axis=1, dtype=native) if layout.predictor == DIFFERENCES else values
