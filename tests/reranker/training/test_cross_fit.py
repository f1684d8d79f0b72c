"""The joint spaces of a training: their folds, names and shrinkage, and going on after an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import JointSpace, joint_space_arrays
from reranker.models.lexical_features import LexicalFeatures
from reranker.training import cross_fit
from reranker.training.cross_fit import SHRINKAGES, JointSpaceCache, choose_shrinkage, fit_joint_spaces
from reranker.training.fit_joint_space import fit_joint_space, fit_lexical_features
from reranker.training.vocabulary import ClassName, fit_vocabulary
from tiny_judged import ENCODERS, QUICK, WORDS, made

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = QUICK.joint_space
CLOSED = replace(SETTINGS, map=replace(SETTINGS.map, epochs=0))


def say_nothing(stage: str, done: int, total: int) -> None:
    pass


class Fit:
    """Fits a space and counts how often it was asked to."""

    def __init__(self, features: EmbeddedJudgments) -> None:
        self.features = features
        self.times = 0

    def __call__(self) -> JointSpace:
        self.times += 1
        lexical = fit_lexical_features(self.features.texts, 0.5)
        return fit_joint_space(self.features, np.arange(24), lexical, CLOSED, 0, "1 of 1", say_nothing)


@pytest.mark.parametrize("regions", [True, False])
def test_a_kept_space_is_fitted_once_and_comes_back_as_it_was(tmp_path: Path, regions: bool):
    features = made(24, seed=0, regions=regions)[0]
    fit, photos = Fit(features), np.arange(24)
    lexical = fit_lexical_features(features.texts, 0.5)
    first = JointSpaceCache(tmp_path, features).get(photos, SETTINGS, 0, lexical, fit)
    again = JointSpaceCache(tmp_path, features).get(photos, SETTINGS, 0, lexical, fit)
    assert fit.times == 1
    assert again.lexical.words == first.lexical.words == tuple(sorted(WORDS))
    assert (again.late_interaction is None) == (not regions)
    for name, array in joint_space_arrays(first).items():
        assert np.array_equal(joint_space_arrays(again)[name], array), name
        assert joint_space_arrays(again)[name].dtype == array.dtype, name


@pytest.mark.parametrize("damage", ["hubs.turn", "late.A", "vocabulary", "cut", "empty"])
def test_a_kept_space_that_lacks_a_part_or_cannot_be_read_is_fitted_again(tmp_path: Path, damage: str):
    features = made(24, seed=0, regions=True)[0]
    fit, asked = Fit(features), (np.arange(24), SETTINGS, 0, fit_lexical_features(features.texts, 0.5))
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
    fit, photos, lexical = Fit(features), np.arange(24), fit_lexical_features(features.texts, 0.5)
    kept = JointSpaceCache(tmp_path, features)
    kept.get(photos, SETTINGS, 0, lexical, fit)
    changes = [
        (photos[1:], SETTINGS, 0, lexical),
        (photos, replace(SETTINGS, hubness_captions=100), 0, lexical),
        (photos, replace(SETTINGS, late_interaction=None), 0, lexical),
        (photos, SETTINGS, 1, lexical),
        (photos, SETTINGS, 0, LexicalFeatures.none()),
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
        JointSpaceCache(tmp_path, other).get(photos, SETTINGS, 0, lexical, fit)
        assert fit.times == number


def test_cleared_spaces_are_forgotten_and_an_interrupted_fit_leaves_nothing(tmp_path: Path):
    features = made(24, seed=0)[0]
    fit, lexical = Fit(features), fit_lexical_features(features.texts, 0.5)
    kept = JointSpaceCache(tmp_path / "kept", features)
    kept.clear()  # nothing is there yet

    def interrupted() -> JointSpace:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.get(np.arange(24), SETTINGS, 0, lexical, interrupted)
    for times in (1, 2):
        kept.get(np.arange(24), SETTINGS, 0, lexical, fit)
        assert fit.times == times
        assert len(list((tmp_path / "kept").iterdir())) == 1
        kept.clear()
        assert list((tmp_path / "kept").iterdir()) == []


CLASS_NAMES = [ClassName((word,)) for word in ("dog", "sea", "cow")]


def test_every_space_has_the_names_of_the_vocabulary_and_is_fitted_to_the_photos_of_the_other_folds(tmp_path: Path):
    features = made(24, seed=0)[0]
    cache = JointSpaceCache(tmp_path, features)
    spaces = fit_joint_spaces(features, ENCODERS, CLASS_NAMES, CLOSED, 3, cache, say_nothing)
    assert spaces.without_example == ("cow",)
    assert spaces.shrinkage == (1.0, 0.3)
    assert spaces.fold_of.tolist() == (np.random.default_rng(3).permutation(24) % 2).tolist()
    names = fit_vocabulary(features, CLASS_NAMES, *ENCODERS).head
    lexical = fit_lexical_features(features.texts, 0.5)
    photos = [np.flatnonzero(spaces.fold_of != 0), np.flatnonzero(spaces.fold_of != 1), np.arange(24)]
    for joint_space, seen in zip([*spaces.fold_spaces, spaces.joint_space], photos, strict=True):
        alone = fit_joint_space(features, seen, lexical, CLOSED, 3, "", say_nothing)
        assert np.array_equal(joint_space.map.A, alone.map.A)
        assert np.array_equal(joint_space.class_names.keys, names.keys)
        assert np.array_equal(joint_space.late_imputation, spaces.joint_space.late_imputation)


def test_spaces_that_are_kept_are_fitted_once_and_get_the_names_that_are_wanted_now(tmp_path: Path, monkeypatch):
    features = made(24, seed=0)[0]
    fits: list[int] = []

    def counted(embedded, photos, *others):
        fits.append(len(photos))
        return fit_joint_space(embedded, photos, *others)

    monkeypatch.setattr(cross_fit, "fit_joint_space", counted)
    cache = JointSpaceCache(tmp_path, features)
    named = fit_joint_spaces(features, ENCODERS, CLASS_NAMES, CLOSED, 0, cache, say_nothing)
    plain = fit_joint_spaces(features, ENCODERS, (), CLOSED, 0, cache, say_nothing)
    assert fits == [12, 12, 24]
    assert (named.joint_space.class_names.k, plain.joint_space.class_names.k) == (2, 0)
    assert np.array_equal(named.joint_space.map.A, plain.joint_space.map.A)


@pytest.mark.parametrize("better", [0, 1])
def test_the_shrinkage_is_the_one_whose_space_ranks_held_out_photos_best(better: int):
    features = made(40, seed=0)[0]
    good = fit_joint_space(
        features, np.arange(40), fit_lexical_features(features.texts, 0.5), SETTINGS, 0, "1 of 1", say_nothing
    )
    bad = replace(good, map=replace(good.map, A=-good.map.A, a=-good.map.a))
    asked: list[tuple[tuple[float, float], int, str]] = []

    def fit_space(photos, settings, stage):
        assert settings.late_interaction is None
        shrinkage = settings.map.shrink_images, settings.map.shrink_texts
        asked.append((shrinkage, len(photos), stage))
        return good if shrinkage == SHRINKAGES[better] else bad

    chosen = choose_shrinkage(features, SETTINGS, 0, fit_space)
    assert (chosen.shrink_images, chosen.shrink_texts) == SHRINKAGES[better]
    # A fifth of 40 photos is held out.
    assert asked == [(SHRINKAGES[0], 32, "shrinkage 1 of 2"), (SHRINKAGES[1], 32, "shrinkage 2 of 2")]
    assert replace(chosen, shrink_images=1.0, shrink_texts=0.3) == SETTINGS.map
