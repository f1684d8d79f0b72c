"""Tell by its own structure whether a file lacks its end, which decoders say in words of their own or not at all."""

from indexer.photos.decoding.picture import FileBytes

# Kinds of files in boxes of ISO/IEC 14496-12, of which each says how long it is.
IN_BOXES = ("AVIF", "HEIF", "RAW", "JXL", "JPEG2000")
END_OF_CODESTREAM = b"\xff\xd9"


def is_cut(data: FileBytes, kind: str) -> bool:
    """Return whether a file ends before it says so itself.

    Args:
        data: The bytes of a file.
        kind: Its kind, as `kind_of_content` tells it.

    Returns:
        False, too, for kinds whose files do not say how long they are.
    """
    if kind == "WEBP":
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if kind in ("RAW", "TIFF") and bytes(data[:4]) in (b"II*\0", b"MM\0*"):
        first_directory = int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big")
        return len(data) < 8 or first_directory >= len(data)
    if kind == "JPEG2000" and data[:2] == b"\xff\x4f":
        return _lacks_codestream_end(data)
    is_bare_jxl = data[:2] == b"\xff\x0a"
    if kind in IN_BOXES and not is_bare_jxl and (kind != "RAW" or data[4:8] == b"ftyp"):
        return _boxes_are_cut(data, kind)
    return False


def _boxes_are_cut(data: FileBytes, kind: str) -> bool:
    """Return whether the last box of a file is longer than what is there, or the box of the pixels is missing."""
    place, kinds = 0, set[bytes]()
    while place + 8 <= len(data):
        size, name = int.from_bytes(data[place : place + 4], "big"), bytes(data[place + 4 : place + 8])
        kinds.add(name)
        if size == 0:  # to the end of the file
            return kind == "JPEG2000" and _lacks_codestream_end(data)
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        if size < 8:
            return False  # damaged otherwise
        place += size
    pixels = {"JPEG2000": {b"jp2c"}, "JXL": {b"jxlc", b"jxlp"}}.get(kind, {b"mdat", b"idat"})
    return place != len(data) or not (kinds & pixels or b"meta" in kinds)


def _lacks_codestream_end(data: FileBytes) -> bool:
    """Return whether a JPEG 2000 lacks its last marker; bytes of zero may stand behind it."""
    return not bytes(data[-64:]).rstrip(b"\0").endswith(END_OF_CODESTREAM)
