"""Read boxes of the ISO base media file format (ISO/IEC 14496-12), in which HEIC, AVIF and others are stored."""

from collections.abc import Iterator
from dataclasses import dataclass

from indexer.photos.metadata.file_bytes import ByteParts

# Boxes or items of one box that are looked at, and bytes of an item that are read, at most.
MOST_BOXES = 4_096
MOST_ITEM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its kind, and where its content begins and ends."""

    kind: bytes
    begin: int
    end: int


class _Numbers:
    """Big-endian numbers, read one behind the other; 0 where the bytes end."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def at_end(self) -> bool:
        """Whether all bytes are read."""
        return self._at >= len(self._content)

    def next(self, size: int) -> int:
        """Return the next number of so many bytes."""
        raw = self._content[self._at : self._at + size]
        self._at += size
        return int.from_bytes(raw, "big")


def walk(data: ByteParts, begin: int, end: int) -> Iterator[Box]:
    """Yield the boxes that lie side by side in a part of a file.

    Args:
        data: The file.
        begin: Where the first begins.
        end: Where the last ends.
    """
    for _ in range(MOST_BOXES):
        head = data[begin : begin + 16]
        if begin + 8 > end or len(head) < 8:
            return
        size, inner = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, inner = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - begin
        if size < inner:
            return
        yield Box(head[4:8], begin + inner, min(begin + size, end))
        begin += size


def metadata_items(data: ByteParts, meta: Box) -> Iterator[tuple[bytes, bytes]]:
    """Yield the EXIF and XMP items of a `meta` box.

    Args:
        data: The file.
        meta: The box.

    Yields:
        (`Exif` or `mime`, content); the content of an item in several pieces is put together.
    """
    parts = {box.kind: box for box in walk(data, meta.begin + 4, meta.end)}
    if b"iinf" not in parts or b"iloc" not in parts:
        return
    kinds = _item_kinds(data, parts[b"iinf"])
    inside = parts.get(b"idat", Box(b"idat", 0, 0)).begin
    locations = parts[b"iloc"]
    for item, pieces in _item_pieces(data[locations.begin : locations.end], inside):
        if item in kinds:
            content = b""
            for at, size in pieces:
                content += data[at : at + min(size, MOST_ITEM_BYTES - len(content))]
            yield kinds[item], content


def _item_kinds(data: ByteParts, info: Box) -> dict[int, bytes]:
    """Return the kind of every EXIF and XMP item of an `iinf` box by its number."""
    first = 8 if data[info.begin : info.begin + 1] != b"\0" else 6
    kinds = {}
    for entry in walk(data, info.begin + first, info.end):
        content = data[entry.begin : min(entry.end, entry.begin + 256)]
        numbers = _Numbers(content[4:])
        wide = content[:1] == b"\3"
        item, _ = numbers.next(4 if wide else 2), numbers.next(2)
        kind = content[10 if wide else 8 :][:4]
        if kind == b"Exif" or (kind == b"mime" and b"application/rdf+xml" in content):
            kinds[item] = kind
    return kinds


def _item_pieces(content: bytes, inside: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield each item of an `iloc` box with the places and sizes of its pieces; `inside` is where `idat` begins."""
    version, numbers = content[:1], _Numbers(content[4:])
    sizes = numbers.next(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = version == b"\2"
    for _ in range(min(numbers.next(4 if wide else 2), MOST_BOXES)):
        item = numbers.next(4 if wide else 2)
        way = numbers.next(2) & 15 if version in (b"\1", b"\2") else 0
        numbers.next(2)
        base = numbers.next(base_size) + (inside if way == 1 else 0)
        pieces = []
        for _ in range(numbers.next(2)):
            if numbers.at_end:
                break
            if version in (b"\1", b"\2"):
                numbers.next(index_size)
            at = base + numbers.next(offset_size)
            pieces.append((at, numbers.next(length_size)))
        yield item, pieces
