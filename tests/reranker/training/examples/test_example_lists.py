"""Lists of examples: taken, joined, and made pairs."""

import numpy as np

from reranker.training.examples.example_lists import ExampleLists, ExampleSettings, with_own_photo_only
from tiny_gallery import PHOTOS, described_photos, listed, whole


def lists_of_two() -> ExampleLists:
    return ExampleLists(
        photo_rows=np.array([[5, 6], [7, 5], [8, 9]]),
        text_rows=np.array([1, 2, 3]),
        pair_features=np.arange(18.0).reshape(3, 2, 3),
        targets=np.float32([[1, 0], [0.5, 0.25], [0, 1]]),
        weights=np.float32([1, 2, 3]),
    )


def test_lists_are_taken_and_joined_row_by_row():
    lists = lists_of_two()
    taken = lists.take(np.array([2, 0]))
    assert len(taken) == 2
    assert taken.photo_rows.tolist() == [[8, 9], [5, 6]]
    assert (taken.text_rows.tolist(), taken.weights.tolist()) == ([3, 1], [3, 1])
    assert taken.pair_features[:, 0].tolist() == [[12, 13, 14], [0, 1, 2]]
    joined = ExampleLists.join([lists, taken])
    assert joined.photo_rows[:, 0].tolist() == [5, 7, 8, 8, 5]
    assert joined.targets[:, 1].tolist() == [0, 0.25, 1, 1, 0]
    assert joined.pair_features.shape == (5, 2, 3)


def test_the_pairs_of_lists_are_lists_of_one_with_the_weight_of_their_list():
    pairs = lists_of_two().as_pairs()
    assert pairs.photo_rows.tolist() == [[5], [6], [7], [5], [8], [9]]
    assert pairs.text_rows.tolist() == [1, 1, 2, 2, 3, 3]
    assert pairs.targets.tolist() == [[1], [0], [0.5], [0.25], [0], [1]]
    assert pairs.weights.tolist() == [1, 1, 2, 2, 3, 3]
    assert pairs.pair_features[:, 0].tolist() == np.arange(18.0).reshape(6, 3).tolist()
    last = lists_of_two().as_pairs(slice(-1, None))
    assert last.photo_rows.tolist() == [[6], [5], [9]]
    assert (last.text_rows.tolist(), last.weights.tolist()) == ([1, 2, 3], [1, 2, 3])


def test_lists_that_measure_an_order_have_their_own_photo_as_the_only_right_one():
    features = described_photos()
    lists = listed(features, whole(features), ExampleSettings(mined_negatives=3, mining_depth=9, random_negatives=1))
    strict = with_own_photo_only(lists)
    assert strict.targets.tolist() == [[1, 0, 0, 0, 0]] * (2 * PHOTOS)
    assert np.array_equal(strict.photo_rows, lists.photo_rows)
    assert lists.targets[:, 1:].any()
