"""search.stacks, and searches of an index in which photos belong together."""

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer.encoders import ImageEncoder
from indexer.index import Index
from indexer.storage.catalogue import Catalogue
from reranker.ranker import Ranker
from search.moderation.policy_filter import Moderation
from search.results import Hit
from search.searcher import Searcher
from search.stacks import Stacks
from unusual_photos.made_stacks import GENTLE, write_burst, write_single

OTHERS = ("coins", "retina", "grass", "galaxies", "bricks", "coffee")
FRAMES = GENTLE.frames + len(GENTLE.copies)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A burst of a cat in one folder, with a frame more in another, a burst of a rocket, and six other photos."""
    folder = tmp_path_factory.mktemp("stacks") / "photos"
    write_burst(folder / "cats", "cat")
    write_burst(folder, "rocket")
    (folder / "rest").mkdir()
    (folder / "cats" / "cat-2.jpg").rename(folder / "rest" / "cat-2.jpg")
    write_single(folder / "rest", *OTHERS)
    return folder


@pytest.fixture(scope="module")
def folder(root: Path, encoder: ImageEncoder, ranker: Ranker) -> Path:
    Index.build(root, root.parent / "index", encoder=encoder).attach(ranker)
    return root.parent / "index"


@pytest.fixture
def searcher(folder: Path) -> Searcher:
    return Searcher(Index.open(folder))


def names(hits: tuple[Hit, ...]) -> list[str]:
    return [Path(hit.path).name for hit in hits]


def stack_names(hit: Hit) -> set[str]:
    return {Path(path).name for path in (hit.path, *hit.stack)}


def burst(name: str, *without: int) -> set[str]:
    return {f"{name}-{place}.jpg" for place in range(FRAMES) if place not in without}


def test_the_first_row_of_each_stack_is_kept() -> None:
    stacks = Stacks(np.array([1, 4, 7, 0, 9]), np.array([3, 2]), 8)
    assert stacks.first_places(np.array([3, 7, 0, 4, 5, 1])).tolist() == [0, 1, 2, 4]
    assert stacks.first_places(np.zeros(0, np.int64)).tolist() == []
    # Row 9 came after the view was opened.
    assert (stacks.others(4, None), stacks.others(0, None), stacks.others(3, None)) == ([1, 7], [], [])
    assert stacks.others(4, np.array([0, 4, 7])) == [7]


def test_without_stacks_every_row_is_kept() -> None:
    stacks = Stacks(np.zeros(0, np.int64), np.zeros(0, np.int64), 8)
    assert stacks.first_places(np.array([3, 7, 0])).tolist() == [0, 1, 2]
    assert stacks.others(3, None) == []


def test_the_best_photo_of_a_stack_stands_for_it_and_the_others_are_named(searcher: Searcher) -> None:
    every = searcher.answer("a cat", 50, show_all=True)
    assert len(every.hits) == 2 * FRAMES + len(OTHERS)
    answer = searcher.answer("a cat", 3)
    best, second, third = answer.hits
    assert stack_names(best) == burst("cat")
    assert best.stack_size == FRAMES
    assert list(best.stack) == sorted(best.stack)
    # Each is the best of its own in the list of all, in that order and with those scores.
    of_its_own = {}
    for hit in every.hits:
        of_its_own.setdefault(frozenset(stack_names(hit)), (hit.path, hit.score))
    assert [(hit.path, hit.score) for hit in answer.hits] == list(of_its_own.values())[:3]
    assert [hit.rank for hit in answer.hits] == [1, 2, 3]
    assert best.relevance >= second.relevance >= third.relevance
    assert (answer.good_match, answer.match_probability) == (every.good_match, every.match_probability)


def test_k_hits_are_k_stacks_although_a_burst_fills_the_candidates(folder: Path) -> None:
    few = Searcher(Index.open(folder), candidates=2)
    hits = few.answer("a cat", 8).hits
    assert len(hits) == 2 + len(OTHERS)
    stacks = [stack_names(hit) for hit in hits]
    assert burst("cat") in stacks
    assert burst("rocket") in stacks
    assert len(set().union(*stacks)) == 2 * FRAMES + len(OTHERS)
    assert len(few.answer("a cat", 50).hits) == len(hits)
    assert len(few.answer("a cat", 2, show_all=True).hits) == 2


def test_a_batch_gives_what_each_query_gives_alone(searcher: Searcher) -> None:
    texts = ["a cat", "a rocket", "old coins", "something"]
    # Which of a burst's frames is shown may differ: their scores are nearly equal, and a batch rounds another way.
    together = [[stack_names(hit) for hit in result.hits] for result in searcher.answer_many(texts, 4)]
    assert together == [[stack_names(hit) for hit in searcher.answer(text, 4).hits] for text in texts]
    assert [len(result.hits) for result in searcher.answer_many(texts, 30, show_all=True)] == [
        2 * FRAMES + len(OTHERS)
    ] * 4


def test_photos_like_a_photo_are_stacks_too(searcher: Searcher, root: Path) -> None:
    first, second = searcher.like(root / "rocket-0.jpg", 2).hits
    assert (Path(first.path).name, stack_names(first)) == ("rocket-0.jpg", burst("rocket"))
    assert "rocket" not in second.path
    assert set(names(searcher.like(root / "rocket-0.jpg", FRAMES, show_all=True).hits)) == burst("rocket")


def test_under_a_folder_only_its_photos_are_counted_and_named(searcher: Searcher, root: Path) -> None:
    best = searcher.answer("a cat", 1, under=str(root / "cats")).hits[0]
    assert stack_names(best) == burst("cat", 2)
    alone = next(hit for hit in searcher.answer("a cat", 9, under=str(root / "rest")).hits if "cat-2" in hit.path)
    assert (alone.stack, alone.stack_size) == ((), 1)


def test_what_a_policy_holds_back_is_not_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.open(folder)
    row = next(p.row for p in index.catalogue.all_photos() if p.path == b"cats/cat-0.jpg")
    monkeypatch.setattr(Moderation, "held_back_rows", np.array([row]))
    index.set_policy("minors")
    hits = Searcher(Index.open(folder)).answer("a cat", 9).hits
    index.set_policy(None)
    assert stack_names(hits[0]) == burst("cat", 0)
    assert all("cat-0.jpg" not in path for hit in hits for path in (hit.path, *hit.stack))


def test_a_deleted_photo_is_not_named(root: Path, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "index")
    path = tmp_path / "index" / "catalogue.sqlite"
    with closing(Catalogue(path, writable=True)) as catalogue, catalogue.transaction():
        catalogue.remove(catalogue.root_id(bytes(root)), [b"rocket-1.jpg"])
    best = Searcher(Index.open(tmp_path / "index")).answer("a rocket", 1).hits[0]
    assert stack_names(best) == burst("rocket", 1)


def test_min_score_counts_for_the_photo_that_is_shown(searcher: Searcher) -> None:
    hits = searcher.answer("a cat", 9).hits
    limit = (hits[0].relevance + hits[1].relevance) / 2
    assert searcher.answer("a cat", 9, min_score=limit).hits == hits[:1]
