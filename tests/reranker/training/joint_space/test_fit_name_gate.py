"""The name gate that is learned: its loss, its lists of captions, phrases and names, and what it opens for."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.training_sets import PhotoSets
from reranker.models.class_names import GATE_FEATURES, gate_features
from reranker.models.joint_space import JointSpace, candidate_scores
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import unit
from reranker.models.query_words import query_words
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.phrase_examples import Phrases
from reranker.training.joint_space import fit_name_gate as module
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.joint_space.fit_joint_space import fit_joint_space
from reranker.training.joint_space.fit_name_gate import (
    GateLists,
    GateSettings,
    caption_lists,
    fit_name_gate,
    name_lists,
    phrase_gate_lists,
)
from reranker.training.joint_space.vocabulary import FittedVocabulary, fit_vocabulary
from tiny_judged import ENCODERS, QUICK, StubTextEncoder, made, words_of

pytestmark = pytest.mark.usefixtures("one_thread")

E, BIAS = 3, 3 + GATE_FEATURES.index("bias")


def drawn_lists(kind: str, count: int, seed: int, opens: float) -> GateLists:
    """Draw lists of four photos, the first of which fits: it comes first with an open gate if `opens` is above 0."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((count, E + len(GATE_FEATURES)))
    features[:, BIAS] = 1
    features[:, 0] += opens
    shut, opened = (0.3 * generator.standard_normal((count, 4)) for _ in range(2))
    opened[:, 0] += opens
    targets = np.zeros((count, 4))
    targets[:, 0] = 1
    return GateLists(kind, *(array.astype(np.float32) for array in (features, shut, opened, targets)))


def loss_of(found: np.ndarray, lists: list[GateLists], settings: GateSettings) -> float:
    """Compute the loss of weights of plain features by its formula, in float64; names count four times."""
    features = np.concatenate([one.features for one in lists]).astype(np.float64)
    spread, middle = features.std(axis=0), features.mean(axis=0)
    spread[:E] = spread[:E].mean()
    spread[BIAS], middle[BIAS] = 1, 0
    shares = {one.kind: 4.0 if one.kind == "names" else 1.0 for one in lists}
    value = 0.0
    for one in lists:
        gate = 1 / (1 + np.exp(-(one.features @ found)))
        scores = settings.scale * (one.shut + gate[:, None] * one.opened)
        of_lists = -(one.targets * (scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))).sum(axis=1)
        value += shares[one.kind] / sum(shares.values()) * of_lists.mean()
    weights = found * spread
    weights[BIAS] = 0
    return value + settings.text_penalty * (weights[:E] ** 2).sum() + settings.penalty * (weights[E:] ** 2).sum()


def test_the_weights_minimise_the_listwise_loss_with_names_that_count_more():
    lists = [drawn_lists("names", 30, 0, 1.0), drawn_lists("captions", 200, 1, -1.0)]
    settings = GateSettings(0.005, 0.001)
    found = fit_name_gate(lists, E, settings)
    assert found.shape == (E + len(GATE_FEATURES),)
    theirs = minimize(loss_of, np.zeros(len(found)), (lists, settings), options={"maxiter": 500})
    assert loss_of(found.astype(np.float64), lists, settings) == pytest.approx(theirs.fun, rel=1e-3)
    # The gate opens for names, and shuts for captions.
    opened = [1 / (1 + np.exp(-(one.features @ found))) for one in lists]
    assert np.median(opened[0]) > np.median(opened[1]) + 0.2


def test_a_feature_that_never_changes_gets_no_weight():
    lists = drawn_lists("names", 50, 0, 1.0)
    lists.features[:, E + GATE_FEATURES.index("captioned")] = 1
    found = fit_name_gate([lists], E, GateSettings())
    assert np.isfinite(found).all()
    assert abs(found[E + GATE_FEATURES.index("captioned")]) < 1e-3


@pytest.fixture(scope="module")
def features() -> EmbeddedJudgments:
    return made(40, seed=0)[0]


@pytest.fixture(scope="module")
def vocabulary(features: EmbeddedJudgments) -> FittedVocabulary:
    return fit_vocabulary(features, [ClassName((word,)) for word in ("dog", "cat", "sea", "car")], *ENCODERS)


@pytest.fixture(scope="module")
def gallery(one_thread: None, features: EmbeddedJudgments, vocabulary: FittedVocabulary) -> Gallery:
    settings = replace(QUICK.joint_space, map=replace(QUICK.joint_space.map, epochs=0))
    fitted = fit_joint_space(features, np.arange(20), words_of(features), settings, 0, lambda *_: None)
    return Gallery.of(features, np.arange(20, 40), replace(fitted, class_names=vocabulary.head))


def with_gate(space: JointSpace, bias: float) -> JointSpace:
    gate = np.zeros_like(space.class_names.gate)
    gate[30 + GATE_FEATURES.index("bias")] = bias
    return replace(space, class_names=replace(space.class_names, gate=gate, said_gate=gate))


def test_captions_are_listed_with_their_own_photo_and_scores_of_a_shut_and_an_open_gate(
    features: EmbeddedJudgments, gallery: Gallery
):
    lists = caption_lists(features, gallery, np.random.default_rng(0))
    assert (lists.kind, lists.features.shape) == ("captions", (80, 37))
    assert lists.shut.shape == lists.opened.shape == lists.targets.shape == (80, module.LIST)
    assert lists.targets[:, 0].tolist() == [1] * 80
    assert lists.targets.sum() == 80
    # Twenty photos are all listed; what is missing is far behind, whatever the gate.
    there = lists.shut > -50
    assert there.sum(axis=1).tolist() == [20] * 80
    assert (lists.opened[~there] == 0).all()
    rows, own = gallery.captions(features)
    for bias, gate in ((-60.0, 0), (60.0, 1)):
        space = with_gate(gallery.joint_space, bias)
        asked = Gallery.of(features, gallery.photos, space)
        scores = candidate_scores(asked.encoded_photos, asked.encode_captions(features, rows))
        found = lists.shut + gate * lists.opened
        np.testing.assert_allclose(found[:, 0], scores[np.arange(80), own], atol=1e-5)
        np.testing.assert_allclose(
            np.sort(np.where(there, found, -np.inf), axis=1)[:, -20:], np.sort(scores, axis=1), atol=1e-5
        )
    words = query_words(
        [features.texts[row] for row in rows], gallery.joint_space.lexical, gallery.joint_space.known_words
    )
    t = unit(features.t[rows])
    expected = gate_features(
        t, t @ gallery.joint_space.class_names.keys.T, words, gallery.joint_space.settings.class_names
    )
    np.testing.assert_allclose(lists.features, expected, atol=1e-5)


def test_captions_of_every_set_are_asked_and_no_more_than_there_may_be(
    features: EmbeddedJudgments, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
):
    # Photos 20 to 34 are of one set, the last five of the other.
    sets = PhotoSets(("a", "b"), np.ones(2, np.float32), np.zeros(2, bool), (np.arange(40) >= 35).astype(np.int64))
    monkeypatch.setattr(module, "CAPTIONS", 7)
    lists = caption_lists(replace(features, photo_sets=sets), gallery, np.random.default_rng(0))
    assert len(lists.features) == 14


def test_phrases_are_listed_with_all_photos_that_say_them_and_those_of_no_photo_are_left_out(gallery: Gallery):
    said = np.zeros((3, 40), np.uint8)
    said[0, [21, 25, 3]], said[1, [5, 6]], said[2, 30] = 1, 1, 2
    t, tokens = StubTextEncoder().encode_with_tokens(["dog", "cat", "sea"])
    phrases = Phrases(EncodedTexts(("dog", "cat", "sea"), t, tokens), said)
    lists = phrase_gate_lists(phrases, gallery, np.random.default_rng(0))
    # Of the first, two photos are in the gallery; the second is said of photos outside.
    assert (lists.kind, len(lists.features)) == ("phrases", 2)
    assert lists.targets[:, :3].tolist() == [[0.5, 0.5, 0], [1, 0, 0]]
    assert lists.targets.sum() == 2
    np.testing.assert_allclose(lists.features[:, :30], unit(t[[0, 2]]), atol=1e-6)


def test_names_are_listed_with_the_place_of_their_class_as_one_more_photo(
    gallery: Gallery, vocabulary: FittedVocabulary
):
    lists = name_lists(vocabulary, gallery, np.random.default_rng(0))
    # Each of four names is asked in a template of its own; captions say all names, but never "photo" and "picture".
    head, space = gallery.joint_space.class_names, gallery.joint_space
    assert (lists.kind, len(lists.features)) == ("names", 2)
    assert lists.targets[:, 0].tolist() == [1] * 2
    assert lists.targets.sum() == 2
    for place in range(2):
        there = lists.shut[place][lists.shut[place] > -50]
        assert len(there) == 21
        t = vocabulary.vectors[[4 * place + place]]
        np.testing.assert_allclose(lists.features[place, :30], t[0], atol=1e-6)
        # With the gate shut the class is as good as any photo; open, it has the cosine of its place, and no hubness.
        assert there[0] == pytest.approx(there[1:].mean(), abs=1e-4)
        cosine = head.places(t @ head.keys.T, space.settings.class_names)[0] @ head.values[place]
        expected = 3 * cosine + 0.5 * gallery.encoded_photos.hubness.mean()
        assert lists.opened[place, 0] == pytest.approx(expected, abs=1e-4)


def test_a_query_with_a_word_that_captions_never_say_is_not_listed(gallery: Gallery, vocabulary: FittedVocabulary):
    space = gallery.joint_space
    kept = [place for place, word in enumerate(space.lexical.words) if word != "cat"]
    fewer = LexicalFeatures(tuple(space.lexical.words[i] for i in kept), space.lexical.idf[kept], 0.5)
    B = np.delete(space.map.B, 30 + np.setdiff1d(np.arange(len(space.lexical.words)), kept), axis=0)
    unsaid = replace(gallery, joint_space=replace(space, lexical=fewer, map=replace(space.map, B=B)))
    lists = name_lists(vocabulary, unsaid, np.random.default_rng(0))
    # "cat" is the second of the names.
    np.testing.assert_allclose(lists.features[:, :30], vocabulary.vectors[[0]], atol=1e-6)
