"""Whether anything in the gallery fits a query at all: a probability a query, and the point below which it is no match.

The best score alone does not tell: some queries score high with everything, and the best of many photos scores higher
than the best of few. Beside the first hit's scores, the decision looks at how high the query scores among reference
photos, which are training photos, and at how many photos were searched.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reranker.models.joint_space import PAIR_FEATURES

FEATURES = 2 * (len(PAIR_FEATURES) + 4)


@dataclass(frozen=True, slots=True)
class NoMatchClassifier:
    """`probability = sigmoid(features @ weights + bias)`; `threshold` is the operating point.

    weights: one a feature, see `no_match_features`.
    """

    weights: tuple[float, ...]
    bias: float
    threshold: float

    def probability(self, features: np.ndarray) -> np.ndarray:
        """features: (b, FEATURES) -> (b,) float32 in 0..1."""
        scores = features @ np.asarray(self.weights, np.float64) + self.bias
        return np.exp(-np.logaddexp(0, -scores)).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NoMatchClassifier":
        """What `as_dict` gave. Raises KeyError, TypeError or ValueError if it is no such thing."""
        if len(values["weights"]) != FEATURES:
            raise ValueError(f"the no-match decision has {len(values['weights'])} weights, not {FEATURES}")
        return cls(tuple(values["weights"]), values["bias"], values["threshold"])


def no_match_features(
    order: np.ndarray, pair_features: np.ndarray, query_hubness: np.ndarray, photos: int | np.ndarray
) -> np.ndarray:
    """What the decision looks at, for b queries: (b, FEATURES) float32, once weighed as a sentence and once as a name.

    order: (b,) order score of the first hit; scalars: (b, 7), its scores; usual: (b,) how high the query scores among
    reference photos; photos: how many photos were searched, of all queries or (b,). These enter as sqrt(2 ln photos),
    which the expected maximum of so many normal deviates grows like (Cramer 1946, 28.6).
    """
    growth = np.broadcast_to(np.sqrt(2 * np.log(np.maximum(photos, 1))), order.shape)
    columns = [order, query_hubness, growth, np.ones_like(order)]
    shown = np.concatenate([pair_features, *(column[:, None] for column in columns)], axis=1)
    gate = pair_features[:, PAIR_FEATURES.index("gate")][:, None]
    return np.concatenate([(1 - gate) * shown, gate * shown], axis=1).astype(np.float32)


def fit_no_match(present: np.ndarray, absent: np.ndarray, missed: float) -> NoMatchClassifier:
    """Logistic regression of whether a fitting photo is there.

    present, absent: (n, FEATURES) of queries with and without one. The operating point lets `missed` of the queries
    with a photo to find be told "no good match", and no more.
    """
    from sklearn.linear_model import LogisticRegression

    inputs = np.concatenate([present, absent]).astype(np.float64)
    spread = np.maximum(inputs.std(axis=0), 1e-6)
    outcome = np.repeat([1, 0], [len(present), len(absent)])
    model = LogisticRegression(C=1.0, max_iter=1000, class_weight="balanced").fit(inputs / spread, outcome)
    match = NoMatchClassifier(tuple(float(w) for w in model.coef_[0] / spread), float(model.intercept_[0]), 0.0)
    threshold = float(np.quantile(match.probability(present), missed))
    return NoMatchClassifier(match.weights, match.bias, threshold)
