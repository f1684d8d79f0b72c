"""Searches of a small real index, against NumPy over every row."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.encoders import ImageEncoder
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.ranker import Ranker
from search import searcher as module
from search.results import Answer
from search.searcher import STAGES, Searcher

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"

QUERIES = ["a motorcycle", "a cat", "two dogs play in the snow", "a cup of coffee on a table", "rocket", "the moon"]
PHOTOS, ROWS = 18, 17  # the copied cat shares a row


@pytest.fixture(scope="module")
def searcher(built: Path) -> Searcher:
    return Searcher(Index.open(built))


@pytest.fixture
def grown(photos: Path, encoder: ImageEncoder, ranker: Ranker, tmp_path: Path) -> tuple[Path, Path]:
    """(photo folder, index) of seven photos with the ranker attached; then the coffee goes and two photos come."""
    root, folder = tmp_path / "root", tmp_path / "index"
    shutil.copytree(photos / "things", root)
    for name in ("animals/horse.png", "space/moon.png", "space/rocket.jpg"):
        shutil.copy(photos / name, root)
    (root / "tea.png").unlink()
    Index.build(root, folder, encoder=encoder).attach(ranker)
    (root / "coffee.png").unlink()
    for name in ("animals/chelsea.png", "nature/flower.jpg"):
        shutil.copy(photos / name, root)
    Index.build(root, folder, encoder=encoder)
    return root, folder


def brute_force(searcher: Searcher, text: str) -> tuple[np.ndarray, np.ndarray]:
    """(candidate scores, relevance) of every row, from the stored embeddings: no view, no FAISS. Both (n,)."""
    side = searcher.ranker.photo_side(np.asarray(searcher.index.embeddings(), np.float32))
    query = searcher.query_side([text])
    scores = np.concatenate([side.z, side.hub[:, None]], axis=1) @ query.candidate[0]
    return scores, searcher.ranker.relevance(side, query, 0)


def names(answer: Answer) -> list[str]:
    return [os.path.basename(hit.path) for hit in answer.hits]


def row_of(searcher: Searcher) -> dict[str, int]:
    """path -> row."""
    photos = searcher.index.catalogue.all_photos()
    return {os.fsdecode(os.path.join(photo.root, photo.path)): photo.row for photo in photos if photo.row is not None}


def relevance_of(answer: Answer) -> dict[str, float]:
    return {hit.path: hit.relevance for hit in answer.hits}


def refusal(call) -> str:
    with pytest.raises(PhotoseekError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("text", QUERIES)
def test_hits_are_what_numpy_finds_over_every_row(searcher: Searcher, text: str) -> None:
    scores, relevance = brute_force(searcher, text)
    answer = searcher.answer(text, PHOTOS)
    rows = np.array([row_of(searcher)[hit.path] for hit in answer.hits])
    assert sorted(rows) == list(range(ROWS))
    assert [hit.rank for hit in answer.hits] == list(range(1, ROWS + 1))
    # The view keeps z and hidden in half precision: a relevance moves in its third decimal at most.
    assert [hit.relevance for hit in answer.hits] == pytest.approx(relevance[rows], abs=2e-3)
    assert [hit.score for hit in answer.hits] == pytest.approx(scores[rows], abs=2e-3)
    assert np.all(np.diff(relevance[rows]) < 4e-3)
    assert names(answer)[0] == os.path.basename(answer.hits[np.argmax(relevance[rows])].path)


def test_only_candidates_are_reranked(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", 5)
    scores, _ = brute_force(searcher, "a motorcycle")
    answer = searcher.answer("a motorcycle", 5)
    assert {row_of(searcher)[hit.path] for hit in answer.hits} == set(np.argsort(-scores)[:5])
    by_relevance = [hit.relevance for hit in answer.hits]
    assert by_relevance == sorted(by_relevance, reverse=True)


def test_a_batch_answers_as_one_by_one(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = [(str(i), text) for i, text in enumerate(QUERIES)]
    singly = [searcher.answer_many([query], 4)[0] for query in queries]
    progress: list[tuple[int, int]] = []
    monkeypatch.setattr(module, "BLOCK", 4)
    together = searcher.answer_many(queries, 4, on_progress=lambda done, total: progress.append((done, total)))
    assert progress == [(4, 6), (6, 6)]
    assert [(a.id, a.text, a.good, names(a)) for a in together] == [(a.id, a.text, a.good, names(a)) for a in singly]
    for one, other in zip(singly, together, strict=True):
        assert [hit.relevance for hit in one.hits] == pytest.approx([hit.relevance for hit in other.hits], abs=1e-5)


def test_it_sees_what_is_plain_to_see(searcher: Searcher) -> None:
    assert names(searcher.answer("a motorcycle", 1)) == ["motorcycle_left.png"]
    assert names(searcher.answer("a cat looks at the camera", 1)) == ["chelsea.png"]


def test_search_gives_the_hits_of_the_answer(searcher: Searcher) -> None:
    assert searcher.search("a cat", 3) == list(searcher.answer("a cat", 3).hits)


def test_equal_photos_stand_in_the_order_of_their_rows(searcher: Searcher) -> None:
    hits = searcher.search("a cup of coffee", PHOTOS)
    pair = [hit for hit in hits if os.path.basename(hit.path) in ("coffee.png", "tea.png")]
    assert pair[0].relevance == pair[1].relevance
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
    assert searcher.answer("a motorcycle", PHOTOS, min_score=third).hits == every.hits[:3]
    none = searcher.answer("a motorcycle", PHOTOS, min_score=1.0)
    assert (none.hits, none.good) == ((), every.good)


def test_without_takes_off_what_it_names(searcher: Searcher) -> None:
    wanted = relevance_of(searcher.answer("a photo of a vehicle", PHOTOS))
    unwanted = relevance_of(searcher.answer("a motorcycle", PHOTOS))
    answer = searcher.answer("a photo of a vehicle", PHOTOS, without="a motorcycle")
    expected = {path: wanted[path] * (1 - unwanted[path]) for path in wanted}
    assert relevance_of(answer) == pytest.approx(expected, abs=1e-5)
    ranked = [hit.relevance for hit in answer.hits]
    assert ranked == sorted(ranked, reverse=True)


def test_under_keeps_to_a_folder(searcher: Searcher, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = {"astronaut.png", "moon.png", "rocket.jpg", "hubble_deep_field.jpg"}
    for folder in (str(photos / "space"), f"{photos}/space/", "space", "./space/../space"):
        assert set(names(searcher.answer("a dog", PHOTOS, under=folder))) == space
    monkeypatch.chdir(photos / "animals")
    assert set(names(searcher.answer("a dog", PHOTOS, under="."))) == {"chelsea.png", "horse.png"}
    assert set(names(searcher.answer("a dog", PHOTOS, under="../space"))) == space
    assert len(searcher.answer("a dog", PHOTOS, under=str(photos)).hits) == ROWS
    like = searcher.like(photos / "nature" / "flower.jpg", PHOTOS, under="space")
    assert set(names(like)) == space


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
        assert (answer.text, answer.good) == (f"like {path}", True)
        assert answer.hits[0].relevance == pytest.approx(1, abs=2e-3)
        cosines = np.clip(x[rows] @ x[rows[0]], 0, 1)
        assert [hit.relevance for hit in answer.hits] == pytest.approx(cosines, abs=2e-2)
        assert searcher.like(path, PHOTOS, min_score=answer.hits[2].relevance).hits == answer.hits[:3]


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


def test_removed_photos_never_come_back_and_new_ones_are_found_at_once(
    grown: tuple[Path, Path], ranker: Ranker, encoder: ImageEncoder
) -> None:
    root, folder = grown
    present = {path.name for path in root.iterdir()}
    tail = Searcher(Index.open(folder))
    assert (tail.view.rows, tail.view.total_rows) == (6, 8)
    late = tail.answer_many([(text, text) for text in QUERIES], PHOTOS)
    Index.open(folder).attach(ranker)
    folded = Searcher(Index.open(folder))
    assert (folded.view.rows, folded.view.total_rows) == (8, 8)
    for before, after in zip(late, folded.answer_many([(text, text) for text in QUERIES], PHOTOS), strict=True):
        assert set(names(before)) == set(names(after)) == present
        # The tail is scored in full precision, the view in half.
        assert relevance_of(before) == pytest.approx(relevance_of(after), abs=2e-3)
    assert names(tail.answer("a cat looks at the camera", 1)) == ["chelsea.png"]
    assert names(tail.like(root / "flower.jpg", 1)) == ["flower.jpg"]
    assert set(names(tail.like(root / "flower.jpg", PHOTOS))) == present


def test_a_photo_that_comes_back_is_found_again(grown: tuple[Path, Path], photos: Path, encoder: ImageEncoder) -> None:
    root, folder = grown
    shutil.copy(photos / "things" / "coffee.png", root)
    Index.build(root, folder, encoder=encoder)
    assert "coffee.png" in names(Searcher(Index.open(folder)).answer("a cup of coffee", PHOTOS))


def test_the_verdict_is_good_from_the_rankers_own_point_on(
    grown: tuple[Path, Path], ranker: Ranker, tmp_path: Path
) -> None:
    _, folder = grown
    there, foreign = "a motorcycle", "quarterly sales figures of an insurance company"
    best = [
        answer.hits[0].relevance for answer in Searcher(Index.open(folder)).answer_many([("1", there), ("2", foreign)])
    ]
    assert best[0] > best[1]
    Index.open(folder).attach(replace(ranker, hub_weight=ranker.hub_weight / 2, no_match=sum(best) / 2).finished())
    halfway = Searcher(Index.open(folder))
    assert [answer.good for answer in halfway.answer_many([("1", there), ("2", foreign)])] == [True, False]
    assert len(halfway.answer(foreign, 3).hits) == 3


def test_a_blocked_query_has_the_disclaimer_and_no_hits(grown: tuple[Path, Path]) -> None:
    _, folder = grown
    Index.open(folder).set_policy("minors")
    searcher = Searcher(Index.open(folder))
    first, blocked, last = searcher.answer_many([("a", "a cat"), ("b", "a child on a horse"), ("c", "the moon")], 2)
    disclaimer = "This image is unavailable in your country in compliance with local laws"
    assert blocked == Answer("b", "a child on a horse", (), good=False, blocked=disclaimer)
    assert [(a.id, len(a.hits), a.blocked) for a in (first, last)] == [("a", 2, None), ("c", 2, None)]
    assert searcher.answer_many([("b", "a child")])[0].blocked == disclaimer
    Index.open(folder).set_policy(None)
    assert Searcher(Index.open(folder)).answer("a child on a horse").blocked is None


class Quarters:
    """The default encoder with the mean colours of four quarters as its region vectors; as `ImageEncoder`."""

    regions = (4, 3)

    def __init__(self, encoder: ImageEncoder) -> None:
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self.dim, self.fit, self.encode = encoder.dim, encoder.fit, encoder.encode

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        quarters = [part for half in np.split(images, 2, axis=1) for part in np.split(half, 2, axis=2)]
        colours = np.stack([quarter.mean(axis=(1, 2)) for quarter in quarters], axis=1) + 1
        return self.encode(images), (colours / np.linalg.norm(colours, axis=2, keepdims=True)).astype(np.float32)


def test_the_ranker_gets_the_regions_of_its_candidates_those_of_the_tail_too(
    grown: tuple[Path, Path], ranker: Ranker, encoder: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    photo_side, relevance = Ranker.photo_side, Ranker.relevance

    def keeping(self, embeddings, regions=None):
        return replace(photo_side(self, embeddings), regions=regions)

    def looking(self, side, query, row):
        given.append(side)
        return relevance(self, side, query, row)

    monkeypatch.setattr(Ranker, "photo_side", keeping)
    monkeypatch.setattr(Ranker, "relevance", looking)
    root, folder = grown
    Index.build(root, folder, encoder=Quarters(encoder), regions=True).attach(ranker)
    shutil.copy(root / "horse.png", tmp_path / "new.png")
    with open(tmp_path / "new.png", "ab") as file:
        file.write(b"other bytes")
    shutil.copy(tmp_path / "new.png", root)
    index = Index.build(root, folder, encoder=Quarters(encoder))
    searcher = Searcher(index)
    assert (searcher.view.rows, searcher.view.total_rows) == (8, 9)
    searcher.search("a cat")
    rows = searcher.view.search(searcher.query_side(["a cat"]).candidate, 200, searcher._alive)[0][0]
    assert sorted(rows) == [row for row in range(9) if row not in index.catalogue.dead_rows()]
    assert np.array_equal(given[0].regions, index.regions()[rows])
    row = row_of(searcher)
    assert np.array_equal(index.regions()[row[str(root / "new.png")]], index.regions()[row[str(root / "horse.png")]])


def test_an_index_without_a_ranker_is_refused(photos: Path, encoder: ImageEncoder, tmp_path: Path) -> None:
    index = Index.build(photos / "animals", tmp_path / "index", encoder=encoder)
    assert refusal(lambda: Searcher(index)) == (
        f"index {tmp_path / 'index'} has no ranker yet; photoseek use RANKER attaches one, photoseek train JUDGED "
        "-o RANKER --image-encoder efficientnet-lite2 makes one"
    )


def test_an_index_with_another_ranker_is_refused(built: Path, ranker: Ranker) -> None:
    other = replace(ranker, hub_weight=ranker.hub_weight + 1).finished()
    assert refusal(lambda: Searcher(Index.open(built), other)) == (
        f"index {built} has ranker {ranker.id} attached, not {other.id}; photoseek use RANKER -i {built} "
        "attaches another"
    )
    assert Searcher(Index.open(built), ranker).ranker.id == ranker.id


def test_the_timer_hears_of_every_stage(built: Path) -> None:
    spent: list[tuple[str, float]] = []
    Searcher(Index.open(built), timer=lambda stage, seconds: spent.append((stage, seconds))).search("a cat")
    assert tuple(stage for stage, _ in spent) == STAGES
    assert all(seconds > 0 for _, seconds in spent)


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
    assert (hit.path, hit.copies) == (b, (a,))
