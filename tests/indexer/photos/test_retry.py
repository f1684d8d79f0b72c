import pickle

import pytest

from indexer.photos import retry
from indexer.photos.decode import UnreadablePhotoError
from indexer.photos.retry import ALWAYS, OTHER_DECODER, Limits, with_module, with_pixels, with_seconds

LIMITS = Limits(max_pixels=1000, deadline=60.0)


@pytest.mark.parametrize(
    ("word", "tried"),
    [
        (None, True),
        (ALWAYS, True),
        (OTHER_DECODER, False),
        ("decoder 0", True),
        (with_module("json"), True),
        (with_module("no_such_module"), False),
        (with_pixels(1000), True),
        (with_pixels(1001), False),
        (with_seconds(59.5), True),
        (with_seconds(60.0), False),
        (with_seconds(0.1 + 0.2), True),
    ],
)
def test_a_file_is_tried_again_when_its_reason_may_have_gone(word, tried):
    assert LIMITS.allow_retry(word) is tried


def test_the_word_survives_the_way_from_a_decoding_process():
    error = pickle.loads(pickle.dumps(UnreadablePhotoError("too large", with_pixels(9))))
    assert (str(error), error.retry) == ("too large", "pixels 9")
    assert UnreadablePhotoError("broken").retry == f"decoder {retry.DECODER_VERSION}"
