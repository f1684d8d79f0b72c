"""Decide whether anything in a gallery fits a query: a probability, and the threshold below which nothing does.

The best score alone does not decide it. Some queries score high with everything, and the best of many photos scores
higher than the best of few. So the classifier also looks at the query's hubness and at the number of photos searched.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reranker.models.joint_space import PAIR_FEATURES

# Inputs: each of these, once for sentences and once for names, as the name gate divides them.
FIRST_HIT_FEATURES = (*PAIR_FEATURES, "ranking_score", "query_hubness", "gallery_growth", "bias")
FEATURE_NAMES = tuple(f"{kind}.{name}" for kind in ("sentence", "name") for name in FIRST_HIT_FEATURES)


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
        """Return the chance that something fits: (b,) float32 in 0..1, of (b, 22) `no_match_features`."""
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
        if set(weights) != set(FEATURE_NAMES):
            raise ValueError(f"the no-match decision has {len(weights)} weights, not {len(FEATURE_NAMES)}")
        return cls(tuple(weights[name] for name in FEATURE_NAMES), values["bias"], values["threshold"])


def no_match_features(
    ranking_scores: np.ndarray, pair_features: np.ndarray, query_hubness: np.ndarray, gallery_size: int | np.ndarray
) -> np.ndarray:
    """Return what the classifier looks at, for b queries: (b, 22) float32, columns as `FEATURE_NAMES`.

    The number of photos enters as `sqrt(2 ln photos)`, the growth of the expected maximum of that many normal deviates
    (Cramer 1946, "Mathematical Methods of Statistics", 28.6).

    Args:
        ranking_scores: (b,) float32 of the first hits.
        pair_features: (b, 7) float32 of the first hits.
        query_hubness: (b,) float32, how near the queries are to photos at large.
        gallery_size: How many photos were searched, for all queries or (b,).
    """
    growth = np.broadcast_to(np.sqrt(2 * np.log(np.maximum(gallery_size, 1))), ranking_scores.shape)
    columns = [ranking_scores, query_hubness, growth, np.ones_like(ranking_scores)]
    shown = np.concatenate([pair_features, *(column[:, None] for column in columns)], axis=1)
    gate = pair_features[:, PAIR_FEATURES.index("gate")][:, None]
    return np.concatenate([(1 - gate) * shown, gate * shown], axis=1).astype(np.float32)
