"""A gallery of 24 photos whose joint space leaves vectors as they are, so that scores are plain products."""

from pathlib import Path

import numpy as np

from indexer.encoders import Tokens
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import JointSpace
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import LinearMap, unit
from reranker.models.ranking_settings import RankingSettings
from reranker.training.examples.caption_examples import caption_examples
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings
from reranker.training.examples.galleries import Gallery
from reranker.training.joint_space.fit_hubness import fit_hubness

PHOTOS = 24
IDENTITY = np.eye(4, dtype=np.float32)
PLAIN = LinearMap(IDENTITY, np.zeros(4, np.float32), IDENTITY, np.zeros(4, np.float32))


def space_of(features: EmbeddedJudgments) -> JointSpace:
    """Make a joint space of identity maps without names, words and regions; hubness is over the captions."""
    captions = np.concatenate([unit(features.t), unit(features.t)], axis=1)
    hubness_bank = fit_hubness(captions, np.concatenate([features.x, 0.25 * features.x], axis=1))
    return JointSpace(
        PLAIN,
        PLAIN,
        ClassNameHead.none(4, 4),
        LexicalFeatures.none(),
        None,
        hubness_bank,
        np.zeros((4, 2), np.float32),
        RankingSettings(),
    )


def described_photos() -> EmbeddedJudgments:
    """Make 24 photos with two captions each; the captions of photos 0 and 1 are exactly the same."""
    generator = np.random.default_rng(0)
    x = unit(generator.standard_normal((PHOTOS, 4)))
    owner = np.repeat(np.arange(PHOTOS), 2)
    t = unit(generator.standard_normal((PHOTOS, 4))[owner] + 0.1 * generator.standard_normal((2 * PHOTOS, 4)))
    t[:4] = t[0]
    names = tuple(f"{i}.jpg" for i in range(PHOTOS))
    captions = tuple(f"{names[photo]}#{n % 2}" for n, photo in enumerate(owner))
    return EmbeddedJudgments(names, x, captions, captions, t, owner, Tokens.none(len(owner)))


def judgments_of(
    features: EmbeddedJudgments, expert: tuple[ExpertRow, ...] = (), crowd: tuple[CrowdRow, ...] = ()
) -> Judgments:
    photos = {name: Path(name) for name in features.photos}
    captions = dict(zip(features.captions, features.texts, strict=True))
    return Judgments(Path("judged"), photos, {}, {}, captions, expert, crowd)


def whole(features: EmbeddedJudgments) -> Gallery:
    return Gallery.of(features, np.arange(len(features.photos)), space_of(features))


def listed(features: EmbeddedJudgments, gallery: Gallery, settings: ExampleSettings, seed: int = 0) -> ExampleLists:
    return caption_examples(features, gallery, settings, np.random.default_rng(seed))


def pair_features_of(features: EmbeddedJudgments, photo: int, caption: int) -> np.ndarray:
    """Compute the pair features of one pair alone."""
    joint_space = space_of(features)
    query = joint_space.encode_queries(features.t[[caption]], [features.texts[caption]], Tokens.none(1))
    return joint_space.pair_features(joint_space.encode_photos(features.x[[photo]], None), query, 0)[0]
