"""Rank every photo of a gallery for many queries, as a search ranks them."""

from dataclasses import dataclass

import numpy as np

from indexer.encoders import Tokens
from indexer.views.ann_search import top_rows
from indexer.views.view import EncodedPhotos
from reranker.models.joint_space import PAIR_FEATURES, candidate_scores
from reranker.models.pair_scores import PairScores
from reranker.ranker import Ranker
from reranker.ranking import Candidates, isotonic_relevance, rank_candidates

# Puts photos that are no candidates behind all that are.
_BEHIND = 1e4


@dataclass(frozen=True, slots=True)
class GalleryPhotos:
    """The photos of a gallery.

    Attributes:
        x: (n, d) float32 image embeddings, unit rows.
        regions: (n, c, r) int8 region vectors, or None.
    """

    x: np.ndarray
    regions: np.ndarray | None


@dataclass(frozen=True, slots=True)
class GalleryQueries:
    """Queries that search a gallery.

    Attributes:
        texts: The b texts.
        t: (b, e) float32 text vectors.
        tokens: Their word pieces with vectors.
    """

    texts: list[str]
    t: np.ndarray
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class GalleryRanking:
    """Ranking of the n photos of a gallery by b queries.

    Attributes:
        ranker: The ranker.
        photos: What it computed of the photos.
        candidate_scores: (b, n) float32 scores of the candidate stage.
        ranking_scores: (b, n) float32, what a search sorts by; photos that are no candidates come behind, in the order
            of their candidate scores.
        rows: (b, c) int64, the candidates.
        uncorrected: (b, c) float32, their ranking scores before the small-gallery correction.
        uncorrected_relevance: (b, c) float32 in 0..1, their relevance.
        pair_features: (b, c, 7) float32, their pair features.
        query_hubness: (b,) float32, how near the queries are to photos at large.
        query_words: (b, 4) float32, what the ranker says of the words of the queries.
        relevance: (b, c) float32 in 0..1, relevance of the candidates, best first; it may rise down the hits.
    """

    ranker: Ranker
    photos: EncodedPhotos
    candidate_scores: np.ndarray
    ranking_scores: np.ndarray
    rows: np.ndarray
    uncorrected: np.ndarray
    uncorrected_relevance: np.ndarray
    pair_features: np.ndarray
    query_hubness: np.ndarray
    query_words: np.ndarray
    relevance: np.ndarray

    def first_hits(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first hits of each query with the relevance that a search shows.

        Args:
            count: How many hits; fewer come only if the gallery, or the candidates, are fewer.

        Returns:
            Photos (b, count) int64, best first, and their relevance (b, count) float32, which never rises.
        """
        order = np.argsort(-self.ranking_scores, axis=1, kind="stable")[:, : self.relevance.shape[1]]
        scores = np.take_along_axis(self.ranking_scores, order, axis=1)
        shown = np.stack(
            [isotonic_relevance(*of_query, count) for of_query in zip(self.relevance, scores, strict=True)]
        )
        return order[:, : shown.shape[1]], shown

    def match_probability(self, kept: np.ndarray) -> np.ndarray:
        """Return the chance that anything fits each query, in galleries that lack some photos: (b,) float32.

        Args:
            kept: (b, n) bool, which photos a query's gallery has. At least one of its candidates must be among them.
        """
        scores = np.where(np.take_along_axis(kept, self.rows, axis=1), self.uncorrected, -np.inf)
        queries, first = np.arange(len(scores)), scores.argmax(axis=1)
        parts = (self.uncorrected, self.uncorrected_relevance, self.pair_features)
        first_hits = PairScores(*(part[queries, first] for part in parts))
        return self.ranker.match_probability(first_hits, self.query_hubness, self.query_words, kept.sum(axis=1))


def rank_gallery(ranker: Ranker, photos: GalleryPhotos, queries: GalleryQueries) -> GalleryRanking:
    """Rank every photo of a gallery for every query.

    Args:
        ranker: The ranker to rank with.
        photos: The n photos; every one of them is searched.
        queries: The b queries.
    """
    encoded_photos = ranker.encode_photos(photos.x, photos.regions)
    encoded_queries = ranker.encode_queries(queries.t, queries.texts, queries.tokens)
    scores = candidate_scores(encoded_photos, encoded_queries)
    size = scores.shape[1]
    rows, _ = top_rows(scores, np.arange(size), min(ranker.settings.candidates, size))
    ranking_scores = scores - np.float32(_BEHIND)
    uncorrected, uncorrected_relevance = np.empty(rows.shape, np.float32), np.empty(rows.shape, np.float32)
    pair_features = np.empty((*rows.shape, len(PAIR_FEATURES)), np.float32)
    relevance = np.empty(rows.shape, np.float32)
    for query, of_query in enumerate(rows):
        candidates = Candidates(of_query, encoded_photos.take(of_query), size)
        ranked = rank_candidates(ranker, candidates, encoded_queries, query)
        ranking_scores[query, of_query[ranked.places]] = ranked.ranking_scores
        uncorrected[query], uncorrected_relevance[query] = ranked.pairs.ranking_scores, ranked.pairs.relevance
        pair_features[query], relevance[query] = ranked.pairs.pair_features, ranked.relevance
    return GalleryRanking(
        ranker=ranker,
        photos=encoded_photos,
        candidate_scores=scores,
        ranking_scores=ranking_scores,
        rows=rows,
        uncorrected=uncorrected,
        uncorrected_relevance=uncorrected_relevance,
        pair_features=pair_features,
        query_hubness=encoded_queries.query_hubness,
        query_words=encoded_queries.query_words,
        relevance=relevance,
    )
