"""search.bench.synthetic.index: large indexes made of small ones, once, and after an interruption."""

import hashlib
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from answers import refusal
from indexer.index import Index
from indexer.photos.metadata.record import PhotoMetadata
from reranker.ranker import Ranker
from search.bench import date_filters
from search.bench.synthetic import photos
from search.bench.synthetic.index import read_recipe, synthetic_index
from search.searcher import Searcher
from tiny_cloud import make_index

REAL, MADE = 300, 2_000


def test_it_has_its_photos_and_the_ranker(real: Index, made: Index) -> None:
    assert made.folder == real.folder.with_name(f"photos-synthetic-{MADE}")
    assert (made.rows, made.catalogue.photo_count(), made.view().rows) == (MADE, MADE, MADE)
    assert Searcher(made).ranker.id == Searcher(real).ranker.id
    norms = np.linalg.norm(np.asarray(made.embeddings(), np.float32), axis=1)
    np.testing.assert_allclose(norms, 1, atol=2e-3)


def test_a_search_needs_no_photo_files(made: Index) -> None:
    searcher = Searcher(made)
    hits = searcher.answer("a dog", k=5).hits
    assert len({hit.path for hit in hits}) == 5
    assert not any(os.path.exists(hit.path) for hit in hits)
    # 2,000 / 20 photos a folder; row 250 is in the third, and ten folders are in one.
    inside = searcher.answer("a dog", k=3, under="0000/00000/000002").hits
    assert {Path(hit.path).parent.name for hit in inside} == {"000002"}
    assert made.catalogue.rows_under(b"0000/00000/000002") == list(range(200, 300))
    assert made.catalogue.rows_under(b"0000/00001") == list(range(1_000, 2_000))


def test_its_photos_were_taken_a_minute_apart(made: Index) -> None:
    known = made.catalogue.metadata.of_rows([0, 1_999])
    assert known == {
        0: PhotoMetadata(datetime(2020, 1, 1), "exif", kind="photo"),
        1_999: PhotoMetadata(datetime(2020, 1, 2, 9, 19), "exif", kind="photo"),
    }
    assert len(made.catalogue.metadata.missing_rows()) == 0


def test_filters_by_date_and_by_folder_keep_the_same_shares(made: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = Searcher(made)
    by_date = {name: chosen.rows.tolist() for name, chosen in date_filters.date_filters(searcher).items()}
    # 0.1 % would be two photos.
    assert by_date == {"date 10%": list(range(900, 1_100)), "date 1%": list(range(990, 1_010))}
    assert date_filters.folder_filters(searcher) == {}
    monkeypatch.setattr(date_filters, "FILTER_SHARES", {"5%": 0.05, "50%": 0.5})
    by_folder = date_filters.folder_filters(searcher)
    kept = {name: chosen.rows.tolist() for name, chosen in by_folder.items()}
    assert kept == {"under 5%": list(range(1_000, 1_100)), "under 50%": list(range(1_000, 2_000))}
    assert all(chosen.choose_ms > 0 for chosen in by_folder.values())


def test_the_folder_tells_what_made_it(real: Index, made: Index) -> None:
    recipe = read_recipe(made.folder)
    assert recipe is not None
    assert (recipe.photos, recipe.seed) == (MADE, 0)
    assert (recipe.neighbours, recipe.spread) in photos.CHOICES
    assert read_recipe(real.folder) is None
    assert read_recipe(real.folder / "none") is None


def test_it_is_made_once(real: Index, made: Index) -> None:
    before = digest(made)
    stages = []
    again = synthetic_index(real, MADE, lambda stage, done, total: stages.append(stage))
    assert (digest(again), stages) == (before, [])


def test_what_was_cut_short_goes_on_and_ends_the_same(
    real: Index, tmp_path: Path, ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "BLOCK_ROWS", 256)
    whole = digest(synthetic_index(real, 1_000))
    copy = make_index(tmp_path / "photos", REAL, ranker)

    class StopError(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("photos", 512):
            raise StopError

    with pytest.raises(StopError):
        synthetic_index(copy, 1_000, stop)
    seen: list[int] = []
    made = synthetic_index(copy, 1_000, lambda stage, done, total: seen.append(done) if stage == "photos" else None)
    assert seen == [768, 1_000]
    assert (made.rows, digest(made)) == (1_000, whole)


def test_other_photos_and_other_folders_are_refused(tmp_path: Path, ranker: Ranker) -> None:
    one = make_index(tmp_path / "photos", 150, ranker)
    made = synthetic_index(one, 1_000)
    one.folder.rename(tmp_path / "old")
    other = make_index(tmp_path / "photos", 150, ranker, seed=1)
    assert refusal(lambda: synthetic_index(other, 1_000)) == (
        f"{made.folder} was made of other photos than {other.folder} holds now; delete it"
    )
    (tmp_path / "photos-synthetic-2000").mkdir()
    (tmp_path / "photos-synthetic-2000" / "diary.txt").write_text("mine")
    assert refusal(lambda: synthetic_index(other, 2_000)) == (
        f"{tmp_path / 'photos-synthetic-2000'} is not a synthetic index and not empty; move it away"
    )
    few = make_index(tmp_path / "few", 100, ranker)
    assert refusal(lambda: synthetic_index(few, 1_000)) == (
        f"index {few.folder} has 100 photos; a synthetic index needs 120 or more"
    )


def digest(index: Index) -> str:
    return hashlib.sha256(np.asarray(index.embeddings()).tobytes()).hexdigest()
