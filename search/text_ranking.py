"""Rank the photos of a view for text queries: encode, find candidates, rerank."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.views.view import View
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import Ranker
from reranker.ranking import Candidates, isotonic_relevance, rank_candidates
from search.hit_lookup import RankedRows
from search.query_encoder import QueryEncoder, timed
from search.query_text import ParsedQuery


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options that all queries of a search have in common.

    Attributes:
        k: How many hits are wanted.
        min_score: Hits of lower relevance are left out.
        allowed: Sorted rows that may be found, (a,) int64; None for all.
    """

    k: int
    min_score: float
    allowed: np.ndarray | None


@dataclass(frozen=True, slots=True)
class TextRanking:
    """The way from queries to ranked rows of a view.

    Attributes:
        view: The view that is searched.
        ranker: Its ranker.
        encoder: Encodes queries by this ranker.
        candidates: How many candidates of a query are reranked, at least.
        timer: Called with (stage, seconds).
    """

    view: View
    ranker: Ranker
    encoder: QueryEncoder
    candidates: int
    timer: Callable[[str, float], None] | None

    def rank(
        self, asked: Sequence[ParsedQuery], options: SearchOptions, threads: int | None = None
    ) -> list[RankedRows]:
        """Rank photos for each query. Safe in several threads at once, each of which should search with one thread.

        Args:
            asked: b queries.
            options: What they have in common.
            threads: How many threads search for candidates, None for one per usable core.

        Returns:
            The rows that each query shows.
        """
        wanted = [query.text for query in asked if query.text]
        unwanted = dict.fromkeys(text for query in asked for text in query.unwanted)
        queries = self.encoder.encode([*wanted, *unwanted])
        places = {text: place for place, text in enumerate(unwanted, len(wanted))}
        counted = iter(range(len(wanted)))
        rows = [next(counted) if query.text else None for query in asked]
        excluded = [[places[text] for text in query.unwanted] for query in asked]
        with timed("candidates", self.timer):
            vectors = np.stack([_candidate_query(queries, *one) for one in zip(rows, excluded, strict=True)])
            found, _ = self.view.search(vectors, max(self.candidates, options.k), options.allowed, threads)
        with timed("rerank", self.timer):
            return [self._rerank(found[i], queries, row, excluded[i], options) for i, row in enumerate(rows)]

    def _rerank(
        self,
        rows: np.ndarray,
        queries: EncodedQueries,
        row: int | None,
        excluded: Sequence[int],
        options: SearchOptions,
    ) -> RankedRows:
        """Rank candidate rows (c,) for one of the encoded queries, without what others of them describe."""
        gallery_size = self.view.total_rows if options.allowed is None else len(options.allowed)
        candidates = Candidates(rows, self.view.gather(rows), gallery_size)
        ranked = rank_candidates(self.ranker, candidates, queries, row, excluded)
        shown = isotonic_relevance(ranked.relevance, options.k)
        kept = shown >= options.min_score
        first = rows[ranked.places[: options.k]]
        return RankedRows(first[kept], shown[kept], ranked.ranking_scores[: options.k][kept], ranked.match_probability)


def _candidate_query(queries: EncodedQueries, row: int | None, excluded: Sequence[int]) -> np.ndarray:
    """Return the vector that finds the candidates of a query, (K + 1,) float32.

    Without a text, it finds the photos that are farthest from what is excluded.
    """
    if row is not None:
        vector: np.ndarray = queries.candidate[row]
        return vector
    return -queries.candidate[list(excluded)].sum(axis=0)
