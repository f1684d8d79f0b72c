"""What is in judged data: pairs with their scores, who disagrees, words, sizes, what a policy takes out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.errors import PhotoseekError
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments, Query
from reranker.moderation.policy import Policy
from reranker.reports.judged_statistics import (
    JudgedPair,
    by_disagreement,
    coverage,
    judged_pairs,
    nearest_to_scores,
    own_captions,
    photo_sizes,
    removed_by,
    select_photos,
    word_counts,
)

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"


def judged(folder: Path = Path("judged")) -> Judgments:
    """Three photos; a and b have captions, c has only a query."""
    return Judgments(
        folder=folder,
        photos={name: folder / name for name in ("a.jpg", "b.jpg", "c.jpg")},
        sets={"train_images": ("a.jpg", "b.jpg"), "test_images": ("c.jpg",)},
        splits={},
        captions={"a.jpg#0": "A dog runs .", "a.jpg#1": "a dog runs .", "b.jpg#0": "A boy and a dog ."},
        expert=(ExpertRow("a.jpg", "b.jpg#0", (1, 1, 2)), ExpertRow("b.jpg", "a.jpg#0", (1, 2, 4))),
        crowd=(
            CrowdRow("a.jpg", "b.jpg#0", 3, 1),
            CrowdRow("b.jpg", "a.jpg#1", 0, 3),
            CrowdRow("b.jpg", "b.jpg#0", 3, 0),
        ),
        queries=(Query("c.jpg#0", "a girl jumps", "c.jpg"),),
        test_photos=("c.jpg",),
    )


def test_a_pair_has_what_each_side_said_and_both_combined() -> None:
    pairs = {(pair.photo, pair.caption): pair for pair in judged_pairs(judged())}
    both = pairs["a.jpg", "b.jpg#0"]
    # Grades 1, 1, 2: mean 4/3 -> 1/9 of the way from 1 to 4; majority 1 -> 0; score 0.7 x 0 + 0.3 x 3/4.
    assert both.expert == pytest.approx(1 / 9)
    assert (both.majority, both.share, both.votes) == (0.0, 0.75, 4)
    assert both.score == pytest.approx(0.225)
    assert both.disagreement == pytest.approx(0.75 - 1 / 9)
    # Grades 1, 2, 4 have no majority, and nobody else was asked: no score, but a mean of 7/3.
    alone = pairs["b.jpg", "a.jpg#0"]
    assert (alone.majority, alone.share, alone.score, alone.disagreement) == (None, None, None, 0.0)
    assert alone.expert == pytest.approx(4 / 9)
    assert pairs["b.jpg", "a.jpg#1"].score == 0.0
    assert len(pairs) == 4


def pair(photo: str, expert: float | None, share: float | None, votes: int = 3, score: float = 0.0) -> JudgedPair:
    return JudgedPair(photo, "z.jpg#0", expert, None, share, votes, score)


def test_pairs_furthest_apart_come_first_and_more_votes_among_equals() -> None:
    pairs = [
        pair("a", 0.5, 0.4),
        pair("b", 0.0, 1.0),
        pair("c", 1.0, 0.0, votes=5),
        pair("d", None, 1.0),
        pair("e", 0.0, 0.9),
    ]
    assert [one.photo for one in by_disagreement(pairs)] == ["c", "b", "e", "a"]


def test_examples_are_the_nearest_pairs_and_none_shows_a_photo_twice() -> None:
    pairs = [pair(name, 0.0, None, score=score) for name, score in (("a", 1.0), ("a", 0.95), ("b", 0.9), ("c", 0.0))]
    found = nearest_to_scores([*pairs, JudgedPair("z.jpg", "z.jpg#0", 1.0, 1.0, 1.0, 3, 1.0)], (1.0, 0.5, 0.0), 2)
    assert [(one.photo, one.score) for one in found[1.0]] == [("a", 1.0), ("b", 0.9)]
    # No pair stands for a score that it is far from.
    assert found[0.5] == []
    assert [(one.photo, one.score) for one in found[0.0]] == [("c", 0.0)]


def test_words_are_counted_without_case_and_coverage_is_their_running_share() -> None:
    words = word_counts(["A dog runs .", "a dog , a cat"])
    assert words == {"a": 3, "dog": 2, "runs": 1, "cat": 1}
    assert coverage(words).tolist() == pytest.approx([3 / 7, 5 / 7, 6 / 7, 1.0])


def test_a_photo_without_captions_has_its_queries() -> None:
    assert own_captions(judged()) == {
        "a.jpg": ["A dog runs .", "a dog runs ."],
        "b.jpg": ["A boy and a dog ."],
        "c.jpg": ["a girl jumps"],
    }


def test_sizes_are_those_of_the_upright_photo_and_broken_files_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "b.jpg", exif=turned)
    (tmp_path / "c.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:50])
    steps = []
    sizes = photo_sizes(judged(tmp_path), lambda done, total: steps.append((done, total)))
    assert sizes.names == ("a.jpg", "b.jpg")
    assert (sizes.width.tolist(), sizes.height.tolist()) == ([40, 20], [20, 40])
    assert sizes.size.tolist() == [(tmp_path / name).stat().st_size for name in sizes.names]
    assert [name for name, _ in sizes.unreadable] == ["c.jpg"]
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_policy_takes_out_captions_with_their_photos_and_judgments() -> None:
    removed = removed_by(Policy.load("minors"), judged())
    # "A boy and a dog ." protects b.jpg, and a.jpg, of which three in four say that it shows that; a query names c.jpg.
    assert (removed.photos, removed.naming, removed.captions) == (3, 1, 3)
    assert (removed.expert, removed.crowd, removed.queries) == (2, 3, 1)
    assert removed.terms == {"boy": 1}
    assert removed.examples == (("b.jpg#0", "A boy and a dog ."),)


def test_terms_are_counted_as_the_policy_has_them_phrases_too_and_exceptions_are_none() -> None:
    captions = {
        "a.jpg#0": "two boys and a girl",
        "a.jpg#1": "a baby elephant",
        "b.jpg#0": "boys at a high school",
        "b.jpg#1": "a high school",
    }
    removed = removed_by(Policy.load("minors"), replace(judged(), captions=captions, expert=(), crowd=()))
    assert removed.naming == 3
    assert removed.terms == {"boy": 2, "high school": 1}


def test_explore_looks_into_the_judged_and_the_test_photos_or_the_set_that_is_named() -> None:
    judgments = load_judgments(SAMPLE)
    assert len(select_photos(judgments, None).photos) == 36
    assert set(select_photos(judgments, "test_images").photos) == set(judgments.sets["test_images"])
    with pytest.raises(PhotoseekError) as refusal:
        select_photos(judgments, "none")
    assert str(refusal.value) == f"judged data {SAMPLE}: no photo folder none; there are: train_images, test_images"


def test_nothing_judged_gives_no_pairs_and_no_coverage() -> None:
    assert by_disagreement([]) == []
    assert coverage(word_counts([])).shape == (0,)
    assert np.isfinite(coverage(word_counts(["a"]))).all()
