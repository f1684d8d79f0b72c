import json
from dataclasses import replace

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from indexer.views import build as views
from indexer.views.ann_settings import AnnSettings
from indexer.views.build import build_view
from indexer.views.view import is_whole, open_view
from tiny_lists import ASKED, RANKER, SETTINGS, WIDTH, Asked, built, cloud, nearest, said, sentences


def test_progress_counts_rows_and_then_the_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "BLOCK_ROWS", 600)
    rows = cloud(1, 1200).astype(np.float16)
    for ranker in (ASKED, RANKER):
        seen: list[tuple[int, int]] = []
        build_view(tmp_path, ranker, rows, None, lambda *done: seen.append(done), SETTINGS)  # noqa: B023
        assert {total for _, total in seen} == {4800}
        done = [rows for rows, _ in seen]
        assert done == sorted(done)
        # Photos, and then: lists learned in eight turns, filled, tuned, of each kind share by share.
        assert (done[:2], done[-1]) == ([600, 1200], 4800)
        if ranker is ASKED:
            assert done[2:12] == [*(1200 + 150 * turn for turn in range(1, 9)), 3600, done[11]]
            assert 3600 < done[11] < 4800


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
    view = built(tmp_path, vectors, ranker, AnnSettings(exact_bytes=exact_bytes))
    assert (said(view)["exact"], "tuning" in said(view), view.tuning) == (why, False, None)
    asked = sentences(2, 3)
    assert np.array_equal(view.search(asked, 30, None)[0], nearest(asked, vectors, 30, np.arange(rows)))


def test_lists_that_miss_too_much_are_not_used(tmp_path):
    # Nothing but noise: codes say hardly which rows are best, and no more than 100 may be looked at.
    rows = np.random.default_rng(1).standard_normal((1500, 400)).astype(np.float16).astype(np.float32)
    asked = np.random.default_rng(2).standard_normal((200, 400)).astype(np.float32)
    view = built(tmp_path, rows, Asked(asked={"captions": asked}), replace(SETTINGS, refine_ks=(100,)))
    assert said(view)["exact"].startswith("lists found {'captions': 0.")
    assert float(said(view)["exact"].split(": ")[1].rstrip("}")) < SETTINGS.least_recall
    assert np.array_equal(view.search(asked[:3], 30, None)[0], nearest(asked[:3], rows, 30, np.arange(1500)))


def test_a_view_from_before_there_were_lists_is_searched_as_it_was(tmp_path):
    rows = cloud(1, 50)
    view = built(tmp_path, rows, RANKER)
    card = {name: said(view)[name] for name in ("rows", "k", "hidden", "ranker")}
    (view.folder / "view.json").write_text(json.dumps(card))
    asked = sentences(2, 3)
    assert is_whole(view.folder, 50)
    assert np.array_equal(open_view(view.folder).search(asked, 9, None)[0], nearest(asked, rows, 9, np.arange(50)))


def test_a_view_that_scores_every_row_keeps_no_8_bit_codes(tmp_path):
    assert (built(tmp_path / "lists", cloud(1, 1200)).folder / "codes.u8").exists()
    assert not (
        built(tmp_path / "rows", cloud(1, 1200), settings=AnnSettings(exact_bytes=1 << 30)).folder / "codes.u8"
    ).exists()
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
        build_view(tmp_path, ASKED, cloud(1, 1200).astype(np.float16), None, interrupt, SETTINGS)
    assert list(tmp_path.iterdir()) == []
