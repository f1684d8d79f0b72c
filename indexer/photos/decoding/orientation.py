"""Find the orientation of a photo and turn it upright."""

from PIL import Image

# The EXIF and TIFF tag of the orientation.
ORIENTATION = 0x0112

# Transposition that makes each EXIF orientation from 2 to 8 upright; from 5 on, it swaps width and height.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(image: Image.Image) -> int:
    """Return the orientation that the EXIF block of an image tells, or else its XMP block; 1 if none does."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image upright; numbers that are no orientation change nothing."""
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image
