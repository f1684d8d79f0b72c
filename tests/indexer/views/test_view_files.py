import json

import pytest

from indexer.views.ann_search import SearchParameters
from indexer.views.view_files import ViewCard, read_card, write_card

# Every byte of a card with lists: the format on disk.
TEXT = """{
 "rows": 3000,
 "k": 23,
 "hidden": 2,
 "regions": [
  3,
  2
 ],
 "saw_regions": true,
 "ranker": "0123456789ab",
 "ranker_files": {
  "ranker.json": "00ff"
 },
 "tuning": {
  "lists": 16,
  "kinds": {
   "words": {
    "probes": 4,
    "depth": 500,
    "recall": 0.9912
   }
  }
 }
}"""
LISTS = ViewCard(
    rows=3000,
    z_width=23,
    hidden_width=2,
    region_shape=(3, 2),
    built_with_regions=True,
    ranker_id="0123456789ab",
    ranker_files={"ranker.json": "00ff"},
    nlist=16,
    kinds={"words": SearchParameters(nprobe=4, refine_k=500, recall=0.9912)},
)


def test_a_card_is_written_byte_for_byte_and_read_back(tmp_path):
    write_card(tmp_path, LISTS)
    assert (tmp_path / "view.json").read_text() == TEXT
    assert read_card(tmp_path) == LISTS


def test_a_card_without_lists_says_why(tmp_path):
    card = ViewCard(20, 5, 2, ranker_id="ab", ranker_files={}, exact_reason="few photos")
    write_card(tmp_path, card)
    assert json.loads((tmp_path / "view.json").read_text()) == {
        "rows": 20,
        "k": 5,
        "hidden": 2,
        "regions": [0, 0],
        "saw_regions": False,
        "ranker": "ab",
        "ranker_files": {},
        "exact": "few photos",
    }
    assert read_card(tmp_path) == card


def test_a_card_of_before_lacks_what_has_a_default(tmp_path):
    (tmp_path / "view.json").write_text('{"rows": 20, "k": 5, "hidden": 2}')
    assert read_card(tmp_path) == ViewCard(20, 5, 2)


def test_each_file_has_rows_of_its_own_shape():
    shapes = {name: LISTS.row_shape(name) for name in ("z.f16", "hub.f32", "hidden.f16", "regions.i8")}
    assert shapes == {"z.f16": (23,), "hub.f32": (), "hidden.f16": (2,), "regions.i8": (3, 2)}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rows": None}, TypeError),
        ({"tuning": {"lists": 16}}, KeyError),
        ({"tuning": {"lists": 16, "kinds": {}}}, ValueError),
        ({"tuning": {"lists": 16, "kinds": {"words": {"probes": 4, "recall": 0.9}}}}, KeyError),
        ({"regions": [1, 2, 3]}, ValueError),
    ],
)
def test_a_card_that_is_damaged_raises(tmp_path, change, error):
    (tmp_path / "view.json").write_text(json.dumps(json.loads(TEXT) | change))
    with pytest.raises(error):
        read_card(tmp_path)
