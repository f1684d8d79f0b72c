"""Fitting a space, guessing what late interaction would say, and going on after an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LinearRegression

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.metrics.metrics import ranks_of_own, recall_at
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import PAIR_FEATURES, JointSpace, joint_space_arrays
from reranker.models.lexical_features import LexicalFeatures
from reranker.training.examples import candidate_scores
from reranker.training.fit_joint_space import (
    JointSpaceCache,
    JointSpaceSettings,
    captions_of_photos,
    fit_joint_space,
    fit_late_imputation,
)
from tiny_judged import QUICK, WORDS, made

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = QUICK.joint_space
NAMES = ClassNameHead.none(40, 30)


def fitted(
    features: EmbeddedJudgments, photos: np.ndarray | None = None, settings: JointSpaceSettings = SETTINGS
) -> JointSpace:
    photos = np.arange(len(features.photos)) if photos is None else photos
    lexical = LexicalFeatures.fit(features.texts)
    names = ClassNameHead.none(features.x.shape[1], 30)
    return fit_joint_space(features, photos, lexical, names, settings, 0, "1 of 1", lambda stage, done, total: None)


def test_a_space_finds_photos_that_it_has_not_seen():
    joint_space = fitted(made(80, seed=0, regions=True)[0])
    fresh = made(60, seed=1, regions=True)[0]
    side, query = (
        joint_space.encode_photos(fresh.x, fresh.regions),
        joint_space.encode_queries(fresh.t, fresh.texts, fresh.tokens),
    )
    assert recall_at(ranks_of_own(candidate_scores(side, query), fresh.owner), 1) > 0.8
    pair_features = joint_space.matrix(side, query, slice(0, len(fresh.texts)))
    for name in ("cosine", "meaning", "late"):
        ranks = ranks_of_own(pair_features[..., PAIR_FEATURES.index(name)], fresh.owner)
        # Chance is 1/6.
        assert recall_at(ranks, 10) > 0.9, name


def test_a_space_knows_only_the_photos_it_is_given_and_their_captions():
    features = made(50, seed=0, regions=True)[0]
    photos = np.arange(0, 50, 2)
    others = np.isin(features.owner, photos, invert=True)
    changed = replace(
        features,
        x=np.where(np.arange(50)[:, None] % 2, -features.x, features.x),
        t=np.where(others[:, None], -features.t, features.t),
        regions=np.where(np.arange(50)[:, None, None] % 2, -features.regions, features.regions),
    )
    one, two = (joint_space_arrays(fitted(each, photos)) for each in (features, changed))
    for name, array in one.items():
        assert np.array_equal(array, two[name]), name


def test_banks_and_references_are_as_large_as_the_settings_say():
    joint_space = fitted(made(50, seed=0, regions=True)[0])
    assert (len(joint_space.hubness.captions), len(joint_space.hubness.photos)) == (200, 40)
    assert len(joint_space.late_interaction.bank.offsets) == 60 + 1
    assert joint_space.lexical.words == tuple(sorted(WORDS))
    assert not joint_space.late_imputation.any()


@pytest.mark.parametrize("lacking", ["regions", "tokens", "settings"])
def test_without_regions_or_tokens_or_the_wish_there_is_no_late_interaction(lacking):
    features, _, _ = made(30, seed=0, regions=lacking != "regions")
    settings = SETTINGS
    if lacking == "tokens":
        features = replace(features, tokens=made(30, seed=0)[0].tokens)
    if lacking == "settings":
        settings = replace(SETTINGS, late_interaction=None)
    assert fitted(features, settings=settings).late_interaction is None


def test_neither_map_looks_at_what_a_classifier_says():
    features = made(40, seed=0)[0]
    view = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    seeing = replace(features, x=np.concatenate([features.x, view], axis=1), class_dim=6)
    plain, joint_space = fitted(features), fitted(seeing)
    for one, two in ((joint_space.map, plain.map), (joint_space.meaning, plain.meaning)):
        assert not one.A[40:].any()
        assert np.array_equal(one.A[:40], two.A)
    np.testing.assert_allclose(
        joint_space.encode_photos(seeing.x, None).z, plain.encode_photos(features.x, None).z, atol=1e-6
    )


def test_captions_within_are_those_of_some_photos_by_their_place_among_them():
    features = made(12, seed=0)[0]
    rows, photo = captions_of_photos(features, np.array([3, 7]))
    assert rows.tolist() == [12, 13, 14, 15, 28, 29, 30, 31]
    assert photo.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    unowned = replace(features, owner=np.where(np.arange(48) == 13, -1, features.owner))
    assert captions_of_photos(unowned, np.array([3, 7]))[0].tolist() == [12, 14, 15, 28, 29, 30, 31]


def test_a_missing_late_score_is_guessed_better_than_by_its_mean():
    features = made(80, seed=0, regions=True)[0]
    fold_of = np.arange(80) % 2
    spaces = [fitted(features, np.flatnonzero(fold_of != fold)) for fold in range(2)]
    guess = fit_late_imputation(spaces, features, fold_of)
    assert guess.shape == (4, 2)
    fresh = made(60, seed=1, regions=True)[0]
    joint_space = replace(spaces[0], late_imputation=guess)
    query = joint_space.encode_queries(fresh.t, fresh.texts, fresh.tokens)
    every = slice(0, len(fresh.texts))
    known = joint_space.matrix(joint_space.encode_photos(fresh.x, fresh.regions), query, every)[..., 5]
    guessed = joint_space.matrix(joint_space.encode_photos(fresh.x, None), query, every)[..., 5]
    assert np.corrcoef(known.ravel(), guessed.ravel())[0, 1] > 0.5
    assert ((known - guessed) ** 2).mean() < 0.75 * known.var()


def test_the_guess_is_the_linear_regression_on_pairs_of_photos_that_a_space_has_not_seen():
    features = made(40, seed=0, regions=True)[0]
    fold_of = np.arange(40) % 2
    spaces = [fitted(features, np.flatnonzero(fold_of != fold)) for fold in range(2)]
    pair_features = []
    for fold, joint_space in enumerate(spaces):
        part = features.select(np.flatnonzero(fold_of == fold))
        rows = np.flatnonzero(part.owner >= 0)
        query = joint_space.encode_queries(part.t[rows], [part.texts[row] for row in rows], part.tokens.select(rows))
        pair_features.append(
            joint_space.matrix(joint_space.encode_photos(part.x, part.regions), query, slice(0, len(rows))).reshape(
                -1, 7
            )
        )
    pairs = np.concatenate(pair_features).astype(np.float64)
    theirs = LinearRegression().fit(pairs[:, :3], pairs[:, 5:])
    expected = np.concatenate([theirs.intercept_[None], theirs.coef_.T])
    np.testing.assert_allclose(fit_late_imputation(spaces, features, fold_of), expected, atol=1e-4)


def test_without_late_interaction_the_guess_is_nothing():
    features = made(40, seed=0)[0]
    fold_of = np.arange(40) % 2
    spaces = [fitted(features, np.flatnonzero(fold_of != fold)) for fold in range(2)]
    assert not fit_late_imputation(spaces, features, fold_of).any()


class Fit:
    """Fits a space and counts how often it was asked to."""

    def __init__(self, features: EmbeddedJudgments) -> None:
        self.features = features
        self.times = 0

    def __call__(self) -> JointSpace:
        self.times += 1
        return fitted(self.features, settings=replace(SETTINGS, map=replace(SETTINGS.map, epochs=0)))


@pytest.mark.parametrize("regions", [True, False])
def test_a_kept_space_is_fitted_once_and_comes_back_as_it_was(tmp_path: Path, regions: bool):
    features = made(24, seed=0, regions=regions)[0]
    fit, photos = Fit(features), np.arange(24)
    lexical = LexicalFeatures.fit(features.texts)
    first = JointSpaceCache(tmp_path, features).get(photos, SETTINGS, 0, NAMES, lexical, fit)
    again = JointSpaceCache(tmp_path, features).get(photos, SETTINGS, 0, NAMES, lexical, fit)
    assert fit.times == 1
    assert again.lexical.words == first.lexical.words == tuple(sorted(WORDS))
    assert (again.late_interaction is None) == (not regions)
    for name, array in joint_space_arrays(first).items():
        assert np.array_equal(joint_space_arrays(again)[name], array), name
        assert joint_space_arrays(again)[name].dtype == array.dtype, name


@pytest.mark.parametrize("damage", ["hubs.turn", "late.A", "vocabulary", "cut", "empty"])
def test_a_kept_space_that_lacks_a_part_or_cannot_be_read_is_fitted_again(tmp_path: Path, damage: str):
    features = made(24, seed=0, regions=True)[0]
    fit, asked = Fit(features), (np.arange(24), SETTINGS, 0, NAMES, LexicalFeatures.fit(features.texts))
    kept = JointSpaceCache(tmp_path, features)
    first = kept.get(*asked, fit)
    (path,) = tmp_path.rglob("*.safetensors")
    if damage in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 1000 if damage == "cut" else 0])
    else:
        save_file({name: array for name, array in load_file(path).items() if name != damage}, path)
    for _ in range(2):
        # The second time it is kept again.
        again = kept.get(*asked, fit)
        assert fit.times == 2
        assert set(joint_space_arrays(again)) == set(joint_space_arrays(first))
        assert again.lexical.words == first.lexical.words


def test_a_space_of_anything_else_is_another_one(tmp_path: Path):
    features = made(24, seed=0, regions=True)[0]
    fit, photos, lexical = Fit(features), np.arange(24), LexicalFeatures.fit(features.texts)
    kept = JointSpaceCache(tmp_path, features)
    kept.get(photos, SETTINGS, 0, NAMES, lexical, fit)
    named = replace(NAMES, gate=NAMES.gate + 1)
    assert kept.get(photos, SETTINGS, 0, named, lexical, fit).class_names is named
    assert fit.times == 1
    changes = [
        (photos[1:], SETTINGS, 0, NAMES, lexical),
        (photos, replace(SETTINGS, bank=100), 0, NAMES, lexical),
        (photos, replace(SETTINGS, late_interaction=None), 0, NAMES, lexical),
        (photos, SETTINGS, 1, NAMES, lexical),
        (photos, SETTINGS, 0, NAMES, LexicalFeatures.none()),
    ]
    for number, change in enumerate(changes, 2):
        kept.get(*change, fit)
        assert fit.times == number, change
    others = [
        replace(features, x=2 * features.x),
        replace(features, t=2 * features.t),
        replace(features, owner=features.owner[::-1].copy()),
        replace(features, regions=-features.regions),
        replace(features, regions=None),
    ]
    for number, other in enumerate(others, fit.times + 1):
        JointSpaceCache(tmp_path, other).get(photos, SETTINGS, 0, NAMES, lexical, fit)
        assert fit.times == number


def test_cleared_spaces_are_forgotten_and_an_interrupted_fit_leaves_nothing(tmp_path: Path):
    features = made(24, seed=0)[0]
    fit, lexical = Fit(features), LexicalFeatures.fit(features.texts)
    kept = JointSpaceCache(tmp_path / "kept", features)
    kept.clear()  # nothing is there yet

    def interrupted() -> JointSpace:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.get(np.arange(24), SETTINGS, 0, NAMES, lexical, interrupted)
    for times in (1, 2):
        kept.get(np.arange(24), SETTINGS, 0, NAMES, lexical, fit)
        assert fit.times == times
        assert len(list((tmp_path / "kept").iterdir())) == 1
        kept.clear()
        assert list((tmp_path / "kept").iterdir()) == []
