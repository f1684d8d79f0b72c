"""The space of a base: it is kept, and takes the names of a vocabulary."""

from dataclasses import replace

import numpy as np

from reranker.models.class_names import ClassNameHead
from reranker.ranker import Ranker
from reranker.training.joint_space.base_spaces import joint_spaces_of_base
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.joint_space.vocabulary import fit_vocabulary
from tiny_judged import ENCODERS, made
from tiny_space import make_ranker

THINGS = (ClassName(("dog",)), ClassName(("sea",)), ClassName(("cow",)))


def base(names: ClassNameHead | None = None) -> Ranker:
    """Make a ranker of the tiny encoders' widths; its other heads are not looked at."""
    ranker = make_ranker()
    joint_space = replace(ranker.joint_space, class_names=names or ClassNameHead.none(40, 30))
    return replace(ranker, joint_space=joint_space)


def test_without_a_vocabulary_the_space_stays_as_it_is_and_has_seen_no_photo():
    ranker = base()
    spaces = joint_spaces_of_base(made(24, seed=0)[0], ENCODERS, ranker, ())
    assert spaces.joint_space is ranker.joint_space
    assert (len(spaces.fold_spaces), spaces.fold_spaces[0] is ranker.joint_space) == (1, True)
    assert spaces.fold_of.tolist() == [0] * 24
    assert (spaces.shrinkage, spaces.vocabulary) == (None, None)


def test_a_base_without_names_gets_a_head_of_the_vocabulary():
    features = made(24, seed=0)[0]
    spaces = joint_spaces_of_base(features, ENCODERS, base(), THINGS)
    expected = fit_vocabulary(features, THINGS, *ENCODERS)
    head = spaces.joint_space.class_names
    assert np.array_equal(head.keys, expected.head.keys)
    assert np.array_equal(head.gate, expected.head.gate)
    assert spaces.vocabulary is not None
    assert spaces.vocabulary.without_example == ("cow",)
    assert spaces.fold_spaces == (spaces.joint_space,)
    assert np.array_equal(spaces.joint_space.map.A, base().joint_space.map.A)


def test_a_base_with_names_keeps_its_gate_and_gets_more_names():
    features = made(24, seed=0)[0]
    before = fit_vocabulary(features, (ClassName(("cat",)), ClassName(("car",))), *ENCODERS).head
    spaces = joint_spaces_of_base(features, ENCODERS, base(before), THINGS[:1])
    head = spaces.joint_space.class_names
    assert np.array_equal(head.gate, before.gate)
    assert len(head.keys) == 3
    assert np.array_equal(head.keys[:2], before.keys)
