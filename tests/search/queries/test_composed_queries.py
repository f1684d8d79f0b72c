"""Queries of several parts on small real indexes: a text, photos and exclusions, with weights."""

from pathlib import Path

import numpy as np
import pytest

from answers import names, refusal, relevance_of
from indexer.index import Index
from search.queries.query import Photo, Query, Text
from search.searcher import Searcher

PHOTOS = 18


@pytest.fixture(scope="module")
def searcher(built: Path) -> Searcher:
    return Searcher(Index.open(built))


def test_a_photo_moves_its_like_up_among_what_the_text_finds(searcher: Searcher, photos: Path) -> None:
    text = "a texture"
    plain = names(searcher.answer(text, PHOTOS))
    for own in ("grass.png", "brick.png"):
        photo = photos / "textures" / own
        places = [plain.index(own)]
        places += [names(searcher.answer(text, PHOTOS, like=Photo(photo, weight))).index(own) for weight in (1, 5)]
        assert places == sorted(places, reverse=True)
        assert places[0] > places[1]
        assert places[2] == 0
        assert plain == names(searcher.answer(text, PHOTOS, like=Photo(photo, 1e-6)))


def test_the_order_is_that_of_the_weighed_scores(searcher: Searcher, photos: Path) -> None:
    """Scores of the parts add up: with weights a and b the score is a x (text alone) + b x (photo's part)."""
    photo = photos / "space" / "rocket.jpg"

    def scores(text_weight: float, photo_weight: float) -> dict[str, float]:
        query = Query(Text("a motorcycle", text_weight), like=Photo(photo, photo_weight))
        return {hit.path: hit.score for hit in searcher.answer(query, PHOTOS).hits}

    one, two, both = scores(1, 1), scores(1, 2), scores(2, 1)
    for path, score in one.items():
        photo_part = two[path] - score
        text_part = both[path] - score
        assert score == pytest.approx(text_part + photo_part, abs=2e-2)
        assert photo_part <= 0
    assert max(one, key=lambda path: two[path] - one[path]).endswith("rocket.jpg")


def test_relevance_and_match_are_those_of_the_text(searcher: Searcher, photos: Path) -> None:
    plain = searcher.answer("a motorcycle", PHOTOS)
    photo = photos / "space" / "rocket.jpg"
    beside = searcher.answer("a motorcycle", PHOTOS, like=photo)
    assert sum(relevance_of(beside).values()) == pytest.approx(sum(relevance_of(plain).values()), abs=1e-3)
    assert np.all(np.diff([hit.relevance for hit in beside.hits]) <= 0)
    assert beside.match_probability is not None
    assert plain.match_probability is not None
    assert beside.match_probability >= plain.match_probability - 1e-3
    assert beside.good_match
    assert not searcher.answer("two dogs play in the snow", 3, like=photo).good_match


def test_an_excluded_photo_comes_last_and_its_relevance_falls(searcher: Searcher, photos: Path) -> None:
    cat = photos / "animals" / "chelsea.png"
    plain = searcher.answer("an animal", PHOTOS)
    without = searcher.answer("an animal", PHOTOS, without=cat)
    assert names(plain).index("chelsea.png") < 3
    assert names(without)[-1] == "chelsea.png"
    assert names(plain)[0] == names(without)[0] == "horse.png"
    assert relevance_of(without)[str(cat)] < relevance_of(plain)[str(cat)]


def test_texts_and_photos_are_excluded_together(searcher: Searcher, photos: Path) -> None:
    excluded = ["a motorcycle", photos / "animals" / "chelsea.png"]
    hits = names(searcher.answer("a photo", PHOTOS, without=excluded))
    assert set(hits[-2:]) == {"chelsea.png", "motorcycle_left.png"}


def test_a_query_may_only_exclude_a_photo(searcher: Searcher, photos: Path) -> None:
    answer = searcher.answer("", PHOTOS, without=photos / "animals" / "chelsea.png")
    assert names(answer)[-1] == "chelsea.png"
    assert answer.text == f"without {photos / 'animals' / 'chelsea.png'}"
    assert answer.good_match


def test_several_photos_find_what_is_like_both(searcher: Searcher, photos: Path) -> None:
    asked = [photos / "textures" / "grass.png", photos / "textures" / "gravel.png"]
    answer = searcher.answer(Query(like=asked), 3)
    assert set(names(answer)[:2]) == {"grass.png", "gravel.png"}
    assert (answer.good_match, answer.match_probability) == (True, None)


def test_a_photo_with_an_exclusion_is_no_longer_a_cosine(searcher: Searcher, photos: Path) -> None:
    flower = photos / "nature" / "flower.jpg"
    alone = searcher.like(flower, PHOTOS)
    assert alone.hits[0].score == pytest.approx(1, abs=1e-2)
    without = searcher.answer(Query(like=flower, without="a flower"), PHOTOS)
    assert without.hits[0].score < 0  # a sum of log-probabilities
    assert names(without).index("flower.jpg") > PHOTOS // 2


def test_search_takes_the_parts_beside_the_text(searcher: Searcher, photos: Path) -> None:
    like, without = photos / "textures" / "grass.png", ["a brick wall"]
    query = Query("a texture", like=like, without=without)
    assert searcher.search("a texture", 5, like=like, without=without) == list(searcher.answer(query, 5).hits)


def test_a_batch_mixes_queries_of_all_kinds(searcher: Searcher, photos: Path) -> None:
    asked = [
        Query("a cat", id="text"),
        Query(like=photos / "nature" / "flower.jpg", id="photo"),
        Query("a texture", like=photos / "textures" / "grass.png", id="both"),
        Query(without="a cat", id="without"),
    ]
    together = searcher.answer_many(query for query in asked)
    assert [result.id for result in together] == ["text", "photo", "both", "without"]
    for query, result in zip(asked, together, strict=True):
        assert names(result) == names(searcher.answer(query))


def test_a_query_without_parts_and_a_photo_that_is_missing_are_refused(searcher: Searcher, tmp_path: Path) -> None:
    assert refusal(lambda: searcher.answer(Query(id="q"))) == "query q is empty; say what the photo shows"
    missing = tmp_path / "none.jpg"
    line = refusal(lambda: searcher.answer("a cat", like=missing))
    assert line.startswith(f"photo {missing}: ")
    assert refusal(lambda: searcher.answer("a cat", min_score=float("nan"))).startswith("min_score must be a number")
