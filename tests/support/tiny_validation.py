"""Galleries of photos that a joint space has not seen, with words, and rankings by one pair feature."""

from dataclasses import dataclass, fields, replace

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.calibration import Calibration
from reranker.models.joint_space import PAIR_FEATURES, JointSpace
from reranker.models.mlp import MLP
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.phrase_examples import Phrases, find_phrases
from reranker.training.examples.scored_queries import Scorer
from reranker.training.joint_space.fit_joint_space import fit_joint_space
from tiny_judged import QUICK, StubTextEncoder, made, words_of


def by(**weights: float) -> MLP:
    """Make a ranking MLP that is a weighted sum of pair features, with two hidden units of weight 0."""
    ws = np.zeros(len(PAIR_FEATURES), np.float32)
    for name, weight in weights.items():
        ws[PAIR_FEATURES.index(name)] = weight
    Wx, Wt, Ws = (np.zeros((rows, 2), np.float32) for rows in (40, 30, len(PAIR_FEATURES)))
    two = np.zeros(2, np.float32)
    return MLP(Wx, Wt, Ws, two, np.zeros((2, 1), np.float32), two[:1], two[:1], ws, two[:1])


GOOD, LATE, WORST = by(cosine=1), by(late=1), by(cosine=-1)
# Ranks by the map, and finds a photo relevant by late interaction.
SCORER = Scorer(GOOD, LATE, Calibration(0.5, 0.25))


def is_kept(one: MLP | None, other: MLP | None) -> bool:
    """Return whether two MLPs have the same weights, or are both None."""
    if one is None or other is None:
        return one is other
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(MLP))


@dataclass(frozen=True, slots=True)
class Validation:
    """Photos with a joint space fitted to the first 40, galleries of 30 and of 10 others, and the eight words."""

    features: EmbeddedJudgments
    joint_space: JointSpace
    held: tuple[Gallery, Gallery]
    phrases: Phrases


def validation() -> Validation:
    features = made(80, seed=0, regions=True)[0]
    features = replace(features, owner=np.where(np.arange(320) % 8 == 7, -1, features.owner))
    joint_space = fit_joint_space(features, np.arange(40), words_of(features), QUICK.joint_space, 0, lambda *_: None)
    held = Gallery.of(features, np.arange(40, 70), joint_space), Gallery.of(features, np.arange(70, 80), joint_space)
    return Validation(features, joint_space, held, find_phrases(features, StubTextEncoder(), 5))


NO_PHRASES = Phrases(
    EncodedTexts((), np.zeros((0, 30), np.float32), StubTextEncoder().encode_with_tokens(())[1]),
    np.zeros((0, 80), np.uint8),
)


def pair_features_of(given: Validation, gallery: Gallery) -> tuple[np.ndarray, np.ndarray]:
    """Compute every caption's pair features, (captions, photos, 7), and the place of its own photo."""
    rows = np.flatnonzero(np.isin(given.features.owner, gallery.photos))
    query = gallery.encode_captions(given.features, rows)
    own = np.array([gallery.photos.tolist().index(owner) for owner in given.features.owner[rows]])
    return gallery.pair_features(query, slice(0, len(rows))), own
