"""The gate that is kept: the learned one, unless validation captions find less with it."""

from dataclasses import replace

import numpy as np
import pytest

from reranker.judgments.training_sets import PhotoSets
from reranker.models.class_names import GATE_FEATURES
from reranker.training.joint_space import choose_gate as module
from reranker.training.joint_space.choose_gate import choose_gate
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.joint_space.cross_fit import JointSpaceCache, JointSpaces, fit_joint_spaces
from reranker.training.joint_space.fit_name_gate import GateLists, GateSettings
from reranker.training.training_data import TrainingData
from tiny_judged import ENCODERS, QUICK, WORDS, made
from tiny_validation import NO_PHRASES

pytestmark = pytest.mark.usefixtures("one_thread", "cache")

HELD = np.arange(60) % 3 == 0
SETS = PhotoSets(("one", "two"), np.ones(2, np.float32), np.zeros(2, bool), np.arange(60) // 30)


@pytest.fixture(scope="module")
def data(one_thread: None) -> TrainingData:
    features, judgments, _ = made(60, seed=0)
    names = tuple(ClassName((word,)) for word in WORDS)
    return TrainingData(replace(features, photo_sets=SETS), judgments, ENCODERS, names, NO_PHRASES)


@pytest.fixture(scope="module")
def spaces(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> JointSpaces:
    settings = replace(QUICK.joint_space, map=replace(QUICK.joint_space.map, epochs=0), late_interaction=None)
    cache = JointSpaceCache(tmp_path_factory.mktemp("spaces"), data.embedded)
    return fit_joint_spaces(data, settings, 0, cache, lambda *_: None)


def constant(spaces: JointSpaces, bias: float) -> np.ndarray:
    """Return a gate that is as open for every query."""
    gate = np.zeros_like(spaces.joint_space.class_names.said_gate)
    gate[30 + GATE_FEATURES.index("bias")] = bias
    return gate


def asked_kinds(monkeypatch: pytest.MonkeyPatch, gate: np.ndarray) -> list[GateLists]:
    """Let the fit give a gate, and collect what it is fitted to."""
    seen: list[GateLists] = []

    def fit(lists, width, settings):
        assert (width, settings) == (30, GateSettings())
        seen.extend(lists)
        return gate

    monkeypatch.setattr(module, "fit_name_gate", fit)
    return seen


def test_a_gate_that_finds_as_much_is_kept_and_is_fitted_to_photos_that_do_not_validate(
    data: TrainingData, spaces: JointSpaces, monkeypatch: pytest.MonkeyPatch
):
    before = spaces.joint_space.class_names.said_gate
    seen = asked_kinds(monkeypatch, before)
    gate, verdict = choose_gate(data, spaces, HELD, GateSettings(), 0)
    assert verdict == "learned"
    assert gate is before
    # Two folds; no phrases are asked here.
    assert [one.kind for one in seen] == ["captions", "names"] * 2
    captions = sum(len(one.features) for one in seen if one.kind == "captions")
    assert captions == 4 * 40


def test_photos_that_teach_the_relevance_alone_teach_no_gate(
    data: TrainingData, spaces: JointSpaces, monkeypatch: pytest.MonkeyPatch
):
    seen = asked_kinds(monkeypatch, spaces.joint_space.class_names.said_gate)
    sets = replace(SETS, relevance_only=np.array([False, True]))
    fold_of = np.where(np.arange(60) < 30, spaces.fold_of, 2)
    apart = replace(data, embedded=replace(data.embedded, photo_sets=sets))
    assert choose_gate(apart, replace(spaces, fold_of=fold_of), HELD, GateSettings(), 0)[1] == "learned"
    assert sum(len(one.features) for one in seen if one.kind == "captions") == 4 * 20


def test_a_gate_that_finds_less_is_refused(data: TrainingData, spaces: JointSpaces, monkeypatch: pytest.MonkeyPatch):
    shut = spaces.with_gate(constant(spaces, -60))
    # Names that lead to the wrong photos spoil captions if the gate is open.
    spoiled = replace(
        shut,
        fold_spaces=tuple(
            replace(space, class_names=replace(space.class_names, values=-space.class_names.values))
            for space in shut.fold_spaces
        ),
    )
    asked_kinds(monkeypatch, constant(spaces, 60))
    gate, verdict = choose_gate(data, spoiled, HELD, GateSettings(), 0)
    assert verdict == "refused: on validation the learned one finds less than one that tells names from sentences"
    assert gate is spoiled.joint_space.class_names.said_gate


def test_a_gate_that_finds_less_in_one_set_is_refused_with_its_name(
    data: TrainingData, spaces: JointSpaces, monkeypatch: pytest.MonkeyPatch
):
    asked_kinds(monkeypatch, constant(spaces, 1))
    monkeypatch.setattr(module, "worse_sets", lambda new, old, sets, names: [names[sets.max()]])
    found = [np.zeros(1), np.zeros(1)]
    monkeypatch.setattr(module, "hits_at_cutoffs", lambda ranks: found.pop())
    gate, verdict = choose_gate(data, spaces, HELD, GateSettings(), 0)
    assert verdict == "refused: on validation queries of two the learned one finds less"
    assert gate is spaces.joint_space.class_names.said_gate


def test_a_gate_is_learned_alike_for_a_seed(data: TrainingData, spaces: JointSpaces):
    gate, verdict = choose_gate(data, spaces, HELD, GateSettings(), 0)
    assert gate.shape == (37,)
    assert np.isfinite(gate).all()
    assert (verdict == "learned") == (gate is not spaces.joint_space.class_names.said_gate)
    assert np.array_equal(choose_gate(data, spaces, HELD, GateSettings(), 0)[0], gate)


def test_without_names_there_is_no_gate_to_learn(data: TrainingData, spaces: JointSpaces):
    before = spaces.joint_space.class_names.said_gate
    gate, verdict = choose_gate(data, replace(spaces, vocabulary=None), HELD, GateSettings(), 0)
    assert (gate is before, verdict) == (True, "no names")
    nameless = replace(spaces.vocabulary, names=())
    assert choose_gate(data, replace(spaces, vocabulary=nameless), HELD, GateSettings(), 0)[1] == "no names"
