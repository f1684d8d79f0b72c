"""Searches of small real indexes, against NumPy over every row."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from answers import names, refusal, relevance_of, row_of, score_of, spread
from indexer.index import Index
from reranker import ranking
from reranker.models.no_match import no_match_features
from reranker.models.pair_scores import PairScores
from reranker.ranker import Ranker
from reranker.ranking import correct_small_gallery
from search import opened_index
from search.searcher import STAGES, Searcher

QUERIES = ["a motorcycle", "a cat", "two dogs play in the snow", "a cup of coffee on a table", "rocket", "the moon"]
PHOTOS, ROWS = 18, 17  # the copied cat shares a row
# The view keeps photos in half precision.
HALF = 3e-2


@dataclass(frozen=True)
class Exact:
    """What the ranker says of every row, from the stored embeddings and regions: no view, no FAISS.

    `candidate`: (n,) scores of the candidate stage; `query_hubness`: how high it scores at large; `query_words`:
    what is known of its words; `at_large`: (n,),
    what a photo scores for the mean caption; `gate`: how much the query looks like a name.
    """

    candidate: np.ndarray
    scores: PairScores
    query_hubness: np.ndarray
    query_words: np.ndarray
    at_large: np.ndarray
    gate: float

    def ranking_scores(self, rows: np.ndarray | None = None) -> np.ndarray:
        """What sorts candidates among as few photos as there are here, (n,), by default all: 0.6 of what they score at
        large, beside each other, is taken off those that are 5 or more behind the first, and a share of it off others.
        """
        shown = np.arange(len(self.at_large)) if rows is None else rows
        learned, large = self.scores.ranking_scores[shown], self.at_large[shown]
        taken = [0.6 * (1 - self.gate) * (one - large.mean()) for one in large]
        behind = [min((learned.max() - one) / 5, 1) for one in learned]
        assert np.abs(taken).max() < 2.5  # more would be cut
        return learned - np.multiply(behind, taken)


def exact(searcher: Searcher, text: str) -> Exact:
    side = searcher.ranker.encode_photos(np.asarray(searcher.index.embeddings(), np.float32), searcher.index.regions())
    query = searcher.encode_queries([text])
    candidate = np.concatenate([side.z, side.hubness[:, None]], axis=1) @ query.candidate[0]
    heads = searcher.ranker.joint_space.captions().mean(axis=0) * searcher.ranker.ranking_mlp.ws[0]
    at_large = np.concatenate([side.z, side.hubness[:, None]], axis=1) @ heads
    of_query = query.query_hubness, query.query_words
    return Exact(candidate, searcher.ranker.scores(side, query, 0), *of_query, at_large, float(query.gate[0]))


def share_left(searcher: Searcher, unwanted: Exact) -> np.ndarray:
    """Return how little each row fits an unwanted text, (n,): half where it would just be a good match as first hit."""
    one = np.zeros(len(unwanted.candidate), np.int64)
    features = no_match_features(unwanted.scores, unwanted.query_hubness[one], unwanted.query_words[one], ROWS)
    chance, threshold = searcher.ranker.no_match.probability(features), searcher.ranker.no_match.threshold
    return 1 / (1 + chance / (1 - chance) * (1 - threshold) / threshold)


def falling(values: np.ndarray) -> np.ndarray:
    """Return the nearest values that never rise, as scikit-learn has them."""
    places = np.arange(len(values))
    return IsotonicRegression(increasing=False).fit(places, values).predict(places)


@pytest.fixture(scope="module")
def searcher(built: Path) -> Searcher:
    return Searcher(Index.open(built))


@pytest.mark.parametrize("text", QUERIES)
def test_hits_are_what_numpy_finds_over_every_row(searcher: Searcher, text: str) -> None:
    expected = exact(searcher, text)
    answer = searcher.answer(text, PHOTOS)
    rows = np.array([row_of(searcher)[hit.path] for hit in answer.hits])
    assert sorted(rows) == list(range(ROWS))
    assert [hit.rank for hit in answer.hits] == list(range(1, ROWS + 1))
    assert [hit.score for hit in answer.hits] == pytest.approx(expected.ranking_scores()[rows], abs=HALF)
    assert np.all(np.diff([hit.score for hit in answer.hits]) <= 0)
    relevance = expected.scores.relevance[rows]
    shown = spread(relevance, falling(relevance))
    assert [hit.relevance for hit in answer.hits] == pytest.approx(shown, abs=HALF / 4)


@pytest.mark.parametrize("text", QUERIES)
def test_relevance_never_rises_down_the_hits_whatever_orders_them(
    searcher: Searcher, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(*arguments) -> np.ndarray:
        return -correct_small_gallery(*arguments)

    plain = searcher.answer(text, PHOTOS)
    assert np.all(np.diff([hit.relevance for hit in plain.hits]) <= 0)
    monkeypatch.setattr(ranking, "correct_small_gallery", backwards)
    turned = searcher.answer(text, PHOTOS)
    assert [hit.score for hit in turned.hits] == pytest.approx([-hit.score for hit in plain.hits[::-1]])
    shown = [hit.relevance for hit in turned.hits]
    assert np.all(np.diff(shown) <= 0)
    # The nearest values that never rise have the same sum.
    assert sum(shown) == pytest.approx(sum(hit.relevance for hit in plain.hits), abs=1e-4)


@pytest.mark.parametrize("text", QUERIES)
def test_the_chance_of_a_match_is_the_rankers_of_the_first_hit(searcher: Searcher, text: str) -> None:
    answer = searcher.answer(text, 2)
    expected = exact(searcher, text)
    first = [row_of(searcher)[answer.hits[0].path]]
    of_query = expected.query_hubness, expected.query_words
    features = no_match_features(expected.scores.take(np.array(first)), *of_query, ROWS)
    assert answer.match_probability == pytest.approx(searcher.ranker.no_match.probability(features)[0], abs=HALF)
    assert answer.good_match is (answer.match_probability >= searcher.ranker.no_match.threshold)
    assert answer.as_dict()["match_probability"] == round(answer.match_probability, 4)
    # It does not hang on how many hits are wanted, nor on how relevant they are.
    assert searcher.answer(text, 1, min_score=1.0).match_probability == answer.match_probability


def test_only_candidates_are_reranked(searcher: Searcher) -> None:
    expected = exact(searcher, "a motorcycle")
    answer = Searcher(searcher.index, candidates=5).answer("a motorcycle", 5)
    rows = np.array([row_of(searcher)[hit.path] for hit in answer.hits])
    assert set(rows) == set(np.argsort(-expected.candidate)[:5])
    assert [hit.score for hit in answer.hits] == pytest.approx(np.sort(expected.ranking_scores(rows))[::-1], abs=HALF)


def test_a_batch_answers_as_one_by_one(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = [(str(i), text) for i, text in enumerate(QUERIES)]
    singly = [searcher.answer_many([query], 4)[0] for query in queries]
    progress: list[tuple[int, int]] = []
    monkeypatch.setattr(opened_index, "BLOCK", 4)
    together = searcher.answer_many(queries, 4, on_progress=lambda done, total: progress.append((done, total)))
    assert progress == [(4, 6), (6, 6)]
    assert [(a.id, a.text, a.good_match, names(a)) for a in together] == [
        (a.id, a.text, a.good_match, names(a)) for a in singly
    ]
    for one, other in zip(singly, together, strict=True):
        assert one.match_probability == pytest.approx(other.match_probability, abs=1e-4)
        assert score_of(one) == pytest.approx(score_of(other), abs=1e-3)
        assert relevance_of(one) == pytest.approx(relevance_of(other), abs=1e-4)


def test_it_sees_what_is_plain_to_see(searcher: Searcher) -> None:
    assert names(searcher.answer("a motorcycle", 1)) == ["motorcycle_left.png"]
    assert names(searcher.answer("a cat looks at the camera", 1)) == ["chelsea.png"]


def test_words_look_for_their_places_where_the_index_has_regions(plain: Path, regional: Path) -> None:
    without, within = Searcher(Index.open(plain)), Searcher(Index.open(regional))
    late = within.ranker.joint_space.late_interaction
    assert late is not None
    assert without.view.regions is None
    assert within.view.regions is not None
    assert within.view.regions.shape == (ROWS, 10, late.A.shape[1])
    for text in QUERIES:
        one, other = without.answer(text, PHOTOS), within.answer(text, PHOTOS)
        assert {hit.path.rpartition("/")[2] for hit in one.hits} == set(names(other))
        assert score_of(one) != pytest.approx(score_of(other), abs=1e-6)


def test_search_gives_the_hits_of_the_answer(searcher: Searcher) -> None:
    assert searcher.search("a cat", 3) == list(searcher.answer("a cat", 3).hits)


def test_equal_photos_stand_in_the_order_of_their_rows(searcher: Searcher) -> None:
    hits = searcher.search("a cup of coffee", PHOTOS)
    pair = [hit for hit in hits if os.path.basename(hit.path) in ("coffee.png", "tea.png")]
    assert pair[0].score == pair[1].score
    # What is shown falls inside a pool; what it is computed from is the same.
    assert pair[0].relevance >= pair[1].relevance
    relevance = exact(searcher, "a cup of coffee").scores.relevance
    first, second = (row_of(searcher)[hit.path] for hit in pair)
    assert relevance[first] == pytest.approx(relevance[second], abs=1e-6)
    assert pair[1].rank == pair[0].rank + 1
    assert [row_of(searcher)[hit.path] for hit in pair] == sorted(row_of(searcher)[hit.path] for hit in pair)


def test_an_exact_duplicate_is_listed_as_a_copy(searcher: Searcher, photos: Path) -> None:
    (cat,) = [hit for hit in searcher.search("a cat", PHOTOS) if hit.path.endswith("chelsea.png")]
    assert cat.path == str(photos / "animals" / "chelsea.png")
    assert cat.copies == (str(photos / "animals" / "copy of chelsea.png"),)
    assert (cat.width, cat.height) == (451, 300)


def test_k_past_the_index_gives_every_photo_and_k_below_one_is_refused(searcher: Searcher, photos: Path) -> None:
    assert len(searcher.search("a dog", 1000)) == ROWS
    assert len(searcher.search("a dog", 3)) == 3
    for k in (0, -2):
        assert refusal(lambda k=k: searcher.search("a dog", k)) == f"k must be 1 or more, got {k}"
        like = refusal(lambda k=k: searcher.like(photos / "nature" / "flower.jpg", k))
        assert like == f"k must be 1 or more, got {k}"


def test_an_empty_query_is_refused_by_its_id(searcher: Searcher) -> None:
    line = "query 9 is empty; say what the photo shows"
    assert refusal(lambda: searcher.answer_many([("8", "a dog"), ("9", " \n")])) == line
    line = "query --without is empty; say what the photo shows"
    assert refusal(lambda: searcher.answer("a dog", without=" ")) == line


def test_text_that_is_no_unicode_is_refused(searcher: Searcher) -> None:
    assert refusal(lambda: searcher.search("caf\udce9")) == "query 1 is no valid Unicode text"


def test_no_queries_have_no_answers(searcher: Searcher) -> None:
    assert searcher.answer_many([]) == []


def test_a_query_of_ten_thousand_words_is_cut_with_a_note(searcher: Searcher) -> None:
    words = "a motorcycle in the garage of a museum with a red tank " * 800
    answer = searcher.answer(words, 3)
    assert answer.notes == ("the query is longer than 256 word pieces; the rest was not read",)
    assert len(answer.hits) == 3
    assert searcher.answer("a motorcycle", 3).notes == ()


@pytest.mark.parametrize("text", ["मोटरसाइकिल", "一只猫", "القمر", "кошка", "🐈", "☕🏍️", "?", "a\x00b", "a" * 3000])
def test_any_script_has_an_answer(searcher: Searcher, text: str) -> None:
    answer = searcher.answer(text, PHOTOS)
    assert len(answer.hits) == ROWS
    assert all(0 <= hit.relevance <= 1 for hit in answer.hits)


def test_min_score_leaves_out_what_is_below_it(searcher: Searcher) -> None:
    every = searcher.answer("a motorcycle", PHOTOS)
    third = every.hits[2].relevance
    kept = searcher.answer("a motorcycle", PHOTOS, min_score=third).hits
    assert kept == tuple(hit for hit in every.hits if hit.relevance >= third)
    assert len(kept) >= 3
    none = searcher.answer("a motorcycle", PHOTOS, min_score=1.0)
    assert (none.hits, none.good_match, none.match_probability) == ((), False, every.match_probability)
    assert none.notes == (f"no photo has a relevance of 1 or more; the best has {every.hits[0].relevance:.3f}",)
    assert every.notes == ()


def test_without_takes_off_what_it_names(searcher: Searcher) -> None:
    wanted, unwanted = (exact(searcher, text) for text in ("a vehicle", "a motorcycle"))
    answer = searcher.answer("a photo of a vehicle", PHOTOS, without="a motorcycle")
    rows = np.array([row_of(searcher)[hit.path] for hit in answer.hits])
    # What is left where the unwanted may be there adds its logarithm to the order.
    left = share_left(searcher, unwanted)
    order = wanted.ranking_scores() + np.log(left) - 100 * (left < 0.5)
    assert [hit.score for hit in answer.hits] == pytest.approx(order[rows], abs=2 * HALF)
    unfit = 1 - unwanted.scores.relevance
    shown = wanted.scores.relevance * np.where(left < 0.5, np.minimum(left, unfit), unfit)
    assert [hit.relevance for hit in answer.hits] == pytest.approx(
        spread(shown[rows], falling(shown[rows])), abs=HALF / 4
    )
    assert names(answer)[-1] == "motorcycle_left.png"
    before, after = score_of(searcher.answer("a photo of a vehicle", PHOTOS)), score_of(answer)
    assert min(before, key=lambda path: after[path] - before[path]).endswith("motorcycle_left.png")


def test_without_the_query_itself_nothing_is_left_but_every_photo_is_there(searcher: Searcher) -> None:
    answer = searcher.answer("a cat", PHOTOS, without="a cat")
    cat = exact(searcher, "a cat")
    assert len(answer.hits) == ROWS
    left, unfit = share_left(searcher, cat), 1 - cat.scores.relevance
    shown = cat.scores.relevance * np.where(left < 0.5, np.minimum(left, unfit), unfit)
    assert sum(hit.relevance for hit in answer.hits) == pytest.approx(shown.sum(), abs=HALF)
    assert all(np.isfinite(hit.score) for hit in answer.hits)


def test_under_keeps_to_a_folder(searcher: Searcher, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joint_space = {"astronaut.png", "moon.png", "rocket.jpg", "hubble_deep_field.jpg"}
    for folder in (str(photos / "space"), f"{photos}/space/", "space", "./space/../space"):
        assert set(names(searcher.answer("a dog", PHOTOS, under=folder))) == joint_space
    monkeypatch.chdir(photos / "animals")
    assert set(names(searcher.answer("a dog", PHOTOS, under="."))) == {"chelsea.png", "horse.png"}
    assert set(names(searcher.answer("a dog", PHOTOS, under="../space"))) == joint_space
    assert len(searcher.answer("a dog", PHOTOS, under=str(photos)).hits) == ROWS
    like = searcher.like(photos / "nature" / "flower.jpg", PHOTOS, under="space")
    assert set(names(like)) == joint_space


def test_under_a_folder_without_photos_is_refused(searcher: Searcher, built: Path, photos: Path) -> None:
    for folder in ("none", "spac", str(photos.parent / "elsewhere")):
        line = f"no photos of index {built} lie under {folder!r}"
        assert refusal(lambda folder=folder: searcher.answer("a dog", under=folder)) == line


def test_a_photo_is_most_like_itself(searcher: Searcher, photos: Path) -> None:
    x = np.asarray(searcher.index.embeddings(), np.float32)
    for name in ("nature/flower.jpg", "animals/chelsea.png", "textures/brick.png"):
        path = str(photos / name)
        answer = searcher.like(path, PHOTOS)
        rows = [row_of(searcher)[hit.path] for hit in answer.hits]
        assert answer.hits[0].path == path
        # Whether anything fits is not asked.
        assert (answer.text, answer.good_match, answer.match_probability) == (f"like {path}", True, None)
        assert "match_probability" not in answer.as_dict()
        assert answer.hits[0].relevance == pytest.approx(1, abs=2e-3)
        cosines = x[rows] @ x[rows[0]]
        scores = [hit.score for hit in answer.hits]
        assert scores == sorted(scores, reverse=True)
        assert scores == pytest.approx(cosines, abs=2e-2)
        assert [hit.relevance for hit in answer.hits] == pytest.approx(np.clip(scores, 0, 1))
        assert searcher.like(path, PHOTOS, min_score=answer.hits[2].relevance).hits == answer.hits[:3]
        none = searcher.like(path, PHOTOS, min_score=1.01)
        assert (none.hits, none.good_match) == ((), False)
        assert none.notes == ("no photo has a relevance of 1.01 or more; the best has 1.000",)


def test_a_photo_from_elsewhere_finds_what_it_looks_like(searcher: Searcher, photos: Path, tmp_path: Path) -> None:
    from PIL import Image

    with Image.open(photos / "things" / "motorcycle_left.png") as photo:
        photo.resize((400, 300)).save(tmp_path / "small.jpg", quality=60)
    assert names(searcher.like(tmp_path / "small.jpg", 1)) == ["motorcycle_left.png"]
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    line = f"photo {tmp_path / 'broken.jpg'}: not an image, or of a kind that is not read"
    assert refusal(lambda: searcher.like(tmp_path / "broken.jpg")) == line
    line = f"photo {tmp_path / 'none.jpg'}: cannot be read: No such file or directory"
    assert refusal(lambda: searcher.like(tmp_path / "none.jpg")) == line


def test_an_index_with_another_ranker_is_refused(plain: Path, ranker: Ranker) -> None:
    other = replace(ranker, no_match=replace(ranker.no_match, threshold=2.0)).finished()
    assert refusal(lambda: Searcher(Index.open(plain), other)) == (
        f"index {plain} has ranker {ranker.id} attached, not {other.id}; photoseek use RANKER -i {plain} "
        "attaches another"
    )
    assert Searcher(Index.open(plain), ranker).ranker.id == ranker.id


def test_the_timer_hears_of_every_stage(built: Path) -> None:
    spent: list[tuple[str, float]] = []
    Searcher(Index.open(built), timer=lambda stage, seconds: spent.append((stage, seconds))).search("a cat")
    assert tuple(stage for stage, _ in spent) == STAGES
    assert all(seconds > 0 for _, seconds in spent)
