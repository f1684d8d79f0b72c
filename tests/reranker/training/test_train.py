from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker.judgments.judgments import Judgments
from reranker.metrics.separation import auroc
from reranker.models.linear_map import unit
from reranker.ranker import Ranker
from reranker.training import fit_ranking
from reranker.training.joint_space import cross_fit, fit_joint_space
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.train import train
from reranker.training.train_ranker import training_photos
from tiny_judged import ENCODERS, QUICK, SHORT, WORDS, StubImageEncoder, StubTextEncoder, judged, made, recall, scores
from tiny_space import score_matrix

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


def test_captions_alone_teach_to_find_photos_that_were_never_seen(trained: Ranker):
    fresh, _, _ = made(60, seed=1)
    # Chance is 1/60 and 10/60.
    assert recall(trained, fresh, 1) > 0.8
    assert recall(trained, fresh, 10) > 0.95


def test_a_ranker_of_regions_finds_with_and_without_them(whole: Ranker):
    fresh, _, _ = made(60, seed=1, regions=True)
    assert whole.joint_space.late_interaction is not None
    assert whole.joint_space.late_imputation.any()
    for regions in (True, False):
        assert recall(whole, fresh, 1, regions) > 0.8
        assert recall(whole, fresh, 10, regions) > 0.95


def test_a_trained_ranker_says_what_it_learned_from(trained: Ranker):
    assert (trained.image_encoder, trained.text_encoder, trained.text_encoder_name) == ("eyes@1", "ears@1", "ears")
    joint_space = trained.joint_space
    assert joint_space.lexical.words == tuple(sorted(WORDS))
    assert (joint_space.map.A.shape, joint_space.map.B.shape) == ((40, 8), (30 + 8, 8))
    assert (joint_space.late_interaction, joint_space.class_names.k) == (None, 0)
    expected = {
        "photos": 60,
        "captions": 240,
        "expert_rows": 0,
        "crowd_rows": 0,
        "score": "majority",
        "seed": 0,
        "names": 0,
        "names_without_example": [],
        "shrinkage": [1.0, 0.3],
        # 18 validation photos have four captions each: the own photo, two mined ones and a random one.
        "calibration_pairs": 18 * 4 * 4,
    }
    assert {name: trained.training[name] for name in expected} == expected
    for name in ("order_loss", "relevance_loss"):
        assert 2 <= len(trained.training[name]) <= 1 + QUICK.ranking_mlp.epochs
    losses = trained.training["calibration_log_loss"]
    assert list(losses) == ["temperature", "beta"]  # too few for isotonic regression
    assert trained.training["calibration"] == trained.calibration.method == min(losses, key=losses.get)
    assert trained.results["validation_photos"] == 18
    assert 0 < trained.no_match.threshold < 1
    assert trained.finished().id == trained.id


def test_the_same_seed_gives_the_same_ranker_and_another_seed_another(trained: Ranker):
    features, judgments, _ = made(60, seed=0)
    assert train(features, judgments, ENCODERS, QUICK).id == trained.id
    assert train(features, judgments, ENCODERS, replace(QUICK, seed=1)).id != trained.id


def test_what_people_judged_to_fit_gets_more_relevance_than_what_they_judged_not_to(whole: Ranker):
    features, judgments, hidden = made(60, seed=0, regions=True)
    crowd = judged(features, judgments, hidden, 400).crowd
    assert (whole.training["expert_rows"], whole.training["crowd_rows"]) == (100, 400)
    shown = scores(whole, features).relevance
    row = {caption: i for i, caption in enumerate(features.captions)}
    column = {name: i for i, name in enumerate(features.photos)}
    of_pairs = np.array([shown[row[pair.caption], column[pair.photo]] for pair in crowd])
    yes = np.array([pair.yes > 0 for pair in crowd])
    assert of_pairs[yes].mean() > of_pairs[~yes].mean() + 0.2
    assert auroc(of_pairs[yes], of_pairs[~yes]) > 0.9
    # And so on photos and captions that nobody judged.
    fresh, _, fresh_hidden = made(60, seed=1, regions=True)
    fits = unit(fresh_hidden)[fresh.owner] @ unit(fresh_hidden).T > 0.3
    found = scores(whole, fresh).relevance
    assert auroc(found[fits], found[~fits]) > 0.85


@pytest.mark.parametrize(("count", "kind"), [(400, "crowd"), (60, "caption")])
def test_relevance_is_measured_on_the_crowds_pairs_if_there_are_fifty_or_more(count: int, kind: str):
    features, judgments, hidden = made(40, seed=0)
    given = judged(features, judgments, hidden, count)
    ranker = train(features, given, ENCODERS, SHORT)
    held = ranker.results["validation_photos"]
    assert held == 12
    if kind == "caption":
        assert ranker.training["calibration_pairs"] == 12 * 4 * 4
    else:
        assert 50 <= ranker.training["calibration_pairs"] < 0.5 * count


def test_training_leaves_nothing_in_the_cache_behind(cache: Path, trained: Ranker):
    assert trained.id
    assert list((cache / "training").iterdir()) == []


def test_an_interrupted_training_goes_on_with_the_spaces_it_had(cache: Path, monkeypatch: pytest.MonkeyPatch):
    features, judgments, _ = made(40, seed=3, regions=True)
    asked: list[int] = []

    def counted(embedded, photos, *others):
        asked.append(len(photos))
        return fit_joint_space.fit_joint_space(embedded, photos, *others)

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cross_fit, "fit_joint_space", counted)
    with monkeypatch.context() as patch:
        patch.setattr(fit_ranking, "fit_mlp", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(features, judgments, ENCODERS, SHORT)
    assert asked == [20, 20, 40]
    assert len(list((cache / "training").rglob("*.safetensors"))) == 3
    ranker = train(features, judgments, ENCODERS, SHORT)
    assert len(asked) == 3
    assert list((cache / "training").iterdir()) == []
    # Nothing is kept of it now: all is fitted anew, to the same end.
    assert train(features, judgments, ENCODERS, SHORT).id == ranker.id
    assert len(asked) == 6


def test_twenty_photos_are_enough_and_the_stages_are_told_in_their_order():
    features, judgments, _ = made(20, seed=0, regions=True)
    stages: list[str] = []
    settings = replace(SHORT, joint_space=replace(SHORT.joint_space, choose_shrinkage=True))
    ranker = train(features, judgments, ENCODERS, settings, on_stage=lambda stage, done, total: stages.append(stage))
    assert list(dict.fromkeys(stages)) == [
        "map shrinkage 1 of 2",
        "map shrinkage 2 of 2",
        *(f"{part} {number} of 3" for number in (1, 2, 3) for part in ("map", "regions")),
        "pairs",
        "order",
        "relevance",
    ]
    assert tuple(ranker.training["shrinkage"]) in cross_fit.SHRINKAGES


def test_twenty_photos_are_enough_for_the_three_folds_of_the_defaults():
    features, judgments, hidden = made(20, seed=0)
    settings = replace(SHORT, joint_space=replace(SHORT.joint_space, folds=3))
    ranker = train(features, judged(features, judgments, hidden, 30), ENCODERS, settings)
    assert ranker.results["validation_photos"] == 6
    assert recall(ranker, made(20, seed=1)[0], 10) > 0.8


def test_photos_without_captions_are_learned_from_but_never_the_only_ones_to_validate_on():
    features, judgments, _ = made(80, seed=0)
    few = replace(features, owner=np.where(features.owner % 4 == 0, features.owner, -1))
    ranker = train(few, judgments, ENCODERS, SHORT)
    assert (ranker.training["captions"], ranker.results["validation_photos"]) == (80, 6)


def test_too_few_photos_or_captions_are_refused():
    features, judgments, _ = made(19, seed=0)
    with pytest.raises(PhotoseekError) as caught:
        train(features, judgments, ENCODERS, QUICK)
    assert str(caught.value) == "19 photos with 76 captions of their own are too few to train on; 20 is the least"
    features, judgments, _ = made(30, seed=0)
    with pytest.raises(PhotoseekError) as caught:
        train(replace(features, owner=np.where(features.owner < 2, features.owner, -1)), judgments, ENCODERS, QUICK)
    assert str(caught.value) == "2 photos with 8 captions of their own are too few to train on; 20 is the least"


def test_words_and_names_are_learned_where_captions_say_them_often():
    features, judgments, _ = made(60, seed=0, regions=True)
    settings = replace(SHORT, examples=replace(SHORT.examples, min_phrase_photos=5))
    things = [ClassName((word,)) for word in WORDS]
    ranker = train(features, judgments, ENCODERS, settings, class_names=things)
    assert ranker.training["gate"] == "learned"
    assert ranker.training["names"] == 8
    assert ranker.training["calibration_pairs"] == 18 * 4 * 4  # of captions alone, not of words
    fresh, _, hidden = made(60, seed=1, regions=True)
    t, tokens = StubTextEncoder().encode_with_tokens(WORDS)
    query = ranker.encode_queries(t, WORDS, tokens)
    order = score_matrix(ranker, ranker.encode_photos(fresh.x, fresh.regions), query).ranking_scores
    top = np.argsort(-order, axis=1)[:, :5]
    # Five of 120 numbers of spread 1 by chance are 0 on average.
    assert np.mean([hidden[photos, word].mean() for word, photos in enumerate(top)]) > 0.8


def test_an_encoders_own_classes_are_names():
    features, judgments, _ = made(40, seed=0)
    generator = np.random.default_rng(5)
    prototypes = unit(np.concatenate([np.zeros((1000, 40)), generator.standard_normal((1000, 16))], axis=1))
    shown = generator.integers(0, 1000, 40)
    seeing = replace(features, x=unit(np.concatenate([features.x, 0.5 * prototypes[shown, 40:]], axis=1)), class_dim=16)
    eyes = StubImageEncoder(class_dim=16, prototypes=prototypes)
    ranker = train(seeing, judgments, (eyes, StubTextEncoder()), SHORT)
    assert (ranker.training["names"], ranker.training["names_without_example"]) == (1000, [])
    assert ranker.joint_space.class_names.k == 16
    assert not ranker.joint_space.map.A[40:].any()


def test_without_a_lexicon_text_vectors_are_as_the_encoder_gives_them():
    features, judgments, _ = made(24, seed=0)
    settings = replace(SHORT, joint_space=replace(SHORT.joint_space, lexical=False))
    ranker = train(features, judgments, ENCODERS, settings)
    assert ranker.joint_space.lexical.words == ()
    assert ranker.joint_space.map.B.shape == (30, 8)


def test_the_photos_to_train_on_are_those_of_a_folder_or_all_that_are_in_no_test():
    judgments = Judgments(
        folder=Path("judged"),
        photos={name: Path(name) for name in "abcd"},
        sets={"images": tuple("abcd"), "more": ("d",)},
        splits={"train": ("a",), "dev": ("b",), "test": ()},
        captions={},
        expert=(),
        crowd=(),
        test_photos=("c",),
    )
    assert training_photos(judgments, None) == ("a", "d")
    assert training_photos(judgments, "more") == ("d",)
    only_tests = replace(judgments, splits={"dev": ("a",), "test": tuple("bd")})
    with pytest.raises(PhotoseekError) as caught:
        training_photos(only_tests, None)
    assert str(caught.value) == (
        "judged data judged has no photo to train on: all are of its tests; --photos PART takes a part of it all the "
        "same (images, more)"
    )
    course = replace(judgments, sets={"train_images": ("a", "b"), "test_images": ("c",)})
    assert training_photos(course, None) == ("a", "b")
    with pytest.raises(PhotoseekError) as caught:
        training_photos(course, "train")
    assert str(caught.value) == "judged data judged has no photo folder 'train'; it has train_images, test_images"
