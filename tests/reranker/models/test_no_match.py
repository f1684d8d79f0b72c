"""The no-match decision: its probability, its operating point, its card."""

import json

import numpy as np
import pytest

from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.no_match import CERTAIN, FEATURE_NAMES, FIRST_HIT_FEATURES, NoMatchClassifier, no_match_features
from reranker.models.pair_scores import PairScores

FEATURES = 32


def test_a_probability_by_hand():
    match = NoMatchClassifier((1.0, *[0.0] * (FEATURES - 2), -2.0), 0.5, 0.1)
    features = np.zeros((2, FEATURES), np.float32)
    features[0, 0], features[1, -1] = 1.5, 0.25
    # 1.5 + 0.5 = 2 and -0.5 + 0.5 = 0
    assert match.probability(features) == pytest.approx([1 / (1 + np.exp(-2)), 0.5], rel=1e-6)


def first_hits(scores, relevance, pair_features) -> PairScores:
    return PairScores(np.float32(scores), np.float32(relevance), np.float32(pair_features))


def test_the_features_are_the_first_hits_scores_and_the_querys_words_as_a_sentence_and_as_a_name():
    # The gate is the fifth pair feature: a sentence, a name, and a query that is a quarter of a name.
    pairs = [[1, 2, 3, 4, 0, 6, 7], [1, 2, 3, 4, 1, 6, 7], [4, 8, 12, 16, 0.25, 24, 28]]
    # The logit of e^2 / (1 + e^2) is 2, that of a half 0, and that of 1 / (1 + e^4) is -4.
    hits = first_hits([70, 71, 72], [np.exp(2) / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(4))], pairs)
    words = np.float32([[10, 20, 30, 40], [11, 21, 31, 41], [12, 24, 36, 48]])
    # sqrt(2 ln e^8) = 4, sqrt(2 ln e^2) = 2 and sqrt(2 ln 1) = 0.
    photos = np.exp([8.0, 2.0, 0.0])
    features = no_match_features(hits, np.float32([80, 81, 84]), words, photos)
    third = np.array([4, 8, 12, 16, 0.25, 24, 28, 72, 84, 0, 1, -4, 12, 24, 36, 48])
    expected = [
        [1, 2, 3, 4, 0, 6, 7, 70, 80, 4, 1, 2, 10, 20, 30, 40, *[0] * 16],
        [*[0] * 16, 1, 2, 3, 4, 1, 6, 7, 71, 81, 2, 1, 0, 11, 21, 31, 41],
        [*(0.75 * third), *(0.25 * third)],
    ]
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
    alike = no_match_features(hits, np.float32([80, 81, 84]), words, 1000)
    growth = FIRST_HIT_FEATURES.index("gallery_growth")
    assert (alike[:, growth] + alike[:, 16 + growth]).tolist() == pytest.approx([np.sqrt(2 * np.log(1000))] * 3)
    assert features.dtype == np.float32
    assert features.shape == (3, FEATURES)


def test_a_relevance_of_0_or_1_has_a_logit_that_is_large_and_finite():
    hits = first_hits([0, 0, 0], [0, 1, CERTAIN / 2], np.zeros((3, 7)))
    features = no_match_features(hits, np.zeros(3, np.float32), np.zeros((3, 4), np.float32), 9)
    largest = np.log((1 - CERTAIN) / CERTAIN)
    relevance = features[:, FEATURE_NAMES.index("sentence.relevance")]
    np.testing.assert_allclose(relevance, [-largest, largest, -largest], rtol=1e-3)


def test_names_are_told_by_weights_of_their_own():
    weights = np.zeros(FEATURES)
    weights[0], weights[FEATURES // 2] = 2.0, -1.0
    match = NoMatchClassifier(tuple(weights.tolist()), 0.0, 0.5)
    pair_features = np.zeros((2, 7), np.float32)
    pair_features[:, 0], pair_features[:, PAIR_FEATURES.index("gate")] = 3, (0, 1)
    hits = first_hits([0, 0], [0.5, 0.5], pair_features)
    chance = match.probability(no_match_features(hits, np.zeros(2, np.float32), np.zeros((2, 4), np.float32), 9))
    # 2 x 3 as a sentence, -1 x 3 as a name.
    assert chance == pytest.approx([1 / (1 + np.exp(-6)), 1 / (1 + np.exp(3))], rel=1e-5)


def some_decision() -> NoMatchClassifier:
    return NoMatchClassifier(tuple(np.linspace(-1, 1, FEATURES).tolist()), -0.25, 0.12)


def test_the_weights_are_saved_by_the_name_of_their_feature_in_any_order():
    card = some_decision().as_dict()
    assert tuple(card["weights"]) == FEATURE_NAMES
    assert (FEATURE_NAMES[0], FEATURE_NAMES[-1], len(FEATURE_NAMES)) == ("sentence.cosine", "name.known", FEATURES)
    turned = dict(reversed(card["weights"].items()))
    assert NoMatchClassifier.from_dict({**card, "weights": turned}) == some_decision()


def test_a_card_of_unknown_features_is_refused():
    card = some_decision().as_dict()
    card["weights"]["name.colour"] = card["weights"].pop("name.bias")
    card["weights"]["name.age"] = 1.0
    with pytest.raises(ValueError, match=r"^the no-match decision has weights of unknown features: name.age, name.col"):
        NoMatchClassifier.from_dict(card)


def test_a_decision_from_before_a_feature_was_thought_of_does_not_look_at_it():
    card = some_decision().as_dict()
    later = ("relevance", "word_count", "rarity", "captioned", "known")
    for name in later:
        del card["weights"][f"sentence.{name}"], card["weights"][f"name.{name}"]
    found = dict(zip(FEATURE_NAMES, NoMatchClassifier.from_dict(card).weights, strict=True))
    expected = dict(zip(FEATURE_NAMES, some_decision().weights, strict=True))
    assert found == {name: 0.0 if name.partition(".")[2] in later else w for name, w in expected.items()}


def test_a_decision_survives_its_card():
    match = some_decision()
    again = NoMatchClassifier.from_dict(json.loads(json.dumps(match.as_dict())))
    assert again == match
    features = np.random.default_rng(4).standard_normal((9, FEATURES)).astype(np.float32)
    assert np.array_equal(again.probability(features), match.probability(features))
