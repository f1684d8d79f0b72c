"""Word pieces of sentences: which ones are kept, and choosing sentences."""

import numpy as np
import pytest

from indexer.encoders import Tokens
from indexer.encoders.tokens import content_positions

# Three sentences of 2, 0 and 1 pieces, two numbers a piece.
THREE = Tokens(np.array([[1, 2], [3, 4], [5, 6]], np.float32), np.array([10, 11, 12]), np.array([0, 2, 2, 3]))


@pytest.mark.parametrize(
    ("pieces", "places"),
    [
        ("[CLS] a dog and the man ' s ball . [SEP]", [2, 5, 8]),
        ("[CLS] snow ##board ##er ( no . 7 ) [SEP]", [1, 2, 3, 5, 7]),
        ("[CLS] [UNK] dog [SEP]", [2]),
        ("[CLS] it was there . [SEP]", [1]),
        ("[CLS] ! ? [SEP]", [1]),
        ("[CLS] [UNK] [SEP]", [1]),
        ("[CLS] [SEP]", [0]),
        (f"[CLS] the {'dog ' * 20} [SEP]", list(range(2, 18))),
    ],
)
def test_the_first_16_pieces_with_content_are_kept_else_the_first_else_the_start(
    pieces: str, places: list[int]
) -> None:
    assert content_positions(pieces.split()) == places


def test_selected_sentences_come_in_the_order_asked_and_as_often() -> None:
    chosen = THREE.select(np.array([2, 0, 1, 2]))
    assert chosen.vectors.tolist() == [[5, 6], [1, 2], [3, 4], [5, 6]]
    assert chosen.pieces.tolist() == [12, 10, 11, 12]
    assert chosen.offsets.tolist() == [0, 1, 3, 3, 4]
    assert (len(chosen), chosen.lengths.tolist()) == (4, [1, 2, 0, 1])
    assert (chosen.vectors.dtype, chosen.pieces.dtype, chosen.offsets.dtype) == (np.float32, np.int64, np.int64)


def test_sentences_can_be_selected_by_a_mask_or_from_the_end_or_not_at_all() -> None:
    assert THREE.select(np.array([True, False, True])).pieces.tolist() == [10, 11, 12]
    assert THREE.select(np.array([-1, -3])).pieces.tolist() == [12, 10, 11]
    empty = THREE.select(np.zeros(0, np.int64))
    assert (empty.vectors.shape, empty.offsets.tolist(), len(empty)) == ((0, 2), [0], 0)


def test_joined_parts_are_the_sentences_one_after_another() -> None:
    parts = [THREE.select(np.array([row])) for row in (0, 1, 2)]
    joined = Tokens.join([*parts, Tokens.none(2, 2)])
    assert np.array_equal(joined.vectors, THREE.vectors)
    assert np.array_equal(joined.pieces, THREE.pieces)
    assert joined.offsets.tolist() == [0, 2, 2, 3, 3, 3]


def test_sentences_without_pieces_stay_so_when_selected() -> None:
    none = Tokens.none(3)
    assert (none.vectors.shape, none.pieces.shape, none.offsets.tolist()) == ((0, 0), (0,), [0, 0, 0, 0])
    assert none.select(np.array([1, 1])).offsets.tolist() == [0, 0, 0]
