"""The no-match decision: its probability, its operating point, its card."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from reranker.metrics.metrics import auroc
from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.no_match import FEATURES, NoMatchClassifier, fit_no_match, no_match_features


def drawn(count: int, shift: float, seed: int) -> np.ndarray:
    """What the decision looks at, (count, FEATURES): two columns tell, one never changes, the rest is noise."""
    rows = np.random.default_rng(seed).standard_normal((count, FEATURES))
    rows[:, 0] += shift
    rows[:, 7] = 5 * rows[:, 7] - 5 * shift
    rows[:, 3] = 0.25
    return rows.astype(np.float32)


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


def test_the_operating_point_refuses_no_more_than_the_share_that_may_be_missed():
    present, absent = drawn(2000, 1.0, 0), drawn(4000, -1.0, 1)
    match = fit_no_match(present, absent, 0.05)
    refused = match.probability(present) < match.threshold
    # 5 % of 2,000 are 100; the quantile lies between the hundredth and the next.
    assert refused.sum() == 100
    # And so on others, as nearly as 1,000 tell.
    assert (match.probability(drawn(1000, 1.0, 2)) < match.threshold).mean() == pytest.approx(0.05, abs=0.03)
    assert (match.probability(drawn(1000, -1.0, 3)) < match.threshold).mean() > 0.5
    assert auroc(match.probability(drawn(1000, 1.0, 2)), match.probability(drawn(1000, -1.0, 3))) > 0.95


def test_the_decision_is_a_logistic_regression_on_features_of_unit_spread():
    present, absent = drawn(300, 0.5, 0), drawn(500, -0.5, 1)
    match = fit_no_match(present, absent, 0.1)
    inputs = np.concatenate([present, absent]).astype(np.float64)
    spread = np.maximum(inputs.std(axis=0), 1e-6)
    theirs = LogisticRegression(max_iter=1000, class_weight="balanced").fit(inputs / spread, [1] * 300 + [0] * 500)
    np.testing.assert_allclose(match.probability(present), theirs.predict_proba(present / spread)[:, 1], atol=1e-4)


def test_a_card_of_other_features_is_refused():
    card = fit_no_match(drawn(50, 1.0, 0), drawn(50, -1.0, 1), 0.05).as_dict()
    with pytest.raises(ValueError, match=f"has {FEATURES - 2} weights, not {FEATURES}"):
        NoMatchClassifier.from_dict({**card, "weights": card["weights"][2:]})


def test_a_decision_survives_its_card():
    match = fit_no_match(drawn(50, 1.0, 0), drawn(50, -1.0, 1), 0.05)
    again = NoMatchClassifier.from_dict(json.loads(json.dumps(match.as_dict())))
    assert again == match
    assert np.array_equal(again.probability(drawn(9, 0, 4)), match.probability(drawn(9, 0, 4)))
