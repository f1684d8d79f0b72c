"""Look into files for what their names do not tell: photos without an ending, and our own contact sheets."""

from mmap import mmap

from indexer.photos.content import FIRST_BYTES, kind_of_content

# Contact sheets have these bytes in their EXIF, so that a build never takes one for a photo.
SHEET_MARK = "photoseek contact sheet"
# Bytes at either end of a file in which the mark of a sheet stands, whatever its format.
SHEET_ENDS = 4096


def holds_photo(path: bytes) -> bool:
    """Return whether a file begins as photos do.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        return kind_of_content(file.read(FIRST_BYTES)) is not None


def is_contact_sheet(data: bytes | mmap) -> bool:
    """Return whether the bytes of a file are those of a contact sheet that photoseek drew."""
    mark = SHEET_MARK.encode()
    return mark in data[:SHEET_ENDS] or mark in data[-SHEET_ENDS:]
