"""Fit the head of class names and its gate to names, prototypes of photos, and sentences."""

from collections.abc import Sequence

import numpy as np

from reranker.models.class_names import GATE_FEATURES, ClassNameHead, gate_features
from reranker.models.linear_map import unit
from reranker.models.query_words import QUERY_WORDS
from reranker.models.ranking_settings import ClassNameSettings

# Texts whose mean vector stands for a name.
TEMPLATES = ("{}", "a {}", "a photo of a {}", "a picture of {}")
# Dimensions of a new head, at most.
MAX_DIMENSIONS = 256
# Directions of a new head whose singular value is less than this share of the largest are left out.
MIN_STRENGTH = 1e-3
# A unit direction of which a head's dimensions miss at least this length becomes a new dimension; rounded to int8, they
# miss some thousandths of a direction that they have.
NEW_DIRECTION = 0.05
# Least cosine of two keys of one name; rounding moves them by less.
SAME_NAME = 0.999
# Inverse strength of the gate's L2 penalty.
GATE_C = 10.0


def fit_class_names(
    names: Sequence[Sequence[str]],
    prototypes: np.ndarray,
    vectors: np.ndarray,
    sentences: np.ndarray,
    centre: np.ndarray | None = None,
    settings: ClassNameSettings | None = None,
) -> ClassNameHead:
    """Fit the head and its gate.

    Args:
        names: The names of each of c classes.
        prototypes: (c, d) float32, where photos of each class lie among photo embeddings.
        vectors: (names * templates, e) float32 unit text vectors of `named_texts(names)`.
        sentences: (m, e) float32 unit text vectors of sentences that are no names.
        centre: (d,) float32, taken off photos and prototypes; by default nothing is.
        settings: How queries are compared with names, by default as new rankers do.

    Returns:
        The head, of as many dimensions as the prototypes need, 256 at most.
    """
    from sklearn.linear_model import LogisticRegression

    settings = settings or ClassNameSettings()
    class_of = np.repeat(np.arange(len(names)), [len(of_one) for of_one in names])
    shift = np.zeros(prototypes.shape[1], np.float32) if centre is None else centre
    directions = unit(prototypes - shift)
    _, strength, turned = np.linalg.svd(directions, full_matrices=False)
    k = min(MAX_DIMENSIONS, int((strength > MIN_STRENGTH * strength[0]).sum()))
    A = np.ascontiguousarray(turned[:k].T, np.float32)
    keys = unit(vectors.reshape(len(class_of), len(TEMPLATES), -1).mean(axis=1))
    similarity = vectors @ keys.T
    # A name must look like a name without itself among the names, so its own class has the mean of the others.
    others = np.repeat(class_of, len(TEMPLATES))[:, None] != class_of
    mean_of_others = (similarity * others).sum(axis=1, keepdims=True) / others.sum(axis=1, keepdims=True)
    similarity = np.where(others, similarity, mean_of_others)
    # This gate tells names from sentences by what they say and by the mean similarity: the largest one of a name whose
    # own class is left out, and how far the next is behind, say nothing. `choose_gate` learns another for words that
    # captions say.
    no_words = np.zeros((len(vectors) + len(sentences), len(QUERY_WORDS)), np.float32)
    texts, similarity = np.concatenate([vectors, sentences]), np.concatenate([similarity, sentences @ keys.T])
    inputs = gate_features(texts, similarity, no_words, settings)
    is_used = np.arange(inputs.shape[1]) < vectors.shape[1] + GATE_FEATURES.index("nearest")
    is_name = np.repeat([1, 0], [len(vectors), len(sentences)])
    gate = LogisticRegression(C=GATE_C, class_weight="balanced", max_iter=1000, fit_intercept=False)
    gate.fit(inputs * is_used, is_name)
    weights = gate.coef_[0].astype(np.float32)
    return ClassNameHead(A, shift @ A, keys, unit(directions[class_of] @ A), weights, weights)


def extend_class_names(
    base: ClassNameHead, names: Sequence[Sequence[str]], prototypes: np.ndarray, vectors: np.ndarray, centre: np.ndarray
) -> ClassNameHead:
    """Add classes to a head, or give names that it has another place; its gate stays as it is.

    Directions that the head does not have yet become dimensions of their own.

    Args:
        base: The head; it is left as it is.
        names: The names of each of c classes.
        prototypes: (c, d) float32, where photos of each class lie among photo embeddings.
        vectors: (names * templates, e) float32 unit text vectors of `named_texts(names)`.
        centre: (d,) float32, taken off photos and prototypes.

    Returns:
        The extended head.
    """
    class_of = np.repeat(np.arange(len(names)), [len(of_one) for of_one in names])
    keys = unit(vectors.reshape(len(class_of), len(TEMPLATES), -1).mean(axis=1))
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
        np.concatenate([places, unit(directions[class_of] @ A)]),
        base.gate,
        base.said_gate,
    )


def named_texts(names: Sequence[Sequence[str]]) -> list[str]:
    """Return every name in every template, the templates of a name side by side.

    Args:
        names: The names of each class.
    """
    return [template.format(name) for of_one in names for name in of_one for template in TEMPLATES]
