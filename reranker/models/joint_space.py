"""A space: everything below the MLP. Where photos and queries meet, and the scalar scores of a pair.

Candidates are ranked by one inner product of heads, side by side: the map, the meaning map, names. The gate, which
looks at the query alone, weighs the heads; a hub term is one more coordinate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from indexer.encoders.base import Tokens
from indexer.views.view import EncodedPhotos
from reranker.models.class_names import ClassNameHead
from reranker.models.late_interaction import LateInteraction, Words
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import LinearMap, mean_top_products, unit

PAIR_FEATURES = ("cosine", "meaning", "hub", "named", "gate", "late", "late_hub")
# Weights of the heads and of the hub term among candidates, chosen on held-out training photos.
MEANING_WEIGHT = 0.25
NAMES_WEIGHT = 3.0
HUB_WEIGHT = 0.5
HUB_WIDTH = 128
# Added to second moments, in shares of their mean eigenvalue: few photos or captions leave directions without any.
HUB_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class EncodedQueries:
    """What is computed once a query, for b queries.

    `heads`: (b, K) float32, unit rows a head; `gate`: (b,) in 0..1; `candidate`: (b, K + 1), to be multiplied with
    `[z ; hubness]`; `words`: mapped words for late interaction, or None; `hidden`: (b, m), the text part of the MLPs.
    """

    heads: np.ndarray
    gate: np.ndarray
    candidate: np.ndarray
    query_hubness: np.ndarray
    words: Words | None
    hidden: np.ndarray


@dataclass(frozen=True, slots=True)
class Hubness:
    """How near a photo is to queries at large, and a query to photos at large, in the map and in meaning together.

    `turn` (K, h) keeps the directions that matter to products of captions with photos; `captions` (c, h) and `photos`
    (p, h) are training ones, so that `photos @ turn @ captions.T` and `captions @ turn @ photos.T` are nearly what they
    were unturned. Taking a share of its hub term off the score keeps a few photos from being near to everything (after
    CSLS, Conneau et al. 2018).
    """

    turn: np.ndarray
    captions: np.ndarray
    photos: np.ndarray

    @classmethod
    def fit(cls, captions: np.ndarray, photos: np.ndarray) -> "Hubness":
        """captions: (c, K) and photos (p, K), in the map beside meaning as `joined` has them; c is thousands.

        Balanced truncation (Moore 1981): with second moments `Lc^T Lc` of captions and `Lp^T Lp` of photos and
        `Lc Lp^T = U S V^T`, the leading h of S give the products of h coordinates a side that are off by the least on
        average over all pairs. Directions of captions alone, or of photos alone, say nothing about a product.
        """
        of_captions, of_photos = _root_of_moments(captions), _root_of_moments(photos)
        left, strength, right = np.linalg.svd(of_captions @ of_photos.T)
        h = min(HUB_WIDTH, captions.shape[1])
        weights = np.sqrt(strength[:h])
        turn = np.linalg.solve(of_photos, right[:h].T * weights)
        back = np.linalg.solve(of_captions, left[:, :h] * weights)
        nearest = np.linalg.pinv(turn).T
        return cls(*(np.ascontiguousarray(a, np.float32) for a in (turn, captions @ back, photos @ nearest)))

    def terms(self, photos: np.ndarray) -> np.ndarray:
        """photos: (n, K) joined -> (n,) float32, the mean of the largest products with the captions."""
        return mean_top_products(photos @ self.turn, self.captions)

    def query_hubness(self, queries: np.ndarray) -> np.ndarray:
        """queries: (b, K) -> (b,) float32, the mean of the largest products with the photos."""
        return mean_top_products(queries @ self.turn, self.photos, 5)


@dataclass(frozen=True, slots=True)
class JointSpace:
    """Heads with what belongs to them.

    `late_imputation` (4, 2): late score and its hub term from (1, cosine, meaning, hub), for photos without regions.
    """

    map: LinearMap
    meaning: LinearMap
    class_names: ClassNameHead
    lexical: LexicalFeatures
    late_interaction: LateInteraction | None
    hubness: Hubness
    late_imputation: np.ndarray

    @property
    def widths(self) -> tuple[int, int, int]:
        """How wide the heads are."""
        return self.map.k, self.meaning.k, self.class_names.k

    def encode_photos(self, x: np.ndarray, regions: np.ndarray | None) -> EncodedPhotos:
        """x: (n, d); regions: (n, c, r) int8 -> z (n, K), hub (n,), hidden (n, 1), the late hub term; regions."""
        z = np.concatenate([self.map.images(x), self.meaning.images(x), self.class_names.images(x)], axis=1)
        k, r, _ = self.widths
        hubness = self.hubness.terms(np.concatenate([z[:, :k], MEANING_WEIGHT * z[:, k : k + r]], axis=1))
        if self.late_interaction is None or regions is None:
            return EncodedPhotos(z, hubness, np.zeros((len(z), 1), np.float32))
        mapped = self.late_interaction.regions(regions)
        return EncodedPhotos(z, hubness, self.late_interaction.mean_top_products(mapped)[:, None], mapped)

    def encode_queries(self, vectors: np.ndarray, texts: Sequence[str], tokens: Tokens) -> EncodedQueries:
        """vectors: (b, e) from the text encoder and tokens, for `texts`; `hidden` has no columns yet."""
        t = unit(vectors)
        q, meaning = self.lexical.mapped(self.map, vectors, texts), self.meaning.texts(t)
        named, gate = self.class_names.texts(t)
        weighted = [q, MEANING_WEIGHT * meaning, NAMES_WEIGHT * gate[:, None] * named]
        candidate = np.concatenate([*weighted, -HUB_WEIGHT * (1 - gate[:, None])], axis=1)
        words = (
            None if self.late_interaction is None or not len(tokens.vectors) else self.late_interaction.tokens(tokens)
        )
        query_hubness = self.hubness.query_hubness(np.concatenate([q, meaning], axis=1))
        heads = np.concatenate([q, meaning, named], axis=1)
        return EncodedQueries(heads, gate, candidate, query_hubness, words, np.zeros((len(t), 0), np.float32))

    def captions(self) -> np.ndarray:
        """The captions of the hub terms as candidate queries: (c, K + 1) float32, without what their turn left out."""
        return self._as_candidates(self.hubness.captions)

    def mean_caption(self) -> np.ndarray:
        """The mean of `captions`, (K + 1,) float32: its product with a photo's `[z ; hubness]` is the mean of what the
        photo scores as a candidate of each."""
        return self._as_candidates(self.hubness.captions.mean(axis=0)[None])[0]

    def _as_candidates(self, turned: np.ndarray) -> np.ndarray:
        """turned: (c, h) as `hubness_bank.captions` -> (c, K + 1) float32."""
        k, r, named = self.widths
        heads = turned @ self.hubness.turn.T
        queries = np.zeros((len(heads), k + r + named + 1), np.float32)
        queries[:, :k] = heads[:, :k]
        queries[:, k : k + r] = MEANING_WEIGHT * heads[:, k:]
        queries[:, -1] = -HUB_WEIGHT
        return queries

    def pair_features(self, side: EncodedPhotos, query: EncodedQueries, row: int) -> np.ndarray:
        """The scalar scores of gathered photos for one query, columns as SCALARS: (n, 7) float32."""
        late = None
        if self.late_interaction is not None and query.words is not None and side.regions is not None:
            late = self.late_interaction.scores(side.regions, query.words, row)[None]
        return self._pair_features(side, query, slice(row, row + 1), late)[0]

    def matrix(self, side: EncodedPhotos, query: EncodedQueries, rows: slice) -> np.ndarray:
        """The same of every photo for some queries: (queries, n, 7) float32."""
        late = None
        if self.late_interaction is not None and query.words is not None and side.regions is not None:
            offsets = query.words.offsets[rows.start : rows.stop + 1]
            own = slice(offsets[0], offsets[-1])
            words = Words(query.words.vectors[own], query.words.weights[own], offsets - offsets[0])
            late = self.late_interaction.matrix(side.regions, words)
        return self._pair_features(side, query, rows, late)

    def _pair_features(
        self, side: EncodedPhotos, query: EncodedQueries, rows: slice, late: np.ndarray | None
    ) -> np.ndarray:
        k, r, _ = self.widths
        heads, gate = query.heads[rows], query.gate[rows]
        pair_features = np.empty((len(gate), len(side.hubness), len(PAIR_FEATURES)), np.float32)
        pair_features[..., 0] = heads[:, :k] @ side.z[:, :k].T
        pair_features[..., 1] = heads[:, k : k + r] @ side.z[:, k : k + r].T
        pair_features[..., 2] = side.hubness
        pair_features[..., 3] = gate[:, None] * (heads[:, k + r :] @ side.z[:, k + r :].T)
        pair_features[..., 4] = gate[:, None]
        if late is None:
            pair_features[..., 5:] = self.late_imputation[0] + pair_features[..., :3] @ self.late_imputation[1:]
        else:
            pair_features[..., 5] = late
            pair_features[..., 6] = side.hidden[:, 0]
        return pair_features


def _root_of_moments(rows: np.ndarray) -> np.ndarray:
    """rows: (n, K) -> L (K, K) float64, upper triangular, with `L^T L` their second moments and a little more."""
    moments = rows.T.astype(np.float64) @ rows / len(rows)
    moments[np.diag_indices_from(moments)] += HUB_RIDGE * np.trace(moments) / len(moments)
    return np.linalg.cholesky(moments).T


def candidate_of(pair_features: np.ndarray) -> np.ndarray:
    """The score of the candidate stage, put together again from scalars (..., 7) -> (...,)."""
    cosine, meaning, hubness, named, gate = np.moveaxis(pair_features[..., :5], -1, 0)
    together: np.ndarray = cosine + MEANING_WEIGHT * meaning + NAMES_WEIGHT * named - HUB_WEIGHT * (1 - gate) * hubness
    return together


def joined(fitted: LinearMap, meaning: LinearMap, x: np.ndarray) -> np.ndarray:
    """x: (n, d) -> (n, K): photos in the map beside meaning, weighed as candidates are."""
    return np.concatenate([fitted.images(x), MEANING_WEIGHT * meaning.images(x)], axis=1)


def joint_space_arrays(joint_space: JointSpace) -> dict[str, np.ndarray]:
    """Everything of a space but its vocabulary, as named arrays."""
    arrays = {f"map.{f.name}": getattr(joint_space.map, f.name) for f in fields(LinearMap)}
    arrays |= {f"meaning.{f.name}": getattr(joint_space.meaning, f.name) for f in fields(LinearMap)}
    arrays |= {f"names.{f.name}": getattr(joint_space.class_names, f.name) for f in fields(ClassNameHead)}
    arrays |= {f"hubs.{f.name}": getattr(joint_space.hubness, f.name) for f in fields(Hubness)}
    arrays |= {"idf": joint_space.lexical.idf, "guess": joint_space.late_imputation}
    if joint_space.late_interaction is not None:
        arrays |= {
            f"late.{f.name}": getattr(joint_space.late_interaction, f.name)
            for f in fields(LateInteraction)
            if f.name != "bank"
        }
        arrays |= {f"late.bank.{f.name}": getattr(joint_space.late_interaction.bank, f.name) for f in fields(Words)}
    return arrays


def joint_space_of_arrays(arrays: dict[str, np.ndarray], vocabulary: tuple[str, ...]) -> JointSpace:
    """The space that `joint_space_arrays` took apart. Raises KeyError if a part is missing."""
    late = None
    if any(name.startswith("late.") for name in arrays):
        weights = [arrays[f"late.{f.name}"] for f in fields(LateInteraction) if f.name != "bank"]
        late = LateInteraction.of(weights, Words(*(arrays[f"late.bank.{f.name}"] for f in fields(Words))))
    return JointSpace(
        map=LinearMap(*(arrays[f"map.{f.name}"] for f in fields(LinearMap))),
        meaning=LinearMap(*(arrays[f"meaning.{f.name}"] for f in fields(LinearMap))),
        class_names=ClassNameHead(*(arrays[f"names.{f.name}"] for f in fields(ClassNameHead))),
        lexical=LexicalFeatures(vocabulary, arrays["idf"]),
        late_interaction=late,
        hubness=Hubness(*(arrays[f"hubs.{f.name}"] for f in fields(Hubness))),
        late_imputation=arrays["guess"],
    )
