"""search.bench.synthetic_index: large indexes made of small ones."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from answers import refusal
from indexer.index import Index
from reranker.ranker import Ranker
from search.bench import synthetic_index as synthetic
from search.searcher import Searcher
from tiny_cloud import make_index, vectors

REAL, MADE = 300, 2_000


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, ranker: Ranker) -> Index:
    return make_index(tmp_path_factory.mktemp("cloud") / "photos", REAL, ranker)


@pytest.fixture(scope="module")
def made(real: Index) -> Index:
    return synthetic.synthetic_index(real, MADE)


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


def test_dimension_and_similarities_are_those_of_the_real_ones(real: Index, made: Index) -> None:
    queries = Searcher(real).encode_queries(["a dog in the snow", "people on a beach", "dog"]).candidate
    found = synthetic.compare(real, made, queries)
    assert found["compared"] == REAL
    for side in ("real", "synthetic"):
        assert list(found[side]["similarity"].values()) == sorted(found[side]["similarity"].values())
    kept = {side: {k: v for k, v in found[side].items() if k != "query_score"} for side in ("real", "synthetic")}
    assert found["largest_deviation"] == round(synthetic.deviation(kept["real"], kept["synthetic"]), 4)
    assert found["largest_deviation"] <= synthetic.AGREEMENT
    assert found["query_deviation"] >= 0


def test_the_statistics_tell_another_cloud(real: Index) -> None:
    here = synthetic.statistics(synthetic.source_rows(real))
    assert synthetic.deviation(here, synthetic.statistics(vectors(REAL, 64, dimensions=30))) > synthetic.AGREEMENT
    assert synthetic.deviation(here, here) == 0


def test_photos_of_one_source_follow_each_other(made: Index) -> None:
    x = np.asarray(made.embeddings(), np.float32)
    beside = (x[1:] * x[:-1]).sum(axis=1).mean()
    apart = (x[MADE // 2 :] * x[: MADE // 2]).sum(axis=1).mean()
    assert beside > apart + 0.01


def test_it_is_made_once(real: Index, made: Index) -> None:
    before = digest(made)
    stages = []
    again = synthetic.synthetic_index(real, MADE, lambda stage, done, total: stages.append(stage))
    assert (digest(again), stages) == (before, [])


def test_what_was_cut_short_goes_on_and_ends_the_same(
    real: Index, tmp_path: Path, ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "BLOCK_ROWS", 256)
    whole = digest(synthetic.synthetic_index(real, 1_000))
    copy = make_index(tmp_path / "photos", REAL, ranker)

    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("photos", 512):
            raise Stop

    with pytest.raises(Stop):
        synthetic.synthetic_index(copy, 1_000, stop)
    seen: list[int] = []
    made = synthetic.synthetic_index(
        copy, 1_000, lambda stage, done, total: seen.append(done) if stage == "photos" else None
    )
    assert seen == [768, 1_000]
    assert (made.rows, digest(made)) == (1_000, whole)


def test_other_photos_and_other_folders_are_refused(tmp_path: Path, ranker: Ranker) -> None:
    one = make_index(tmp_path / "photos", 150, ranker)
    made = synthetic.synthetic_index(one, 1_000)
    one.folder.rename(tmp_path / "old")
    other = make_index(tmp_path / "photos", 150, ranker, seed=1)
    assert refusal(lambda: synthetic.synthetic_index(other, 1_000)) == (
        f"{made.folder} was made of other photos than {other.folder} holds now; delete it"
    )
    (tmp_path / "photos-synthetic-2000").mkdir()
    (tmp_path / "photos-synthetic-2000" / "diary.txt").write_text("mine")
    assert refusal(lambda: synthetic.synthetic_index(other, 2_000)) == (
        f"{tmp_path / 'photos-synthetic-2000'} is not a synthetic index and not empty; move it away"
    )
    few = make_index(tmp_path / "few", 100, ranker)
    assert refusal(lambda: synthetic.synthetic_index(few, 1_000)) == (
        f"index {few.folder} has 100 photos; a synthetic index needs 120 or more"
    )


def digest(index: Index) -> str:
    return hashlib.sha256(np.asarray(index.embeddings()).tobytes()).hexdigest()
