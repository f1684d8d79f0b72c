"""Tell the kind of a photo by the first bytes of its file, whatever its name says."""

import re

# How many bytes `kind_of_content` wants to see; with fewer it may miss kinds whose mark stands further in.
FIRST_BYTES = 1024

# Endings of camera RAW. They only matter where the content is of no kind that is known here, as there are many.
RAW_SUFFIXES = frozenset(
    b".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 "
    b".rwl .sr2 .srf .srw .x3f".split()
)

# The kinds of files that begin with fixed bytes.
BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"8BPS\0\1", "PSD"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51\0", "JPEG2000"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    # Camera RAW: Fujifilm; Olympus; Panasonic; Canon's CR2 and CRW; Minolta; Sigma. All others are TIFF or CR3.
    (b"FUJIFILMCCD-RAW ", "RAW"),
    (b"IIRO", "RAW"),
    (b"IIRS", "RAW"),
    (b"MMOR", "RAW"),
    (b"IIU\0", "RAW"),
    (b"\0MRM", "RAW"),
    (b"FOVb", "RAW"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0\x08\0", "TIFF"),
    (b"MM\0+\0\x08", "TIFF"),
)
# Beginnings that a text may have, too; numbers of two or four bytes follow them in photos.
WORDS = (b"IIRO", b"IIRS", b"MMOR", b"FOVb")
# The brands by which files in boxes of ISO/IEC 14496-12 name themselves; a HEIC file may name AVIF as well and the
# other way round, so the first brand that is known decides.
BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIF"),
    b"crx ": "RAW",
}
# Brands that AVIF and HEIC share: they only decide if there is no other.
HEIF_STRUCTURE = (b"mif1", b"msf1", b"mif2", b"1pic")
# Sizes of the header by which the bitmaps of Windows and OS/2 tell their version.
BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
# The header of portable pixmaps, in which comments may stand between the numbers: bitmaps, which have width and height
# alone; deeper ones, whose third number is white; floats, whose third one is a scale. The pixels of P1 to P3 are text.
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_SIZE = rb"%b0*[1-9]\d{0,8}%b0*[1-9]\d{0,8}" % (_GAP, _GAP)
_NUMBERS_TO_END = rb"(?:\s|\d|#[^\n\r]*(?:[\n\r]|\Z))*\Z"
NETPBM = re.compile(
    rb"P1%b\s%b|P4%b\s|P[23]%b%b\d{1,5}\s%b|P[56]%b%b\d{1,5}\s|P[fF]%b%b-?\d*\.?\d+\s"
    % (_SIZE, _NUMBERS_TO_END, _SIZE, _SIZE, _GAP, _NUMBERS_TO_END, _SIZE, _GAP, _SIZE, _GAP)
)


def kind_of_content(first_bytes: bytes) -> str | None:
    """Tell the kind of a photo by the bytes that its file begins with.

    Args:
        first_bytes: The first `FIRST_BYTES` bytes of a file, or all of a shorter one.

    Returns:
        "JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "PSD", "JXL" or "RAW";
        None if it is no photo. "TIFF" is also what many camera RAW files are; only their directories tell.
    """
    if (first_bytes[8:10] == b"CR" and first_bytes[:4] == b"II*\0") or first_bytes[6:14] == b"HEAPCCDR":
        return "RAW"
    for beginning, kind in BEGINNINGS:
        if first_bytes.startswith(beginning):
            return None if beginning in WORDS and b"\0" not in first_bytes[4:8] else kind
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return "WEBP"
    if first_bytes[4:8] == b"ftyp":
        return _kind_of_boxes(first_bytes)
    if first_bytes[:2] == b"BM" and int.from_bytes(first_bytes[14:18], "little") in BITMAP_HEADERS:
        return "BMP"
    if NETPBM.match(first_bytes):
        return "PPM"
    # A bitmap without the header of its file: size, width, height, one plane, bits per pixel.
    planes, bits = first_bytes[12:14], int.from_bytes(first_bytes[14:16], "little")
    if first_bytes[:4] == b"\x28\0\0\0" and planes == b"\1\0" and bits in (1, 4, 8, 16, 24, 32):
        return "DIB"
    return None


def _kind_of_boxes(first_bytes: bytes) -> str | None:
    """Tell the kind by the brands of the first box; films have none of these."""
    size = int.from_bytes(first_bytes[:4], "big")
    # The major brand, then after a version the compatible ones.
    places = [8, *range(16, min(size, len(first_bytes)) - 3, 4)]
    brands = [first_bytes[place : place + 4] for place in places]
    kind = next((BRANDS[brand] for brand in brands if brand in BRANDS), None)
    if kind is None and any(brand in HEIF_STRUCTURE for brand in brands):
        return "HEIF"
    return kind
