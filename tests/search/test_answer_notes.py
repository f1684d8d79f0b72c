"""Notes of answers: photos that a policy holds back, a least relevance that leaves nothing."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from indexer.index import Index
from search.answer_notes import held_back_notes, min_score_notes
from search.results import Hit
from search.searcher import Searcher


def moderation(*rows: int):
    return SimpleNamespace(held_back_rows=np.array(rows, np.int64), policy=SimpleNamespace(name="cats"))


@pytest.mark.parametrize(
    ("held", "rows", "note"),
    [
        ((), None, None),
        ((3,), None, "1 of 1,200 photos is held back by policy cats"),
        ((3, 5), None, "2 of 1,200 photos are held back by policy cats"),
        ((3, 5), [2, 3, 4], "1 of 3 photos is held back by policy cats"),
        ((3, 5), [2, 4], None),
    ],
)
def test_photos_that_are_held_back_are_counted_among_those_that_are_searched(held, rows, note) -> None:
    among = None if rows is None else np.array(rows, np.int64)
    assert held_back_notes(among, 1200, moderation(*held)) == (() if note is None else (note,))


def test_a_least_relevance_is_noted_only_if_it_left_nothing() -> None:
    hit = Hit(1, "/a.jpg", 0.5, 1.0, 8, 8)
    assert min_score_notes((hit,), 0.4, 0.5) == ()
    assert min_score_notes((), 0.4, None) == ()
    assert min_score_notes((), 0.9, 0.5) == ("no photo has a relevance of 0.9 or more; the best has 0.500",)


def test_an_answer_says_how_many_photos_the_policy_holds_back(plain: Path, photos: Path, tmp_path: Path) -> None:
    policy = tmp_path / "cats.toml"
    policy.write_text(
        'disclaimer = "No cats."\nterms = ["cat"]\n[photos]\nprompts = ["a cat", "the face of a cat"]\n'
        'contrast = ["a horse", "a motorcycle", "the moon", "a cup of coffee"]\npoint = 0.6\n'
    )
    folder = shutil.copytree(plain, tmp_path / "index")
    Index.open(folder).set_policy(str(policy))
    searcher = Searcher(Index.open(folder))
    assert searcher.moderation is not None
    assert len(searcher.moderation.held_back_rows) == 1
    total = searcher.view.total_rows
    note = f"1 of {total} photos is held back by policy {searcher.moderation.policy.name}"
    assert searcher.answer("the moon").notes == (note,)
    assert searcher.like(photos / "space" / "moon.png").notes == (note,)
    below = searcher.answer("a horse", under=str(photos / "animals"))
    assert below.notes == (f"1 of 2 photos is held back by policy {searcher.moderation.policy.name}",)
    assert searcher.answer("the moon", under=str(photos / "space")).notes == ()
    assert searcher.answer("a cat").notes == ()
