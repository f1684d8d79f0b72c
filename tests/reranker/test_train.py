from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from indexer.encoders import Tokens
from indexer.errors import PhotoseekError
from reranker.features import Features
from reranker.judgments import CrowdRow, ExpertRow, Judgments
from reranker.linear_map import MapSettings, unit
from reranker.metrics import auroc, ranks_of_own, recall_at
from reranker.mlp import MLPSettings
from reranker.pairs import PairSettings
from reranker.ranker import Ranker
from reranker.train import TrainSettings, relevance_matrix, train, training_photos

pytestmark = pytest.mark.usefixtures("one_thread")

ENCODERS = (SimpleNamespace(name="eyes", fingerprint="eyes@1"), SimpleNamespace(name="ears", fingerprint="ears@1"))
QUICK = TrainSettings(
    map=MapSettings(k=8, epochs=10, batch=40, dropout_images=0.2),
    mlp=MLPSettings(epochs=3, batch=256),
    folds=2,
    choose_shrinkage=False,
    pairs=PairSettings(mined_from=20),
)
WORDS = ("dog", "cat", "man", "woman", "snow", "sea", "ball", "car")


def made(photos: int, seed: int) -> tuple[Features, Judgments, np.ndarray]:
    """Photos and four captions each that share eight known directions; a caption names the two strongest.

    Returns the hidden directions of the photos too: (photos, 8).
    """
    generator, known = np.random.default_rng(seed), np.random.default_rng(7)
    hidden = generator.standard_normal((photos, 8))
    owner = np.repeat(np.arange(photos), 4)
    x = unit(hidden @ known.standard_normal((8, 40)) + generator.standard_normal((photos, 40)))
    t = unit(hidden[owner] @ known.standard_normal((8, 30)) + generator.standard_normal((len(owner), 30)))
    names = tuple(f"{seed}-{i}.jpg" for i in range(photos))
    captions = tuple(f"{names[photo]}#{n % 4}" for n, photo in enumerate(owner))
    texts = tuple(" and ".join(WORDS[i] for i in np.argsort(-hidden[photo])[:2]) for photo in owner)
    judgments = Judgments(
        folder=Path("judged"),
        photos={name: Path(name) for name in names},
        sets={},
        splits={},
        captions=dict(zip(captions, texts, strict=True)),
        expert=(),
        crowd=(),
    )
    return Features(names, x, captions, texts, t, owner, Tokens.none(len(owner))), judgments, hidden


def judged(features: Features, judgments: Judgments, hidden: np.ndarray, count: int) -> Judgments:
    """With the votes of a crowd, and grades, that follow how near the hidden directions of photo and caption are."""
    near = unit(hidden) @ unit(hidden)[features.owner].T
    generator = np.random.default_rng(3)
    expert, crowd = [], []
    for _ in range(count):
        photo, caption = int(generator.integers(len(near))), int(generator.integers(near.shape[1]))
        name, other = features.photos[photo], features.captions[caption]
        fits = near[photo, caption] > 0.3
        crowd.append(CrowdRow(name, other, 3 * int(fits), 3 * int(not fits)))
        expert.append(ExpertRow(name, other, (4, 4, 3) if fits else (1, 1, 2)))
    return replace(judgments, expert=tuple(expert[: count // 4]), crowd=tuple(crowd))


def relevances(ranker: Ranker, features: Features) -> np.ndarray:
    side = ranker.photo_side(features.x)
    return relevance_matrix(ranker, side, ranker.query_side(features.t, list(features.texts)))


@pytest.fixture(scope="module")
def trained() -> Ranker:
    features, judgments, _ = made(60, seed=0)
    return train(features, judgments, ENCODERS, QUICK)


def test_captions_alone_teach_to_find_photos_that_were_never_seen(trained):
    fresh, _, _ = made(60, seed=1)
    ranks = ranks_of_own(relevances(trained, fresh), fresh.owner)
    # Chance is 1/60 and 10/60.
    assert recall_at(ranks, 1) > 0.8
    assert recall_at(ranks, 10) > 0.95


def test_a_trained_ranker_says_what_it_learned_from(trained):
    assert (trained.image_encoder, trained.text_encoder, trained.text_encoder_name) == ("eyes@1", "ears@1", "ears")
    assert trained.lexicon.words == tuple(sorted(WORDS))
    assert trained.map.A.shape == (40, 8)
    assert trained.map.B.shape == (30 + 8, 8)
    expected = {"photos": 60, "captions": 240, "expert_rows": 0, "crowd_rows": 0, "seed": 0, "shrinkage": [1.0, 0.3]}
    assert {name: trained.training[name] for name in expected} == expected
    # A caption's own photo, three mined ones and a random one: 240 x 5.
    assert trained.training["pairs"] == 1200
    assert 2 <= len(trained.training["validation_log_loss"]) <= 1 + QUICK.mlp.epochs
    losses = trained.training["calibration_log_loss"]
    # A validation photo in three gives 18 x 4 x 5 pairs, too few for isotonic regression.
    assert list(losses) == ["temperature", "beta"]
    assert trained.training["calibration"] == trained.calibration.method == min(losses, key=losses.get)
    assert 0 < trained.no_match < 1
    assert trained.finished().id == trained.id


def test_the_same_seed_gives_the_same_ranker_and_another_seed_another(trained):
    features, judgments, _ = made(60, seed=0)
    assert train(features, judgments, ENCODERS, QUICK).id == trained.id
    assert train(features, judgments, ENCODERS, replace(QUICK, seed=1)).id != trained.id


def test_what_people_judged_to_fit_gets_more_relevance_than_what_they_judged_not_to():
    features, judgments, hidden = made(60, seed=0)
    with_judgments = judged(features, judgments, hidden, 400)
    ranker = train(features, with_judgments, ENCODERS, QUICK)
    assert (ranker.training["expert_rows"], ranker.training["crowd_rows"]) == (100, 400)
    shown = relevances(ranker, features)
    row = {caption: i for i, caption in enumerate(features.captions)}
    column = {name: i for i, name in enumerate(features.photos)}
    of_pairs = np.array([shown[row[pair.caption], column[pair.photo]] for pair in with_judgments.crowd])
    yes = np.array([pair.yes > 0 for pair in with_judgments.crowd])
    assert of_pairs[yes].mean() > of_pairs[~yes].mean() + 0.2
    assert auroc(of_pairs[yes], of_pairs[~yes]) > 0.9
    # And so on photos and captions that nobody judged.
    fresh, _, fresh_hidden = made(60, seed=1)
    fits = unit(fresh_hidden)[fresh.owner] @ unit(fresh_hidden).T > 0.3
    found = relevances(ranker, fresh)
    assert auroc(found[fits], found[~fits]) > 0.85


def test_a_base_keeps_its_map_and_teaches_its_network_on(trained):
    features, judgments, hidden = made(60, seed=2)
    ranker = train(features, judged(features, judgments, hidden, 200), ENCODERS, QUICK, base=trained)
    for part in ("A", "a", "B", "b"):
        assert np.array_equal(getattr(ranker.map, part), getattr(trained.map, part))
        assert np.array_equal(getattr(ranker.meaning, part), getattr(trained.meaning, part))
    assert np.array_equal(ranker.bank, trained.bank)
    assert ranker.lexicon.words == trained.lexicon.words
    assert not np.array_equal(ranker.mlp.w3, trained.mlp.w3)
    assert ranker.id != trained.id


def test_a_base_of_other_encoders_is_refused(trained):
    features, judgments, _ = made(60, seed=2)
    other = (SimpleNamespace(name="eyes", fingerprint="eyes@2"), ENCODERS[1])
    with pytest.raises(PhotoseekError) as caught:
        train(features, judgments, other, QUICK, base=trained)
    assert str(caught.value) == (
        f"ranker {trained.id} was trained with eyes@1 and ears@1; --from needs the same encoders"
    )


def test_too_few_photos_or_captions_are_refused():
    features, judgments, _ = made(19, seed=0)
    with pytest.raises(PhotoseekError) as caught:
        train(features, judgments, ENCODERS, QUICK)
    assert str(caught.value) == "19 photos with 76 captions of their own are too few to train on; 20 is the least"
    features, judgments, _ = made(30, seed=0)
    with pytest.raises(PhotoseekError) as caught:
        train(replace(features, owner=np.where(features.owner < 2, features.owner, -1)), judgments, ENCODERS, QUICK)
    assert str(caught.value) == "30 photos with 8 captions of their own are too few to train on; 20 is the least"


def test_twenty_photos_are_enough_and_the_stages_are_told_in_their_order():
    features, judgments, _ = made(20, seed=0)
    stages: list[str] = []
    settings = replace(QUICK, choose_shrinkage=True, map=replace(QUICK.map, epochs=1), mlp=MLPSettings(epochs=1))
    train(features, judgments, ENCODERS, settings, on_stage=lambda stage, done, total: stages.append(stage))
    assert list(dict.fromkeys(stages)) == [
        "shrinkage 1 of 3",
        "shrinkage 2 of 3",
        "shrinkage 3 of 3",
        "map without fold 1 of 2",
        "map without fold 2 of 2",
        "map",
        "reranker",
    ]


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
    course = replace(judgments, sets={"train_images": ("a", "b"), "test_images": ("c",)})
    assert training_photos(course, None) == ("a", "b")
    with pytest.raises(PhotoseekError) as caught:
        training_photos(course, "train")
    assert str(caught.value) == "judged data judged has no photo folder 'train'; it has train_images, test_images"
