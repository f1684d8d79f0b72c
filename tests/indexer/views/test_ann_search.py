"""Candidates of many photos, which are few here: `exact_bytes` 0 has lists built whatever the size."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from indexer.views import ann_build as candidate_lists
from indexer.views import ann_search as candidates
from indexer.views import build as views
from indexer.views import view as view_module
from indexer.views.ann_build import LEAST_RECALL, RECALL, STRICTER
from indexer.views.build import build_view, extend_view, may_extend, renew_view
from indexer.views.view import View, is_whole, open_view
from tiny_ranker import TinyRanker

WIDTH, ROWS = 24, 3000


@dataclass(frozen=True)
class Asked(TinyRanker):
    """Brings queries to tune a search with."""

    asked: dict[str, np.ndarray] = field(default_factory=dict)

    def queries(self) -> dict[str, np.ndarray]:
        return self.asked


def cloud(seed: int, n: int, width: int = WIDTH) -> np.ndarray:
    """(n, width) float32 as float16 holds them: points about 40 centres, flatter in later coordinates; hub last."""
    centres = np.random.default_rng(99).standard_normal((40, width))
    random = np.random.default_rng(seed)
    points = centres[random.integers(0, 40, n)] + random.standard_normal((n, width))
    return (points / np.arange(1, width + 1) ** 0.5).astype(np.float16).astype(np.float32)


def sentences(seed: int, n: int, width: int = WIDTH) -> np.ndarray:
    """(n, width) float32 queries, which look at the first half of the coordinates most."""
    return (cloud(seed, n, width) * np.repeat([1, 0.2], [width // 2, width - width // 2])).astype(np.float32)


RANKER = TinyRanker()
ASKED = Asked(asked={"captions": sentences(1, 300), "words": -sentences(2, 300)})


def built(folder: Path, rows: np.ndarray, ranker: TinyRanker = ASKED, exact_bytes: int = 0) -> View:
    name, count = build_view(folder, ranker, rows.astype(np.float16), exact_bytes=exact_bytes)
    assert count == len(rows)
    return open_view(folder / name)


def said(view: View) -> dict:
    return json.loads((view.folder / "view.json").read_text())


def nearest(queries: np.ndarray, rows: np.ndarray, count: int, allowed: np.ndarray) -> np.ndarray:
    """The rows by exact score, best first, ties by row: (b, count)."""
    scores = queries.astype(float) @ rows[allowed].T.astype(float)
    return allowed[np.argsort(-scores, axis=1, kind="stable")[:, :count]]


def share_found(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(expected, found, strict=True)]))


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
        assert effort["recall"] >= RECALL
    assert tuning["kinds"]["captions"]["recall"] >= STRICTER["captions"]
    for sign in (1, -1):
        asked = sign * sentences(5, 60)
        found, scores = view.search(asked, 100, None)
        assert share_found(found, nearest(asked, rows, 100, np.arange(ROWS))) >= 0.97
        assert np.allclose(scores, np.take_along_axis(asked @ rows.T, found, axis=1), atol=1e-4)
        assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("batch", [250, 7])
def test_a_batch_finds_what_its_queries_find_one_by_one(cloudy, monkeypatch, batch):
    monkeypatch.setattr(candidates, "BATCH", batch)
    monkeypatch.setattr(candidates, "CORES", 3)
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

    monkeypatch.setattr(candidates, "prefetch", prefetch)
    monkeypatch.setattr(view_module, "prefetch", prefetch)
    monkeypatch.setattr(candidates, "COLD_SEARCHES", 5)
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


def test_progress_counts_rows_and_then_the_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "BLOCK_ROWS", 600)
    rows = cloud(1, 1200).astype(np.float16)
    for ranker in (ASKED, RANKER):
        seen: list[tuple[int, int]] = []
        build_view(tmp_path, ranker, rows, None, lambda *done: seen.append(done), exact_bytes=0)  # noqa: B023
        assert {total for _, total in seen} == {4800}
        done = [rows for rows, _ in seen]
        assert done == sorted(done)
        # Photos, and then: lists learned in eight turns, filled, tuned, of each kind share by share.
        assert (done[:2], done[-1]) == ([600, 1200], 4800)
        if ranker is ASKED:
            assert done[2:12] == [*(1200 + 150 * turn for turn in range(1, 9)), 3600, done[11]]
            assert 3600 < done[11] < 4800


# Where every row is scored


@pytest.mark.parametrize(
    ("rows", "ranker", "exact_bytes", "why"),
    [
        (1200, ASKED, 4 * 1200 * WIDTH, "few photos"),
        (999, ASKED, 0, "few photos"),
        (1200, RANKER, 0, "the ranker brings no queries to tune lists with"),
    ],
)
def test_every_row_is_scored_where_that_is_quick_or_nothing_is_known_of_queries(
    tmp_path, rows, ranker, exact_bytes, why
):
    vectors = cloud(1, rows)
    view = built(tmp_path, vectors, ranker, exact_bytes)
    assert (said(view)["exact"], "tuning" in said(view), view.tuning) == (why, False, None)
    asked = sentences(2, 3)
    assert np.array_equal(view.search(asked, 30, None)[0], nearest(asked, vectors, 30, np.arange(rows)))


@pytest.mark.parametrize(("found", "chosen"), [(0.995, (8, 500)), (0.9805, (8, 250))])
def test_the_cheapest_search_that_is_good_enough_is_taken_or_nearly_as_good_as_any(monkeypatch, found, chosen):
    """Of the best rows, 4 lists of 16 hold 97.8 %, 8 hold 98 % among 250 rows and what `found` says among 500."""
    recalls = {(8, 250): 0.98, (8, 500): found, (16, 250): 0.98, (16, 500): found}
    lists = SimpleNamespace(nlist=16, ntotal=1000, d=24, pq=SimpleNamespace(M=6))
    lists.search = lambda asked, depth, params: (None, np.full((len(asked), 1), params.nprobe))
    monkeypatch.setattr(candidate_lists, "SHARES", (0.25, 0.5, 1))
    monkeypatch.setattr(candidate_lists, "DEPTHS", (250, 500))
    monkeypatch.setattr(
        candidate_lists,
        "_hits",
        lambda codes, query, rows, best, depths: [1000 * recalls.get((rows[0], d), 0.978) for d in depths],
    )
    effort = candidate_lists._tune(lists, None, np.zeros((1, 24)), np.zeros((1, 1000)), 0.99, lambda share: None)
    assert (effort.probes, effort.depth) == chosen


def test_lists_that_miss_too_much_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.views.ann_build.DEPTHS", (100,))
    # Nothing but noise: codes say hardly which rows are best, and no more than 100 may be looked at.
    rows = np.random.default_rng(1).standard_normal((1500, 400)).astype(np.float16).astype(np.float32)
    asked = np.random.default_rng(2).standard_normal((200, 400)).astype(np.float32)
    view = built(tmp_path, rows, Asked(asked={"captions": asked}))
    assert said(view)["exact"].startswith("lists found {'captions': 0.")
    assert float(said(view)["exact"].split(": ")[1].rstrip("}")) < LEAST_RECALL
    assert np.array_equal(view.search(asked[:3], 30, None)[0], nearest(asked[:3], rows, 30, np.arange(1500)))


def test_a_view_from_before_there_were_lists_is_searched_as_it_was(tmp_path):
    rows = cloud(1, 50)
    view = built(tmp_path, rows, RANKER)
    card = {name: said(view)[name] for name in ("rows", "k", "hidden", "ranker")}
    (view.folder / "view.json").write_text(json.dumps(card))
    asked = sentences(2, 3)
    assert is_whole(view.folder, 50)
    assert np.array_equal(open_view(view.folder).search(asked, 9, None)[0], nearest(asked, rows, 9, np.arange(50)))


# Rows that come later


def test_late_rows_are_appended_and_scored_beside_the_lists(cloudy, tmp_path):
    rows, late = cloud(3, ROWS), cloud(10, 60)
    folder = built(tmp_path, rows).folder
    before = (folder / "candidates.faiss").read_bytes()
    # A call that was cut short left rows that the catalogue does not name.
    extend_view(folder, ASKED, ROWS, cloud(11, 25).astype(np.float16))
    assert extend_view(folder, ASKED, ROWS, late.astype(np.float16)) == 60
    view, everything = open_view(folder, ROWS + 60), np.concatenate([rows, late])
    assert (view.rows, view.indexed, view.total_rows) == (ROWS + 60, ROWS, ROWS + 60)
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
    first = renew_view(tmp_path, ("", 0), RANKER, vectors[:1000])
    assert renew_view(tmp_path, first, RANKER, vectors[:1000]) == first
    assert renew_view(tmp_path, first, RANKER, vectors[:1010]) == (first[0], 1010)
    anew = renew_view(tmp_path, (first[0], 1010), RANKER, vectors)
    assert (anew[0] != first[0], anew[1]) == (True, 1200)
    os.truncate(tmp_path / anew[0] / "z.f16", 99)
    assert renew_view(tmp_path, anew, RANKER, vectors)[0] != anew[0]


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


def test_a_view_that_scores_every_row_keeps_no_8_bit_codes(tmp_path):
    assert (built(tmp_path / "lists", cloud(1, 1200)).folder / "codes.u8").exists()
    assert not (built(tmp_path / "rows", cloud(1, 1200), exact_bytes=1 << 30).folder / "codes.u8").exists()
    assert not (built(tmp_path / "none", cloud(1, 1200), RANKER).folder / "codes.u8").exists()


@pytest.mark.parametrize("asked", [np.full((9, WIDTH), np.nan), np.zeros((9, WIDTH + 1))])
def test_queries_that_are_none_are_refused_and_leave_nothing(tmp_path, asked):
    with pytest.raises(PhotoseekError) as refusal:
        built(tmp_path, cloud(1, 1200), Asked(asked={"captions": asked.astype(np.float32)}))
    assert str(refusal.value) == (
        f"the ranker's captions to tune the search with are no finite numbers of shape (9, {WIDTH}); train it again"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_build_interrupted_among_the_lists_leaves_nothing(tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_view(tmp_path, ASKED, cloud(1, 1200).astype(np.float16), None, interrupt, exact_bytes=0)
    assert list(tmp_path.iterdir()) == []
