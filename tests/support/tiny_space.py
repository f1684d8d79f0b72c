"""A joint space and a ranker of random weights, small enough to compare with a plain computation."""

from dataclasses import dataclass, fields

import numpy as np

from indexer.encoders import Tokens
from indexer.views.view import EncodedPhotos
from reranker.models.calibration import Calibration
from reranker.models.class_names import GATE_FEATURES, ClassNameHead
from reranker.models.hubness import Hubness
from reranker.models.joint_space import PAIR_FEATURES, EncodedQueries, JointSpace
from reranker.models.late_interaction import LateInteraction, Words
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import LinearMap, unit
from reranker.models.mlp import MLP
from reranker.models.no_match import FEATURE_NAMES, NoMatchClassifier
from reranker.models.pair_scores import PairScores
from reranker.models.query_words import KnownWords
from reranker.models.ranking_settings import RankingSettings
from reranker.ranker import Ranker

# Widths of embeddings, text vectors, regions and tokens; widths of the heads; words and word pieces.
D, E, R, W = 80, 70, 12, 10
K, MEANING, NAMED, LATE = 6, 4, 5, 64
WORDS, PIECES = ("cat", "dog"), (3, 8, 9)
KNOWN = ("a", "dog", "and", "cat")


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of a ranker: x (7, D), regions (7, 3, R) int8, t (3, E) unit, tokens of 2, 1 and 3 pieces."""

    x: np.ndarray
    regions: np.ndarray
    t: np.ndarray
    texts: tuple[str, ...]
    tokens: Tokens


def inputs(seed: int = 1) -> Inputs:
    generator = np.random.default_rng(seed)
    x, t = unit(generator.standard_normal((7, D))), unit(generator.standard_normal((3, E)))
    regions = generator.integers(-127, 128, (7, 3, R)).astype(np.int8)
    vectors = generator.standard_normal((6, W)).astype(np.float32)
    tokens = Tokens(vectors, np.array([3, 8, 5, 9, 9, 1]), np.array([0, 2, 3, 6]))
    return Inputs(x, regions, t, ("a dog", "a cat and a dog", "a bird"), tokens)


def make_late(generator: np.random.Generator, order: str = "C") -> LateInteraction:
    weights = [
        random(generator, order, R, LATE),
        0.1 * random(generator, order, LATE),
        random(generator, order, W, LATE),
        0.1 * random(generator, order, LATE),
        random(generator, order, len(PIECES) + 1, LATE),
        random(generator, order, len(PIECES) + 1),
        random(generator, order, W),
        np.array(PIECES),
    ]
    bank = Words(
        np.asarray(unit(random(generator, "C", 20, LATE)), order=order),
        np.full(20, 0.5, np.float32),
        np.arange(0, 21, 2),
    )
    return LateInteraction(*weights, bank)


def make_space(seed: int = 0, order: str = "C", names: bool = True, late: bool = True) -> JointSpace:
    generator = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return random(generator, order, *shape)

    def directions(*shape: int) -> np.ndarray:
        return np.asarray(unit(random(generator, "C", *shape)), order=order)

    e = E + len(WORDS)
    of_names = ClassNameHead(
        weights(D, NAMED),
        0.1 * weights(NAMED),
        directions(9, E),
        directions(9, NAMED),
        9 * weights(E + len(GATE_FEATURES)),
        9 * weights(E + len(GATE_FEATURES)),
    )
    return JointSpace(
        map=LinearMap(weights(D, K), 0.1 * weights(K), weights(e, K), 0.1 * weights(K)),
        meaning=LinearMap(weights(D, MEANING), 0.1 * weights(MEANING), weights(E, MEANING), 0.1 * weights(MEANING)),
        class_names=of_names if names else ClassNameHead.none(D, E),
        lexical=LexicalFeatures(WORDS, np.float32([1.5, 0.7]), 0.5),
        late_interaction=make_late(np.random.default_rng(seed + 50), order) if late else None,
        hubness=Hubness(weights(K + MEANING, 4), weights(100, 4), weights(30, 4)),
        late_imputation=weights(4, 2),
        settings=RankingSettings(),
        known_words=KnownWords(KNOWN),
    )


def make_mlp(
    d: int,
    e: int,
    generator: np.random.Generator,
    m: int = 24,
    order: str = "C",
    pair_features: int = len(PAIR_FEATURES),
) -> MLP:
    s, p = pair_features, 8
    shapes = ((d, m), (e, m), (s, m), (m,), (m, p), (p,), (p,), (s,), (1,))
    return MLP(*(random(generator, order, *shape) for shape in shapes))


def make_ranker(seed: int = 0, order: str = "C", names: bool = True, late: bool = True) -> Ranker:
    generator = np.random.default_rng(seed + 100)
    return Ranker(
        image_encoder="eyes@1",
        text_encoder="ears@1",
        text_encoder_name="ears",
        joint_space=make_space(seed, order, names, late),
        ranking_mlp=make_mlp(D, E, generator, 24, order),
        relevance_mlp=make_mlp(D, E, generator, 16, order),
        calibration=Calibration(1.7, -0.3),
        no_match=NoMatchClassifier(tuple(generator.standard_normal(len(FEATURE_NAMES)).tolist()), -0.25, 0.12),
        training={"photos": 3, "order_loss": [0.5, 0.4]},
        results={"reranked_recall@1": 0.25},
    )


def score_matrix(ranker: Ranker, photos: EncodedPhotos, queries: EncodedQueries) -> PairScores:
    """Score every photo for every query: (b, n) and (b, n, 7)."""
    found = [ranker.scores(photos, queries, row) for row in range(len(queries.gate))]
    return PairScores(*(np.stack([getattr(one, f.name) for one in found]) for f in fields(PairScores)))


def random(generator: np.random.Generator, order: str, *shape: int) -> np.ndarray:
    return np.asarray(generator.standard_normal(shape) / shape[0] ** 0.5, np.float32, order=order)
