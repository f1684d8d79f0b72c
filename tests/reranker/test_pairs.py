"""Training pairs: which photos a caption is paired with, with which target and which scalars."""

from pathlib import Path

import numpy as np
import pytest

from indexer.encoders import Tokens
from reranker.features import Features
from reranker.judgments import CrowdRow, ExpertRow, Judgments
from reranker.linear_map import LinearMap, unit
from reranker.pairs import CAPTION, CROWD, EXPERT, PairSettings, PhotoRows, Space, training_pairs, within

PHOTOS = 12
HELD = np.arange(PHOTOS) >= 8
PLAIN = LinearMap(
    np.eye(4, dtype=np.float32), np.zeros(4, np.float32), np.eye(4, dtype=np.float32), np.zeros(4, np.float32)
)


@pytest.fixture
def features() -> Features:
    """Twelve photos with two captions each; photos 0 and 1 have captions that say exactly the same."""
    generator = np.random.default_rng(0)
    x = unit(generator.standard_normal((PHOTOS, 4)))
    owner = np.repeat(np.arange(PHOTOS), 2)
    t = unit(generator.standard_normal((PHOTOS, 4))[owner] + 0.1 * generator.standard_normal((2 * PHOTOS, 4)))
    t[:4] = t[0]
    names = tuple(f"{i}.jpg" for i in range(PHOTOS))
    captions = tuple(f"{names[photo]}#{n % 2}" for n, photo in enumerate(owner))
    return Features(names, x, captions, captions, t, owner, Tokens.none(len(owner)))


def judgments_of(features: Features, expert: tuple[ExpertRow, ...] = (), crowd: tuple[CrowdRow, ...] = ()) -> Judgments:
    photos = {name: Path(name) for name in features.photos}
    captions = dict(zip(features.captions, features.texts, strict=True))
    return Judgments(Path("judged"), photos, {}, {}, captions, expert, crowd)


def pairs_of(features: Features, judgments: Judgments, settings: PairSettings):
    bank = PLAIN.texts(features.t)
    spaces = [Space(PLAIN, PLAIN, bank), Space(PLAIN, PLAIN, bank)]
    fold_of = np.arange(PHOTOS) % 2
    return fold_of, *training_pairs(features, features.t, judgments, fold_of, HELD, spaces, settings, 0)


def test_each_caption_comes_with_its_photo_and_negatives_of_the_same_fold(features: Features):
    fold_of, pairs, kind = pairs_of(features, judgments_of(features), PairSettings(mined=3, mined_from=4, random=1))
    assert len(pairs) == 2 * PHOTOS * (1 + 3 + 1)
    assert (kind == CAPTION).all()
    own = features.owner[pairs.text] == pairs.photo
    assert own.sum() == 2 * PHOTOS
    assert (pairs.target[own] == 1).all()
    assert (pairs.target[~own] < 1).all()
    assert (fold_of[pairs.photo] == fold_of[features.owner[pairs.text]]).all()


def test_no_mined_pair_joins_the_validation_side_with_the_other(features: Features):
    _, pairs, _ = pairs_of(features, judgments_of(features), PairSettings(mined_from=4))
    assert (HELD[pairs.photo] == HELD[features.owner[pairs.text]]).all()
    assert HELD[pairs.photo].any()


def test_a_photo_whose_captions_say_the_same_is_no_true_negative(features: Features):
    spaces = [Space(PLAIN, PLAIN, PLAIN.texts(features.t))]
    fold_of = np.zeros(PHOTOS, np.int64)
    settings = PairSettings(mined=5, mined_from=11, random=6)
    pairs, _ = training_pairs(
        features, features.t, judgments_of(features), fold_of, np.zeros(PHOTOS, bool), spaces, settings, 0
    )
    twins = (pairs.photo == 1) & (pairs.text == 0)
    others = (pairs.photo > 1) & (pairs.text == 0)
    assert twins.any()
    assert pairs.target[twins].min() > pairs.target[others].max()


def test_judged_pairs_carry_the_generalised_score_and_their_weight(features: Features):
    expert = (ExpertRow("0.jpg", "5.jpg#1", (3, 3, 2)), ExpertRow("1.jpg", "5.jpg#0", (1, 2, 3)))
    crowd = (CrowdRow("2.jpg", "7.jpg#0", 1, 3),)
    settings = PairSettings(crowd_weight=2.0, expert_weight=8.0, mined_from=4)
    _, pairs, kind = pairs_of(features, judgments_of(features, expert, crowd), settings)
    # The experts of the second row all differ, so it is dropped. Grade 3 of 1..4 is (3 - 1) / 3; 1 yes of 4 is 1 / 4.
    found = [
        (int(p), int(t), float(y), float(w))
        for p, t, y, w in zip(
            pairs.photo[kind != CAPTION],
            pairs.text[kind != CAPTION],
            pairs.target[kind != CAPTION],
            pairs.weight[kind != CAPTION],
            strict=True,
        )
    ]
    assert found == [(0, 11, pytest.approx(2 / 3), 8.0), (2, 14, 0.25, 2.0)]
    assert kind[kind != CAPTION].tolist() == [EXPERT, CROWD]


def test_the_scalars_are_both_cosines_and_the_hub_term(features: Features):
    bank = PLAIN.texts(features.t[:3])
    side = PhotoRows(Space(PLAIN, PLAIN, bank), features.x)
    scalars = side.scalars(np.array([4]), features.t[[9]], features.t[[9]])
    cosine = features.x[4] @ features.t[9]
    hub = (bank @ features.x[4]).mean()  # three in the bank, fewer than the ten nearest
    assert scalars[0] == pytest.approx([cosine, cosine, hub], abs=1e-6)


def test_within_gives_captions_of_some_photos_by_their_place_among_them(features: Features):
    rows, photo = within(features, np.arange(2 * PHOTOS), np.array([3, 7]))
    assert rows.tolist() == [6, 7, 14, 15]
    assert photo.tolist() == [0, 0, 1, 1]
