import io

import pytest
from PIL import Image

from indexer.photos.decode import UnreadablePhotoError
from indexer.photos.memory.webp_size import webp_size


def webp(mode: str, size: tuple[int, int], **options: object) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size, 3).save(target, "WEBP", **options)
    return target.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (300, 7), (16_383, 2), (259, 16_383)])
@pytest.mark.parametrize(
    ("chunk", "mode", "options"),
    [(b"VP8 ", "RGB", {}), (b"VP8L", "RGB", {"lossless": True}), (b"VP8X", "RGB", {"icc_profile": b"x"})],
)
def test_the_size_is_read_from_every_kind_of_header(chunk, mode, options, size):
    data = webp(mode, size, **options)
    assert data[12:16] == chunk
    assert webp_size(data) == size


def test_a_file_without_a_size_is_refused():
    whole = webp("RGB", (300, 7))
    with pytest.raises(UnreadablePhotoError, match=r"^the file is cut short$"):
        webp_size(whole[:29])
    with pytest.raises(UnreadablePhotoError, match="begins with no picture"):
        webp_size(whole[:12] + b"ALPH" + whole[16:])
