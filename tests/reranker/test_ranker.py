import ast
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import reranker
from indexer.errors import PhotoseekError
from reranker.calibration import Calibration
from reranker.lexicon import Lexicon
from reranker.linear_map import LinearMap, hub_terms, unit
from reranker.mlp import MLP, SCALARS
from reranker.ranker import DEFAULT_FOLDER, Ranker

D, E, WORDS, K, R, M, P = 80, 70, ("cat", "dog"), 6, 4, 24, 8


def make_ranker(seed: int = 0, order: str = "C") -> Ranker:
    generator = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return np.asarray(generator.standard_normal(shape) / shape[0] ** 0.5, np.float32, order=order)

    e = E + len(WORDS)
    return Ranker(
        image_encoder="eyes@1",
        text_encoder="ears@1",
        text_encoder_name="ears",
        map=LinearMap(weights(D, K), 0.1 * weights(K), weights(e, K), 0.1 * weights(K)),
        meaning=LinearMap(weights(D, R), 0.1 * weights(R), weights(E, R), 0.1 * weights(R)),
        lexicon=Lexicon(WORDS, np.float32([1.5, 0.7])),
        bank=unit(weights(100, K)),
        mlp=MLP(
            weights(D, M),
            weights(E, M),
            weights(SCALARS, M),
            weights(M),
            weights(M, P),
            weights(P),
            weights(P),
            weights(SCALARS),
            weights(1),
        ),
        calibration=Calibration(1.7, -0.3),
        hub_weight=0.5,
        no_match=0.12,
        training={"photos": 3, "validation_log_loss": [0.5, 0.4]},
        figures={"reranked_recall@1": 0.25},
    )


def inputs(seed: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    x, t = unit(generator.standard_normal((7, D))), unit(generator.standard_normal((3, E)))
    return x, t, ["a dog", "a cat and a dog", "a bird"]


def arrays_of(ranker: Ranker) -> dict[str, np.ndarray]:
    parts = {"map": ranker.map, "meaning": ranker.meaning, "mlp": ranker.mlp}
    arrays = {f"{name}.{f.name}": getattr(part, f.name) for name, part in parts.items() for f in fields(part)}
    return {**arrays, "bank": ranker.bank, "idf": ranker.lexicon.idf}


def refusal(folder: Path) -> str:
    with pytest.raises(PhotoseekError) as caught:
        Ranker.load(folder)
    return str(caught.value)


@pytest.fixture
def saved(tmp_path) -> Path:
    make_ranker().finished().save(tmp_path / "ranker")
    return tmp_path / "ranker"


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_loaded_ranker_is_the_saved_one_whatever_the_memory_order_of_its_matrices(tmp_path, order):
    ranker = make_ranker(order=order).finished()
    ranker.save(tmp_path / "ranker")
    loaded = Ranker.load(tmp_path / "ranker")
    assert loaded.id == ranker.id != ""
    found, expected = arrays_of(loaded), arrays_of(ranker)
    for name, array in expected.items():
        assert np.array_equal(found[name], array), name
    for name in ("image_encoder", "text_encoder", "text_encoder_name", "hub_weight", "no_match", "training", "figures"):
        assert getattr(loaded, name) == getattr(ranker, name), name
    assert loaded.calibration == ranker.calibration
    assert loaded.lexicon.words == WORDS
    x, t, texts = inputs()
    sides, queries = [], []
    for one in (ranker, loaded):
        sides.append(one.photo_side(x))
        queries.append(one.query_side(t, texts))
    for part in ("z", "hub", "hidden"):
        assert np.array_equal(getattr(sides[0], part), getattr(sides[1], part)), part
    for row in range(3):
        assert np.array_equal(ranker.relevance(sides[0], queries[0], row), loaded.relevance(sides[1], queries[1], row))


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(method="beta", a=0.7, b=1.0 / 3, c=-0.1),
        Calibration(1.7, -0.3, "isotonic", knots=((-1.0, 0.1), (0.5, 1.0 / 3), (2.0, 0.9))),
    ],
)
def test_a_loaded_ranker_has_the_calibration_of_its_method(tmp_path, calibration):
    ranker = replace(make_ranker(), calibration=calibration).finished()
    ranker.save(tmp_path / "ranker")
    loaded = Ranker.load(tmp_path / "ranker")
    assert (loaded.id, loaded.calibration) == (ranker.id, calibration)
    x, t, texts = inputs()
    side, query = loaded.photo_side(x), loaded.query_side(t, texts)
    assert np.array_equal(loaded.relevance(side, query, 0), calibration.apply(loaded.logits(side, query, 0)))


def test_the_memory_order_of_matrices_does_not_change_the_id():
    assert make_ranker(order="C").finished().id == make_ranker(order="F").finished().id


def test_finishing_rounds_weights_to_a_hundredth_of_their_column_and_twice_is_as_once():
    ranker = make_ranker()
    finished = ranker.finished()
    for name, array in arrays_of(ranker).items():
        # int8 has 127 steps to the largest value of a column: half a step, and a little for the step's own rounding.
        most = np.abs(array).max(axis=0) * 0.51 / 127 if array.ndim == 2 and len(array) >= 64 else 0
        assert (np.abs(arrays_of(finished)[name] - array) <= most).all(), name
    again = finished.finished()
    assert again.id == finished.id
    for name, array in arrays_of(finished).items():
        assert np.array_equal(arrays_of(again)[name], array), name


def test_the_id_tells_rankers_apart():
    ranker = make_ranker()
    ids = {
        one.finished().id
        for one in (
            ranker,
            make_ranker(1),
            replace(ranker, hub_weight=0.4),
            replace(ranker, calibration=Calibration(1.7, -0.2)),
            replace(ranker, calibration=Calibration(1.7, -0.3, "isotonic", knots=((0.0, 0.1), (1.0, 0.9)))),
            replace(ranker, image_encoder="eyes@2"),
            replace(ranker, lexicon=Lexicon(("cow", "dog"), ranker.lexicon.idf)),
        )
    }
    assert len(ids) == 7


def test_the_photo_side_is_what_the_maps_and_the_network_give_one_by_one():
    ranker, (x, _, _) = make_ranker(), inputs()
    side = ranker.photo_side(x.astype(np.float16))
    x = x.astype(np.float16).astype(np.float32)
    z = unit(x @ ranker.map.A - ranker.map.a)
    np.testing.assert_allclose(side.z, z, atol=1e-6)
    np.testing.assert_allclose(side.hub, hub_terms(z, ranker.bank), atol=1e-6)
    meaning = unit(x @ ranker.meaning.A - ranker.meaning.a)
    np.testing.assert_allclose(side.hidden, np.concatenate([meaning, x @ ranker.mlp.Wx], axis=1), atol=1e-5)


def test_candidates_relevances_and_logits_equal_the_plain_computation():
    ranker, (x, t, texts) = make_ranker(), inputs()
    side, query = ranker.photo_side(x), ranker.query_side(t, texts)
    with_words = np.concatenate([t, 0.5 * unit(np.array([[0, 0.7], [1.5, 0.7], [0, 0]]))], axis=1)
    z, q = unit(x @ ranker.map.A - ranker.map.a), unit(unit(with_words) @ ranker.map.B - ranker.map.b)
    hub = np.sort(z @ ranker.bank.T, axis=1)[:, -10:].mean(axis=1)
    both = np.concatenate([side.z, side.hub[:, None]], axis=1)
    np.testing.assert_allclose(query.candidate @ both.T, q @ z.T - 0.5 * hub, atol=1e-5)
    meant = unit(t @ ranker.meaning.B - ranker.meaning.b) @ unit(x @ ranker.meaning.A - ranker.meaning.a).T
    for row in range(3):
        scalars = np.stack([q[row] @ z.T, meant[row], hub], axis=1).astype(np.float32)
        logits = ranker.mlp.plain(x, np.repeat(t[row : row + 1], len(x), axis=0), scalars)
        np.testing.assert_allclose(ranker.logits(side, query, row), logits, atol=1e-5)
        expected = 1 / (1 + np.exp(-(logits / 1.7 - 0.3)))
        np.testing.assert_allclose(ranker.relevance(side, query, row), expected, atol=1e-5)


def test_queries_in_a_batch_are_as_one_by_one():
    ranker, (_, t, texts) = make_ranker(), inputs()
    batch = ranker.query_side(t, texts)
    for row in range(3):
        alone = ranker.query_side(t[row : row + 1], texts[row : row + 1])
        for part in ("candidate", "meaning", "hidden"):
            np.testing.assert_allclose(getattr(alone, part)[0], getattr(batch, part)[row], atol=1e-6)


def test_a_saved_ranker_is_one_json_and_one_safetensors_file_that_everybody_may_read(saved):
    assert sorted(path.name for path in saved.parent.rglob("*")) == ["ranker", "ranker.json", "weights.safetensors"]
    assert [path.stat().st_mode & 0o777 for path in saved.iterdir()] == [0o644, 0o644]
    card = json.loads((saved / "ranker.json").read_text())
    assert card["format"] == 1
    assert card["operating_points"] == {"no_match": 0.12}
    assert {str(array.dtype) for array in load_file(saved / "weights.safetensors").values()} == {"int8", "float32"}


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
        ("hub_weight", 0.4),
        ("calibration", {"temperature": 1.0, "bias": -0.3}),
        ("vocabulary", ["cow", "dog"]),
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


@pytest.mark.parametrize("key", json.loads((DEFAULT_FOLDER / "ranker.json").read_text()))
def test_a_card_that_lacks_an_entry_is_refused(saved, key):
    card = json.loads((saved / "ranker.json").read_text())
    del card[key]
    (saved / "ranker.json").write_text(json.dumps(card))
    assert refusal(saved) == {
        "format": f"ranker {saved} has format None, this photoseek reads 1",
        "id": f"ranker {saved} is damaged (its weights are not those of None); train it again",
    }.get(key, f"ranker {saved} is damaged ('{key}'); train it again")


def test_weights_of_another_ranker_are_refused(saved):
    make_ranker(1).finished().save(saved.parent / "other")
    (saved / "weights.safetensors").write_bytes((saved.parent / "other" / "weights.safetensors").read_bytes())
    assert "its weights are not those of" in refusal(saved)


def test_a_ranker_of_another_format_is_refused(saved):
    card = json.loads((saved / "ranker.json").read_text())
    (saved / "ranker.json").write_text(json.dumps({**card, "format": 2}))
    assert refusal(saved) == f"ranker {saved} has format 2, this photoseek reads 1"


def test_a_missing_cut_or_foreign_ranker_is_refused(saved):
    none = saved.parent / "none"
    assert refusal(none) == f"no ranker at {none}; train one: photoseek train JUDGED -o {none}"
    arrays = load_file(saved / "weights.safetensors")
    whole = (saved / "weights.safetensors").read_bytes()
    (saved / "weights.safetensors").write_bytes(whole[: len(whole) // 2])
    assert refusal(saved).startswith(f"ranker {saved} is damaged (")
    (saved / "weights.safetensors").unlink()
    assert refusal(saved).startswith(f"ranker {saved} is damaged (")
    save_file({name: array for name, array in arrays.items() if name != "bank"}, saved / "weights.safetensors")
    assert refusal(saved) == f"ranker {saved} is damaged ('bank'); train it again"
    damaged = f"{saved / 'ranker.json'} cannot be read: the ranker is damaged; train it again"
    for content in (b"{", b"\xff", b"[]", b""):
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


def test_the_shipped_ranker_loads():
    ranker = Ranker.default()
    assert ranker.id == ranker.finished().id == json.loads((DEFAULT_FOLDER / "ranker.json").read_text())["id"]
    assert 0 < ranker.no_match < 1


def test_no_module_of_the_room_unpickles_anything():
    """Nor imports what does: neither pickle nor joblib, no torch.load, no numpy.load that may unpickle."""
    for path in Path(reranker.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"pickle", "joblib", "shelve", "dill"}, path
            if isinstance(node, ast.Attribute) and node.attr == "load" and isinstance(node.value, ast.Name):
                assert node.value.id != "torch", path
            if isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle", path
