"""Judged pairs as examples: their scores, weights and pair features."""

import numpy as np
import pytest

from reranker.judgments.aggregate import AGGREGATIONS, Aggregation
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import CrowdRow, ExpertRow
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.judged_examples import judged_examples
from tiny_gallery import PHOTOS, described_photos, judgments_of, listed, pair_features_of, space_of, whole


@pytest.fixture
def features() -> EmbeddedJudgments:
    return described_photos()


def test_the_scalars_of_listed_and_judged_pairs_are_those_of_the_pair_alone(features: EmbeddedJudgments):
    lists = listed(features, whole(features), ExampleSettings(mined_negatives=3, mining_depth=9, random_negatives=1))
    for row in (0, 17, 46):
        for column in range(5):
            alone = pair_features_of(features, lists.photo_rows[row, column], lists.text_rows[row])
            np.testing.assert_allclose(lists.pair_features[row, column], alone, atol=1e-5)
    crowd = tuple(CrowdRow(f"{p}.jpg", f"{c}.jpg#1", 2, 1) for p, c in [(3, 8), (9, 8), (23, 0)])
    pairs = judged_examples(features, judgments_of(features, crowd=crowd), whole(features), ExampleSettings()).pairs
    for row in range(3):
        alone = pair_features_of(features, pairs.photo_rows[row, 0], pairs.text_rows[row])
        np.testing.assert_allclose(pairs.pair_features[row, 0], alone, atol=1e-5)


def test_judged_pairs_carry_the_generalised_score_and_their_weight(features: EmbeddedJudgments):
    expert = (ExpertRow("0.jpg", "5.jpg#1", (3, 3, 2)), ExpertRow("2.jpg", "5.jpg#0", (1, 2, 3)))
    crowd = (CrowdRow("2.jpg", "7.jpg#0", 1, 3), CrowdRow("3.jpg", "7.jpg#0", 1, 3))
    settings = ExampleSettings(crowd_weight=2.0, expert_weight=8.0)
    even = Gallery.of(features, np.arange(0, PHOTOS, 2), space_of(features))
    judged = judged_examples(features, judgments_of(features, expert, crowd), even, settings)
    pairs, by_experts = judged.pairs, judged.by_experts
    # The experts of the second row all differ, so it is dropped; photo 3 is in another gallery. Grade 3 of 1..4 is
    # (3 - 1) / 3; 1 yes of 4 is 1 / 4.
    assert pairs.photo_rows.tolist() == [[0], [2]]
    assert pairs.text_rows.tolist() == [11, 14]
    assert pairs.targets[:, 0].tolist() == [pytest.approx(2 / 3), 0.25]
    assert pairs.weights.tolist() == [8.0, 2.0]
    assert by_experts.tolist() == [True, False]


@pytest.mark.parametrize("aggregate", AGGREGATIONS.values())
def test_judged_pairs_carry_the_score_of_the_aggregation(features: EmbeddedJudgments, aggregate: Aggregation):
    grades = [(1, 1, 2), (4, 4, 4), (1, 2, 3), (2, 2, 3)]
    expert = tuple(ExpertRow(f"{i}.jpg", "5.jpg#0", grades[i % 4]) for i in range(12))
    crowd = tuple(CrowdRow(f"{i}.jpg", "5.jpg#0", i % 4, 3 - i % 4) for i in range(6, 20))
    judgments = judgments_of(features, expert, crowd)
    judged = judged_examples(features, judgments, whole(features), ExampleSettings(aggregate=aggregate))
    pairs, by_experts = judged.pairs, judged.by_experts
    scored = aggregate(expert, crowd)
    found = {
        (features.photos[photo], features.captions[text]): (target, graded)
        for photo, text, target, graded in zip(
            pairs.photo_rows[:, 0], pairs.text_rows, pairs.targets[:, 0], by_experts, strict=True
        )
    }
    assert found == {pair: (pytest.approx(of.score), of.by_experts) for pair, of in scored.items()}


def test_without_judgments_there_are_no_judged_pairs_and_they_join_with_others(features: EmbeddedJudgments):
    judged = judged_examples(features, judgments_of(features), whole(features), ExampleSettings())
    pairs, by_experts = judged.pairs, judged.by_experts
    assert (len(pairs), by_experts.dtype, len(pairs.take(np.flatnonzero(by_experts)))) == (0, bool, 0)
    lists = listed(features, whole(features), ExampleSettings())
    joined = ExampleLists.join([pairs, lists.as_pairs()])
    assert len(joined) == 2 * PHOTOS * 12
    assert (joined.photo_rows.dtype, joined.text_rows.dtype) == (np.int64, np.int64)
    assert {joined.pair_features.dtype, joined.targets.dtype, joined.weights.dtype} == {np.dtype(np.float32)}
