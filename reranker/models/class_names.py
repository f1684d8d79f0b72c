"""Names of things: a second head for queries like "violin" or "a photo of a dog", with a gate that tells them.

A vocabulary maps the text vector of each name to where photos of it lie. A query takes the place of the names it is
nearest to, and counts for as much as it looks like a name rather than a sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.models.linear_map import unit

TEMPLATES = ("{}", "a {}", "a photo of a {}", "a picture of {}")
# How sharply a query's similarity to names is read: two names this far apart in cosine differ by a factor e.
TEMPERATURE = 0.05
NEAREST = 5
K = 256
# What is left of a unit direction that a head's dimensions do not hold; rounded to int8, they miss some thousandths.
NEW_DIRECTION = 0.05
# Two keys of one name; rounding moves them by less.
SAME_NAME = 0.999


@dataclass(frozen=True, slots=True)
class ClassNameHead:
    """A (d, k) and a (k,): photos into the names' space; keys (v, e) unit rows; values (v, k) unit rows;
    gate (e + 2,): weights of a query's text vector, of its similarity to names, and a bias. All float32.

    One without keys has k = 0 and its gate is always shut.
    """

    A: np.ndarray
    a: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    gate: np.ndarray

    @classmethod
    def none(cls, d: int, e: int) -> "ClassNameHead":
        """No names for (n, d) embeddings and (n, e) text vectors."""
        shapes = ((d, 0), (0,), (0, e), (0, 0), (e + 2,))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    @property
    def k(self) -> int:
        return int(self.A.shape[1])

    def images(self, x: np.ndarray) -> np.ndarray:
        """x: (n, d) -> (n, k) float32, unit rows."""
        return unit(x.astype(np.float32, copy=False) @ self.A - self.a)

    def texts(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t: (n, e) unit rows -> the places they name (n, k), unit rows, and the gate (n,) in 0..1, both float32."""
        if not self.k:
            return np.zeros((len(t), 0), np.float32), np.zeros(len(t), np.float32)
        similarity = t @ self.keys.T
        shares = similarity / TEMPERATURE
        shares = np.exp(shares - shares.max(axis=1, keepdims=True))
        places = unit(shares @ self.values / shares.sum(axis=1, keepdims=True))
        looks = _gate_features(t, similarity) @ self.gate
        return places, np.exp(-np.logaddexp(0, -looks)).astype(np.float32)


def fit_class_names(
    names: Sequence[Sequence[str]],
    prototypes: np.ndarray,
    vectors: np.ndarray,
    captions: np.ndarray,
    centre: np.ndarray | None = None,
) -> ClassNameHead:
    """Learn the head and its gate.

    names: for each thing its names; prototypes: (things, d) where its photos lie; vectors: (names * templates, e) unit
    text vectors of every name in every template, `named_texts` in their order; captions: (m, e) unit text vectors of
    sentences that are no names. `centre` (d,) is taken off photos and prototypes.
    """
    from sklearn.linear_model import LogisticRegression

    thing = np.repeat(np.arange(len(names)), [len(of_one) for of_one in names])
    shift = np.zeros(prototypes.shape[1], np.float32) if centre is None else centre
    directions = unit(prototypes - shift)
    _, strength, turned = np.linalg.svd(directions, full_matrices=False)
    k = min(K, int((strength > 1e-3 * strength[0]).sum()))
    A = np.ascontiguousarray(turned[:k].T, np.float32)
    keys = unit(vectors.reshape(len(thing), len(TEMPLATES), -1).mean(axis=1))
    similarity = vectors @ keys.T
    # What a name of its own would not know: it must look like a name without itself among the names.
    others = np.repeat(thing, len(TEMPLATES))[:, None] != thing
    usual = (similarity * others).sum(axis=1, keepdims=True) / others.sum(axis=1, keepdims=True)
    similarity = np.where(others, similarity, usual)
    inputs = np.concatenate([_gate_features(vectors, similarity), _gate_features(captions, captions @ keys.T)])
    is_name = np.repeat([1, 0], [len(vectors), len(captions)])
    model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000, fit_intercept=False).fit(inputs, is_name)
    return ClassNameHead(A, shift @ A, keys, unit(directions[thing] @ A), model.coef_[0].astype(np.float32))


def extend_class_names(
    base: ClassNameHead, names: Sequence[Sequence[str]], prototypes: np.ndarray, vectors: np.ndarray, centre: np.ndarray
) -> ClassNameHead:
    """A head with more things, or with others for the names that it has; its gate knows already what names look like.

    names, prototypes, vectors, centre: as of `fit_class_names`. Directions that the head does not have yet
    become dimensions of their own.
    """
    thing = np.repeat(np.arange(len(names)), [len(of_one) for of_one in names])
    keys = unit(vectors.reshape(len(thing), len(TEMPLATES), -1).mean(axis=1))
    directions = unit(prototypes - centre)
    _, strength, turned = np.linalg.svd(directions - directions @ base.A @ base.A.T, full_matrices=False)
    more = turned[strength > NEW_DIRECTION].T
    A = np.concatenate([base.A, more], axis=1).astype(np.float32)
    kept = (base.keys @ keys.T).max(axis=1) < SAME_NAME
    places = np.pad(base.values[kept], ((0, 0), (0, more.shape[1])))
    return ClassNameHead(
        A,
        np.concatenate([base.a, centre @ more]).astype(np.float32),
        np.concatenate([base.keys[kept], keys]),
        np.concatenate([places, unit(directions[thing] @ A)]),
        base.gate,
    )


def named_texts(names: Sequence[Sequence[str]]) -> list[str]:
    """Every name in every template, a name's templates side by side."""
    return [template.format(name) for of_one in names for name in of_one for template in TEMPLATES]


def _gate_features(t: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """(n, e + 2): the text vector, the mean of its best similarities to names (scaled up to count), and 1."""
    nearest = min(NEAREST, similarity.shape[1])
    best = np.partition(similarity, -nearest, axis=1)[:, -nearest:].mean(axis=1, keepdims=True)
    return np.concatenate([t, 5 * best, np.ones_like(best)], axis=1)
