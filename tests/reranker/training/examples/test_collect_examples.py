"""Examples of a training: what validates, what teaches the ranking, and what the relevance is calibrated on."""

from dataclasses import replace

import numpy as np
import pytest

from indexer.encoders import Tokens
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import CrowdRow, ExpertRow
from reranker.judgments.training_sets import PhotoSets
from reranker.models.linear_map import unit
from reranker.training.examples.collect_examples import TrainingExamples, collect_examples, validation_photos
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.example_lists import ExampleSettings
from reranker.training.examples.phrase_examples import Phrases
from reranker.training.joint_space.cross_fit import JointSpaces
from reranker.training.training_data import TrainingData
from tiny_gallery import PHOTOS, described_photos, judgments_of, space_of
from tiny_judged import ENCODERS

SETTINGS = ExampleSettings(mined_negatives=3, mining_depth=4, random_negatives=1, relevance_photos=2)
HELD = np.arange(PHOTOS) % 3 == 0
NONE = Phrases(EncodedTexts((), np.zeros((0, 4), np.float32), Tokens.none(0)), np.zeros((0, PHOTOS), np.uint8))


@pytest.fixture
def features() -> EmbeddedJudgments:
    return described_photos()


def sets_of(relevance_only: bool) -> PhotoSets:
    """The first twelve photos are of one set, the others of another."""
    return PhotoSets(("one", "two"), np.ones(2, np.float32), np.array([False, relevance_only]), np.arange(PHOTOS) // 12)


def collected(
    features: EmbeddedJudgments,
    phrases: Phrases = NONE,
    expert: tuple[ExpertRow, ...] = (),
    crowd: tuple[CrowdRow, ...] = (),
) -> TrainingExamples:
    """Collect the examples of two folds; photos that teach the relevance alone are in a third."""
    space = space_of(features)
    fold_of = np.where(features.sets.teach_space, np.arange(PHOTOS) % 2, 2)
    spaces = JointSpaces(space, (space,) * 3, fold_of, None, None)
    data = TrainingData(features, judgments_of(features, expert, crowd), ENCODERS, (), phrases)
    stages: list[tuple[str, int, int]] = []
    found = collect_examples(data, spaces, HELD, SETTINGS, 0, lambda *stage: stages.append(stage))
    assert stages == [("pairs", n, len(stages)) for n in range(1, len(stages) + 1)]
    return found


def test_validation_photos_are_a_share_of_the_described_photos_of_every_set(features: EmbeddedJudgments):
    # Ten of 24 photos have no caption; of the others twelve are of the one set, two of the other.
    some = replace(features, owner=np.where(features.owner < 14, features.owner, -1), photo_sets=sets_of(False))
    held = validation_photos(some, 0.25, 0)
    assert (held[:12].sum(), held[12:14].sum(), held[14:].sum()) == (3, 1, 0)
    assert np.array_equal(validation_photos(some, 0.25, 0), held)
    assert not np.array_equal(validation_photos(some, 0.25, 1), held)
    # A set of one photo keeps it to learn from.
    single = replace(some, owner=np.where(features.owner < 13, features.owner, -1))
    assert not validation_photos(single, 0.25, 0)[12:].any()


def test_captions_of_both_sides_are_lists_and_pairs(features: EmbeddedJudgments):
    found = collected(features)
    # 16 photos teach and 8 validate, each with two captions: a list of its own photo, three mined ones and a random
    # one; the own photo, a mined one and the random one are pairs.
    assert found.ranking_train.photo_rows.shape == (32, 5)
    assert found.ranking_validation.photo_rows.shape == (16, 5)
    for lists, held in ((found.ranking_train, False), (found.ranking_validation, True)):
        assert (HELD[lists.photo_rows] == held).all()
        assert lists.targets.tolist() == [[1, 0, 0, 0, 0]] * len(lists)
    assert (len(found.relevance_train), len(found.relevance_validation)) == (32 * 3, 16 * 3)
    assert found.validation_count == 8
    np.testing.assert_allclose(found.text_vectors, unit(features.t), atol=1e-6)
    assert [gallery.photos.tolist() for gallery in found.galleries] == [
        [photo for photo in range(0, PHOTOS, 3) if photo % 2 == fold] for fold in (0, 1)
    ]
    assert [one.photos.tolist() for one in found.relevance_galleries] == [
        one.photos.tolist() for one in found.galleries
    ]


def test_photos_that_teach_the_relevance_alone_have_pairs_and_no_lists(features: EmbeddedJudgments):
    found = collected(replace(features, photo_sets=sets_of(True)))
    assert found.ranking_train.photo_rows.max() < 12
    assert (len(found.ranking_train), len(found.ranking_validation)) == (2 * 8, 2 * 4)
    assert (len(found.relevance_train), len(found.relevance_validation)) == (32 * 3, 16 * 3)
    assert [gallery.photos.tolist() for gallery in found.galleries] == [[0, 6], [3, 9]]
    assert found.relevance_galleries[2].photos.tolist() == [12, 15, 18, 21]


def test_phrases_stand_behind_the_captions_and_teach_the_relevance(features: EmbeddedJudgments):
    said = np.zeros((1, PHOTOS), np.uint8)
    said[0, :4] = 2
    phrases = Phrases(EncodedTexts(("dog",), 3 * features.t[[9]], Tokens.none(1)), said)
    found = collected(features, phrases)
    np.testing.assert_allclose(found.text_vectors[48:], unit(features.t[[9]]), atol=1e-6)
    assert found.ranking_train.text_rows.max() < 48
    pairs = found.relevance_train.take(np.flatnonzero(found.relevance_train.text_rows == 48))
    assert set(pairs.targets[:, 0].tolist()) == {0.0, 1.0}
    assert set(pairs.weights.tolist()) == {SETTINGS.phrase_weight}
    assert ((pairs.targets[:, 0] == 1) == (pairs.photo_rows[:, 0] < 4)).all()


def crowd_of(photos: range, count: int) -> tuple[CrowdRow, ...]:
    """Votes on pairs of validation photos among these with captions of any photo."""
    held = [photo for photo in photos if HELD[photo]]
    pairs = [(photo, caption) for caption in range(PHOTOS) for photo in held][:count]
    return tuple(CrowdRow(f"{photo}.jpg", f"{caption}.jpg#1", 1, 3) for photo, caption in pairs)


def test_calibration_is_on_what_a_crowd_judged_if_there_is_enough_else_on_experts_else_on_captions(
    features: EmbeddedJudgments,
):
    crowd = crowd_of(range(PHOTOS), 50)
    expert = tuple(ExpertRow(row.photo, row.caption.replace("#1", "#0"), (4, 4, 4)) for row in crowd)
    of_crowd = collected(features, expert=expert, crowd=crowd).calibration
    assert (len(of_crowd), set(of_crowd.targets[:, 0].tolist())) == (50, {0.25})
    of_experts = collected(features, expert=expert, crowd=crowd[1:]).calibration
    assert (len(of_experts), set(of_experts.targets[:, 0].tolist())) == (50, {1.0})
    # Weights are one another's, whatever those of training are.
    assert set(of_crowd.weights.tolist()) == set(of_experts.weights.tolist()) == {1.0}
    of_captions = collected(features, expert=expert[1:], crowd=crowd[1:]).calibration
    assert len(of_captions) == 16 * 3


def test_every_set_counts_alike_in_the_calibration_however_many_pairs_it_has(features: EmbeddedJudgments):
    several = replace(features, photo_sets=sets_of(False))
    crowd = (*crowd_of(range(12), 60), *crowd_of(range(12, PHOTOS), 90))
    found = collected(several, crowd=crowd).calibration
    of_first = found.photo_rows[:, 0] < 12
    assert (of_first.sum(), (~of_first).sum()) == (60, 90)
    assert found.weights[of_first].sum() == pytest.approx(90, rel=1e-5)
    assert found.weights[~of_first].sum() == pytest.approx(90, rel=1e-5)
    # A set with too few pairs of any kind is left out beside one that has enough.
    found = collected(several, crowd=crowd[:60]).calibration
    assert (found.photo_rows < 12).all()
    assert len(found) == 60
