"""Decide whether anything in a gallery fits a query: a probability, and the threshold below which nothing does.

The best score alone does not decide it. Some queries score high with everything, and the best of many photos scores
higher than the best of few. So the classifier also looks at the query's hubness and at the number of photos searched.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.pair_scores import PairScores
from reranker.models.query_words import QUERY_WORDS

# Inputs: each of these, once for sentences and once for names, as the name gate divides them.
FIRST_HIT_FEATURES = (
    *PAIR_FEATURES,
    "ranking_score",
    "query_hubness",
    "gallery_growth",
    "bias",
    "relevance",
    *QUERY_WORDS,
)
FEATURE_NAMES = tuple(f"{kind}.{name}" for kind in ("sentence", "name") for name in FIRST_HIT_FEATURES)
# Relevances nearer to 0 or 1 than this count as this near.
CERTAIN = 1e-4


@dataclass(frozen=True, slots=True)
class NoMatchClassifier:
    """A logistic regression: `probability = sigmoid(features @ weights + bias)`.

    Attributes:
        weights: One per feature of `FEATURE_NAMES`, in that order.
        bias: The intercept.
        threshold: A query of lower probability has no good match.
    """

    weights: tuple[float, ...]
    bias: float
    threshold: float

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Return the chance that something fits: (b,) float32 in 0..1, of (b, 32) `no_match_features`."""
        scores = features @ np.asarray(self.weights, np.float64) + self.bias
        return np.exp(-np.logaddexp(0, -scores)).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Return the weights by feature, the bias and the threshold, for JSON."""
        weights = dict(zip(FEATURE_NAMES, self.weights, strict=True))
        return {"weights": weights, "bias": self.bias, "threshold": self.threshold}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NoMatchClassifier":
        """Read what `as_dict` gave.

        Raises:
            KeyError: An entry is missing.
            TypeError: An entry is of another kind.
            ValueError: The features are not `FEATURE_NAMES`.
        """
        weights = values["weights"]
        unknown = set(weights) - set(FEATURE_NAMES)
        if unknown:
            raise ValueError(f"the no-match decision has weights of unknown features: {', '.join(sorted(unknown))}")
        # A decision that was saved before a feature was thought of does not look at it.
        return cls(tuple(weights.get(name, 0.0) for name in FEATURE_NAMES), values["bias"], values["threshold"])


def no_match_features(
    first_hits: PairScores, query_hubness: np.ndarray, query_words: np.ndarray, gallery_size: int | np.ndarray
) -> np.ndarray:
    """Return what the classifier looks at, for b queries: (b, 32) float32, columns as `FEATURE_NAMES`.

    The relevance enters as its logit. The number of photos enters as `sqrt(2 ln photos)`, the growth of the expected
    maximum of that many normal deviates (Cramer 1946, "Mathematical Methods of Statistics", 28.6).

    Args:
        first_hits: Scores of the b first hits.
        query_hubness: (b,) float32, how near the queries are to photos at large.
        query_words: (b, 4) float32, what `query_words` says of their texts.
        gallery_size: How many photos were searched, for all queries or (b,).
    """
    scores = first_hits.ranking_scores
    growth = np.broadcast_to(np.sqrt(2 * np.log(np.maximum(gallery_size, 1))), scores.shape)
    relevance = np.clip(first_hits.relevance, CERTAIN, 1 - CERTAIN)
    columns = [scores, query_hubness, growth, np.ones_like(scores), np.log(relevance / (1 - relevance))]
    shown = [first_hits.pair_features, *(column[:, None] for column in columns), query_words]
    features = np.concatenate(shown, axis=1)
    gate = first_hits.pair_features[:, PAIR_FEATURES.index("gate")][:, None]
    return np.concatenate([(1 - gate) * features, gate * features], axis=1).astype(np.float32)
