from pathlib import Path

import numpy as np

from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments, grouped_split, photo_of

JUDGED = Judgments(
    folder=Path("judged"),
    photos={name: Path(name) for name in ("a.jpg", "b.JPG", "c.png")},
    sets={"train_images": ("a.jpg", "b.JPG"), "test_images": ("c.png",)},
    splits={},
    captions={
        "a.jpg#0": "A dog , running .",
        "a.jpg#1": "A big dog .",
        "c.png#0": "A cat .",
        "gone.jpg#0": "A bird .",
        "b.JPG#0": "A horse, white",
    },
    expert=(ExpertRow("a.jpg", "b.JPG#0", (1, 1, 2)), ExpertRow("b.JPG", "a.jpg#1", (2, 3, 4))),
    crowd=(CrowdRow("a.jpg", "a.jpg#0", 2, 1), CrowdRow("b.JPG", "gone.jpg#0", 0, 3)),
    test_photos=("c.png",),
)


def test_the_share_of_a_crowd_row_is_yes_over_all_votes():
    assert CrowdRow("a.jpg", "a.jpg#0", 1, 3).share == 0.25
    assert CrowdRow("a.jpg", "a.jpg#0", 0, 5).share == 0.0


def test_the_photo_of_a_caption_is_what_stands_before_the_last_number_sign():
    assert photo_of("a#1.jpg#0") == "a#1.jpg"


def test_restrict_keeps_the_photos_judgments_and_the_captions_of_other_photos_that_they_need():
    judgments = JUDGED.restrict(["b.JPG"])
    assert list(judgments.photos) == ["b.JPG"]
    assert judgments.expert == (ExpertRow("b.JPG", "a.jpg#1", (2, 3, 4)),)
    assert judgments.crowd == (CrowdRow("b.JPG", "gone.jpg#0", 0, 3),)
    assert sorted(judgments.captions) == ["a.jpg#1", "b.JPG#0", "gone.jpg#0"]


def test_without_captions_takes_their_judgments_away_too():
    judgments = JUDGED.without_captions(["a.jpg#1", "gone.jpg#0"])
    assert sorted(judgments.captions) == ["a.jpg#0", "b.JPG#0", "c.png#0"]
    assert judgments.expert == (ExpertRow("a.jpg", "b.JPG#0", (1, 1, 2)),)
    assert judgments.crowd == (CrowdRow("a.jpg", "a.jpg#0", 2, 1),)


def test_a_grouped_split_is_seven_to_three_and_has_no_photo_on_both_sides():
    photos = np.repeat(np.arange(100), 5)
    train, test = grouped_split(photos, seed=3)
    assert (len(set(photos[train])), len(set(photos[test]))) == (70, 30)
    assert not set(photos[train]) & set(photos[test])
    assert sorted([*train, *test]) == list(range(500))
    assert np.array_equal(grouped_split(photos, seed=3)[0], train)
    assert not np.array_equal(grouped_split(photos, seed=4)[0], train)
