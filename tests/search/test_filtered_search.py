"""Searches with filters: the same as among the photos that pass, and never cut afterwards."""

import shutil
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from answers import names
from command_line import photoseek
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.photos.metadata.record import NOT_READ, PhotoMetadata
from indexer.storage.catalogue import Catalogue
from search.filters import Circle, Filters
from search.searcher import Searcher

FIRST = datetime(2020, 1, 1)
QUERIES = ["a cat", "a motorcycle", "two dogs play in the snow"]


def known_of(row: int, folder: str) -> PhotoMetadata:
    """Every folder has a camera, every row a day and a degree of latitude; even rows are screenshots."""
    kind = "screenshot" if row % 2 == 0 else "photo"
    return PhotoMetadata(FIRST + timedelta(days=row), "exif", f"Camera {folder.upper()}", None, row, 20.0, None, kind)


def with_metadata(source: Path, folder: Path, known=known_of) -> Path:
    """Copy an index, and say of every row what `known` says; NOT_READ for nothing at all."""
    shutil.copytree(source, folder)
    with closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue, catalogue.transaction():
        catalogue._database.run("DELETE FROM metadata")
        for row, photos in catalogue.photos_of_rows(range(catalogue.row_count())).items():
            said = known(row, photos[0].path.decode().partition("/")[0])
            if said != NOT_READ:
                catalogue.metadata.put(row, said, 0)
    return folder


@pytest.fixture(scope="module")
def dated(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_metadata(plain, tmp_path_factory.mktemp("dated") / "index")


@pytest.fixture(scope="module")
def searcher(dated: Path) -> Searcher:
    return Searcher(Index.open(dated))


def rows_found(searcher: Searcher, text: str, filters: Filters, **options) -> set[int]:
    """Return the rows that a search for all photos finds; each hit says its row by its day."""
    hits = searcher.answer(text, 50, filters=filters, **options).hits
    assert all(hit.metadata.taken is not None for hit in hits)
    return {(hit.metadata.taken - FIRST).days for hit in hits if hit.metadata.taken is not None}


@pytest.mark.parametrize("folder", ["animals", "space", "space 2", "things"])
@pytest.mark.parametrize("text", QUERIES)
def test_a_filter_finds_what_a_search_below_the_same_photos_finds(searcher: Searcher, folder: str, text: str) -> None:
    # "space" is a part of "space 2", so times tell these apart.
    rows = searcher.index.catalogue.rows_under(folder.encode())
    filters = Filters(FIRST + timedelta(days=rows[0]), FIRST + timedelta(days=rows[-1] + 1), camera=f"camera {folder}")
    filtered, below = searcher.answer(text, 3, filters=filters), searcher.answer(text, 3, under=folder)
    assert filtered == below
    assert len(filtered.hits) == min(3, len(rows))


def test_every_condition_keeps_its_rows_and_several_keep_what_all_keep(searcher: Searcher) -> None:
    total = searcher.view.total_rows
    for text in QUERIES:
        after = Filters(after=FIRST + timedelta(days=5))
        assert rows_found(searcher, text, after) == set(range(5, total))
        assert rows_found(searcher, text, Filters(kind="screenshot")) == set(range(0, total, 2))
        # A degree of latitude is 111.2 km.
        assert rows_found(searcher, text, Filters(near=Circle(7, 20, 230))) == {5, 6, 7, 8, 9}
        both = Filters(after=FIRST + timedelta(days=7), kind="photo", near=Circle(7, 20, 230))
        assert rows_found(searcher, text, both) == {7, 9}
        space = set(searcher.index.catalogue.rows_under(b"space"))
        assert rows_found(searcher, text, Filters(kind="photo"), under="space") == {r for r in space if r % 2}


def test_filters_hold_for_photos_as_queries_and_for_batches(searcher: Searcher, photos: Path) -> None:
    filters = Filters(kind="photo")
    alike = searcher.like(photos / "animals" / "chelsea.png", 50, filters=filters)
    assert {hit.metadata.kind for hit in alike.hits} == {"photo"}
    assert len(alike.hits) == searcher.view.total_rows // 2
    answers = searcher.answer_many(QUERIES, 2, filters=filters)
    # A batch rounds its texts in another way, so only the photos are the same.
    assert [names(answer) for answer in answers] == [names(searcher.answer(t, 2, filters=filters)) for t in QUERIES]
    assert searcher.search("a cat", 2, filters=filters) == list(searcher.answer("a cat", 2, filters=filters).hits)


def test_filters_that_keep_nothing_give_a_note_and_no_match(searcher: Searcher) -> None:
    result = searcher.answer("a cat", filters=Filters(after=datetime(2030, 1, 1)))
    assert (result.hits, result.good_match, result.notes) == ((), False, ("no photo passes the filters",))
    both = searcher.answer_many(["a cat", "a dog"], filters=Filters(camera="leica"))
    assert [(one.id, one.hits, one.good_match) for one in both] == [("1", (), False), ("2", (), False)]
    nowhere = searcher.answer("a cat", filters=Filters(camera="things"), under="space")
    assert (nowhere.hits, nowhere.notes) == ((), ("no photo passes the filters",))


def test_photos_that_are_gone_pass_no_filter(dated: Path, tmp_path: Path) -> None:
    shutil.copytree(dated, tmp_path / "index")
    with closing(Catalogue(tmp_path / "index" / "catalogue.sqlite", writable=True)) as catalogue:
        root = catalogue.root_id(catalogue.roots()[0])
        with catalogue.transaction():
            catalogue.remove(root, [photo.path for photo in catalogue.photos_of_rows([4])[4]])
    searcher = Searcher(Index.open(tmp_path / "index"))
    even = set(range(0, searcher.view.total_rows, 2)) - {4}
    assert rows_found(searcher, "a cat", Filters(kind="screenshot")) == even


def test_an_index_without_photos_says_so(dated: Path, tmp_path: Path) -> None:
    shutil.copytree(dated, tmp_path / "index")
    with closing(Catalogue(tmp_path / "index" / "catalogue.sqlite", writable=True)) as catalogue:
        root = catalogue.root_id(catalogue.roots()[0])
        with catalogue.transaction():
            catalogue.remove(root, [photo.path for photo in catalogue.all_photos()])
    searcher = Searcher(Index.open(tmp_path / "index"))
    result = searcher.answer("a cat")
    assert (result.hits, result.good_match, result.notes) == ((), False, ("the index holds no photos",))
    printed = photoseek("search", "a cat", "-i", tmp_path / "index")
    assert (printed.exit_code, printed.stdout, printed.stderr) == (0, "the index holds no photos\n", "")
    printed = photoseek("search", "a cat", "-i", tmp_path / "index", "--paths")
    assert (printed.exit_code, printed.stdout, printed.stderr) == (0, "", "note: the index holds no photos\n")


def test_a_policy_holds_back_what_a_filter_would_keep(dated: Path, tmp_path: Path) -> None:
    shutil.copytree(dated, tmp_path / "index")
    index, policy = Index.open(tmp_path / "index"), tmp_path / "cats.toml"
    rule = '[photos]\nprompts = ["a cat"]\ncontrast = ["coins", "a field", "a rocket", "a plate"]\npoint = 0.6\n'
    policy.write_text('disclaimer = "No cats."\nterms = ["cat"]\n' + rule)
    index.set_policy(str(policy))
    searcher = Searcher(Index.open(tmp_path / "index"))
    assert searcher.moderation is not None
    held = set(searcher.moderation.held_back_rows.tolist())
    assert held
    every = Filters(after=FIRST)
    assert rows_found(searcher, "an animal", every) == set(range(searcher.view.total_rows)) - held
    assert searcher.answer("a cat", filters=every).blocked == "No cats."


def test_an_index_of_an_older_version_says_what_to_do_and_is_searched_as_before(plain: Path, tmp_path: Path) -> None:
    older = with_metadata(plain, tmp_path / "index", lambda row, folder: NOT_READ)
    searcher = Searcher(Index.open(older))
    with pytest.raises(PhotoseekError) as refused:
        searcher.answer("a cat", filters=Filters(kind="photo"))
    assert str(refused.value) == (
        f"index {older} was built by a version that did not read when, where and with what photos were taken; "
        f"photoseek build PHOTOS -i {older} reads it, without embedding them again"
    )
    before, after = Searcher(Index.open(plain)).answer("a cat", 3), searcher.answer("a cat", 3)
    assert names(after) == names(before)
    assert {hit.metadata for hit in after.hits} == {NOT_READ}


def test_rows_of_which_nothing_is_known_yet_are_noted(plain: Path, tmp_path: Path) -> None:
    def every_third(row: int, folder: str) -> PhotoMetadata:
        return known_of(row, folder) if row % 3 else NOT_READ

    searcher = Searcher(Index.open(with_metadata(plain, tmp_path / "index", every_third)))
    missing = len(range(0, searcher.view.total_rows, 3))
    result = searcher.answer("a cat", filters=Filters(after=FIRST))
    assert result.notes == (
        f"photos left out because it is not known when, where and with what they were taken: {missing}; "
        "photoseek build reads it where it finds their files",
    )
    assert searcher.answer("a cat").notes == ()
