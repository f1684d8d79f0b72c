"""The no-match decision: its probability, its operating point, its card."""

import json

import numpy as np
import pytest

from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.no_match import FEATURE_NAMES, NoMatchClassifier, no_match_features

FEATURES = 22


def test_a_probability_by_hand():
    match = NoMatchClassifier((1.0, *[0.0] * (FEATURES - 2), -2.0), 0.5, 0.1)
    features = np.zeros((2, FEATURES), np.float32)
    features[0, 0], features[1, -1] = 1.5, 0.25
    # 1.5 + 0.5 = 2 and -0.5 + 0.5 = 0
    assert match.probability(features) == pytest.approx([1 / (1 + np.exp(-2)), 0.5], rel=1e-6)


def test_the_features_are_the_first_hits_scores_and_a_one_as_a_sentence_and_as_a_name():
    # The gate is the fifth scalar: a sentence, a name, and a query that is a quarter of a name.
    pair_features = np.float32([[1, 2, 3, 4, 0, 6, 7], [1, 2, 3, 4, 1, 6, 7], [4, 8, 12, 16, 0.25, 24, 28]])
    # sqrt(2 ln e^8) = 4, sqrt(2 ln e^2) = 2 and sqrt(2 ln 1) = 0.
    photos = np.exp([8.0, 2.0, 0.0])
    features = no_match_features(np.float32([70, 71, 72]), pair_features, np.float32([80, 81, 84]), photos)
    assert features.tolist() == [
        [1, 2, 3, 4, 0, 6, 7, 70, 80, 4, 1, *[0] * 11],
        [*[0] * 11, 1, 2, 3, 4, 1, 6, 7, 71, 81, 2, 1],
        [3, 6, 9, 12, 0.1875, 18, 21, 54, 63, 0, 0.75, 1, 2, 3, 4, 0.0625, 6, 7, 18, 21, 0, 0.25],
    ]
    alike = no_match_features(np.float32([70, 71, 72]), pair_features, np.float32([80, 81, 84]), 1000)
    assert (alike[:, 9] + alike[:, 20]).tolist() == pytest.approx([np.sqrt(2 * np.log(1000))] * 3)
    assert features.dtype == np.float32
    assert features.shape[1] == FEATURES


def test_names_are_told_by_weights_of_their_own():
    weights = np.zeros(FEATURES)
    weights[0], weights[FEATURES // 2] = 2.0, -1.0
    match = NoMatchClassifier(tuple(weights.tolist()), 0.0, 0.5)
    pair_features = np.zeros((2, 7), np.float32)
    pair_features[:, 0], pair_features[:, PAIR_FEATURES.index("gate")] = 3, (0, 1)
    chance = match.probability(no_match_features(np.zeros(2, np.float32), pair_features, np.zeros(2, np.float32), 9))
    # 2 x 3 as a sentence, -1 x 3 as a name.
    assert chance == pytest.approx([1 / (1 + np.exp(-6)), 1 / (1 + np.exp(3))], rel=1e-5)


def some_decision() -> NoMatchClassifier:
    return NoMatchClassifier(tuple(np.linspace(-1, 1, FEATURES).tolist()), -0.25, 0.12)


def test_the_weights_are_saved_by_the_name_of_their_feature_in_any_order():
    card = some_decision().as_dict()
    assert tuple(card["weights"]) == FEATURE_NAMES
    assert (FEATURE_NAMES[0], FEATURE_NAMES[-1], len(FEATURE_NAMES)) == ("sentence.cosine", "name.bias", FEATURES)
    turned = dict(reversed(card["weights"].items()))
    assert NoMatchClassifier.from_dict({**card, "weights": turned}) == some_decision()


def test_a_card_of_other_features_is_refused():
    card = some_decision().as_dict()
    del card["weights"]["name.bias"]
    with pytest.raises(ValueError, match=f"has {FEATURES - 1} weights, not {FEATURES}"):
        NoMatchClassifier.from_dict(card)


def test_a_decision_survives_its_card():
    match = some_decision()
    again = NoMatchClassifier.from_dict(json.loads(json.dumps(match.as_dict())))
    assert again == match
    features = np.random.default_rng(4).standard_normal((9, FEATURES)).astype(np.float32)
    assert np.array_equal(again.probability(features), match.probability(features))
