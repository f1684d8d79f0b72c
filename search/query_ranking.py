"""Rank the photos of a view for queries of texts and photos: encode, find candidates, rerank."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from indexer.cpu_count import usable_cores
from indexer.index import Index
from indexer.views.view import View
from reranker.models.joint_space import EncodedQueries
from reranker.models.likeness import PhotoQuery, likeness_of, photo_query
from reranker.ranker import Ranker
from reranker.ranking import Candidates, OtherParts, isotonic_relevance, rank_candidates
from search.gallery import Gallery
from search.hit_lookup import RankedRows
from search.queries.asked_query import AskedPhoto, AskedQuery
from search.queries.search_options import SearchOptions
from search.query_encoder import QueryEncoder, timed
from search.stacks import Stacks

# Rows that stand for photos at large, where parts of a query are brought to one scale.
SAMPLE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Opened:
    """Parts of an index that a searcher has open.

    Attributes:
        index: The index.
        view: The view that is searched.
        ranker: Its ranker.
        encoder: Encodes texts by this ranker.
        stacks: Which of its rows belong together.
    """

    index: Index
    view: View
    ranker: Ranker
    encoder: QueryEncoder
    stacks: Stacks


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of one query among the encoded texts of a block.

    Attributes:
        text_row: The row of its text, None without one.
        unwanted: Rows of the texts that it excludes, with their weights.
        like: Its photos, with their weights.
        unlike: The photos that it excludes, with their weights.
        text_weight: How much the text counts.
    """

    text_row: int | None
    unwanted: Sequence[tuple[int, float]]
    like: Sequence[tuple[PhotoQuery, float]]
    unlike: Sequence[tuple[PhotoQuery, float]]
    text_weight: float


@dataclass(frozen=True, slots=True)
class _Ranked:
    """All candidates of one query, best first.

    Attributes:
        rows: (c,) int64 rows of the index.
        relevance: (c,) float32 in 0..1; it may rise down the rows.
        scores: (c,) float32, what they are sorted by.
        match_probability: The chance that anything in the index fits the query.
    """

    rows: np.ndarray
    relevance: np.ndarray
    scores: np.ndarray
    match_probability: float


class QueryRanking:
    """The way from queries to ranked rows of a view.

    Args:
        opened: The index with its view and ranker.
        gallery: The rows that may be found.
        candidates: How many candidates of a query are reranked, at least.
        timer: Called with (stage, seconds).
    """

    def __init__(
        self, opened: Opened, gallery: Gallery, candidates: int, timer: Callable[[str, float], None] | None
    ) -> None:
        self._opened, self._gallery = opened, gallery
        self._candidates, self._timer = candidates, timer

    def rank_blocks(
        self, blocks: Sequence[Sequence[AskedQuery]], options: SearchOptions, allowed: np.ndarray | None
    ) -> Iterator[list[RankedRows]]:
        """Yield what `rank` gives for each block, in their order; several are ranked in one thread per core.

        Args:
            blocks: The queries, block by block.
            options: What they have in common.
            allowed: Sorted rows that may be found, (a,) int64; None for all.
        """
        if len(blocks) < 2:
            yield from (self.rank(block, options, allowed, None) for block in blocks)
            return
        pool = ThreadPoolExecutor(usable_cores())
        try:
            yield from pool.map(lambda block: self.rank(block, options, allowed, 1), blocks)
        finally:
            pool.shutdown(cancel_futures=True)

    def rank(
        self, asked: Sequence[AskedQuery], options: SearchOptions, allowed: np.ndarray | None, threads: int | None
    ) -> list[RankedRows]:
        """Rank photos for each query. Safe in several threads at once, each of which should search with one thread.

        Args:
            asked: b queries.
            options: What they have in common.
            allowed: Sorted rows that may be found, (a,) int64; None for all.
            threads: How many threads search for candidates, None for one per usable core.

        Returns:
            The rows that each query shows.
        """
        queries, parts = self._encode(asked)
        view = self._opened.view
        with timed("candidates", self._timer):
            vectors = np.stack(
                [
                    self._photo_vector(one.like[0]) if one.is_one_photo else self._vector(queries, own)
                    for one, own in zip(asked, parts, strict=True)
                ]
            )
            found = self._find(vectors, options, allowed, threads)
        gallery_size = view.total_rows if allowed is None else len(allowed)
        with timed("rerank", self._timer):
            ranked = [
                self._rank_by_cosine(rows, one.like[0])
                if one.is_one_photo
                else self._rerank(Candidates(rows, view.gather(rows), gallery_size), queries, own)
                for rows, one, own in zip(found, asked, parts, strict=True)
            ]
            return [self._shown(of_query, options, allowed) for of_query in ranked]

    def _find(
        self, vectors: np.ndarray, options: SearchOptions, allowed: np.ndarray | None, threads: int | None
    ) -> list[np.ndarray]:
        """Find candidate rows of queries (b, K + 1): so many that there are `k` hits if photos of a stack are one."""
        view, stacks = self._opened.view, self._opened.stacks
        count, most = max(self._candidates, options.k), view.total_rows if allowed is None else len(allowed)
        found = list(view.search(vectors, count, allowed, threads)[0])
        while not options.show_all and count < most:
            short = [i for i, rows in enumerate(found) if len(stacks.first_places(rows)) < options.k]
            if not short:
                break
            count = 4 * count
            for i, rows in zip(short, view.search(vectors[short], count, allowed, threads)[0], strict=True):
                found[i] = rows
        return found

    def _encode(self, asked: Sequence[AskedQuery]) -> tuple[EncodedQueries, list[_Parts]]:
        """Encode the texts of a block, an excluded one once, and say which are whose."""
        wanted = [query.parsed.text for query in asked if query.parsed.text]
        unwanted = dict.fromkeys(part.text for query in asked for part in query.unwanted)
        places = {text: place for place, text in enumerate(unwanted, len(wanted))}
        counted: Iterator[int] = iter(range(len(wanted)))
        parts = [
            _Parts(
                next(counted) if query.parsed.text else None,
                [(places[part.text], part.weight) for part in query.unwanted],
                [] if query.is_one_photo else self._photo_queries(query.like),
                self._photo_queries(query.unlike),
                query.text_weight if query.like else 1.0,
            )
            for query in asked
        ]
        return self._opened.encoder.encode([*wanted, *unwanted]), parts

    def _rerank(self, candidates: Candidates, queries: EncodedQueries, parts: _Parts) -> _Ranked:
        """Rank candidates for one of the encoded queries, beside its other parts."""
        likeness = None
        if parts.like or parts.unlike:
            likeness = likeness_of(candidates.photos.z, parts.like, parts.unlike)
        others = OtherParts(parts.text_weight, parts.unwanted, likeness)
        ranked = rank_candidates(self._opened.ranker, candidates, queries, parts.text_row, others)
        rows = candidates.rows[ranked.places]
        return _Ranked(rows, ranked.relevance, ranked.ranking_scores, ranked.match_probability)

    def _rank_by_cosine(self, rows: np.ndarray, photo: AskedPhoto) -> _Ranked:
        """Rank candidate rows (c,) by the cosine of their embeddings with that of a photo."""
        cosines = np.asarray(self._opened.index.embeddings()[rows], np.float32) @ photo.embedding
        order = np.lexsort((rows, -cosines))
        return _Ranked(rows[order], np.clip(cosines[order], 0, 1), cosines[order], 1.0)

    def _shown(self, ranked: _Ranked, options: SearchOptions, allowed: np.ndarray | None) -> RankedRows:
        """Keep the rows that a query shows: the first `k` of its stacks, or of its rows, that are relevant enough."""
        stacks = self._opened.stacks
        first = np.arange(len(ranked.rows)) if options.show_all else stacks.first_places(ranked.rows)
        relevance = isotonic_relevance(ranked.relevance[first], ranked.scores[first], options.k)
        kept = relevance >= options.min_score
        rows, scores = ranked.rows[first][: options.k][kept], ranked.scores[first][: options.k][kept]
        others = [stacks.others(row, allowed) for row in rows.tolist()]
        best = float(relevance[0]) if len(relevance) else None
        return RankedRows(rows, relevance[kept], scores, ranked.match_probability, others, best)

    def _vector(self, queries: EncodedQueries, parts: _Parts) -> np.ndarray:
        """Return the vector that finds the candidates of a query, (K + 1,) float32.

        Text and photos are brought to the same spread over photos at large, so that their sum finds what fits both.
        Without either, it finds the photos that are farthest from what is excluded.
        """
        if parts.text_row is not None and not parts.like:
            vector: np.ndarray = queries.candidate[parts.text_row]
            return vector
        texts = [] if parts.text_row is None else [(queries.candidate[parts.text_row], parts.text_weight)]
        photos = [(photo.direction, weight) for photo, weight in parts.like]
        if not texts and not photos:
            texts = [(-queries.candidate[row], weight) for row, weight in parts.unwanted]
            photos = [(-photo.direction, weight) for photo, weight in parts.unlike]
            if not photos:
                return np.sum([weight * vector for vector, weight in texts], axis=0)
        scaled = [weight * self._scaled(vector) for vector, weight in texts]
        return np.sum([*scaled, *(weight * vector for vector, weight in photos)], axis=0)

    def _scaled(self, vector: np.ndarray) -> np.ndarray:
        """Divide a candidate vector (K + 1,) by the spread of its scores over photos at large."""
        z, hubness = self._at_large
        spread = float((z @ vector[:-1] + hubness * vector[-1]).std())
        scaled: np.ndarray = vector / max(spread, 1e-6)
        return scaled

    def _photo_queries(self, photos: Sequence[AskedPhoto]) -> list[tuple[PhotoQuery, float]]:
        """Return photos as directions of the joint space, with their weights."""
        weights = self._opened.ranker.joint_space.photo_weights
        return [(photo_query(photo.z, weights, self._at_large[0]), photo.weight) for photo in photos]

    @staticmethod
    def _photo_vector(photo: AskedPhoto) -> np.ndarray:
        """Return the vector that finds the photos near a photo, (K + 1,) float32."""
        return np.append(photo.z, np.float32(0))

    @cached_property
    def _at_large(self) -> tuple[np.ndarray, np.ndarray]:
        """Photos at large in the joint space, (n, K) float32, and their hubness (n,) float32."""
        view = self._opened.view
        shown = self._gallery.rows(SearchOptions())
        every = np.arange(view.total_rows) if shown is None else shown
        rows = every[np.linspace(0, len(every) - 1, min(SAMPLE_ROWS, len(every))).astype(np.int64)]
        return view.gather_z(rows), view.gather_hubness(rows)
