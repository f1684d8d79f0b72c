"""Several judged sets as one: their photos, captions and judgments keep apart, and each photo knows its set."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import PhotoseekError
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments, photo_of
from reranker.judgments.training_sets import PhotoSets, TrainingSet, join_sets


def judged(folder: str, photos: str, dropped: int = 0) -> Judgments:
    """Make a judged folder of photos named by single letters, with a caption and judgments of the first."""
    first = photos[0]
    return Judgments(
        folder=Path(folder),
        photos={name: Path(folder, name) for name in photos},
        sets={"train_images": tuple(photos)},
        splits={"train": tuple(photos)},
        captions={f"{name}#0": f"{name} in {folder}" for name in photos},
        expert=(ExpertRow(first, f"{first}#0", (4, 4, 4)),),
        crowd=(CrowdRow(first, f"{photos[-1]}#0", 1, 2),),
        dropped=dropped,
    )


SETS = (TrainingSet("one", judged("x", "ab", 3)), TrainingSet("two", judged("y", "bcd", 4), 0.5, True))


def test_one_set_is_left_as_it_is():
    joined, photo_sets = join_sets(SETS[1:])
    assert joined is SETS[1].judgments
    assert (photo_sets.names, photo_sets.weights.tolist()) == (("two",), [0.5])
    assert (photo_sets.relevance_only.tolist(), photo_sets.set_of.tolist()) == ([True], [0, 0, 0])


def test_photos_of_one_name_in_two_sets_keep_apart():
    joined, photo_sets = join_sets(SETS)
    assert joined.photos == {
        "one/a": Path("x/a"),
        "one/b": Path("x/b"),
        "two/b": Path("y/b"),
        "two/c": Path("y/c"),
        "two/d": Path("y/d"),
    }
    assert joined.captions["one/b#0"] == "b in x"
    assert joined.captions["two/b#0"] == "b in y"
    assert joined.sets == {"one": ("one/a", "one/b"), "two": ("two/b", "two/c", "two/d")}
    assert joined.expert == (ExpertRow("one/a", "one/a#0", (4, 4, 4)), ExpertRow("two/b", "two/b#0", (4, 4, 4)))
    assert joined.crowd == (CrowdRow("one/a", "one/b#0", 1, 2), CrowdRow("two/b", "two/d#0", 1, 2))
    assert (joined.splits, joined.queries, joined.test_photos, joined.dropped) == ({}, (), (), 7)
    # A caption still tells its photo.
    assert {photo_of(caption) for caption in joined.captions} == set(joined.photos)
    assert photo_sets.set_of.tolist() == [0, 0, 1, 1, 1]
    assert (photo_sets.names, photo_sets.weights.tolist()) == (("one", "two"), [1.0, 0.5])


@pytest.mark.parametrize("again", ["x", "x/../x"])
def test_a_photo_file_in_two_sets_is_refused(again: str):
    sets = (*SETS, TrainingSet("three", judged(again, "ab"), relevance_only=True))
    with pytest.raises(PhotoseekError) as caught:
        join_sets(sets)
    reason = "name a photo's folder once, and how often it is seen by its weight: FOLDER=2"
    assert str(caught.value) == f"photo a of judged set three is in one, too; {reason}"
    # Two splits of one folder have no photo in common.
    assert list(join_sets((SETS[0], TrainingSet("three", judged("x", "cd"))))[0].photos)[2:] == ["three/c", "three/d"]


def test_joining_alters_no_set():
    join_sets(SETS)
    join_sets(SETS)
    assert list(SETS[0].judgments.photos) == ["a", "b"]
    assert list(SETS[0].judgments.captions) == ["a#0", "b#0"]


def test_photos_that_teach_the_space_are_those_of_sets_that_teach_more_than_the_relevance():
    _, photo_sets = join_sets(SETS)
    assert photo_sets.teach_space.tolist() == [True, True, False, False, False]
    some = photo_sets.select(np.array([4, 0]))
    assert (some.set_of.tolist(), some.teach_space.tolist(), some.names) == ([1, 0], [False, True], ("one", "two"))


@given(st.integers(0, 20))
def test_all_photos_are_of_one_set_where_none_is_named(photos: int):
    one = PhotoSets.one(photos)
    assert (one.set_of.tolist(), one.weights.tolist()) == ([0] * photos, [1.0])
    assert one.teach_space.tolist() == [True] * photos
