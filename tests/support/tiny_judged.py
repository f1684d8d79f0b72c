"""Judged data with a known truth: photos and captions share eight directions, one per word; and stub encoders."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from indexer.encoders import Tokens
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.lexical_features import WORD
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.models.pair_scores import PairScores
from reranker.ranker import Ranker
from reranker.training.examples.example_lists import ExampleSettings
from reranker.training.fit_mlp import MLPSettings
from reranker.training.joint_space.fit_joint_space import (
    JointSpaceSettings,
    TextWords,
    find_known_words,
    fit_lexical_features,
)
from reranker.training.joint_space.fit_late_interaction import LateInteractionSettings
from reranker.training.joint_space.fit_linear_map import MapSettings
from reranker.training.train import TrainSettings
from tiny_space import score_matrix

WORDS = ("dog", "cat", "man", "woman", "snow", "sea", "ball", "car")
_KNOWN = np.random.default_rng(7)
IMAGE_DIRECTIONS, TEXT_DIRECTIONS = _KNOWN.standard_normal((8, 40)), _KNOWN.standard_normal((8, 30))
REGION_DIRECTIONS, TOKEN_DIRECTIONS = _KNOWN.standard_normal((8, 12)), _KNOWN.standard_normal((8, 10))


@dataclass(frozen=True, slots=True)
class StubImageEncoder:
    """The attributes of an image encoder that training reads."""

    name: str = "eyes"
    fingerprint: str = "eyes@1"
    class_dim: int = 0
    prototypes: np.ndarray | None = None


@dataclass(slots=True)
class StubTextEncoder:
    """Text encoder: a text is the sum of its words' directions, (30,); each of WORDS is one word piece, (10,).

    Any other word has a random direction of its own, at a tenth of the length.
    """

    name: str = "ears"
    fingerprint: str = "ears@1"
    dim: int = 30
    asked: list[str] = field(default_factory=list)

    def encode(self, texts) -> np.ndarray:
        self.asked += texts
        rows = [sum((self._word(word) for word in WORD.findall(text.lower())), np.zeros(30)) for text in texts]
        return np.array(rows, np.float32).reshape(-1, 30)

    def encode_with_tokens(self, texts) -> tuple[np.ndarray, Tokens]:
        pieces = [[WORDS.index(word) for word in WORD.findall(text) if word in WORDS] or [8] for text in texts]
        flat = np.array([piece for of_text in pieces for piece in of_text], np.int64)
        vectors = np.concatenate([TOKEN_DIRECTIONS, np.zeros((1, 10))])[flat].astype(np.float32)
        return self.encode(texts), Tokens(vectors, flat, np.cumsum([0, *map(len, pieces)]))

    def _word(self, word: str) -> np.ndarray:
        if word in WORDS:
            return TEXT_DIRECTIONS[WORDS.index(word)]
        return 0.1 * np.random.default_rng(crc32(word.encode())).standard_normal(30)


ENCODERS = (StubImageEncoder(), StubTextEncoder())
QUICK = TrainSettings(
    joint_space=JointSpaceSettings(
        map=MapSettings(k=8, epochs=10, batch=40, dropout_images=0.2),
        late_interaction=LateInteractionSettings(
            k=32, epochs=8, batch=30, dropout_images=0.2, dropout_texts=0.1, hubness_captions=60
        ),
        hubness_captions=200,
        hubness_photos=40,
        choose_shrinkage=False,
        folds=2,
    ),
    ranking_mlp=MLPSettings(epochs=3, batch=512),
    relevance_mlp=MLPSettings(epochs=3, batch=512),
    examples=ExampleSettings(mining_depth=20),
)


def made(photos: int, seed: int, regions: bool = False) -> tuple[EmbeddedJudgments, Judgments, np.ndarray]:
    """Make photos and four captions each that share eight known directions; a caption names the two strongest.

    With `regions`, a photo has three: the whole, and one per strongest direction; captions have one token per word.
    Returns the hidden directions of the photos too: (photos, 8).
    """
    generator = np.random.default_rng(seed)
    hidden = generator.standard_normal((photos, 8))
    owner = np.repeat(np.arange(photos), 4)
    x = unit(hidden @ IMAGE_DIRECTIONS + generator.standard_normal((photos, 40)))
    t = unit(hidden[owner] @ TEXT_DIRECTIONS + generator.standard_normal((len(owner), 30)))
    strongest = np.argsort(-hidden, axis=1)[:, :2]
    names = tuple(f"{seed}-{i}.jpg" for i in range(photos))
    captions = tuple(f"{names[photo]}#{n % 4}" for n, photo in enumerate(owner))
    texts = tuple(" and ".join(WORDS[i] for i in strongest[photo]) for photo in owner)
    judgments = Judgments(
        folder=Path("judged"),
        photos={name: Path(name) for name in names},
        sets={},
        splits={},
        captions=dict(zip(captions, texts, strict=True)),
        expert=(),
        crowd=(),
    )
    features = EmbeddedJudgments(names, x, captions, texts, t, owner, Tokens.none(len(owner), 10))
    if regions:
        of_photo = np.stack(
            [hidden @ REGION_DIRECTIONS, REGION_DIRECTIONS[strongest[:, 0]], REGION_DIRECTIONS[strongest[:, 1]]], axis=1
        )
        of_photo += 0.3 * generator.standard_normal(of_photo.shape)
        steps = np.rint(127 * of_photo / np.abs(of_photo).max(axis=2, keepdims=True)).astype(np.int8)
        features = replace(features, regions=steps, tokens=StubTextEncoder().encode_with_tokens(texts)[1])
    return features, judgments, hidden


def judged(features: EmbeddedJudgments, judgments: Judgments, hidden: np.ndarray, count: int) -> Judgments:
    """Add crowd votes and expert grades that follow the similarity of photo and caption in the hidden directions."""
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


def words_of(features: EmbeddedJudgments) -> TextWords:
    """Collect what a training knows of the words of captions, without phrases."""
    return TextWords(fit_lexical_features(features.texts, 0.5), find_known_words(features.texts, ()))


SHORT = replace(
    QUICK,
    joint_space=replace(
        QUICK.joint_space,
        map=replace(QUICK.joint_space.map, epochs=1),
        late_interaction=replace(QUICK.joint_space.late_interaction, epochs=1),
    ),
    ranking_mlp=MLPSettings(epochs=1, batch=512),
    relevance_mlp=MLPSettings(epochs=1, batch=512),
)


def scores(ranker: Ranker, features: EmbeddedJudgments, regions: bool = True) -> PairScores:
    side = ranker.encode_photos(features.x, features.regions if regions else None)
    query = ranker.encode_queries(features.t, features.texts, features.tokens)
    return score_matrix(ranker, side, query)


def recall(ranker: Ranker, features: EmbeddedJudgments, k: int, regions: bool = True) -> float:
    return recall_at(ranks_of_own(scores(ranker, features, regions).ranking_scores, features.owner), k)


def is_kept(one: MLP, other: MLP) -> bool:
    """Whether these are the same weights."""
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(MLP))
