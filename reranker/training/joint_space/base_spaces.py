"""Keep the joint space of the ranker that is fine-tuned."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.ranker import Ranker
from reranker.training.joint_space.class_name_files import ClassName, with_own_class_names
from reranker.training.joint_space.cross_fit import JointSpaces
from reranker.training.joint_space.vocabulary import fit_vocabulary


def joint_spaces_of_base(
    embedded: EmbeddedJudgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    base: Ranker,
    class_names: Sequence[ClassName],
) -> JointSpaces:
    """Keep the joint space of a ranker, and add a vocabulary's class names to it.

    Args:
        embedded: The judged data, none of whose photos the space has seen.
        encoders: The image and the text encoder that made it.
        base: The ranker.
        class_names: A vocabulary. A ranker without class names gets the image encoder's own classes, too; where the
            vocabulary is empty, the space stays as it is.

    Returns:
        One space, which has seen none of the photos, for the ranker and for its only fold.
    """
    joint_space, fitted = base.joint_space, None
    if class_names:
        before = joint_space.class_names
        vocabulary = class_names if before.k else with_own_class_names(encoders[0], class_names)
        fitted = fit_vocabulary(embedded, vocabulary, *encoders, before, joint_space.settings.class_names)
        joint_space = replace(joint_space, class_names=fitted.head)
    fold_of = np.zeros(len(embedded.photos), np.int64)
    return JointSpaces(joint_space, (joint_space,), fold_of, None, fitted)
