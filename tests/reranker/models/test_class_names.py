"""Names of things: a query takes the place of the names it is nearest to, and a gate tells names from sentences."""

import numpy as np
import pytest

from indexer.encoders import TextEncoder, load_text_encoder
from reranker.models.class_names import TEMPLATES, ClassNameHead, extend_class_names, fit_class_names, named_texts
from reranker.models.linear_map import unit

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


def small(values: np.ndarray | None = None, gate: tuple[float, ...] = (0, 0, 0, 0)) -> ClassNameHead:
    """Two names along the axes of a text space of two; they lie along the axes of a photo space of two."""
    eye = np.eye(2, dtype=np.float32)
    return ClassNameHead(eye, np.zeros(2, np.float32), eye, eye if values is None else values, np.float32(gate))


def test_a_query_takes_the_place_of_the_name_it_is_nearest_to():
    places, _ = small().texts(np.float32([[1, 0], [0.6, 0.8], [0.8, 0.6]]))
    # Similarities 0.6 and 0.8 are 0.2 apart, four temperatures: shares 1 / (1 + e^4) and e^4 / (1 + e^4).
    share = 1 / (1 + np.exp(4))
    between = np.array([share, 1 - share]) / np.hypot(share, 1 - share)
    np.testing.assert_allclose(places, [[1, 0], between, between[::-1]], atol=1e-5)


def test_names_of_one_place_lead_there_together():
    places, _ = small(np.float32([[0, 1], [0, 1]])).texts(np.float32([[1, 0], [-0.6, 0.8]]))
    np.testing.assert_allclose(places, [[0, 1], [0, 1]], atol=1e-6)


def test_the_gate_is_a_logistic_of_the_query_its_best_similarities_and_a_bias():
    _, gate = small(gate=(2, 0, 0.5, -1)).texts(np.float32([[0.6, 0.8]]))
    # The mean of the two similarities is 0.7, five times that counts: 2 x 0.6 + 0.5 x 3.5 - 1 = 1.95
    assert gate == pytest.approx([1 / (1 + np.exp(-1.95))], rel=1e-5)


def test_photos_are_centred_turned_and_made_unit():
    names = ClassNameHead(
        2 * np.eye(2, dtype=np.float32), np.float32([2, 0]), *(np.eye(2, dtype=np.float32),) * 2, np.zeros(4)
    )
    # (4, 2) -> (8 - 2, 4 - 0) = (6, 4) -> / sqrt(52)
    np.testing.assert_allclose(names.images(np.float16([[4, 2]])), [[6 / 52**0.5, 4 / 52**0.5]], rtol=1e-5)


def test_no_names_have_no_place_and_a_gate_that_is_shut():
    none = ClassNameHead.none(3, 4)
    assert none.k == 0
    assert none.images(np.ones((5, 3), np.float32)).shape == (5, 0)
    places, gate = none.texts(np.ones((2, 4), np.float32))
    assert places.shape == (2, 0)
    assert gate.tolist() == [0, 0]


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
    places, _ = names.texts(unit(minilm.encode(list(asked))))
    photos = names.images(np.eye(len(THINGS), 20, dtype=np.float32))
    assert (places @ photos.T).argmax(axis=1).tolist() == list(asked.values())


@pytest.mark.parametrize("count", [2, 3, 12])
def test_the_gate_tells_names_it_has_not_seen_from_sentences_it_has_not_seen(minilm: TextEncoder, count: int):
    names = fitted(minilm, THINGS[:count])
    _, of_names = names.texts(unit(minilm.encode(["guitar", "a photo of a donkey", "a windmill", "cactus", "truck"])))
    unseen = [
        "A boy in a blue shirt rides his skateboard down the stairs .",
        "Several people stand around a fire on the beach at dusk .",
        "The brown dog is chasing a ball across the grass .",
    ]
    _, of_sentences = names.texts(unit(minilm.encode(unseen)))
    assert of_names.min() > of_sentences.max()
    assert np.median(of_names) > 0.5 > of_sentences.max()
    _, known = names.texts(unit(minilm.encode(["violin", "a photo of a lighthouse"])))
    assert known.min() > 0.5


def test_more_names_leave_those_of_the_base_where_they_are(minilm: TextEncoder):
    base = fitted(minilm, THINGS[:8])
    more, prototypes = THINGS[8:10], np.eye(20, dtype=np.float32)[8:10]
    vectors = unit(minilm.encode(named_texts(more)))
    names = extend_class_names(base, more, prototypes, vectors, np.zeros(20, np.float32))
    assert (names.k, len(names.keys)) == (base.k + 2, len(base.keys) + 3)
    assert np.array_equal(names.gate, base.gate)
    asked = {"a photo of a violin": 0, "old lighthouse": 1, "beacon": 1, "castle": 7, "mountain bike": 8, "lava": 9}
    places, gate = names.texts(unit(minilm.encode(list(asked))))
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
    places, _ = names.texts(unit(minilm.encode(["a violin", "a teapot"])))
    photos = names.images(np.eye(12, 20, dtype=np.float32))
    assert (places @ photos.T).argmax(axis=1).tolist() == [3, 2]
