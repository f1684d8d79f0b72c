"""Hold the joint space: where photos and queries meet, and the features of a pair that are computed exactly.

Candidates are ranked by one inner product. Its heads lie side by side in one vector: the map, the meaning head, the
class-name head. The name gate, which looks at the query alone, weighs them, and hubness is one more coordinate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from indexer.encoders import Tokens
from indexer.views.view import EncodedPhotos
from reranker.models.class_names import ClassNameHead
from reranker.models.hubness import Hubness
from reranker.models.late_interaction import LateInteraction, Words
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import LinearMap, unit
from reranker.models.query_words import KnownWords, query_words
from reranker.models.ranking_settings import RankingSettings

PAIR_FEATURES = ("cosine", "meaning", "hub", "named", "gate", "late", "late_hub")


@dataclass(frozen=True, slots=True)
class EncodedQueries:
    """The parts of b queries that are computed once per query.

    Attributes:
        heads: (b, K) float32, unit rows per head.
        gate: (b,) float32 in 0..1, the name gate.
        candidate: (b, K + 1) float32; its product with `[z ; hubness]` of a photo is the candidate score.
        query_hubness: (b,) float32, how near the queries are to photos at large.
        query_words: (b, 4) float32, what `query_words` says of their texts.
        words: Mapped words for late interaction, or None.
        ranking_part: (b, m) float32, the texts' share of the ranking MLP's first layer; m is 0 without MLPs.
        relevance_part: (b, r) float32, their share of the relevance MLP's first layer; r is 0 without MLPs.
    """

    heads: np.ndarray
    gate: np.ndarray
    candidate: np.ndarray
    query_hubness: np.ndarray
    query_words: np.ndarray
    words: Words | None
    ranking_part: np.ndarray
    relevance_part: np.ndarray


@dataclass(frozen=True, slots=True)
class JointSpace:
    """The heads and what belongs to them.

    Attributes:
        map: The linear map, which tells a sentence's own photo.
        meaning: The meaning head, which keeps the geometry of sentences; people's grades follow it more closely.
        class_names: The class-name head with its gate.
        lexical: Lexical features, a part of the map's text vectors.
        late_interaction: Words against regions, or None.
        hubness: What hubness is measured against.
        late_imputation: (4, 2) float32, the late score and its hubness from (1, cosine, meaning, hub), for photos
            without region vectors.
        settings: Every number of the ranking that is not learned.
        known_words: The words that training captions and names say.
    """

    map: LinearMap
    meaning: LinearMap
    class_names: ClassNameHead
    lexical: LexicalFeatures
    late_interaction: LateInteraction | None
    hubness: Hubness
    late_imputation: np.ndarray
    settings: RankingSettings
    known_words: KnownWords = field(default_factory=KnownWords)

    @property
    def widths(self) -> tuple[int, int, int]:
        """The widths of the three heads."""
        return self.map.k, self.meaning.k, self.class_names.k

    @property
    def photo_weights(self) -> np.ndarray:
        """Weights of the coordinates in a product of two photos, (K,) float32: map and meaning, as in candidates."""
        k, r, names = self.widths
        return np.repeat(np.array([1, self.settings.heads.meaning**2, 0], np.float32), [k, r, names])

    def encode_photos(self, x: np.ndarray, regions: np.ndarray | None) -> EncodedPhotos:
        """Compute what does not depend on a query.

        Args:
            x: (n, d) float32 image embeddings, unit rows.
            regions: (n, c, r) int8 region vectors, or None.

        Returns:
            Encoded photos whose `hidden` is (n, 1) float32, the hubness by late interaction.
        """
        z = np.concatenate([self.map.images(x), self.meaning.images(x), self.class_names.images(x)], axis=1)
        k, r, _ = self.widths
        in_both = np.concatenate([z[:, :k], self.settings.heads.meaning * z[:, k : k + r]], axis=1)
        hubness = self.hubness.photo_hubness(in_both, self.settings.hubness.captions)
        if self.late_interaction is None or regions is None:
            return EncodedPhotos(z, hubness, np.zeros((len(z), 1), np.float32))
        mapped = self.late_interaction.regions(regions)
        late_hubness = self.late_interaction.hubness(mapped, self.settings.hubness.late_captions)
        return EncodedPhotos(z, hubness, late_hubness[:, None], mapped)

    def encode_queries(self, vectors: np.ndarray, texts: Sequence[str], tokens: Tokens) -> EncodedQueries:
        """Compute what does not depend on a photo.

        Args:
            vectors: (b, e) float32 text vectors, from the text encoder.
            texts: The b texts.
            tokens: Their word pieces with vectors, or none.

        Returns:
            Encoded queries without the MLPs' parts.
        """
        t = unit(vectors)
        weights = self.settings.heads
        q, meaning = self.lexical.mapped(self.map, vectors, texts), self.meaning.texts(t)
        of_words = query_words(texts, self.lexical, self.known_words)
        named, gate = self.class_names.texts(t, of_words, self.settings.class_names)
        weighted = [q, weights.meaning * meaning, weights.class_names * gate[:, None] * named]
        words = None
        if self.late_interaction is not None and len(tokens.vectors):
            words = self.late_interaction.tokens(tokens)
        # The hub correction: the last coordinate of a candidate is its hubness, and this weight takes it off the score.
        hub_weight = -weights.hubness * (1 - gate[:, None])
        none = np.zeros((len(t), 0), np.float32)
        return EncodedQueries(
            heads=np.concatenate([q, meaning, named], axis=1),
            gate=gate,
            candidate=np.concatenate([*weighted, hub_weight], axis=1),
            query_hubness=self.hubness.query_hubness(
                np.concatenate([q, meaning], axis=1), self.settings.hubness.photos
            ),
            query_words=of_words,
            words=words,
            ranking_part=none,
            relevance_part=none,
        )

    def captions(self) -> np.ndarray:
        """Return the training captions of the hubness as candidate queries: (c, K + 1) float32."""
        return self._as_candidates(self.hubness.captions)

    def mean_caption(self) -> np.ndarray:
        """Return the mean of `captions`, (K + 1,) float32.

        Its product with a photo's `[z ; hubness]` is the mean of what the photo scores as a candidate of each caption.
        """
        return self._as_candidates(self.hubness.captions.mean(axis=0)[None])[0]

    def pair_features(self, photos: EncodedPhotos, queries: EncodedQueries, row: int) -> np.ndarray:
        """Compute the features of photos paired with one query.

        Args:
            photos: n encoded photos.
            queries: Encoded queries.
            row: Which of them.

        Returns:
            (n, 7) float32, columns as `PAIR_FEATURES`.
        """
        late = None
        if self.late_interaction is not None and queries.words is not None and photos.regions is not None:
            late = self.late_interaction.scores(photos.regions, queries.words, row)[None]
        return self._pair_features(photos, queries, slice(row, row + 1), late)[0]

    def pair_feature_matrix(self, photos: EncodedPhotos, queries: EncodedQueries, rows: slice) -> np.ndarray:
        """Compute the features of photos paired with some queries: (queries, n, 7) float32, see `pair_features`."""
        late = None
        if self.late_interaction is not None and queries.words is not None and photos.regions is not None:
            offsets = queries.words.offsets[rows.start : rows.stop + 1]
            own = slice(offsets[0], offsets[-1])
            words = Words(queries.words.vectors[own], queries.words.weights[own], offsets - offsets[0])
            late = self.late_interaction.matrix(photos.regions, words)
        return self._pair_features(photos, queries, rows, late)

    def candidate_scores_of(self, pair_features: np.ndarray) -> np.ndarray:
        """Return the candidate scores (...,) float32 that pair features (..., 7) float32 stand for."""
        weights = self.settings.heads
        cosine, meaning, hubness, named, gate = np.moveaxis(pair_features[..., :5], -1, 0)
        scores: np.ndarray = cosine + weights.meaning * meaning + weights.class_names * named
        return scores - weights.hubness * (1 - gate) * hubness

    def _as_candidates(self, turned: np.ndarray) -> np.ndarray:
        """Turn captions of `Hubness.captions`, (c, h), into candidate queries, (c, K + 1) float32."""
        k, r, named = self.widths
        heads = turned @ self.hubness.turn.T
        queries = np.zeros((len(heads), k + r + named + 1), np.float32)
        queries[:, :k] = heads[:, :k]
        queries[:, k : k + r] = self.settings.heads.meaning * heads[:, k:]
        queries[:, -1] = -self.settings.heads.hubness
        return queries

    def _pair_features(
        self, photos: EncodedPhotos, queries: EncodedQueries, rows: slice, late: np.ndarray | None
    ) -> np.ndarray:
        """Compute the features (queries, n, 7), given the late scores (queries, n) or None."""
        k, r, _ = self.widths
        heads, gate = queries.heads[rows], queries.gate[rows]
        features = np.empty((len(gate), len(photos.hubness), len(PAIR_FEATURES)), np.float32)
        features[..., 0] = heads[:, :k] @ photos.z[:, :k].T
        features[..., 1] = heads[:, k : k + r] @ photos.z[:, k : k + r].T
        features[..., 2] = photos.hubness
        features[..., 3] = gate[:, None] * (heads[:, k + r :] @ photos.z[:, k + r :].T)
        features[..., 4] = gate[:, None]
        if late is None:
            features[..., 5:] = self.late_imputation[0] + features[..., :3] @ self.late_imputation[1:]
        else:
            features[..., 5] = late
            features[..., 6] = photos.hidden[:, 0]
        return features


def candidate_scores(photos: EncodedPhotos, queries: EncodedQueries) -> np.ndarray:
    """Return the candidate scores of every photo for every query: (queries, photos) float32."""
    scores: np.ndarray = queries.candidate[:, :-1] @ photos.z.T
    scores += queries.candidate[:, -1:] * photos.hubness
    return scores


def joint_space_arrays(joint_space: JointSpace) -> dict[str, np.ndarray]:
    """Return every array of a joint space by the name that it is stored under."""
    parts: dict[str, LinearMap | ClassNameHead | Hubness] = {
        "map": joint_space.map,
        "meaning": joint_space.meaning,
        "names": joint_space.class_names,
        "hubs": joint_space.hubness,
    }
    arrays = {f"{name}.{f.name}": getattr(part, f.name) for name, part in parts.items() for f in fields(part)}
    arrays |= {"idf": joint_space.lexical.idf, "guess": joint_space.late_imputation}
    late = joint_space.late_interaction
    if late is not None:
        arrays |= {f"late.{f.name}": getattr(late, f.name) for f in fields(late) if f.name != "bank"}
        arrays |= {f"late.bank.{f.name}": getattr(late.bank, f.name) for f in fields(late.bank)}
    return arrays


def joint_space_of_arrays(
    arrays: dict[str, np.ndarray],
    vocabulary: tuple[str, ...],
    settings: RankingSettings,
    known_words: tuple[str, ...] = (),
) -> JointSpace:
    """Put a joint space together again.

    Args:
        arrays: What `joint_space_arrays` gave.
        vocabulary: The words of the lexical features.
        settings: The ranking settings.
        known_words: The words that training captions and names say, the most frequent first.

    Raises:
        KeyError: An array is missing.
    """
    late = None
    if any(name.startswith("late.") for name in arrays):
        bank = Words(**{f.name: arrays[f"late.bank.{f.name}"] for f in fields(Words)})
        own = {f.name: arrays[f"late.{f.name}"] for f in fields(LateInteraction) if f.name != "bank"}
        late = LateInteraction(**own, bank=bank)
    return JointSpace(
        map=LinearMap(**_part(arrays, "map", LinearMap)),
        meaning=LinearMap(**_part(arrays, "meaning", LinearMap)),
        class_names=ClassNameHead(**_part(arrays, "names", ClassNameHead)),
        lexical=LexicalFeatures(vocabulary, arrays["idf"], settings.lexical_weight),
        late_interaction=late,
        hubness=Hubness(**_part(arrays, "hubs", Hubness)),
        late_imputation=arrays["guess"],
        settings=settings,
        known_words=KnownWords(known_words),
    )


def _part(arrays: dict[str, np.ndarray], name: str, kind: type) -> dict[str, np.ndarray]:
    return {f.name: arrays[f"{name}.{f.name}"] for f in fields(kind)}
