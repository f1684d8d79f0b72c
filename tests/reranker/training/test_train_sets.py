"""Training on several judged sets at once: what each teaches, and captions without photos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments
from reranker.judgments.training_sets import PhotoSets, TrainingSet
from reranker.ranker import Ranker
from reranker.training import train_ranker as module
from reranker.training.train import train
from reranker.training.train_ranker import train_ranker, with_other_captions, without_lookalikes
from tiny_judged import ENCODERS, SHORT, StubImageEncoder, StubTextEncoder, made, recall

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


def two_sets(weights: tuple[float, float] = (1, 1), relevance_only: bool = False) -> EmbeddedJudgments:
    """Sixty photos, the last twenty of a second set."""
    features = made(60, seed=0)[0]
    only = np.array([False, relevance_only])
    return replace(
        features, photo_sets=PhotoSets(("one", "two"), np.float32(weights), only, (np.arange(60) >= 40).astype(int))
    )


def trained_on(features: EmbeddedJudgments) -> Ranker:
    return train(features, made(60, seed=0)[1], ENCODERS, SHORT)


def test_a_training_on_two_sets_says_so_and_holds_out_photos_of_each():
    ranker = trained_on(two_sets((1, 0.5)))
    assert ranker.training["sets"] == ["one: 40 photos, weight 1", "two: 20 photos, weight 0.5"]
    # Three of ten photos of each.
    assert ranker.results["validation_photos"] == 12 + 6
    assert ranker.training["gate"] == "no names"
    assert recall(ranker, made(60, seed=1)[0], 10) > 0.9
    assert ranker.id != trained_on(two_sets((1, 2))).id


def test_one_set_needs_no_words_about_it(trained: Ranker):
    assert "sets" not in trained.training


def test_a_set_that_teaches_the_relevance_alone_leaves_the_space_as_if_it_were_not_there():
    features = two_sets(relevance_only=True)
    ranker = trained_on(features)
    assert ranker.training["sets"] == ["one: 40 photos, weight 1", "two: 20 photos, weight 1, relevance only"]
    changed = replace(features, x=np.where(np.arange(60)[:, None] >= 40, -features.x, features.x))
    other = trained_on(changed)
    for part in ("map", "meaning"):
        for side in "AB":
            one, two = (getattr(getattr(found.joint_space, part), side) for found in (ranker, other))
            assert np.array_equal(one, two), part
    assert np.array_equal(ranker.ranking_mlp.ws, other.ranking_mlp.ws)
    # The relevance has seen them.
    assert not np.array_equal(ranker.relevance_mlp.ws, other.relevance_mlp.ws)


def test_photos_that_teach_the_relevance_alone_are_too_few_for_a_space():
    features = two_sets(relevance_only=True)
    sets = replace(features.sets, set_of=(np.arange(60) >= 12).astype(int))
    with pytest.raises(PhotoseekError) as caught:
        trained_on(replace(features, photo_sets=sets))
    assert str(caught.value) == "12 photos with 48 captions of their own are too few to train on; 20 is the least"


def test_other_captions_are_a_bank_for_hubness_and_their_words_are_known():
    features = made(24, seed=0)[0]
    captions = [f"zebu {chr(97 + i)} grazes" for i in range(9)]
    wider = with_other_captions(features, captions, StubTextEncoder(), 0)
    assert wider.bank.tolist() == list(range(96, 105))
    assert wider.texts == (*features.texts, *captions)
    assert (wider.owner[96:].tolist(), wider.captions[96:]) == ([-1] * 9, ("",) * 9)
    np.testing.assert_allclose(wider.t[96:], StubTextEncoder().encode(captions), atol=0.01)
    assert len(wider.tokens.lengths) == 105
    assert wider.other_captions == tuple(captions)
    assert np.array_equal(wider.t[:96], features.t)
    ranker = train(wider, made(24, seed=0)[1], ENCODERS, SHORT)
    assert ranker.training["captions"] == 96
    assert {"zebu", "grazes"} <= set(ranker.known_words)
    assert "zebu" not in ranker.joint_space.lexical.words


def test_of_many_other_captions_some_are_the_bank_and_all_are_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BANK_CAPTIONS", 5)
    features = made(24, seed=0)[0]
    captions = [f"word{chr(97 + i)}" for i in range(20)]
    drawn = [with_other_captions(features, captions, StubTextEncoder(), seed) for seed in (0, 0, 1)]
    for wider in drawn:
        bank = [wider.texts[row] for row in wider.bank]
        assert len(set(bank)) == 5
        # In the order of the captions.
        assert bank == sorted(bank)
        assert wider.other_captions == tuple(captions)
    assert drawn[0].texts == drawn[1].texts != drawn[2].texts


def judged_photos(folder: str, count: int, test: int) -> Judgments:
    """Make judged data of photos 0.jpg, 1.jpg, ...; the last `test` are in no training."""
    names = [f"{i}.jpg" for i in range(count)]
    return Judgments(
        folder=Path(folder),
        photos={name: Path(folder, name) for name in names},
        sets={},
        splits={"train": tuple(names[: count - test]), "test": tuple(names[count - test :])},
        captions={f"{name}#{n}": f"a dog {n}" for name in names for n in range(2)},
        expert=(),
        crowd=(),
    )


ANGLES = {"0.jpg": 0, "1.jpg": 31, "2.jpg": 33, "3.jpg": 90, "4.jpg": 0, "5.jpg": 180}


def embedded_at_angles(files, encoder, on_progress=None):
    """Embed photos on a circle, at the angle of their name."""
    angles = np.radians([ANGLES[path.name] for path in files])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), None


def test_photos_that_look_like_a_test_photo_are_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "embed_photos", embedded_at_angles)
    judgments = judged_photos("x", 6, 2)
    chosen = ("0.jpg", "1.jpg", "2.jpg", "3.jpg")
    # Test photos are at 0 and 180 degrees; the cosine of 31 degrees is 0.857, that of 33 degrees 0.839.
    assert without_lookalikes(judgments, chosen, StubImageEncoder()) == ("2.jpg", "3.jpg")
    # What is trained on is no test photo here, and the photos of queries are.
    assert without_lookalikes(judgments, (*chosen, "4.jpg", "5.jpg"), StubImageEncoder()) == (*chosen, "4.jpg", "5.jpg")
    queries = replace(judgments, splits={}, test_photos=("3.jpg", "gone.jpg"))
    assert without_lookalikes(queries, ("0.jpg", "1.jpg", "2.jpg"), StubImageEncoder()) == ("0.jpg", "1.jpg", "2.jpg")
    assert without_lookalikes(replace(judgments, splits={}), chosen, StubImageEncoder()) == chosen
    assert without_lookalikes(judgments, (), StubImageEncoder()) == ()


def test_sets_are_joined_embedded_and_trained_on_with_other_captions(monkeypatch: pytest.MonkeyPatch):
    features = made(40, seed=0)[0]
    asked: list[EmbeddedJudgments] = []

    def embed(joined, image, text, on_progress):
        on_progress(1, 2)
        owner = np.repeat(np.arange(len(joined.photos)), 2)
        t, tokens = text.encode_with_tokens(list(joined.captions.values()))
        x = features.x[: len(joined.photos)]
        return EmbeddedJudgments(
            tuple(joined.photos), x, tuple(joined.captions), tuple(joined.captions.values()), t, owner, tokens
        )

    def keep(embedded, joined, encoders, settings, **options):
        asked.append(embedded)
        assert list(joined.photos) == list(embedded.photos)
        assert set(options) == {"base", "class_names", "on_stage"}
        return embedded

    monkeypatch.setattr(module, "embed_judgments", embed)
    monkeypatch.setattr(module, "train", keep)
    stages: list[tuple[str, int, int]] = []
    sets = [TrainingSet("one", judged_photos("x", 3, 0)), TrainingSet("two", judged_photos("y", 2, 0), 2.0, True)]
    train_ranker(sets, ENCODERS, captions=["a zebu"], on_stage=lambda *stage: stages.append(stage))
    train_ranker(judged_photos("x", 3, 0), ENCODERS, on_stage=lambda *stage: stages.append(stage))
    assert stages == [("embedding", 1, 2)] * 2
    several, alone = asked
    assert several.photos == ("one/0.jpg", "one/1.jpg", "one/2.jpg", "two/0.jpg", "two/1.jpg")
    assert several.sets.set_of.tolist() == [0, 0, 0, 1, 1]
    assert several.sets.teach_space.tolist() == [True] * 3 + [False] * 2
    assert (several.bank.tolist(), several.other_captions) == ([10], ("a zebu",))
    assert (alone.photos, alone.sets.names) == (("0.jpg", "1.jpg", "2.jpg"), ("photos",))
    assert (alone.bank.tolist(), alone.other_captions) == ([], ())
