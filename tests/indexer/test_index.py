import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from indexer.index import POLICIES, Index
from indexer.photos.rules.patterns import Patterns, PhotoFolders
from reranker.moderation.policy import SHIPPED
from tiny_index import INTACT, build, grey, refusal
from tiny_ranker import TinyRanker

RANKER = TinyRanker()


def full(*_, **__):
    raise OSError(28, "No space left on device")


def test_an_index_without_its_embeddings_is_refused(photos, folder):
    build(photos, folder)
    os.truncate(folder / "embeddings-1.f16", 9)
    line = (
        f"index {folder} is damaged: embeddings-1.f16 is shorter than its 4 rows; nothing was written; "
        f"run: photoseek verify -i {folder}"
    )
    assert refusal(lambda: Index.open(folder)) == line
    grey(photos, new=1)
    assert refusal(lambda: build(photos, folder)) == line


# Views


def test_a_ranker_of_another_encoder_is_refused(photos, folder):
    opened = build(photos, folder)
    assert refusal(lambda: opened.attach(replace(RANKER, image_encoder="other@2"))) == (
        f"ranker 0123456789ab was trained on other@2, but index {folder} holds tiny@1; "
        "train one for it: photoseek train JUDGED -o RANKER --image-encoder tiny"
    )
    assert not (folder / "views").exists()


def test_an_index_without_a_ranker_has_no_view(photos, folder):
    assert refusal(lambda: build(photos, folder).view()) == (
        f"index {folder} has no ranker yet; photoseek use RANKER -i {folder} attaches one, "
        "photoseek train JUDGED -o RANKER --image-encoder tiny makes one"
    )


def test_an_index_whose_folder_is_no_text_gets_its_view(photos, tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff\n")
    opened = build(photos, folder)
    opened.attach(RANKER)
    plain = build(photos, tmp_path / "plain")
    plain.attach(RANKER)
    query = np.array([[1, 0, 0, 0]], np.float32)
    found, expected = opened.view().search(query, 4, None), plain.view().search(query, 4, None)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_attaching_the_same_ranker_again_builds_nothing(photos, folder):
    opened = build(photos, folder)
    opened.attach(RANKER)
    first = opened.view().folder
    stamps = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    opened.attach(RANKER)
    assert opened.view().folder == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == stamps


def test_attaching_after_growth_folds_in_the_new_photos_and_removes_the_old_view(photos, folder):
    opened = build(photos, folder)
    opened.attach(RANKER)
    first = opened.view()
    grey(photos, new=1)
    grown = build(photos, folder)
    assert (grown.view().folder, grown.view().rows, grown.rows, grown.facts()["tail"]) == (first.folder, 4, 5, 1)
    grown.attach(RANKER)
    assert (grown.view().rows, grown.facts()["tail"]) == (5, 0)
    assert list((folder / "views").iterdir()) == [grown.view().folder] != [first.folder]


def test_a_few_photos_more_are_appended_to_the_view(photos, folder):
    grey(photos, **{f"old{i}": i + 60 for i in range(36)})
    build(photos, folder).attach(RANKER)
    first = Index.open(folder).view()
    grey(photos, new=1, other=2)
    grown = build(photos, folder)
    grown.attach(RANKER)
    view = grown.view()
    assert (view.folder, view.indexed_rows, view.rows, grown.facts()["tail"]) == (first.folder, 40, 42, 0)
    everything = RANKER.encode_photos(np.asarray(grown.embeddings(), np.float32))
    assert np.array_equal(view.gather_z(np.arange(42)), everything.z)
    found, scores = view.search(np.ones((1, 4), np.float32), 42, None)
    assert sorted(found[0].tolist()) == list(range(42))
    assert np.allclose(scores[0], -np.sort(-(everything.z.sum(axis=1) + everything.hubness)))


def test_another_ranker_replaces_the_one_before_and_what_a_crash_left(photos, folder):
    opened = build(photos, folder)
    opened.attach(RANKER)
    for name in (".building-x", "0123456789ab-never_named"):
        (folder / "views" / name).mkdir()
    opened.attach(replace(RANKER, id="0123456789ab-b"))
    assert opened.facts()["ranker"] == "0123456789ab-b"
    assert list((folder / "views").iterdir()) == [opened.view().folder]


def test_a_reader_that_opened_before_a_rebuild_keeps_its_answers(photos, folder):
    build(photos, folder).attach(RANKER)
    reader = Index.open(folder)
    view, stored = reader.view(), reader.embeddings()
    query = np.ones((1, 4), np.float32)
    expected = RANKER.encode_photos(np.asarray(stored, np.float32))
    scores = expected.z.sum(axis=1) + expected.hubness
    grey(photos, b=200, new=1)
    (photos / "a.png").unlink()
    build(photos, folder).attach(RANKER)
    assert not view.folder.exists()
    found, given = view.search(query, 10, None)
    assert found[0].tolist() == np.argsort(-scores, kind="stable").tolist()
    assert np.allclose(given[0], -np.sort(-scores))
    assert np.array_equal(view.gather_hubness(np.arange(4)), expected.hubness)
    assert reader.rows == 4
    assert (reader.view().rows, reader.rows, len(reader.embeddings())) == (6, 6, 6)


def test_a_damaged_view_is_named_and_the_named_command_mends_it(photos, folder):
    opened = build(photos, folder)
    opened.attach(RANKER)
    damaged = opened.view().folder
    os.truncate(damaged / "z.f16", 3)
    line = refusal(opened.view)
    assert line.startswith(f"view {damaged} is damaged (")
    assert line.endswith(
        f"); run: photoseek use RANKER -i {folder}, or for the shipped ranker: photoseek build PHOTOS -i {folder}"
    )
    opened.attach(RANKER)
    assert opened.view().rows == 4


def test_a_structure_with_a_flipped_bit_is_not_read_and_attaching_builds_it_again(photos, folder):
    opened = build(photos, folder)
    opened.attach(RANKER)
    before = opened.view().folder
    data = bytearray((before / "candidates.faiss").read_bytes())
    data[-1] ^= 1  # in a vector: FAISS would read it
    (before / "candidates.faiss").write_bytes(data)
    assert "candidates.faiss cannot be read" in refusal(opened.view().open_candidates)
    opened.attach(RANKER)
    assert opened.view().folder != before
    opened.view().open_candidates()


def test_a_disk_that_is_full_while_a_view_is_built_leaves_the_old_view(photos, folder, monkeypatch):
    opened = build(photos, folder)
    opened.attach(RANKER)
    before = opened.view().folder
    monkeypatch.setattr("indexer.views.build.fsync", full)
    another = replace(RANKER, id="ba9876543210")
    assert refusal(lambda: opened.attach(another)) == f"index {folder}: disk is full; {INTACT}"
    assert list((folder / "views").iterdir()) == [before]
    assert Index.open(folder).view().folder == before


# What it tells


def test_facts_tell_the_state(photos, folder):
    (photos / "broken.png").write_bytes(b"")
    (photos / "notes.txt").touch()
    build(PhotoFolders([photos], Patterns(exclude=("*.tmp.png",))), folder)
    (photos / "a.png").unlink()
    opened = build(photos, folder)
    opened.attach(RANKER)
    opened.set_policy("minors")
    facts = opened.facts()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert facts == {
        "index": str(folder),
        "photos": 3,
        "rows": 4,
        "dead_rows": 1,
        "skipped": 1,
        "left_out": 0,
        "passed_over": {"texts": 1},
        "roots": [str(photos)],
        "exclude": ["*.tmp.png"],
        "include": [],
        "encoder": "tiny@1",
        "precision": None,
        "dim": 4,
        "regions": False,
        "ranker": "0123456789ab",
        "tail": 0,
        "policy": "minors",
        "megabytes": round(size / 1e6, 1),
        "builds": 2,
        "unfinished": 0,
        "metadata": opened.catalogue.metadata.summary(),
        "skipped_photos": [("broken.png", "empty file")],
        "notes": [],
    }
    assert (facts["metadata"]["kinds"], facts["metadata"]["file_times"]) == ({"photo": 3}, 3)
    opened.set_policy(None)
    assert Index.open(folder).policy is None


def test_a_policy_that_does_not_exist_is_refused_and_a_file_is_kept_by_its_whole_path(photos, folder, monkeypatch):
    opened = build(photos, folder)
    line = "no policy 'zz'; there are: minors, or a path to a .toml file"
    assert refusal(lambda: opened.set_policy("zz")) == line
    assert refusal(lambda: opened.set_policy("none.toml")) == line.replace("zz", "none.toml")
    assert opened.policy is None
    (photos / "cats.toml").write_text("")
    monkeypatch.chdir(photos)
    opened.set_policy("cats.toml")
    assert opened.policy == str(photos / "cats.toml")


def test_the_policies_that_an_index_knows_are_those_that_are_shipped():
    assert sorted(POLICIES) == sorted(path.stem for path in SHIPPED.glob("*.toml"))


@pytest.fixture
def readable_index():
    """An index of a user whom permissions hold back, although the suite may run as root."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        base, index = Path(name), Path(name) / "index"
        grey(base / "photos", a=0, b=51)
        with build(base / "photos", index) as made:
            made.attach(TinyRanker())
        if is_root:
            for path in (base, *base.rglob("*")):
                os.chown(path, 65534, 65534)
            os.seteuid(65534)
        yield index
        if is_root:
            os.seteuid(0)
        for path in (index, index / "views"):
            path.chmod(0o755)


@pytest.mark.parametrize("name", ["manifest.json", "catalogue.sqlite", "embeddings-1.f16"])
def test_a_file_that_may_not_be_read_is_named_and_not_called_damaged(readable_index, name):
    (readable_index / name).chmod(0)
    with pytest.raises(PhotoseekError) as refused:
        Index.open(readable_index).embeddings()[:]
    assert "Permission denied" in str(refused.value)
    assert name in str(refused.value)
    assert "damaged" not in str(refused.value)


def test_views_that_may_not_be_read_are_named_and_the_facts_are_still_given(readable_index):
    (readable_index / "views").chmod(0)
    with Index.open(readable_index) as opened:
        (view,) = [opened.catalogue.active_view().id]
        line = f"{readable_index}/views/{view}/view.json cannot be read: Permission denied"
        assert refusal(opened.view) == line
        assert (opened.facts()["photos"], opened.facts()["ranker"]) == (2, TinyRanker().id)


def test_a_folder_that_may_not_be_read_is_named(readable_index):
    readable_index.chmod(0)
    line = f"index {readable_index}: manifest.json cannot be read: Permission denied"
    assert refusal(lambda: Index.open(readable_index)) == line
    assert "cannot be read: Permission denied" in refusal(
        lambda: build(readable_index.parent / "photos", readable_index)
    )
