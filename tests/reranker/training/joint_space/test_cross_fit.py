"""The joint spaces of a training: their folds, names and shrinkage, and going on after an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.training_sets import PhotoSets
from reranker.models.class_names import GATE_FEATURES
from reranker.models.joint_space import JointSpace, joint_space_arrays
from reranker.models.lexical_features import LexicalFeatures
from reranker.training.joint_space import cross_fit
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.joint_space.cross_fit import SHRINKAGES, JointSpaceCache, choose_shrinkage, fit_joint_spaces
from reranker.training.joint_space.fit_joint_space import fit_joint_space
from reranker.training.joint_space.vocabulary import fit_vocabulary
from reranker.training.training_data import TrainingData
from tiny_judged import ENCODERS, QUICK, WORDS, made, words_of
from tiny_validation import NO_PHRASES

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
        return fit_joint_space(self.features, np.arange(24), words_of(self.features), CLOSED, 0, say_nothing)


@pytest.mark.parametrize("regions", [True, False])
def test_a_kept_space_is_fitted_once_and_comes_back_as_it_was(tmp_path: Path, regions: bool):
    features = made(24, seed=0, regions=regions)[0]
    fit, photos = Fit(features), np.arange(24)
    words = words_of(features)
    first = JointSpaceCache(tmp_path, features).get(photos, SETTINGS, 0, words, fit)
    again = JointSpaceCache(tmp_path, features).get(photos, SETTINGS, 0, words, fit)
    assert fit.times == 1
    assert again.lexical.words == first.lexical.words == tuple(sorted(WORDS))
    assert again.known_words == first.known_words == words.known_words
    assert (again.late_interaction is None) == (not regions)
    for name, array in joint_space_arrays(first).items():
        assert np.array_equal(joint_space_arrays(again)[name], array), name
        assert joint_space_arrays(again)[name].dtype == array.dtype, name


@pytest.mark.parametrize("damage", ["hubs.turn", "late.A", "idf", "cut", "empty"])
def test_a_kept_space_that_lacks_a_part_or_cannot_be_read_is_fitted_again(tmp_path: Path, damage: str):
    features = made(24, seed=0, regions=True)[0]
    fit, asked = Fit(features), (np.arange(24), SETTINGS, 0, words_of(features))
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
    fit, photos, words = Fit(features), np.arange(24), words_of(features)
    kept = JointSpaceCache(tmp_path, features)
    kept.get(photos, SETTINGS, 0, words, fit)
    changes = [
        (photos[1:], SETTINGS, 0, words),
        (photos, replace(SETTINGS, hubness_captions=100), 0, words),
        (photos, replace(SETTINGS, late_interaction=None), 0, words),
        (photos, SETTINGS, 1, words),
        (photos, SETTINGS, 0, replace(words, lexical=LexicalFeatures.none())),
        (photos, SETTINGS, 0, replace(words, phrases=NO_PHRASES)),
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
        replace(features, photo_sets=sets_of(np.float32([1, 2]))),
        replace(features, photo_sets=sets_of(np.float32([1, 3]))),
        replace(features, bank=np.array([5])),
    ]
    for number, other in enumerate(others, fit.times + 1):
        JointSpaceCache(tmp_path, other).get(photos, SETTINGS, 0, words, fit)
        assert fit.times == number


def test_cleared_spaces_are_forgotten_and_an_interrupted_fit_leaves_nothing(tmp_path: Path):
    features = made(24, seed=0)[0]
    fit, words = Fit(features), words_of(features)
    kept = JointSpaceCache(tmp_path / "kept", features)
    kept.clear()  # nothing is there yet

    def interrupted() -> JointSpace:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.get(np.arange(24), SETTINGS, 0, words, interrupted)
    for times in (1, 2):
        kept.get(np.arange(24), SETTINGS, 0, words, fit)
        assert fit.times == times
        assert len(list((tmp_path / "kept").iterdir())) == 1
        kept.clear()
        assert list((tmp_path / "kept").iterdir()) == []


def sets_of(weights: np.ndarray, relevance_only: tuple[bool, ...] = (False, False)) -> PhotoSets:
    """Two sets of twelve photos each."""
    return PhotoSets(("one", "two"), weights, np.array(relevance_only), np.repeat([0, 1], 12))


CLASS_NAMES = (ClassName(("dog",)), ClassName(("sea",)), ClassName(("cow",)))


def data_of(features: EmbeddedJudgments, class_names: tuple[ClassName, ...] = CLASS_NAMES) -> TrainingData:
    judgments = made(24, seed=0)[1]
    return TrainingData(features, judgments, ENCODERS, class_names, NO_PHRASES)


def test_every_space_has_the_names_of_the_vocabulary_and_is_fitted_to_the_photos_of_the_other_folds(tmp_path: Path):
    features = made(24, seed=0)[0]
    spaces = fit_joint_spaces(data_of(features), CLOSED, 3, JointSpaceCache(tmp_path, features), say_nothing)
    assert spaces.vocabulary is not None
    assert spaces.vocabulary.without_example == ("cow",)
    assert spaces.shrinkage == (1.0, 0.3)
    assert spaces.fold_of.tolist() == (np.random.default_rng(3).permutation(24) % 2).tolist()
    names = fit_vocabulary(features, CLASS_NAMES, *ENCODERS).head
    photos = [np.flatnonzero(spaces.fold_of != 0), np.flatnonzero(spaces.fold_of != 1), np.arange(24)]
    # The last space is there for photos that are in no fold; it has seen all that are in one.
    assert len(spaces.fold_spaces) == 3
    assert np.array_equal(spaces.fold_spaces[2].map.A, spaces.joint_space.map.A)
    # All words of captions are known, and those of names that nothing shows.
    known = {*WORDS, "and", "cow"}
    for joint_space, seen in zip(spaces.fold_spaces, photos, strict=True):
        alone = fit_joint_space(features, seen, words_of(features), CLOSED, 3, say_nothing)
        assert np.array_equal(joint_space.map.A, alone.map.A)
        assert np.array_equal(joint_space.class_names.keys, names.keys)
        assert np.array_equal(joint_space.late_imputation, spaces.joint_space.late_imputation)
        assert set(joint_space.known_words.words) == known


def test_photos_that_teach_the_relevance_alone_are_in_no_fold_and_no_space_has_seen_them(tmp_path: Path):
    features = replace(made(24, seed=0)[0], photo_sets=sets_of(np.float32([1, 1]), (False, True)))
    unlike = replace(features, texts=(*features.texts[:48], *["zebra zebu"] * 48))
    spaces = fit_joint_spaces(data_of(unlike), CLOSED, 3, JointSpaceCache(tmp_path, unlike), say_nothing)
    assert spaces.fold_of[:12].tolist() == (np.random.default_rng(3).permutation(12) % 2).tolist()
    assert spaces.fold_of[12:].tolist() == [2] * 12
    words = words_of(replace(unlike, texts=unlike.texts[:48]))
    alone = fit_joint_space(unlike, np.arange(12), words, CLOSED, 3, say_nothing)
    for joint_space in (spaces.joint_space, spaces.fold_spaces[2]):
        assert np.array_equal(joint_space.map.A, alone.map.A)
        assert joint_space.lexical.words == alone.lexical.words
        assert "zebra" not in joint_space.known_words


def test_words_of_other_captions_are_known_and_not_asked(tmp_path: Path):
    features = replace(made(24, seed=0)[0], other_captions=("a zebu grazes", "the zebu"))
    spaces = fit_joint_spaces(data_of(features), CLOSED, 0, JointSpaceCache(tmp_path, features), say_nothing)
    # Two captions say "zebu", one says "grazes", which is taken for a mistake.
    assert "zebu" in spaces.joint_space.known_words
    assert "grazes" not in spaces.joint_space.known_words
    assert spaces.joint_space.lexical.words == tuple(sorted(WORDS))


def test_another_gate_is_that_of_every_space(tmp_path: Path):
    features = made(24, seed=0)[0]
    spaces = fit_joint_spaces(data_of(features), CLOSED, 3, JointSpaceCache(tmp_path, features), say_nothing)
    gate = np.arange(30 + len(GATE_FEATURES), dtype=np.float32)
    changed = spaces.with_gate(gate)
    for before, after in zip(
        (spaces.joint_space, *spaces.fold_spaces), (changed.joint_space, *changed.fold_spaces), strict=True
    ):
        assert np.array_equal(after.class_names.said_gate, gate)
        assert not np.array_equal(before.class_names.said_gate, gate)
        assert after.class_names.gate is before.class_names.gate
        assert after.class_names.keys is before.class_names.keys
    assert changed.vocabulary is spaces.vocabulary


def test_spaces_that_are_kept_are_fitted_once_and_get_the_names_that_are_wanted_now(tmp_path: Path, monkeypatch):
    features = made(24, seed=0)[0]
    fits: list[int] = []

    def counted(embedded, photos, *others):
        fits.append(len(photos))
        return fit_joint_space(embedded, photos, *others)

    monkeypatch.setattr(cross_fit, "fit_joint_space", counted)
    cache = JointSpaceCache(tmp_path, features)
    named = fit_joint_spaces(data_of(features), CLOSED, 0, cache, say_nothing)
    plain = fit_joint_spaces(data_of(features, ()), CLOSED, 0, cache, say_nothing)
    assert fits == [12, 12, 24]
    assert (named.joint_space.class_names.k, plain.joint_space.class_names.k) == (2, 0)
    assert np.array_equal(named.joint_space.map.A, plain.joint_space.map.A)


@pytest.mark.parametrize("better", [0, 1])
def test_the_shrinkage_is_the_one_whose_space_ranks_held_out_photos_best(better: int):
    features = made(40, seed=0)[0]
    good = fit_joint_space(features, np.arange(40), words_of(features), SETTINGS, 0, say_nothing)
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


def test_the_shrinkage_is_chosen_by_photos_that_teach_the_space():
    features = replace(made(24, seed=0)[0], photo_sets=sets_of(np.float32([1, 1]), (False, True)))
    asked: list[list[int]] = []

    def fit_space(photos, settings, stage):
        asked.append(photos.tolist())
        return fit_joint_space(features, photos, words_of(features), CLOSED, 0, say_nothing)

    choose_shrinkage(features, CLOSED, 0, fit_space)
    # Of twelve photos three are held out.
    assert [len(photos) for photos in asked] == [9, 9]
    assert max(map(max, asked)) < 12
