"""A searcher goes on with what builds have written since it was opened, when it is asked to."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from answers import names, refusal
from indexer.compaction.compact import compact_index
from indexer.encoders import ImageEncoder
from indexer.index import Index
from reranker.ranker import Ranker
from search import opened_index
from search.searcher import Searcher


@pytest.fixture
def library(photos: Path, plain: Path, encoder: ImageEncoder, ranker: Ranker, tmp_path: Path) -> tuple[Path, Path]:
    """Copy photos and index, so that they may change."""
    root, folder = tmp_path / "photos", tmp_path / "index"
    shutil.copytree(photos, root)
    Index.build(root, folder, encoder=encoder).attach(ranker)
    return root, folder


def test_photos_that_came_and_went_are_seen_after_a_refresh(
    library: tuple[Path, Path], encoder: ImageEncoder, ranker: Ranker
) -> None:
    root, folder = library
    with Searcher(Index.open(folder)) as searcher:
        assert names(searcher.answer("a cat", 1)) == ["chelsea.png"]
        assert not searcher.refresh()
        shutil.rmtree(root / "animals")
        with Image.open(root / "space" / "moon.png") as moon:
            moon.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "new moon.png")
        Index.build(root, folder, encoder=encoder).attach(ranker)
        assert searcher.index.changed
        assert "new moon.png" not in names(searcher.answer("the moon", 20, show_all=True))
        before = searcher.index
        assert searcher.refresh()
        assert searcher.index is not before
        assert "chelsea.png" not in names(searcher.answer("a cat", 20, show_all=True))
        assert "new moon.png" in names(searcher.answer("the moon", 5, show_all=True))
        assert not searcher.refresh()
        # The index that it was given is the caller's.
        assert before.catalogue.photo_count() == searcher.index.catalogue.photo_count()


def test_the_text_encoder_is_opened_once(library: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = library
    made = []
    monkeypatch.setattr(
        opened_index, "QueryEncoder", lambda *given, make=opened_index.QueryEncoder: made.append(1) or make(*given)
    )
    with Searcher(Index.open(folder)) as searcher:
        searcher.search("a cat", 1)
        Index.open(folder).set_policy("minors")
        assert searcher.refresh()
        assert searcher.moderation is not None
        answer = searcher.answer("the moon", 3)
        assert answer.hits
    assert made == [1]
    with Searcher(Index.open(folder)) as fresh:
        assert fresh.answer("the moon", 3) == answer


def test_a_compaction_is_followed_and_answers_stay_the_same(
    library: tuple[Path, Path], encoder: ImageEncoder, ranker: Ranker
) -> None:
    root, folder = library
    shutil.rmtree(root / "textures")
    Index.build(root, folder, encoder=encoder).attach(ranker)
    queries = ["a cat", "the moon", "a cup of coffee"]
    with Searcher(Index.open(folder)) as searcher, Searcher(searcher.index) as other:
        before = searcher.answer_many(queries, 5)
        rows = searcher.index.rows
        assert compact_index(folder, Ranker.load).dead_rows == 3
        assert searcher.answer_many(queries, 5) == before
        assert searcher.like(root / "space" / "moon.png", 3).hits[0].path.endswith("moon.png")
        assert searcher.refresh()
        assert searcher.index.rows == rows - 3
        after = searcher.answer_many(queries, 5)
        assert [[hit.path for hit in result.hits] for result in after] == [
            [hit.path for hit in result.hits] for result in before
        ]
        for one, same in zip(after, before, strict=True):
            assert [hit.relevance for hit in one.hits] == pytest.approx([hit.relevance for hit in same.hits], abs=2e-3)
        # A searcher of the same index object still has the old files.
        assert other.answer_many(queries, 5) == before
        assert other.refresh()
        assert other.answer_many(queries, 5) == after


def test_another_ranker_is_followed_unless_one_was_asked_for(library: tuple[Path, Path], ranker: Ranker) -> None:
    _, folder = library
    space = replace(ranker.joint_space, settings=replace(ranker.settings, candidates=7))
    other = replace(ranker, joint_space=space).finished()
    assert other.id != ranker.id
    with Searcher(Index.open(folder)) as any_ranker, Searcher(Index.open(folder), ranker) as one_ranker:
        Index.open(folder).attach(other)
        assert any_ranker.refresh()
        assert (any_ranker.ranker.id, any_ranker.candidates) == (other.id, 7)
        assert refusal(one_ranker.refresh).startswith(f"index {folder} has ranker {other.id} attached, not {ranker.id}")
        assert names(one_ranker.answer("a cat", 1)) == ["chelsea.png"]


def test_queries_that_run_end_with_the_files_they_began_with(
    library: tuple[Path, Path], encoder: ImageEncoder, ranker: Ranker
) -> None:
    root, folder = library
    shutil.rmtree(root / "textures")
    Index.build(root, folder, encoder=encoder).attach(ranker)
    refreshed, ranked = threading.Event(), threading.Event()

    def wait_for_refresh(stage: str, _seconds: float) -> None:
        if stage == "rerank" and not refreshed.is_set():
            ranked.set()
            refreshed.wait(60)

    with Searcher(Index.open(folder), timer=wait_for_refresh) as searcher:
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.extend(names(searcher.answer("a cat", 5))))
        thread.start()
        assert ranked.wait(60)
        compact_index(folder, Ranker.load)
        assert searcher.refresh()
        refreshed.set()
        thread.join()
        assert found == names(searcher.answer("a cat", 5))
        assert found[0] == "chelsea.png"


def test_a_damaged_index_leaves_the_searcher_as_it_was(library: tuple[Path, Path]) -> None:
    _, folder = library
    with Searcher(Index.open(folder)) as searcher:
        (folder / "manifest.json").write_text("{}")
        assert "is not" in refusal(searcher.refresh) or "damaged" in refusal(searcher.refresh)
        assert names(searcher.answer("a cat", 1)) == ["chelsea.png"]


def test_a_closed_searcher_is_not_refreshed(library: tuple[Path, Path]) -> None:
    searcher = Searcher(Index.open(library[1]))
    searcher.close()
    assert refusal(searcher.refresh).startswith("the searcher is closed")
