"""Search an index: query -> policy -> text vector -> candidates -> ranking -> hits with a relevance."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, NoReturn, Unpack

import numpy as np
from threadpoolctl import ThreadpoolController

from indexer.argument_checks import check_count, check_kind
from indexer.building.unfinished_build import missing_note
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import Ranker
from search.answer_notes import NO_PHOTOS, min_score_notes
from search.gallery import Gallery
from search.hit_lookup import RankedRows, look_up_hits
from search.opened_view import open_searched_view
from search.queries.photo_encoder import PhotoEncoder
from search.queries.query import PartsAsked, PhotosAsked, Query, as_queries, with_parts
from search.queries.query_reader import QueryReader
from search.queries.running_queries import RunningQueries
from search.queries.search_options import OptionsByName, SearchOptions
from search.query_encoder import QueryEncoder, timed
from search.query_ranking import Opened, QueryRanking
from search.results import Hit, SearchResult
from search.stacks import Stacks

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation
    from search.queries.asked_query import AskedQuery

# Queries answered at a time, each block of them by one thread.
BLOCK = 256
STAGES = ("encode", "map", "candidates", "rerank", "fetch")

Block = Sequence["AskedQuery"]
Progress = Callable[[int, int], None]


class Searcher:
    """An open index with the ranker of its view, ready for queries; a context manager that closes it.

    The first query loads the text encoder and, at the same time, the candidate structure. `index`, `view`, `ranker` and
    `candidates` may be read; `moderation` is what the index's policy does, None without a policy; `notes` hold for
    every answer. An index without a view, as when its build was cut short, gets one of the shipped ranker. A searcher
    may be used from several threads, and in a process that is forked before the first query.

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
        PhotoseekError: The index has no ranker or another one, its policy cannot be read, `candidates` is under 1, or
            an argument is of another type.
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
        check_kind("index", index, Index, "an open index, as Index.open('indexes/photos')")
        check_kind("ranker", ranker, (Ranker, NoneType), "a Ranker, as Ranker.load('rankers/team')")
        if candidates is not None:
            check_count("candidates", candidates)
        self.index = index
        self.view, self.ranker = open_searched_view(index, self)
        self._running = RunningQueries()
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
        with_regions = self.view.regions is not None
        self._encoder = QueryEncoder(self.ranker, with_regions, timer)
        self._timer = timer
        self._blas = ThreadpoolController()
        self.moderation: Moderation | None = None
        if index.policy is not None:
            from search.moderation import policy_filter

            self.moderation = policy_filter.Moderation(index, self.view, self.ranker, self.encode_queries, on_problem)
        self._gallery = Gallery(index, self.view.total_rows, self.moderation)
        note = missing_note(index.folder, index.catalogue) or (NO_PHOTOS if self._gallery.is_empty else None)
        self.notes = () if note is None else (note,)
        photo_encoder = PhotoEncoder(index, self.ranker, with_regions)
        self._reader = QueryReader(index, self.ranker.known_words, self._encoder, photo_encoder, self.moderation)
        stacks = Stacks(*index.catalogue.stacks.members(), self.view.total_rows)
        opened = Opened(index, self.view, self.ranker, self._encoder, stacks)
        self._ranking = QueryRanking(opened, self._gallery, self.candidates, timer)

    def search(
        self,
        query: str | Query,
        k: int = 10,
        *,
        like: PhotosAsked = (),
        without: PartsAsked = (),
        **options: Unpack[OptionsByName],
    ) -> list[Hit]:
        """Return the k most relevant photos for a query, best first.

        Args:
            query: What the photos should show, a sentence or a `Query`.
            k: How many hits; fewer come only if the index holds fewer.
            like: Photos that hits should look like, too: paths or `Photo`s.
            without: What hits should not show: texts, and photos as `Path` or `Photo`.
            options: Any other of `SearchOptions` by its name: `min_score`, `under`, `filters`, `show_all`.

        Returns:
            The hits, best first, each with a relevance from 0 to 1.

        Raises:
            PhotoseekError: The query is empty, `k` is under 1, or a photo cannot be read.
        """
        return list(self.answer(query, k, like=like, without=without, **options).hits)

    def answer(
        self,
        query: str | Query,
        k: int = 10,
        *,
        like: PhotosAsked = (),
        without: PartsAsked = (),
        **options: Unpack[OptionsByName],
    ) -> SearchResult:
        """Search for a query, and say whether there is a good match.

        Args:
            query: What the photos should show: a sentence as people type it, or a `Query`.
            k: How many hits.
            like: Photos that hits should look like, too: paths or `Photo`s.
            without: What hits should not show, beside what the text itself excludes: texts, and photos as `Path` or
                `Photo`.
            options: Any other of `SearchOptions` by its name: `min_score`, `under`, `filters`, `show_all`.

        Returns:
            The hits with `good_match`, the chance of a match and notes; without hits if the policy blocks the query.

        Raises:
            PhotoseekError: The query is empty, `k` is under 1, a photo cannot be read, or no photo of the index lies
                below `under`.
        """
        asked = with_parts(query if isinstance(query, Query) else Query(query), like, without)
        return self.answer_queries([asked], SearchOptions(k, **options))[0]

    def answer_many(
        self,
        queries: Iterable[Query | str | tuple[str, str]] | Mapping[str, str],
        k: int = 10,
        *,
        without: PartsAsked = (),
        on_progress: Progress | None = None,
        **options: Unpack[OptionsByName],
    ) -> list[SearchResult]:
        """Search for many queries at once.

        Args:
            queries: The queries, in any iterable: `Query`s, pairs (id, text), or texts, which are numbered from 1.
            k: How many hits per query.
            without: What no hit should show, as what a query itself excludes ("a street without cars"): photos that
                would be a good match for it come last.
            on_progress: Called with (done, total) queries.
            options: Any other of `SearchOptions` by its name: `min_score`, `under`, `filters`, `show_all`.

        Returns:
            One result per query, in their order.

        Raises:
            PhotoseekError: A query is empty, `k` is under 1, a photo cannot be read, or no photo of the index lies
                below `under`.
        """
        asked = [with_parts(query, (), without) for query in as_queries(queries)]
        return self.answer_queries(asked, SearchOptions(k, **options), on_progress)

    def answer_queries(
        self, queries: Sequence[Query], options: SearchOptions, on_progress: Progress | None = None
    ) -> list[SearchResult]:
        """Search for many queries at once, as `answer_many`, with all options in one object.

        Args:
            queries: The queries.
            options: What they have in common.
            on_progress: Called with (done, total) queries.

        Returns:
            One result per query, in their order.

        Raises:
            PhotoseekError: As `answer_many`.
        """
        with self._in_use():
            return self._answer(queries, options, on_progress)

    def _answer(
        self, queries: Sequence[Query], options: SearchOptions, on_progress: Progress | None
    ) -> list[SearchResult]:
        """Answer queries while everything is open."""
        options.check()
        for query in queries:
            self._reader.check(query)
        allowed = self._gallery.rows(options)
        asked = [self._reader.read(query) for query in queries]
        free = [query for query in asked if query.blocked is None]
        to_rank = free if allowed is None or len(allowed) else []
        results = [] if to_rank else [SearchResult(q.id, q.text, (), good_match=False) for q in free]
        self._open(to_rank)
        # Products this small gain nothing from a second BLAS thread, which then spins beside the encoder's.
        with self._blas.limit(limits=1, user_api="blas"):
            for found in self._search_blocks(to_rank, options, allowed):
                results += found
                if on_progress is not None:
                    on_progress(len(queries) - len(free) + len(results), len(queries))
        notes = (*self.notes, *self._gallery.notes(options, allowed))
        passed = (replace(result, notes=(*result.notes, *notes)) for result in results)
        return [
            next(passed)
            if query.blocked is None
            else SearchResult(query.id, query.text, (), good_match=False, blocked=query.blocked)
            for query in asked
        ]

    def like(
        self,
        photo: str | Path,
        k: int = 10,
        **options: Unpack[OptionsByName],
    ) -> SearchResult:
        """Search for photos that look like a photo; relevance is the cosine of the embeddings.

        Args:
            photo: A photo file, in the index or not.
            k: How many hits.
            options: Any other of `SearchOptions` by its name: `min_score`, `under`, `filters`, `show_all`.

        Returns:
            The hits, with the cosine (-1 to 1) as `score`; without hits if the policy blocks the photo.

        Raises:
            PhotoseekError: The photo cannot be read, this machine has another image encoder than the index, `k` is
                under 1, or no photo of the index lies below `under`.
        """
        return self.answer(Query(like=photo), k, **options)

    def close(self) -> None:
        """Close the index and let go of what is in memory. The searcher answers nothing more.

        Queries that run in other threads are answered; all is closed when the last of them ends.
        """
        if self._running.close():
            self._let_go()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep everything open during a block. Raises PhotoseekError if the searcher is closed."""
        self._running.begin()
        try:
            yield
        finally:
            if self._running.end():
                self._let_go()

    def _let_go(self) -> None:
        self.index.close()
        self.view.close()
        for name in ("view", "_encoder", "_gallery", "_reader", "_ranking", "moderation"):
            self.__dict__.pop(name, None)

    def __enter__(self) -> "Searcher":
        self._running.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Searcher cannot be pickled: open one in every process, Searcher(Index.open(folder))")

    def encode_queries(self, texts: Sequence[str]) -> EncodedQueries:
        """Encode texts as queries by the ranker's text encoder.

        Args:
            texts: b texts.

        Returns:
            What ranking needs of each query, b rows per array.

        Raises:
            PhotoseekError: The searcher is closed.
        """
        with self._in_use():
            return self._encoder.encode(texts)

    def _open(self, queries: Block) -> None:
        """Compile the text encoder in a thread and read the candidates beside it: a fresh process waits for both."""
        text = next((query.parsed.text for query in queries if query.parsed.text), None)
        if text is None or self._encoder.is_open:
            return
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(self._encoder.text_encoder.encode, [text])
            self.view.open_candidates()
            ready.result()

    def _search_blocks(
        self, queries: Block, options: SearchOptions, allowed: np.ndarray | None
    ) -> Iterator[list[SearchResult]]:
        """Yield the results of queries, block by block, in their order."""
        blocks = [queries[start : start + BLOCK] for start in range(0, len(queries), BLOCK)]
        for block, ranked in zip(blocks, self._ranking.rank_blocks(blocks, options, allowed), strict=True):
            with timed("fetch", self._timer):
                hits = look_up_hits(self.index.catalogue, ranked, options)
            yield [
                self._result(query, own, of_query, options.min_score)
                for query, own, of_query in zip(block, hits, ranked, strict=True)
            ]

    def _result(self, query: "AskedQuery", hits: tuple[Hit, ...], ranked: RankedRows, min_score: float) -> SearchResult:
        """Return the result of a query; of one without a text, whatever is found is a good match."""
        notes = min_score_notes(hits, min_score, ranked.best_relevance)
        if query.asks_no_text:
            return SearchResult(query.id, query.text, hits, bool(hits), notes)
        text = query.parsed.text or " ".join(part.text for part in query.unwanted)
        own = self._encoder.notes(text) if text else ()
        chance = 0.0 if query.parsed.names_nothing else ranked.match_probability
        is_match = bool(hits) and chance >= self.ranker.no_match.threshold
        return SearchResult(query.id, query.text, hits, is_match, (*query.parsed.notes, *own, *notes), chance)
