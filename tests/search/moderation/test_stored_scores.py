"""search.moderation.stored_scores: scores come back as they were, and damaged files count as none."""

from pathlib import Path

import numpy as np

from search.moderation.stored_scores import PhotoScores, read_scores, write_scores

SCORES = PhotoScores(np.array([0.25, 0.5, 1.0], np.float32), np.array([1, 0, 2], np.int16))


def same(one: PhotoScores, other: PhotoScores) -> bool:
    pairs = ((one.shares, other.shares), (one.prompts, other.prompts))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def test_scores_read_back_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "policy-a-b.safetensors"
    write_scores(path, SCORES)
    assert same(read_scores(path), SCORES)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_missing_or_damaged_has_no_scores(tmp_path: Path) -> None:
    path = tmp_path / "policy-a-b.safetensors"
    assert same(read_scores(path), PhotoScores.zeros(0))
    write_scores(path, SCORES)
    path.write_bytes(path.read_bytes()[:20])
    assert same(read_scores(path), PhotoScores.zeros(0))


def test_scores_of_other_policies_and_rankers_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "policy-old-b.safetensors").write_bytes(b"old")
    (tmp_path / "z.f16").write_bytes(b"vectors")
    write_scores(tmp_path / "policy-new-b.safetensors", SCORES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy-new-b.safetensors", "z.f16"]


def test_scores_are_joined_and_cut() -> None:
    joined = SCORES.first(2).followed_by(PhotoScores.zeros(1))
    assert (joined.shares.tolist(), joined.prompts.tolist()) == ([0.25, 0.5, 0.0], [1, 0, 0])
    assert (len(joined), len(SCORES.first(2)), len(PhotoScores.zeros(4))) == (3, 2, 4)
