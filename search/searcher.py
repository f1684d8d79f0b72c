"""Search an index: query -> policy -> text vector -> candidates -> ranking -> hits with a relevance."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from indexer.cpu_count import usable_cores
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.storage.vector_files import quantise_directions
from indexer.views.view import View
from indexer.views.view_files import damaged_view
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import Ranker
from search.hit_lookup import RankedRows, look_up_hits
from search.query_encoder import QueryEncoder, check_query_text, timed
from search.query_text import ParsedQuery, parse_query, unwanted_texts
from search.results import Hit, SearchResult
from search.spelling import Spelling
from search.text_ranking import SearchOptions, TextRanking

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation

# Queries answered at a time, each block of them by one thread.
BLOCK = 256
STAGES = ("encode", "map", "candidates", "rerank", "fetch")

T = TypeVar("T")
Block = Sequence["_Asked"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query with its id: as it was typed, and what it asks for."""

    id: str
    text: str
    parsed: ParsedQuery


class Searcher:
    """An open index with the ranker of its view, ready for queries.

    The first query loads the text encoder and, at the same time, the candidate structure. `index`, `view`, `ranker` and
    `candidates` may be read; `moderation` is what the index's policy does, None without a policy.

    Args:
        index: The index to search.
        ranker: Refuse unless this ranker is the attached one.
        timer: Called with (stage, seconds) for every stage of every block of queries, possibly from several threads;
            the stages are `STAGES`.
        on_problem: Called with a message if the policy's audit log or scores cannot be written. Without it, a
            RuntimeWarning is given.
        candidates: How many candidates of a query are reranked, by default as many as the ranker's settings say. With
            more, a photo is missed less often; each costs about a microsecond.

    Raises:
        PhotoseekError: The index has no ranker or another one, its policy cannot be read, or `candidates` is under 1.
    """

    def __init__(
        self,
        index: Index,
        ranker: Ranker | None = None,
        timer: Callable[[str, float], None] | None = None,
        on_problem: Callable[[str], None] | None = None,
        *,
        candidates: int | None = None,
    ) -> None:
        if candidates is not None and candidates < 1:
            raise PhotoseekError(f"candidates must be 1 or more, got {candidates}")
        self.index = index
        self.view = index.view()
        self.ranker = ranker_of(self.view)
        if ranker is not None and ranker.id != self.ranker.id:
            raise PhotoseekError(
                f"index {index.folder} has ranker {self.ranker.id} attached, not {ranker.id}; photoseek use RANKER "
                f"-i {index.folder} attaches another"
            )
        self.candidates = candidates or self.ranker.settings.candidates
        if index.rows > self.view.rows:
            # Photos that came after the view was built are scored exactly, until a build appends them to it.
            late = np.asarray(index.embeddings()[self.view.rows :], np.float32)
            regions = index.regions()
            late_regions = None if regions is None else regions[self.view.rows :]
            self.view = self.view.with_tail(self.ranker.encode_photos(late, late_regions))
        dead = np.array(index.catalogue.dead_rows(), np.int64)
        self._alive = np.setdiff1d(np.arange(self.view.total_rows), dead) if len(dead) else None
        self._encoder = QueryEncoder(self.ranker, self.view.regions is not None, timer)
        self._ranking = TextRanking(self.view, self.ranker, self._encoder, self.candidates, timer)
        self._timer = timer
        self._blas = ThreadpoolController()
        self.moderation: Moderation | None = None
        if index.policy is not None:
            from search.moderation import policy_filter

            self.moderation = policy_filter.Moderation(index, self.view, self.ranker, self.encode_queries, on_problem)

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """Return the k most relevant photos for a sentence, best first.

        Args:
            text: What the photos should show.
            k: How many hits; fewer come only if the index holds fewer.

        Returns:
            The hits, best first, each with a relevance from 0 to 1.

        Raises:
            PhotoseekError: The text is empty, or `k` is under 1.
        """
        return list(self.answer(text, k).hits)

    def answer(
        self, text: str, k: int = 10, *, min_score: float = 0.0, under: str | None = None, without: str | None = None
    ) -> SearchResult:
        """Search for a sentence, and say whether there is a good match.

        Args:
            text: What the photos should show, as people type it (`search.query_text`).
            k: How many hits.
            min_score: Hits of lower relevance are left out.
            under: A folder that hits must lie below, named from here or else from a root of the index.
            without: A sentence that hits should not fit, beside what the text itself excludes.

        Returns:
            The hits with `good_match`, the chance of a match and notes; without hits if the policy blocks the text.

        Raises:
            PhotoseekError: A text is empty, `k` is under 1, or no photo of the index lies below `under`.
        """
        return self.answer_many([("1", text)], k, min_score=min_score, under=under, without=without)[0]

    def answer_many(
        self,
        queries: Sequence[tuple[str, str]],
        k: int = 10,
        *,
        min_score: float = 0.0,
        under: str | None = None,
        without: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[SearchResult]:
        """Search for many sentences at once.

        Args:
            queries: (id, text) of each query, the text as people type it.
            k: How many hits per query.
            min_score: Hits of lower relevance are left out.
            under: A folder that hits must lie below, named from here or else from a root of the index.
            without: A sentence that hits should not fit, as what a query itself excludes ("a street without cars"):
                photos that would be a good match for it come last.
            on_progress: Called with (done, total) queries.

        Returns:
            One result per query, in their order.

        Raises:
            PhotoseekError: A text is empty, `k` is under 1, or no photo of the index lies below `under`.
        """
        _check_k(k)
        for name, text in [*queries, *([] if without is None else [("--without", without)])]:
            check_query_text(name, text)
        options = SearchOptions(k, min_score, self._allowed(under))
        asked = [self._read(*query, without) for query in queries]
        stops = [None if self.moderation is None else self.moderation.block_text(q.text, q.parsed.text) for q in asked]
        free = [query for query, stop in zip(asked, stops, strict=True) if stop is None]
        if free:
            self._open(free[0].text)
        results: list[SearchResult] = []
        # Products this small gain nothing from a second BLAS thread, which then spins beside the encoder's.
        with self._blas.limit(limits=1, user_api="blas"):
            for found in self._search_blocks(free, options, under):
                results += found
                if on_progress is not None:
                    on_progress(len(queries) - len(free) + len(results), len(queries))
        passed = iter(results)
        return [
            next(passed) if stop is None else SearchResult(query.id, query.text, (), good_match=False, blocked=stop)
            for query, stop in zip(asked, stops, strict=True)
        ]

    def like(self, photo: str | Path, k: int = 10, *, min_score: float = 0.0, under: str | None = None) -> SearchResult:
        """Search for photos that look like a photo; relevance is the cosine of the embeddings.

        Args:
            photo: A photo file, in the index or not.
            k: How many hits.
            min_score: Hits of lower relevance are left out.
            under: A folder that hits must lie below, named from here or else from a root of the index.

        Returns:
            The hits, with the cosine (-1 to 1) as `score`; without hits if the policy blocks the photo.

        Raises:
            PhotoseekError: The photo cannot be read, this machine has another image encoder than the index, `k` is
                under 1, or no photo of the index lies below `under`.
        """
        from indexer.photos.decode import UnreadablePhotoError, decode_photo

        _check_k(k)
        encoder = self.index.load_encoder()
        if encoder.fingerprint != self.index.encoder:
            raise PhotoseekError(
                f"index {self.index.folder} holds embeddings of {self.index.encoder}, but this machine has "
                f"{encoder.fingerprint}; build the index again"
            )
        try:
            loaded = decode_photo(os.fsencode(photo), encoder.transform)
        except UnreadablePhotoError as error:
            raise PhotoseekError(f"photo {os.fspath(photo)}: {error}") from None
        regions = None
        if self.view.regions is None:
            x = encoder.encode(loaded.pixels[None])
        else:
            x, parts = encoder.encode_with_regions(loaded.pixels[None])
            regions = quantise_directions(parts)
        encoded = self.ranker.encode_photos(x, regions)
        name = f"like {os.fspath(photo)}"
        if self.moderation is not None:
            row = self.index.catalogue.row_of_digest(loaded.digest)
            stop = self.moderation.block_photo(os.path.abspath(os.fspath(photo)), encoded, row)
            if stop is not None:
                return SearchResult("1", name, (), good_match=False, blocked=stop)
        query = np.concatenate([encoded.z, np.zeros((1, 1), np.float32)], axis=1)
        found, _ = self.view.search(query, max(self.candidates, k), self._allowed(under))
        rows = found[0]
        cosines = np.asarray(self.index.embeddings()[rows], np.float32) @ x[0]
        order = np.lexsort((rows, -cosines))[:k]
        relevance = np.clip(cosines, 0, 1)
        kept = order[relevance[order] >= min_score]
        ranked = RankedRows(rows[kept], relevance[kept], cosines[kept], 1.0)
        return SearchResult("1", name, look_up_hits(self.index.catalogue, [ranked], under)[0], good_match=True)

    def encode_queries(self, texts: Sequence[str]) -> EncodedQueries:
        """Encode texts as queries by the ranker's text encoder.

        Args:
            texts: b texts.

        Returns:
            What ranking needs of each query, b rows per array.
        """
        return self._encoder.encode(texts)

    def _read(self, name: str, text: str, without: str | None) -> _Asked:
        """Read a query as people type it; what the search excludes is excluded from it, too."""
        parsed = parse_query(text, self._spelling)
        if without is not None:
            parsed = replace(parsed, unwanted=(*parsed.unwanted, *unwanted_texts(without, self._spelling)))
        return _Asked(name, text, parsed)

    @cached_property
    def _spelling(self) -> Spelling:
        return Spelling(self.ranker.known_words, self._encoder.is_word)

    def _open(self, text: str) -> None:
        """Compile the text encoder in a thread and read the candidates beside it: a fresh process waits for both."""
        if self._encoder.is_open:
            return
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(self._encoder.text_encoder.encode, [text])
            self.view.open_candidates()
            ready.result()

    def _search_blocks(self, queries: Block, options: SearchOptions, under: str | None) -> Iterator[list[SearchResult]]:
        """Yield the results of queries, block by block, in their order."""
        blocks = [queries[start : start + BLOCK] for start in range(0, len(queries), BLOCK)]
        threads = 1 if len(blocks) > 1 else None
        found = _each(lambda block: self._ranking.rank([q.parsed for q in block], options, threads), blocks)
        for block, ranked in zip(blocks, found, strict=True):
            with timed("fetch", self._timer):
                hits = look_up_hits(self.index.catalogue, ranked, under)
            yield [
                SearchResult(
                    query.id,
                    query.text,
                    own,
                    of_query.match_probability >= self.ranker.no_match.threshold,
                    (*query.parsed.notes, *self._encoder.notes(query.text)),
                    of_query.match_probability,
                )
                for query, own, of_query in zip(block, hits, ranked, strict=True)
            ]

    def _allowed(self, under: str | None) -> np.ndarray | None:
        """Return the sorted rows that may be found, or None if all may."""
        if under is None:
            return self._shown
        here, in_root = os.fsencode(os.path.abspath(under)), os.fsencode(under)
        rows = self.index.catalogue.rows_under(here) or self.index.catalogue.rows_under(in_root)
        if not rows:
            raise PhotoseekError(f"no photos of index {self.index.folder} lie under {under!r}")
        return self._without_held_back(np.array(rows, np.int64))

    @cached_property
    def _shown(self) -> np.ndarray | None:
        """Sorted rows that are neither deleted nor held back by the policy; None where that is every row."""
        return self._without_held_back(self._alive)

    def _without_held_back(self, rows: np.ndarray | None) -> np.ndarray | None:
        if self.moderation is None or not len(self.moderation.held_back_rows):
            return rows
        every = np.arange(self.view.total_rows) if rows is None else rows
        return np.setdiff1d(every, self.moderation.held_back_rows, assume_unique=True)


def ranker_of(view: View) -> Ranker:
    """Return the ranker of a view.

    Raises:
        PhotoseekError: It cannot be read, or it is not the one that made the view.
    """
    try:
        ranker = Ranker.load(view.ranker_folder)
    except PhotoseekError as error:
        raise damaged_view(view.folder, str(error).partition(";")[0]) from None
    if view.ranker_id not in ("", ranker.id):
        raise damaged_view(view.folder, f"it is of ranker {view.ranker_id} and holds {ranker.id}")
    return ranker


def _each(function: Callable[[Block], T], blocks: Sequence[Block]) -> Iterator[T]:
    """Yield the results of the blocks in their order, computed in one thread per core."""
    if len(blocks) < 2:
        yield from map(function, blocks)
        return
    pool = ThreadPoolExecutor(usable_cores())
    try:
        yield from pool.map(function, blocks)
    finally:
        pool.shutdown(cancel_futures=True)


def _check_k(k: int) -> None:
    if k < 1:
        raise PhotoseekError(f"k must be 1 or more, got {k}")
