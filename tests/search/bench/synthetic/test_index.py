"""search.bench.synthetic.index: large indexes made of small ones, once, and after an interruption."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from answers import refusal
from indexer.index import Index
from reranker.ranker import Ranker
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
    # 2,000 / 20 photos a folder; row 250 is in the third.
    inside = searcher.answer("a dog", k=3, under="000002").hits
    assert {Path(hit.path).parent.name for hit in inside} == {"000002"}
    assert made.catalogue.rows_under(b"000002") == list(range(200, 300))


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
