"""Searches of an index that changes: removed, new and restored photos, regions, no-match decisions, policies."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from answers import names, refusal, relevance_of, row_of, score_of
from indexer.encoders import ImageEncoder
from indexer.index import DEFAULT_ENCODER, Index
from reranker.ranker import Ranker
from search.queries.search_options import SearchOptions
from search.results import SearchResult
from search.searcher import Searcher

QUERIES = ["a motorcycle", "a cat", "two dogs play in the snow", "a cup of coffee on a table", "rocket", "the moon"]
PHOTOS = 18
SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
# The view keeps photos in half precision.
HALF = 3e-2


def close(some: SearchResult, other: SearchResult) -> bool:
    """Return whether two answers say the same of the same photos."""
    scores, relevance = (
        set(one) == set(two) and one == pytest.approx(two, abs=by)
        for one, two, by in (
            (score_of(some), score_of(other), HALF),
            (relevance_of(some), relevance_of(other), HALF / 2),
        )
    )
    return bool(scores and relevance)


def test_removed_photos_never_come_back_and_new_ones_are_found_at_once(
    grown: tuple[Path, Path], ranker: Ranker
) -> None:
    root, folder = grown
    present = {path.name for path in root.iterdir()}
    tail = Searcher(Index.open(folder))
    assert (tail.view.rows, tail.view.total_rows) == (6, 8)
    late = tail.answer_many([(text, text) for text in QUERIES], PHOTOS, show_all=True)
    Index.open(folder).attach(ranker)
    folded = Searcher(Index.open(folder))
    assert (folded.view.rows, folded.view.total_rows) == (8, 8)
    for before, after in zip(
        late, folded.answer_many([(text, text) for text in QUERIES], PHOTOS, show_all=True), strict=True
    ):
        assert set(names(before)) == set(names(after)) == present
        # The tail is scored in full precision, the view in half.
        assert close(before, after)
        assert before.match_probability == pytest.approx(after.match_probability, abs=HALF)
    assert names(tail.answer("a cat looks at the camera", 1)) == ["chelsea.png"]
    assert names(tail.like(root / "flower.jpg", 1)) == ["flower.jpg"]
    assert set(names(tail.like(root / "flower.jpg", PHOTOS))) == present


def test_a_photo_that_comes_back_is_found_again(grown: tuple[Path, Path], photos: Path, encoder: ImageEncoder) -> None:
    root, folder = grown
    shutil.copy(photos / "things" / "coffee.png", root)
    Index.build(root, folder, encoder=encoder)
    assert "coffee.png" in names(Searcher(Index.open(folder)).answer("a cup of coffee", PHOTOS))


def test_regions_that_come_later_count_from_the_next_view_on(
    photos: Path, regional: Path, encoder: ImageEncoder, ranker: Ranker, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    Index.build(photos, folder, encoder=encoder).attach(ranker)
    before = Searcher(Index.open(folder)).answer_many([(text, text) for text in QUERIES], PHOTOS, show_all=True)
    index = Index.build(photos, folder, encoder=encoder, regions=True)
    unseen = Searcher(index)
    assert index.regions() is not None
    assert unseen.view.regions is None
    assert unseen.answer_many([(text, text) for text in QUERIES], PHOTOS, show_all=True) == before
    index.attach(ranker)
    after = Searcher(Index.open(folder)).answer_many([(text, text) for text in QUERIES], PHOTOS, show_all=True)
    from_the_start = Searcher(Index.open(regional)).answer_many(
        [(text, text) for text in QUERIES], PHOTOS, show_all=True
    )
    assert [names(answer) for answer in after] == [names(answer) for answer in from_the_start]
    assert all(close(*pair) for pair in zip(after, from_the_start, strict=True))
    assert [score_of(answer) for answer in after] != [score_of(answer) for answer in before]


def test_a_tail_with_regions_behind_a_view_without_is_scored_like_the_view(
    grown: tuple[Path, Path], photos: Path, encoder: ImageEncoder
) -> None:
    root, folder = grown
    Index.build(root, folder, encoder=encoder, regions=True)
    # The same pixels as other bytes: a row of its own, behind the view.
    (root / "moon 2.png").write_bytes((root / "moon.png").read_bytes() + b"more")
    searcher = Searcher(Index.build(root, folder, encoder=encoder))
    hits = {Path(hit.path).name: hit for hit in searcher.answer("the moon", PHOTOS, show_all=True).hits}
    assert row_of(searcher)[str(root / "moon 2.png")] >= searcher.view.rows
    assert hits["moon.png"].score == pytest.approx(hits["moon 2.png"].score, abs=HALF)


def test_the_ranker_gets_the_regions_of_its_candidates_those_of_the_tail_too(
    grown: tuple[Path, Path], ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = grown
    given = []
    scores = Ranker.scores

    def looking(self, side, query, row):
        given.append(side.regions)
        return scores(self, side, query, row)

    monkeypatch.setattr(Ranker, "scores", looking)
    searcher = Searcher(Index.open(folder))
    searcher.search("a cat")
    alive = searcher._opened.gallery.rows(SearchOptions())
    rows = searcher.view.search(searcher.encode_queries(["a cat"]).candidate, 200, alive)[0][0]
    regions = searcher.index.regions()
    if regions is None:
        assert given == [None]
    else:
        assert ranker.joint_space.late_interaction is not None
        assert np.array_equal(given[0], ranker.joint_space.late_interaction.regions(regions[rows]))


def test_the_verdict_is_good_from_the_rankers_own_point_on(grown: tuple[Path, Path], ranker: Ranker) -> None:
    _, folder = grown
    there, foreign = "a motorcycle", "quarterly sales figures of an insurance company"
    chances = [
        answer.match_probability for answer in Searcher(Index.open(folder)).answer_many([("1", there), ("2", foreign)])
    ]
    assert None not in chances
    assert chances[0] > chances[1]
    between = replace(ranker.no_match, threshold=sum(chances) / 2)
    Index.open(folder).attach(replace(ranker, no_match=between).finished())
    halfway = Searcher(Index.open(folder))
    assert [answer.good_match for answer in halfway.answer_many([("1", there), ("2", foreign)])] == [True, False]
    assert len(halfway.answer(foreign, 3).hits) == 3
    # The very point is a match.
    chance = halfway.answer(there).match_probability
    Index.open(folder).attach(replace(ranker, no_match=replace(ranker.no_match, threshold=chance)).finished())
    assert Searcher(Index.open(folder)).answer(there).good_match


def test_a_blocked_query_has_the_disclaimer_and_no_hits(grown: tuple[Path, Path]) -> None:
    _, folder = grown
    Index.open(folder).set_policy("minors")
    searcher = Searcher(Index.open(folder))
    first, blocked, last = searcher.answer_many([("a", "a cat"), ("b", "a child on a horse"), ("c", "the moon")], 2)
    disclaimer = "This image is unavailable in your country in compliance with local laws"
    assert blocked == SearchResult("b", "a child on a horse", (), good_match=False, blocked=disclaimer)
    shown = min(2, searcher.view.total_rows - len(searcher.moderation.held_back_rows))
    assert [(a.id, len(a.hits), a.blocked) for a in (first, last)] == [("a", shown, None), ("c", shown, None)]
    assert searcher.answer_many([("b", "a child")])[0].blocked == disclaimer
    Index.open(folder).set_policy(None)
    assert Searcher(Index.open(folder)).answer("a child on a horse").blocked is None


def test_an_index_without_a_ranker_is_refused_where_none_is_shipped_for_its_encoder(
    photos: Path, encoder: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index.build(photos / "animals", tmp_path / "index", encoder=encoder)
    monkeypatch.setattr(Ranker, "shipped", lambda _encoder: None)
    assert refusal(lambda: Searcher(index)) == (
        f"index {tmp_path / 'index'} has no ranker yet; photoseek use RANKER -i {tmp_path / 'index'} attaches one, "
        f"photoseek train JUDGED -o RANKER --image-encoder {DEFAULT_ENCODER} makes one"
    )


def test_under_shows_the_copy_that_lies_there_and_overlapping_roots_name_a_photo_once(tmp_path):
    source = sorted((SAMPLE / "train_images").iterdir())[0]
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        (tmp_path / "photos" / folder / f"{folder}.jpg").write_bytes(source.read_bytes())
    Index.build(tmp_path / "photos", tmp_path / "index")
    index = Index.build(tmp_path / "photos" / "b", tmp_path / "index")
    index.attach(Ranker.default())
    searcher = Searcher(Index.open(tmp_path / "index"))
    a, b = (str(tmp_path / "photos" / folder / f"{folder}.jpg") for folder in ("a", "b"))
    (hit,) = searcher.answer("an astronaut").hits
    assert (hit.path, hit.copies) == (a, (b,))
    (hit,) = searcher.answer("an astronaut", under=str(tmp_path / "photos" / "b")).hits
    assert (hit.path, hit.copies) == (b, ())
