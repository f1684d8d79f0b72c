from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from indexer.photos.metadata.record import NOTHING_SAID, PhotoMetadata, file_time
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import NewPhoto
from indexer.storage.tables.metadata_table import MetadataConditions

SECOND = 1_000_000_000
NOON = PhotoMetadata(datetime(2020, 7, 14, 12), "exif", "Nikon D90", "50mm", 48.5, -2.25, 6, "photo")
EAST = PhotoMetadata(
    datetime(2020, 7, 14, 11, 0, 0, 5, timezone(timedelta(hours=9))), "exif", "Apple iPhone 12", kind="photo"
)
OLD = PhotoMetadata(datetime(1901, 5, 6), "xmp", "Canon EOS 5D", None, -33.0, 151.0, None, "scan")


@pytest.fixture
def catalogue(tmp_path: Path):
    opened = Catalogue(tmp_path / "catalogue.sqlite", create=True)
    yield opened
    opened.close()


def put(catalogue: Catalogue, row: int, metadata: PhotoMetadata | None, mtime_ns: int = 5 * SECOND) -> None:
    with catalogue.transaction():
        photo = NewPhoto(b"%d.jpg" % row, 5, mtime_ns, b"digest %d" % row, 30, 20)
        catalogue.add(catalogue.root_id(b"/photos"), photo, row, new_row=catalogue.row_of_digest(photo.digest) is None)
        if metadata is not None:
            catalogue.metadata.put(row, metadata, mtime_ns)


def select(catalogue: Catalogue, **conditions) -> list[int]:
    return catalogue.metadata.select(MetadataConditions(**conditions)).tolist()


def test_an_entry_comes_back_as_it_went_in(catalogue: Catalogue) -> None:
    for row, metadata in enumerate([NOON, EAST, OLD]):
        put(catalogue, row, metadata)
    assert catalogue.metadata.of_rows([2, 0, 1, 7]) == {0: NOON, 1: EAST, 2: OLD}
    assert catalogue.metadata.of_rows([1])[1].taken.utcoffset() == timedelta(hours=9)


def test_the_time_of_the_file_stands_in_and_the_earliest_copy_counts(catalogue: Catalogue) -> None:
    put(catalogue, 0, NOTHING_SAID, 1_594_722_659 * SECOND)
    early = file_time(1_594_722_000 * SECOND)
    known = catalogue.metadata.of_rows([0])[0]
    assert (known.taken, known.taken_from) == (datetime(2020, 7, 14, 10, 30, 59, tzinfo=UTC), "file")
    put(catalogue, 0, NOTHING_SAID, 1_594_722_000 * SECOND)
    put(catalogue, 0, NOTHING_SAID, 1_694_722_000 * SECOND)
    assert catalogue.metadata.of_rows([0])[0].taken == early
    put(catalogue, 1, NOON, 1)
    put(catalogue, 1, NOON, 0)
    assert catalogue.metadata.of_rows([1])[1] == NOON


def test_rows_are_selected_by_the_clock_where_they_were_taken(catalogue: Catalogue) -> None:
    for row, metadata in enumerate([NOON, EAST, OLD, NOTHING_SAID]):
        put(catalogue, row, metadata, 1_600_000_000 * SECOND)
    day = datetime(2020, 7, 14)
    assert select(catalogue) == [0, 1, 2, 3]
    assert select(catalogue, after=datetime(2020, 7, 14, 11, 0, 0, 5)) == [0, 1, 3]
    assert select(catalogue, after=datetime(2020, 7, 14, 11, 0, 0, 6)) == [0, 3]
    assert select(catalogue, after=day, before=datetime(2020, 7, 14, 12)) == [1]
    assert select(catalogue, before=day) == [2]
    assert select(catalogue, kind="scan") == [2]
    assert select(catalogue, camera=("D90", "nikon")) == [0]
    assert select(catalogue, camera=("n",)) == [0, 1, 2]
    assert select(catalogue, camera=("sony",)) == []
    assert select(catalogue, camera=("n",), after=day) == [0, 1]
    rows, places = catalogue.metadata.select_places(MetadataConditions(latitudes=(-40, 48.5)))
    assert rows.dtype == np.int64
    assert (rows.tolist(), places.tolist()) == ([0, 2], [[48.5, -2.25], [-33.0, 151.0]])
    assert catalogue.metadata.select_places(MetadataConditions(latitudes=(49, 90)))[1].shape == (0, 2)


def test_filters_find_their_rows_by_an_index_of_the_table(catalogue: Catalogue) -> None:
    run = catalogue._database.run
    for condition, index in [
        ("taken >= 5 AND taken < 7", "metadata_by_time"),
        ("camera IN ('a', 'b')", "metadata_by_camera"),
        ("latitude BETWEEN 1 AND 2 AND latitude IS NOT NULL", "metadata_by_place"),
        ("kind = 'raw'", "metadata_by_kind"),
    ]:
        plan = run(f"EXPLAIN QUERY PLAN SELECT row FROM metadata WHERE 1 AND {condition}")
        assert f"COVERING INDEX {index}" in plan[0][3]


def test_the_summary_counts_photos_and_leaves_out_file_times(catalogue: Catalogue) -> None:
    for row, metadata in enumerate([NOON, OLD, NOTHING_SAID, NOON]):
        put(catalogue, row, metadata)
    put(catalogue, 4, None)
    with catalogue.transaction():
        catalogue.add(catalogue.root_id(b"/photos"), NewPhoto(b"copy.jpg", 5, 5, b"digest 0", 30, 20), 0, new_row=False)
        catalogue.remove(catalogue.root_id(b"/photos"), [b"3.jpg"])
    assert catalogue.metadata.summary() == {
        "first_taken": "1901-05-06T00:00:00",
        "last_taken": "2020-07-14T12:00:00",
        "file_times": 1,
        "places": 3,
        "cameras": {"Nikon D90": 2, "Canon EOS 5D": 1},
        "kinds": {"photo": 3, "scan": 1},
        "missing": 1,
    }
    assert catalogue.metadata.missing_rows() == [4]
    assert len(catalogue.metadata.missing_rows()) == 1


def test_a_table_without_entries_says_so(catalogue: Catalogue) -> None:
    assert catalogue.metadata.is_empty()
    assert catalogue.metadata.summary() == {
        "first_taken": None,
        "last_taken": None,
        "file_times": 0,
        "places": 0,
        "cameras": {},
        "kinds": {},
        "missing": 0,
    }
    put(catalogue, 0, NOON)
    assert not catalogue.metadata.is_empty()
    assert len(catalogue.metadata.missing_rows()) == 0
