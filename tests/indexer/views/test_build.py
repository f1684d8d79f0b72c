import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pytest

from indexer.errors import PhotoseekError
from indexer.views import ann_build
from indexer.views import build as views
from indexer.views import view as view_module
from indexer.views.ann_settings import AnnSettings
from indexer.views.build import build_view
from indexer.views.view import EncodedPhotos, View, is_whole, open_view
from tiny_ranker import TinyRanker

RANKER = TinyRanker()


def fractions(seed: int, n: int, d: int = 6) -> np.ndarray:
    """(n, d) float32 of eighths from -1 to 1: every inner product is exact, and many are equal."""
    return (np.random.default_rng(seed).integers(-8, 9, (n, d)) / 8).astype(np.float32)


def opened(folder: Path, rows: np.ndarray, tail: np.ndarray | None = None, settings: AnnSettings | None = None) -> View:
    folder.mkdir(exist_ok=True)
    name, count = build_view(folder / "views", RANKER, rows.astype(np.float16), settings=settings)
    assert count == len(rows)
    view = open_view(folder / "views" / name)
    return view if tail is None else view.with_tail(RANKER.encode_photos(tail))


def brute_force(queries: np.ndarray, vectors: np.ndarray, count: int, allowed: np.ndarray) -> tuple[list, list]:
    """Score every allowed row, and sort by (-score, row), in plain Python."""
    rows, scores = [], []
    for query in queries:
        line = sorted((-float(query.astype(float) @ vectors[row]), int(row)) for row in allowed)[:count]
        rows.append([row for _, row in line])
        scores.append([-score for score, _ in line])
    return rows, scores


def search(view: View, queries: np.ndarray, count: int, allowed: np.ndarray | None) -> tuple[list, list]:
    rows, scores = view.search(queries, count, allowed)
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    return rows.tolist(), scores.tolist()


@pytest.mark.parametrize("direct_rows", [20_000, 10])
@pytest.mark.parametrize("float32_rows", [50_000, 10])
@pytest.mark.parametrize("tail", [0, 1, 90])
@pytest.mark.parametrize("queries", [1, 30])  # FAISS has another way for 20 and more
def test_candidates_equal_brute_force(tmp_path, monkeypatch, direct_rows, float32_rows, tail, queries):
    monkeypatch.setattr(view_module, "DIRECT_ROWS", direct_rows)
    everything = fractions(1, 300 + tail)
    settings = AnnSettings(float32_rows=float32_rows)
    view = opened(tmp_path, everything[:300], everything[300:] if tail else None, settings)
    kind = faiss.IndexFlatIP if float32_rows > 300 else faiss.IndexScalarQuantizer
    assert isinstance(view.structure.get().index, kind)
    asked = fractions(2, queries)
    random = np.random.default_rng(3)
    for allowed in (None, *(np.sort(random.choice(300 + tail, n, replace=False)) for n in (0, 1, 9, 40, 250))):
        everyone = np.arange(300 + tail) if allowed is None else allowed
        for count in (1, 7, 50, 10_000):
            assert search(view, asked, count, allowed) == brute_force(asked, everything, count, everyone)


@pytest.mark.parametrize("direct_rows", [20_000, 0])
def test_ties_are_settled_by_row_even_where_the_count_cuts_them(tmp_path, monkeypatch, direct_rows):
    monkeypatch.setattr(view_module, "DIRECT_ROWS", direct_rows)
    alike = np.ones((200, 3), np.float32)
    alike[70] = 2
    view = opened(tmp_path, alike[:150], alike[150:])
    query = np.ones((1, 3), np.float32)
    assert search(view, query, 4, None) == ([[70, 0, 1, 2]], [[6.0, 3.0, 3.0, 3.0]])
    assert search(view, query, 3, np.arange(140, 200)) == ([[140, 141, 142]], [[3.0] * 3])
    assert search(view, query, 2, np.arange(149, 200)) == ([[149, 150]], [[3.0] * 2])


def test_candidates_of_real_numbers_are_those_of_brute_force_up_to_rounding(tmp_path):
    random = np.random.default_rng(4)
    rows = random.normal(size=(2000, 33)).astype(np.float16).astype(np.float32)
    view = opened(tmp_path, rows, settings=AnnSettings(float32_rows=10))
    queries = random.normal(size=(5, 33)).astype(np.float32)
    found, scores = view.search(queries, 20, None)
    exact = queries.astype(float) @ rows.T.astype(float)
    assert np.allclose(scores, -np.sort(-exact, axis=1)[:, :20], atol=1e-3)
    assert np.allclose(np.take_along_axis(exact, found, axis=1), scores, atol=1e-3)


def test_the_hub_term_is_weighed_by_the_last_coordinate_of_the_query(tmp_path):
    # z, hub: row 0 is nearest by z, and is near to everything.
    view = opened(tmp_path, np.array([[1, 0, 0.5], [0.75, 0, 0]], np.float32))
    assert search(view, np.array([[1, 0, 0]], np.float32), 2, None) == ([[0, 1]], [[1.0, 0.75]])
    assert search(view, np.array([[1, 0, -1]], np.float32), 2, None) == ([[1, 0]], [[0.75, 0.5]])


def test_allowed_rows_that_came_after_the_view_was_opened_are_passed_over(tmp_path):
    rows = fractions(5, 20)
    view = opened(tmp_path, rows[:15], rows[15:])
    query = fractions(6, 2)
    assert search(view, query, 9, np.arange(10, 99)) == brute_force(query, rows, 9, np.arange(10, 20))


def test_gathered_rows_come_from_the_view_and_its_tail_in_the_order_asked(tmp_path):
    rows = fractions(7, 50)
    asked = np.array([49, 0, 30, 29, 0])
    for view in (opened(tmp_path / "a", rows), opened(tmp_path / "b", rows[:30], rows[30:])):
        assert view.total_rows == 50
        assert np.array_equal(view.gather_z(asked), rows[asked, :-1])
        assert np.array_equal(view.gather_hubness(asked), rows[asked, -1])
        gathered = view.gather(asked)
        assert np.array_equal(gathered.z, rows[asked, :-1])
        assert np.array_equal(gathered.hubness, rows[asked, -1])
        assert np.array_equal(gathered.hidden, rows[asked, :1] * [1, 2])
        assert (gathered.hidden.dtype, gathered.regions) == (np.float32, None)


def test_a_view_built_block_by_block_equals_one_built_at_once(tmp_path, monkeypatch):
    rows = fractions(8, 70)
    whole = opened(tmp_path / "a", rows)
    monkeypatch.setattr(views, "BLOCK_ROWS", 16)
    seen = []
    name, _ = build_view(tmp_path / "views", RANKER, rows.astype(np.float16), None, lambda *done: seen.append(done))
    assert seen == [(16, 70), (32, 70), (48, 70), (64, 70), (70, 70)]
    for file in ("z.f16", "hidden.f16", "hub.f32", "candidates.faiss"):
        assert (tmp_path / "views" / name / file).read_bytes() == (whole.folder / file).read_bytes()


def regions_of(seed: int, n: int) -> np.ndarray:
    """(n, 3, 5) int8."""
    return np.random.default_rng(seed).integers(-127, 128, (n, 3, 5)).astype(np.int8)


def test_gathered_regions_come_from_the_view_and_its_tail_in_the_order_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "BLOCK_ROWS", 16)
    rows, regions = fractions(7, 50), regions_of(8, 50)
    asked = np.array([49, 0, 30, 29, 0])
    for count in (50, 30):
        name, _ = build_view(tmp_path, RANKER, rows[:count].astype(np.float16), regions[:count])
        view = open_view(tmp_path / name)
        assert json.loads((view.folder / "view.json").read_text())["regions"] == [3, 2]
        assert (view.folder / "regions.i8").stat().st_size == count * 3 * 2
        if count < 50:
            view = view.with_tail(RANKER.encode_photos(rows[count:], regions[count:]))
        gathered = view.gather(asked).regions
        assert gathered.dtype == np.int8
        assert np.array_equal(gathered, regions[asked][:, :, [0, 4]])
        assert np.array_equal(view.gather_z(asked), rows[asked, :-1])


def test_a_view_with_a_tail_or_another_tuning_is_another_view_of_the_same_structure(tmp_path):
    rows = fractions(7, 50)
    view = opened(tmp_path, rows[:30])
    longer = view.with_tail(RANKER.encode_photos(rows[30:]))
    assert (view.total_rows, longer.total_rows, longer.rows) == (30, 50, 30)
    query = fractions(6, 2)
    assert search(longer, query, 9, None) == brute_force(query, rows, 9, np.arange(50))
    assert search(view, query, 9, None) == brute_force(query, rows, 9, np.arange(30))
    assert longer.structure is view.structure


def test_a_view_without_regions_gathers_none(tmp_path):
    view = opened(tmp_path, fractions(1, 5))
    assert not (view.folder / "regions.i8").exists()
    assert view.gather(np.arange(5)).regions is None
    # As a view of an older version, which does not speak of regions, and a tail that has some.
    shape = json.loads((view.folder / "view.json").read_text())
    assert (shape.pop("regions"), shape.pop("saw_regions")) == ([0, 0], False)
    (view.folder / "view.json").write_text(json.dumps(shape))
    view = open_view(view.folder).with_tail(RANKER.encode_photos(fractions(2, 3), regions_of(2, 3)))
    assert view.gather(np.arange(8)).regions is None
    assert (is_whole(view.folder), is_whole(view.folder, with_regions=True)) == (True, False)


def test_a_view_carries_its_ranker_and_says_its_name_first(tmp_path):
    view = opened(tmp_path, fractions(9, 5))
    assert view.folder.name.rpartition("-")[0] == RANKER.id
    assert (view.ranker_folder / "ranker.json").read_text() == '{"id": "0123456789ab"}'


def test_a_view_of_nothing_is_refused(tmp_path):
    with pytest.raises(PhotoseekError) as refusal:
        build_view(tmp_path / "views", RANKER, np.zeros((0, 4), np.float16))
    assert str(refusal.value) == f"index {tmp_path} holds no photos; photoseek build PHOTOS -i {tmp_path} adds some"
    assert list((tmp_path / "views").iterdir()) == []


# Crashes and damage


@dataclass(frozen=True)
class Crashing(TinyRanker):
    """Computes the first block and no more."""

    def encode_photos(self, embeddings: np.ndarray, regions: np.ndarray | None = None) -> EncodedPhotos:
        if len(embeddings) < 16:
            raise ZeroDivisionError
        return super().encode_photos(embeddings, regions)


def test_a_crash_while_building_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "BLOCK_ROWS", 16)
    with pytest.raises(ZeroDivisionError):
        build_view(tmp_path / "views", Crashing(), fractions(1, 20).astype(np.float16))
    assert list((tmp_path / "views").iterdir()) == []


def test_a_disk_that_fills_up_at_the_last_moment_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        build_view(tmp_path / "views", RANKER, fractions(1, 20).astype(np.float16))
    assert list((tmp_path / "views").iterdir()) == []


def test_candidates_that_do_not_fit_on_the_disk_leave_nothing(tmp_path, monkeypatch):
    write = ann_build._write
    # Its writes fail as those to a disk that is full.
    monkeypatch.setattr(ann_build, "_write", lambda index, path: write(index, Path("/dev/full")))
    with pytest.raises(OSError, match="No space left on device"):
        build_view(tmp_path / "views", RANKER, fractions(1, 20).astype(np.float16))
    assert list((tmp_path / "views").iterdir()) == []


@pytest.mark.parametrize("name", ["view.json", "z.f16", "hidden.f16", "hub.f32", "regions.i8", "candidates.faiss"])
def test_a_view_with_a_missing_or_cut_file_is_damaged_and_names_the_next_command(tmp_path, name):
    (tmp_path / "views").mkdir()
    built, _ = build_view(tmp_path / "views", RANKER, fractions(1, 20).astype(np.float16), regions_of(1, 20))
    folder = tmp_path / "views" / built
    assert is_whole(folder, with_regions=True)
    for damage in (lambda path: os.truncate(path, 10), Path.unlink):
        damage(folder / name)
        assert not is_whole(folder)
        with pytest.raises(PhotoseekError) as refusal:
            open_view(folder).search(fractions(2, 1), 3, None)
        line = str(refusal.value)
        assert line.startswith(f"view {folder} is damaged (")
        place = f"-i {tmp_path}"
        assert line.endswith(
            f"); run: photoseek use RANKER {place}, or for the shipped ranker: photoseek build PHOTOS {place}"
        )
        assert "\n" not in line


def test_a_view_that_is_open_outlives_its_files(tmp_path):
    rows = fractions(1, 40)
    view = opened(tmp_path, rows)
    for path in view.folder.glob("*.*"):
        path.unlink()
    query = fractions(2, 3)
    assert search(view, query, 5, None) == brute_force(query, rows, 5, np.arange(40))
    assert np.array_equal(view.gather_z(np.arange(40)), rows[:, :-1])
