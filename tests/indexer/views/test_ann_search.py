"""Search through lists of few photos: with `exact_bytes` 0, lists are built for any number of photos."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from indexer.storage.records import ActiveView
from indexer.views import ann_search
from indexer.views import build as views
from indexer.views import view as view_module
from indexer.views.ann_search import SearchParameters
from indexer.views.build import extend_view, may_extend, renew_view
from indexer.views.view import View, is_whole, open_view
from tiny_lists import ASKED, RANKER, ROWS, SETTINGS, WIDTH, Asked, built, cloud, nearest, said, sentences, share_found


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory) -> tuple[View, np.ndarray]:
    rows = cloud(3, ROWS)
    return built(tmp_path_factory.mktemp("views"), rows), rows


def test_lists_find_what_they_were_tuned_to_find_and_the_view_says_so(cloudy):
    view, rows = cloudy
    tuning = said(view)["tuning"]
    assert tuning["lists"] == 16  # 3,000 / 256 is 2^3.55
    assert list(tuning["kinds"]) == ["captions", "words"]
    for effort in tuning["kinds"].values():
        assert sorted(effort) == ["depth", "probes", "recall"]
        assert effort["recall"] >= SETTINGS.recall
    assert tuning["kinds"]["captions"]["recall"] >= SETTINGS.recalls["captions"]
    for sign in (1, -1):
        asked = sign * sentences(5, 60)
        found, scores = view.search(asked, 100, None)
        assert share_found(found, nearest(asked, rows, 100, np.arange(ROWS))) >= 0.97
        assert np.allclose(scores, np.take_along_axis(asked @ rows.T, found, axis=1), atol=1e-4)
        assert (np.diff(scores) <= 0).all()


def test_another_tuning_searches_the_same_lists_in_another_way(cloudy):
    view, rows = cloudy
    asked = sentences(5, 60)
    expected = nearest(asked, rows, 100, np.arange(ROWS))
    tuning = replace(view.tuning, kinds=dict.fromkeys(view.tuning.kinds, SearchParameters(1, 100, 0.0)))
    few = view.with_tuning(tuning)
    all_rows = view.with_tuning(replace(tuning, kinds=dict.fromkeys(tuning.kinds, SearchParameters(16, ROWS, 0.0))))
    assert share_found(few.search(asked, 100, None)[0], expected) < 0.8
    assert share_found(all_rows.search(asked, 100, None)[0], expected) >= 0.999
    assert share_found(view.search(asked, 100, None)[0], expected) >= 0.97
    assert few.structure is view.structure


@pytest.mark.parametrize("batch", [250, 7])
def test_a_batch_finds_what_its_queries_find_one_by_one(cloudy, monkeypatch, batch):
    monkeypatch.setattr(ann_search, "BATCH", batch)
    monkeypatch.setattr(ann_search, "usable_cores", lambda: 3)
    view, _ = cloudy
    asked = sentences(6, 30)
    found, scores = view.search(asked, 20, None)
    for i, query in enumerate(asked):
        alone, its_scores = view.search(query[None], 20, None)
        assert np.array_equal(alone[0], found[i])
        assert np.allclose(its_scores[0], scores[i], atol=1e-5)


def test_the_first_queries_ask_for_what_they_read_and_later_ones_do_not(tmp_path, monkeypatch):
    view = built(tmp_path, cloud(3, ROWS))
    asked: dict[int, list[np.ndarray]] = {}

    def prefetch(mapped: np.ndarray, rows: np.ndarray, width: int, first: int = 0) -> None:
        asked.setdefault(mapped.strides[0] if mapped is not view.hidden else -1, []).append(rows)

    monkeypatch.setattr(ann_search, "prefetch", prefetch)
    monkeypatch.setattr(view_module, "prefetch", prefetch)
    monkeypatch.setattr(ann_search, "COLD_SEARCHES", 5)
    found, _ = view.search(sentences(12, 7), 3, None, threads=1)
    codes, vectors = view.codes.codes.shape[1], view.z.strides[0]
    assert {name: len(calls) for name, calls in asked.items()} == {codes: 5, vectors: 5, -1: 1}
    for i, rows in enumerate(asked[vectors]):
        assert np.isin(found[i], rows).all()
        assert (np.diff(rows) > 0).all()
    assert asked[-1][0].tolist() == np.unique(found[:5]).tolist()
    view.search(sentences(13, 1), 3, None)
    assert len(asked[vectors]) == 5


@pytest.mark.parametrize("direct_rows", [10_000, 0])
@pytest.mark.parametrize("part", ["random", "folder", "subject"])
@pytest.mark.parametrize("kept", [5, 300, 1400])
def test_filters_find_as_many_as_there_are_and_the_best_of_them(cloudy, monkeypatch, direct_rows, part, kept):
    monkeypatch.setattr(view_module, "DIRECT_ROWS", direct_rows)
    view, rows = cloudy
    allowed = {
        "random": np.random.default_rng(7).permutation(ROWS)[:kept],
        "folder": np.arange(800, 800 + kept),
        "subject": np.argsort(-(rows @ rows[11]))[:kept],
    }[part]
    allowed, asked = np.sort(allowed), sentences(8, 20)
    for count in (3, 50, 10_000):
        found, scores = view.search(asked, count, allowed)
        assert found.shape == scores.shape == (20, min(count, kept))
        assert np.isin(found, allowed).all()
        assert all(len(set(line)) == len(line) for line in found.tolist())
        assert share_found(found, nearest(asked, rows, count, allowed)) >= 0.97


def test_all_photos_can_be_asked_for(cloudy):
    view, rows = cloudy
    asked = sentences(9, 2)
    assert np.array_equal(view.search(asked, 10 * ROWS, None)[0], nearest(asked, rows, ROWS, np.arange(ROWS)))


@pytest.mark.parametrize("width", [3, 6, 120])
def test_narrow_and_wide_vectors_work(tmp_path, width):
    rows, asked = cloud(1, 1100, width), sentences(2, 20, width)
    view = built(tmp_path, rows, Asked(asked={"captions": sentences(3, 100, width)}))
    assert view.tuning is not None
    assert share_found(view.search(asked, 10, None)[0], nearest(asked, rows, 10, np.arange(1100))) >= 0.97


def test_a_gallery_of_the_same_photos_over_and_over_gives_whole_answers(tmp_path):
    rows = cloud(4, 7)[np.arange(1500) % 7]
    view = built(tmp_path, rows)
    asked = sentences(5, 4)
    found, scores = view.search(asked, 100, None)
    assert np.allclose(scores, -np.sort(-(asked @ rows.T), axis=1)[:, :100], atol=1e-4)
    assert all(len(set(line)) == 100 for line in found.tolist())


# Rows that come later


def test_late_rows_are_appended_and_scored_beside_the_lists(cloudy, tmp_path):
    rows, late = cloud(3, ROWS), cloud(10, 60)
    folder = built(tmp_path, rows).folder
    before = (folder / "candidates.faiss").read_bytes()
    # A call that was cut short left rows that the catalogue does not name.
    extend_view(folder, ASKED, ROWS, cloud(11, 25).astype(np.float16))
    assert extend_view(folder, ASKED, ROWS, late.astype(np.float16)) == 60
    view, everything = open_view(folder, ROWS + 60), np.concatenate([rows, late])
    assert (view.rows, view.indexed_rows, view.total_rows) == (ROWS + 60, ROWS, ROWS + 60)
    assert (folder / "candidates.faiss").read_bytes() == before
    asked = np.concatenate([sentences(12, 20), late[:20]])
    assert share_found(view.search(asked, 50, None)[0], nearest(asked, everything, 50, np.arange(ROWS + 60))) >= 0.97
    assert np.array_equal(view.search(asked, 5, np.arange(ROWS, ROWS + 60))[0][20:, 0], _best_of(late, asked[20:]))
    some = np.sort(np.random.default_rng(1).permutation(ROWS + 60)[:2500])
    assert share_found(view.search(asked, 50, some)[0], nearest(asked, everything, 50, some)) >= 0.97
    # A reader from before sees its rows and no others.
    assert cloudy[0].search(asked, 5, None)[0].max() < ROWS


def _best_of(late: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return ROWS + np.argmax(asked @ late.T, axis=1)


def test_a_few_late_rows_are_appended_and_many_have_all_built_anew(cloudy, monkeypatch):
    folder = cloudy[0].folder
    assert [may_extend(folder, ROWS, ROWS + late) for late in (1, 157, 158)] == [True, True, False]  # 157 / 3,157 < 5 %
    monkeypatch.setattr(views, "TAIL_ROWS", 100)
    assert [may_extend(folder, ROWS, ROWS + late) for late in (100, 101)] == [True, False]


def test_what_is_active_is_kept_extended_or_built_anew(tmp_path):
    vectors = cloud(1, 1200).astype(np.float16)
    first = renew_view(tmp_path, ActiveView("", 0), RANKER, vectors[:1000])
    assert renew_view(tmp_path, first, RANKER, vectors[:1000]) == first
    assert renew_view(tmp_path, first, RANKER, vectors[:1010]) == ActiveView(first.id, 1010)
    anew = renew_view(tmp_path, ActiveView(first.id, 1010), RANKER, vectors)
    assert (anew.id != first.id, anew.rows) == (True, 1200)
    os.truncate(tmp_path / anew.id / "z.f16", 99)
    assert renew_view(tmp_path, anew, RANKER, vectors).id != anew.id


# Damage


@pytest.mark.parametrize("change", [{"probes": 3}, {"tuning": None}, {"rows": ROWS - 1}])
def test_a_structure_that_is_not_what_the_view_says_is_damaged(tmp_path, cloudy, change):
    folder = tmp_path / "index" / "views" / "copy"
    shutil.copytree(cloudy[0].folder, folder, copy_function=os.link)
    card = said(cloudy[0]) | change
    if "probes" in change:
        card["tuning"] = {"probes": 3, "depth": 250, "lists": 16, "recall": {}}  # as views of before have it
    (folder / "view.json").unlink()
    (folder / "view.json").write_text(json.dumps(card))
    assert not is_whole(folder)
    with pytest.raises(PhotoseekError) as refusal:
        open_view(folder).search(sentences(1, 1), 3, None)
    assert str(refusal.value).startswith(f"view {folder} is damaged (")


@pytest.mark.parametrize("means", [None, b"", b"no array", np.zeros((1, WIDTH)), np.zeros((2, WIDTH + 1))])
def test_directions_that_are_not_those_of_the_kinds_are_damage(tmp_path, cloudy, means):
    folder = tmp_path / "index" / "views" / "copy"
    shutil.copytree(cloudy[0].folder, folder, copy_function=os.link)
    assert is_whole(folder)
    (folder / "kinds.npy").unlink()
    if isinstance(means, bytes):
        (folder / "kinds.npy").write_bytes(means)
    elif means is not None:
        np.save(folder / "kinds.npy", means)
    assert not is_whole(folder)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "of other rows"])
def test_8_bit_codes_that_are_not_those_of_the_rows_are_damage(tmp_path, cloudy, damage):
    folder = tmp_path / "index" / "views" / "copy"
    shutil.copytree(cloudy[0].folder, folder, copy_function=os.link)
    codes = (folder / "codes.u8").read_bytes()
    (folder / "codes.u8").unlink()
    if damage == "of other rows":
        other = built(tmp_path / "other", cloud(1, 1200))
        codes = (other.folder / "codes.u8").read_bytes()
    if damage != "missing":
        (folder / "codes.u8").write_bytes({"empty": b"", "cut": codes[:-1]}.get(damage, codes))
    assert not is_whole(folder)
