"""Ranker folders: what is in one, which are refused, and the shipped ones."""

import contextlib
import errno
import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from indexer.errors import PhotoseekError
from reranker.models.class_names import GATE_FEATURES
from reranker.models.no_match import FEATURE_NAMES
from reranker.models.ranking_settings import RankingSettings
from reranker.ranker import DEFAULT_FOLDER, Ranker
from reranker.ranker_files import _card_of, digest_of, identity, pack, unpack
from tiny_space import E, make_ranker

NO_MATCH = {"weights": dict.fromkeys(FEATURE_NAMES, 0.0)}


def refusal(folder: Path) -> str:
    with pytest.raises(PhotoseekError) as caught:
        Ranker.load(folder)
    return str(caught.value)


@pytest.fixture
def saved(tmp_path) -> Path:
    make_ranker().finished().save(tmp_path / "ranker")
    return tmp_path / "ranker"


def test_a_saved_ranker_is_one_json_and_one_safetensors_file_that_everybody_may_read(saved):
    assert sorted(path.name for path in saved.parent.rglob("*")) == ["ranker", "ranker.json", "weights.safetensors"]
    assert [path.stat().st_mode & 0o777 for path in saved.iterdir()] == [0o644, 0o644]
    card = json.loads((saved / "ranker.json").read_text())
    assert card["format"] == 4
    assert card["operating_points"]["no_match"]["threshold"] == 0.12
    kinds = {str(array.dtype) for array in load_file(saved / "weights.safetensors").values()}
    assert kinds == {"int8", "float32", "int64"}


@pytest.mark.parametrize("place", [-1, -3000, 1000])
def test_a_flipped_byte_of_the_weights_is_refused(saved, place):
    identity = Ranker.load(saved).id
    data = bytearray((saved / "weights.safetensors").read_bytes())
    if place > 0:
        place += 8 + int.from_bytes(data[:8], "little")  # past the header
    data[place] ^= 0b0100_0000
    (saved / "weights.safetensors").write_bytes(data)
    assert refusal(saved) == f"ranker {saved} is damaged (its weights are not those of {identity}); train it again"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_encoder", "eyes@2"),
        ("text_encoder_name", "eyes"),
        (
            "operating_points",
            {"no_match": {"weights": dict.fromkeys(FEATURE_NAMES, 0.0), "bias": 0.0, "threshold": 0.12}},
        ),
        ("calibration", {"temperature": 1.0, "bias": -0.3}),
        ("vocabulary", ["cow", "dog"]),
        ("known_words", "a cow and cat"),
        ("ranking", replace(RankingSettings(), candidates=100).as_dict()),
        ("id", "0123456789ab"),
    ],
)
def test_an_edited_card_is_refused(saved, key, value):
    card = json.loads((saved / "ranker.json").read_text())
    card[key] = value
    (saved / "ranker.json").write_text(json.dumps(card))
    assert refusal(saved) == f"ranker {saved} is damaged (its weights are not those of {card['id']}); train it again"


def test_a_card_of_an_unknown_calibration_is_refused(saved):
    card = json.loads((saved / "ranker.json").read_text())
    (saved / "ranker.json").write_text(json.dumps({**card, "calibration": {"method": "platt"}}))
    assert refusal(saved) == f"ranker {saved} is damaged (no calibration method 'platt'); train it again"


def test_a_ranker_with_a_card_from_before_there_were_checksums_is_known_by_its_weights(saved):
    card = json.loads((saved / "ranker.json").read_text())
    del card["checksum"]
    (saved / "ranker.json").write_text(json.dumps(card))
    assert Ranker.load(saved).id == card["id"]
    data = bytearray((saved / "weights.safetensors").read_bytes())
    data[-1] ^= 0b0100_0000
    (saved / "weights.safetensors").write_bytes(data)
    assert "its weights are not those of" in refusal(saved)


CARD = (
    "format id image_encoder text_encoder text_encoder_name calibration operating_points ranking pair_features "
    "gate_features training figures vocabulary known_words"
)
PLACE = ["image_encoder_name", "image_encoder_options"]


def test_a_card_has_these_entries_and_no_others(saved):
    assert list(json.loads((saved / "ranker.json").read_text())) == [*CARD.split(), *PLACE, "checksum", "weights"]


def test_a_card_without_the_place_of_its_image_encoder_has_that_of_the_fingerprint(saved):
    card = json.loads((saved / "ranker.json").read_text())
    for key in PLACE:
        del card[key]
    (saved / "ranker.json").write_text(json.dumps(card))
    found = Ranker.load(saved)
    assert (found.image_encoder_name, found.image_encoder_options) == (found.image_encoder.partition("@")[0], {})


@pytest.mark.parametrize("key", CARD.split())
def test_a_card_that_lacks_an_entry_is_refused(saved, key):
    card = json.loads((saved / "ranker.json").read_text())
    del card[key]
    (saved / "ranker.json").write_text(json.dumps(card))
    assert refusal(saved) == {
        "format": f"ranker {saved} has format None, this photoseek reads 2 to 4; train it again",
        "id": f"ranker {saved} is damaged (its weights are not those of None); train it again",
    }.get(key, f"ranker {saved} is damaged ('{key}'); train it again")


@pytest.mark.parametrize(
    ("entry", "kind"),
    [("ranking", "dict"), ("training", "dict"), ("figures", "dict"), ("image_encoder_options", "dict")]
    + [("text_encoder_name", "str"), ("known_words", "str"), ("pair_features", "list")],
)
@pytest.mark.parametrize("value", [None, 3, True])
def test_a_card_with_an_entry_of_another_kind_is_refused(saved, entry, kind, value):
    card = json.loads((saved / "ranker.json").read_text())
    (saved / "ranker.json").write_text(json.dumps({**card, entry: value}))
    assert refusal(saved) == f"ranker {saved} is damaged (its entry {entry} is no {kind}); train it again"


def test_a_part_without_the_weight_of_a_pair_feature_is_refused(saved):
    card = json.loads((saved / "ranker.json").read_text())
    arrays = load_file(saved / "weights.safetensors")
    refit(saved, card, arrays | {"order.ws": arrays["order.ws"][:0]})
    assert refusal(saved).startswith(f"ranker {saved} is damaged (index 0 is out of bounds")


def test_weights_of_another_ranker_are_refused(saved):
    make_ranker(1).finished().save(saved.parent / "other")
    (saved / "weights.safetensors").write_bytes((saved.parent / "other" / "weights.safetensors").read_bytes())
    assert "its weights are not those of" in refusal(saved)


def test_a_ranker_of_another_format_is_refused(saved):
    card = json.loads((saved / "ranker.json").read_text())
    for version in (1, 5, "4", True, [4], {}):
        (saved / "ranker.json").write_text(json.dumps({**card, "format": version}))
        assert refusal(saved) == f"ranker {saved} has format {version}, this photoseek reads 2 to 4; train it again"


def test_a_folder_or_file_that_is_no_ranker_gets_advice_that_is_not_refused(tmp_path):
    """`photoseek train -o` refuses a folder that holds something else."""
    (tmp_path / "a.jpg").touch()
    assert refusal(tmp_path) == (
        f"{tmp_path} is not a ranker, which is a folder that photoseek train writes; name one, or train one into a new "
        "folder: photoseek train JUDGED -o RANKER"
    )
    assert refusal(tmp_path / "a.jpg") == f"{tmp_path}/a.jpg is a file and no ranker; name the folder of one"
    blank = tmp_path / "my rankers"
    assert refusal(blank) == f"no ranker at {blank}; train one: photoseek train JUDGED -o '{blank}'"
    (tmp_path / "ranker.json").mkdir()
    assert refusal(tmp_path) == f"{tmp_path}/ranker.json cannot be read: Is a directory"


def test_a_missing_cut_or_foreign_ranker_is_refused(saved):
    none = saved.parent / "none"
    assert refusal(none) == f"no ranker at {none}; train one: photoseek train JUDGED -o {none}"
    none.mkdir()
    assert refusal(none) == f"no ranker at {none}; train one: photoseek train JUDGED -o {none}"
    arrays = load_file(saved / "weights.safetensors")
    whole = (saved / "weights.safetensors").read_bytes()
    (saved / "weights.safetensors").write_bytes(whole[: len(whole) // 2])
    assert refusal(saved).startswith(f"ranker {saved} is damaged (")
    (saved / "weights.safetensors").unlink()
    assert refusal(saved).startswith(f"ranker {saved} is damaged (")
    save_file({name: array for name, array in arrays.items() if name != "hubs.turn"}, saved / "weights.safetensors")
    assert refusal(saved) == f"ranker {saved} is damaged ('hubs.turn'); train it again"
    damaged = f"{saved / 'ranker.json'} cannot be read: the ranker is damaged; train it again"
    for content in (b"{", b"\xff", b"[]", b"", b"[" * 100_000):
        (saved / "ranker.json").write_bytes(content)
        assert refusal(saved) == damaged, content


def test_a_folder_of_other_things_is_never_written_over(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"1")
    with pytest.raises(PhotoseekError) as caught:
        make_ranker().finished().save(tmp_path)
    assert str(caught.value) == f"{tmp_path} is not a ranker and not empty; give another folder with -o"
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_ranker_replaces_a_ranker_and_an_empty_folder(saved):
    make_ranker(1).finished().save(saved)
    assert Ranker.load(saved).id == make_ranker(1).finished().id
    (saved.parent / "empty").mkdir()
    make_ranker(2).finished().save(saved.parent / "empty")
    assert Ranker.load(saved.parent / "empty").id == make_ranker(2).finished().id


class Killed(BaseException):
    pass


def kill_before(name: str, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the n-th call of a function of the disk end the process, as far as a test can see."""
    real, calls = getattr(os, name), itertools.count(1)

    def dies(*values, **options):
        if next(calls) == call:
            raise Killed
        return real(*values, **options)

    monkeypatch.setattr(os, name, dies)


@pytest.mark.parametrize("had_one", [True, False])
@pytest.mark.parametrize(("name", "calls"), [("replace", 2), ("fsync", 4), ("unlink", 1)])
def test_a_save_that_is_killed_leaves_the_old_ranker_or_the_new_one(tmp_path, monkeypatch, had_one, name, calls):
    old, new = make_ranker().finished(), replace(make_ranker(), text_encoder="other@1").finished()
    for call in range(1, calls + 1):
        folder = tmp_path / str(call)
        if had_one:
            old.save(folder)
        with monkeypatch.context() as patch:
            kill_before(name, call, patch)
            with contextlib.suppress(Killed):
                new.save(folder)
        if had_one:
            assert Ranker.load(folder).id in (old.id, new.id)
        new.save(folder)
        assert Ranker.load(folder).id == new.id
        assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_the_old_ranker_and_gives_one_line(saved, monkeypatch, number):
    def fails(*_: object) -> None:
        raise OSError(number, "Input/output error")

    old = Ranker.load(saved).id
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(PhotoseekError) as caught:
            make_ranker(1).finished().save(saved)
    what = "disk is full" if number == errno.ENOSPC else "Input/output error"
    assert str(caught.value) == f"ranker {saved} cannot be written: {what}; one that was there is intact"
    assert Ranker.load(saved).id == old
    assert os.listdir(saved.parent) == ["ranker"]


def test_the_shipped_ranker_loads():
    ranker = Ranker.default()
    assert ranker.id == ranker.finished().id == json.loads((DEFAULT_FOLDER / "ranker.json").read_text())["id"]
    assert 0 < ranker.no_match.threshold < 1


def test_the_shipped_ranker_of_an_image_encoder_is_found_by_its_fingerprint(tmp_path, monkeypatch):
    one, two = make_ranker().finished(), replace(make_ranker(1), image_encoder="eyes@2").finished()
    for name, folder, ranker in (("DEFAULT_FOLDER", tmp_path / "one", one), ("FAST_FOLDER", tmp_path / "two", two)):
        ranker.save(folder)
        monkeypatch.setattr(f"reranker.ranker.{name}", folder)
    assert Ranker.default().id == one.id
    found = [Ranker.shipped(encoder) for encoder in ("eyes@1", "eyes@2", "eyes@3")]
    assert [ranker and ranker.id for ranker in found] == [one.id, two.id, None]


def test_a_shipped_ranker_that_is_not_there_is_none(tmp_path, monkeypatch):
    one = make_ranker().finished()
    one.save(tmp_path / "one")
    monkeypatch.setattr("reranker.ranker.FAST_FOLDER", tmp_path / "none")
    monkeypatch.setattr("reranker.ranker.DEFAULT_FOLDER", tmp_path / "one")
    assert [ranker and ranker.id for ranker in map(Ranker.shipped, ("eyes@1", "eyes@2"))] == [one.id, None]
    monkeypatch.setattr("reranker.ranker.DEFAULT_FOLDER", tmp_path / "none")
    monkeypatch.setattr("reranker.ranker.FAST_FOLDER", tmp_path / "one")
    assert Ranker.shipped("eyes@1").id == one.id
    # One that is there but damaged is still told.
    (tmp_path / "one" / "weights.safetensors").unlink()
    with pytest.raises(PhotoseekError, match="is damaged"):
        Ranker.shipped("eyes@1")


@given(st.integers(0, 2**32 - 1), st.floats(-10, 10))
def test_packing_what_was_packed_changes_nothing(seed, exponent):
    generator = np.random.default_rng(seed)
    matrix = (generator.standard_normal((70, 9)) * 10 ** (exponent * generator.random(9))).astype(np.float32)
    matrix[:, 4] = 0
    arrays = {"matrix": matrix, "small": matrix[:63], "row": matrix[0], "none": matrix[:, :0], "pieces": np.arange(70)}
    packed = pack(arrays)
    once = unpack(packed)
    twice = pack(once)
    assert set(packed) == {*arrays, "matrix.scale"} == set(twice)
    assert packed["matrix"].dtype == np.int8
    for name, array in packed.items():
        assert np.array_equal(twice[name], array), name
    for name in ("small", "row", "none", "pieces"):
        assert np.array_equal(once[name], arrays[name]), name
        assert once[name].dtype == arrays[name].dtype, name
    step = np.abs(matrix).max(axis=0) / 127
    assert (np.abs(once["matrix"] - matrix) <= 0.51 * step).all()


def refit(folder: Path, card: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write a ranker whose id is made to fit what is stored; without a checksum, the id is what tells."""
    save_file(arrays, folder / "weights.safetensors")
    card.pop("checksum", None)
    card["id"] = digest_of(unpack(load_file(folder / "weights.safetensors")), identity(_card_of(card)))
    (folder / "ranker.json").write_text(json.dumps(card))


def test_weights_of_pair_features_are_found_by_their_names(saved):
    ranker = Ranker.load(saved)
    card = json.loads((saved / "ranker.json").read_text())
    card["pair_features"] = card["pair_features"][::-1]
    arrays = load_file(saved / "weights.safetensors")
    for mlp in ("order", "relevance"):
        for part in ("Ws", "ws"):
            arrays[f"{mlp}.{part}"] = np.ascontiguousarray(arrays[f"{mlp}.{part}"][::-1])
    refit(saved, card, arrays)
    found = Ranker.load(saved)
    assert np.array_equal(found.ranking_mlp.ws, ranker.ranking_mlp.ws)
    assert np.array_equal(found.relevance_mlp.Ws, ranker.relevance_mlp.Ws)


def test_weights_of_the_gate_are_found_by_their_names_and_those_that_lack_are_0(saved):
    ranker = Ranker.load(saved)
    gate = ranker.joint_space.class_names.gate
    card = json.loads((saved / "ranker.json").read_text())
    assert card["gate_features"] == list(GATE_FEATURES)
    arrays = load_file(saved / "weights.safetensors")
    # The last four, from behind: the words of the query.
    card["gate_features"] = ["captioned", "rarity", "word_count"]
    arrays["names.gate"] = np.concatenate([gate[:E], gate[:-4:-1]])
    del arrays["names.said_gate"]
    refit(saved, card, arrays)
    found = Ranker.load(saved).joint_space.class_names.gate
    np.testing.assert_array_equal(found, [*gate[:E], *[0] * 4, *gate[-3:]])
    # A ranker that was saved with one gate asks it for all queries.
    np.testing.assert_array_equal(Ranker.load(saved).joint_space.class_names.said_gate, found)


def test_a_gate_with_inputs_that_nobody_knows_is_refused(saved):
    card = json.loads((saved / "ranker.json").read_text())
    card["gate_features"][3:5] = ["colour", "age"]
    refit(saved, card, load_file(saved / "weights.safetensors"))
    reason = "the name gate has weights of unknown inputs: age, colour"
    assert refusal(saved) == f"ranker {saved} is damaged ({reason}); train it again"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("candidates",), 1.5, "ranking setting candidates is 1.5, no whole number"),
        (("heads", "meaning"), "much", "ranking setting meaning is 'much', no number"),
        (("heads",), {"meaning": 0.25}, "ranking settings heads must have meaning, class_names, hubness"),
    ],
)
def test_settings_that_are_none_are_refused(saved, path, value, reason):
    card = json.loads((saved / "ranker.json").read_text())
    place = card["ranking"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=reason):
        RankingSettings.from_dict(card["ranking"])
