"""Fitting the head of class names: names lead to photos of their class, and the gate tells names from sentences."""

import numpy as np
import pytest

from indexer.encoders import TextEncoder, load_text_encoder
from reranker.models.class_names import GATE_FEATURES, ClassNameHead
from reranker.models.linear_map import unit
from reranker.models.query_words import QUERY_WORDS
from reranker.models.ranking_settings import ClassNameSettings
from reranker.training.joint_space.fit_class_names import TEMPLATES, extend_class_names, fit_class_names, named_texts

THINGS = (
    ("violin",),
    ("lighthouse", "beacon"),
    ("teapot",),
    ("zebra",),
    ("tractor",),
    ("umbrella",),
    ("pizza",),
    ("castle",),
    ("bicycle", "bike"),
    ("volcano",),
    ("strawberry",),
    ("penguin",),
)
SENTENCES = (
    "A man in a red jacket climbs a snowy mountain .",
    "Two dogs run through the shallow water .",
    "People wait for a bus in the rain .",
    "A little girl laughs while her brother splashes in the pool .",
    "A woman and her child are sitting on a bench in the park .",
    "The football player in white tackles the one in green .",
    "Three boys jump off a wooden pier into a lake .",
    "A crowd watches a man who juggles burning torches at night .",
)


def named(head: ClassNameHead, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the things lie that texts name, and the name gate, which does not look at their words."""
    return head.texts(t, np.zeros((len(t), len(QUERY_WORDS)), np.float32), ClassNameSettings())


def test_every_name_is_put_in_every_template():
    assert named_texts([("dog", "hound"), ("cat",)]) == [
        t.format(n) for n in ("dog", "hound", "cat") for t in TEMPLATES
    ]


def test_fitting_puts_names_where_their_prototypes_are():
    generator = np.random.default_rng(0)
    prototypes = generator.standard_normal((3, 6)).astype(np.float32)
    centre = np.float32([0.1] * 6)
    vectors = unit(generator.standard_normal((16, 5)))
    names = fit_class_names(
        [("a", "b"), ("c",), ("d",)], prototypes, vectors, unit(generator.standard_normal((9, 5))), centre
    )
    assert (names.k, names.keys.shape, names.values.shape) == (3, (4, 5), (4, 3))
    np.testing.assert_allclose(names.keys, unit(vectors.reshape(4, 4, 5).mean(axis=1)), atol=1e-6)
    # Both names of the first thing lie where a photo that is its prototype does; others keep their cosines.
    cosines = unit(prototypes - centre) @ unit(prototypes - centre).T
    np.testing.assert_allclose(names.images(prototypes) @ names.values.T, cosines[:, [0, 0, 1, 2]], atol=1e-5)


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load_text_encoder("minilm")


def fitted(minilm: TextEncoder, things: tuple[tuple[str, ...], ...]) -> ClassNameHead:
    prototypes = np.eye(len(things), 20, dtype=np.float32)
    vectors = unit(minilm.encode(named_texts(things)))
    return fit_class_names(things, prototypes, vectors, unit(minilm.encode(SENTENCES)))


def test_real_names_and_their_neighbours_lead_to_the_right_thing(minilm: TextEncoder):
    names = fitted(minilm, THINGS)
    asked = {
        "a photo of a violin": 0,
        "fiddle": 0,
        "old lighthouse": 1,
        "a cup of tea": 2,
        "mountain bike": 8,
        "lava": 9,
    }
    places, _ = named(names, unit(minilm.encode(list(asked))))
    photos = names.images(np.eye(len(THINGS), 20, dtype=np.float32))
    assert (places @ photos.T).argmax(axis=1).tolist() == list(asked.values())


@pytest.mark.parametrize("count", [2, 3, 12])
def test_the_gate_tells_names_it_has_not_seen_from_sentences_it_has_not_seen(minilm: TextEncoder, count: int):
    names = fitted(minilm, THINGS[:count])
    _, of_names = named(names, unit(minilm.encode(["guitar", "a photo of a donkey", "a windmill", "cactus", "truck"])))
    unseen = [
        "A boy in a blue shirt rides his skateboard down the stairs .",
        "Several people stand around a fire on the beach at dusk .",
        "The brown dog is chasing a ball across the grass .",
    ]
    _, of_sentences = named(names, unit(minilm.encode(unseen)))
    assert of_names.min() > of_sentences.max()
    assert np.median(of_names) > 0.5 > of_sentences.max()
    _, known = named(names, unit(minilm.encode(["violin", "a photo of a lighthouse"])))
    assert known.min() > 0.5


def test_the_gate_of_names_alone_looks_at_the_text_and_the_mean_similarity(minilm: TextEncoder):
    gate = fitted(minilm, THINGS).gate
    width = len(gate) - len(GATE_FEATURES)
    looked_at = {name for name, weight in zip(GATE_FEATURES, gate[width:], strict=True) if weight}
    assert looked_at == {"mean_of_nearest", "bias"}
    assert np.count_nonzero(gate[:width]) > width / 2


def test_more_names_leave_those_of_the_base_where_they_are(minilm: TextEncoder):
    base = fitted(minilm, THINGS[:8])
    more, prototypes = THINGS[8:10], np.eye(20, dtype=np.float32)[8:10]
    vectors = unit(minilm.encode(named_texts(more)))
    names = extend_class_names(base, more, prototypes, vectors, np.zeros(20, np.float32))
    assert (names.k, len(names.keys)) == (base.k + 2, len(base.keys) + 3)
    assert np.array_equal(names.gate, base.gate)
    asked = {"a photo of a violin": 0, "old lighthouse": 1, "beacon": 1, "castle": 7, "mountain bike": 8, "lava": 9}
    places, gate = named(names, unit(minilm.encode(list(asked))))
    photos = names.images(np.eye(10, 20, dtype=np.float32))
    assert (places @ photos.T).argmax(axis=1).tolist() == list(asked.values())
    assert gate.min() > 0.5
    # Photos lie in the base's dimensions as they lay.
    np.testing.assert_allclose(photos[:8, : base.k], base.images(np.eye(8, 20, dtype=np.float32)), atol=1e-6)


def test_a_name_that_the_base_has_leads_where_it_is_told_to_now(minilm: TextEncoder):
    base = fitted(minilm, THINGS)
    vectors = unit(minilm.encode(named_texts([("violin",)])))
    names = extend_class_names(
        base, [("violin",)], np.eye(20, dtype=np.float32)[[3]], vectors, np.zeros(20, np.float32)
    )
    # The zebra's place is none that the head has not.
    assert (names.k, len(names.keys)) == (base.k, len(base.keys))
    places, _ = named(names, unit(minilm.encode(["a violin", "a teapot"])))
    photos = names.images(np.eye(12, 20, dtype=np.float32))
    assert (places @ photos.T).argmax(axis=1).tolist() == [3, 2]
