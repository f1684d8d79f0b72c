import numpy as np

from reranker.models.photo_parts import PhotoParts


def test_parts_are_packed_side_by_side_and_unpacked_as_they_were():
    parts = PhotoParts(np.float32([5, 6]), np.float32([[1, 2], [3, 4]]), np.float32([[7], [8]]))
    hidden = parts.pack()
    assert hidden.tolist() == [[5, 1, 2, 7], [6, 3, 4, 8]]
    again = PhotoParts.unpack(hidden, 2)
    for name in ("late_hubness", "ranking", "relevance"):
        assert np.array_equal(getattr(again, name), getattr(parts, name)), name
