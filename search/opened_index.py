"""An index as it was when it was opened, with all that answers queries on it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from indexer.building.unfinished_build import missing_note
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.models.joint_space import EncodedQueries
from search.answer_notes import NO_PHOTOS, min_score_notes
from search.gallery import Gallery
from search.hit_lookup import RankedRows, look_up_hits
from search.opened_view import open_searched_view
from search.queries.photo_encoder import PhotoEncoder
from search.queries.query import Query
from search.queries.query_reader import QueryReader
from search.queries.running_queries import RunningQueries
from search.queries.search_options import SearchOptions
from search.query_encoder import QueryEncoder, timed
from search.query_ranking import Opened, QueryRanking
from search.results import Hit, SearchResult
from search.stacks import Stacks

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation
    from search.queries.asked_query import AskedQuery

# Queries answered at a time, each block of them by one thread.
BLOCK = 256

Block = Sequence["AskedQuery"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SearcherSettings:
    """Settings of a searcher, as `Searcher` takes them.

    Attributes:
        ranker_id: Id of the ranker that must be attached; None for any.
        candidates: How many candidates of a query are reranked; None for as many as the ranker's settings say.
        timer: Called with (stage, seconds) for every stage of every block of queries.
        on_problem: Called with a message if the policy's audit log or scores cannot be written.
    """

    ranker_id: str | None
    candidates: int | None
    timer: Callable[[str, float], None] | None
    on_problem: Callable[[str], None] | None


class OpenedIndex:
    """An open index with the ranker of its view, ready for queries. What is built later is not seen.

    Args:
        index: The index.
        settings: Settings of the searcher.
        encoder: The encoder of queries of an earlier state, used again if the view has the same ranker.

    Attributes:
        index: The index.
        view: The view that is searched.
        ranker: Its ranker.
        candidates: How many candidates of a query are reranked.
        moderation: What the index's policy does, None without a policy.
        notes: What holds for every answer.

    Raises:
        PhotoseekError: The index has no ranker or another one, or its policy cannot be read.
    """

    def __init__(self, index: Index, settings: SearcherSettings, encoder: QueryEncoder | None = None) -> None:
        self.index = index
        self.view, self.ranker = open_searched_view(index, self)
        if settings.ranker_id not in (None, self.ranker.id):
            raise PhotoseekError(
                f"index {index.folder} has ranker {self.ranker.id} attached, not {settings.ranker_id}; photoseek use "
                f"RANKER -i {index.folder} attaches another"
            )
        self.candidates = settings.candidates or self.ranker.settings.candidates
        self._running = RunningQueries()
        if index.rows > self.view.rows:
            # Photos that came after the view was built are scored exactly, until a build appends them to it.
            late = np.asarray(index.embeddings()[self.view.rows :], np.float32)
            regions = index.regions()
            late_regions = None if regions is None else regions[self.view.rows :]
            self.view = self.view.with_tail(self.ranker.encode_photos(late, late_regions))
        with_regions = self.view.regions is not None
        if encoder is None or not encoder.fits(self.ranker, with_regions):
            encoder = QueryEncoder(self.ranker, with_regions, settings.timer)
        self.encoder = encoder
        self._timer = settings.timer
        self._closes_index = True
        self._blas = ThreadpoolController()
        self.moderation: Moderation | None = None
        if index.policy is not None:
            from search.moderation import policy_filter

            self.moderation = policy_filter.Moderation(
                index, self.view, self.ranker, self.encode_queries, settings.on_problem
            )
        self.gallery = Gallery(index, self.view.total_rows, self.moderation)
        note = missing_note(index.folder, index.catalogue) or (NO_PHOTOS if self.gallery.is_empty else None)
        self.notes = () if note is None else (note,)
        photo_encoder = PhotoEncoder(index, self.ranker, with_regions)
        self._reader = QueryReader(index, self.ranker.known_words, self.encoder, photo_encoder, self.moderation)
        stacks = Stacks(*index.catalogue.stacks.members(), self.view.total_rows)
        opened = Opened(index, self.view, self.ranker, self.encoder, stacks)
        self._ranking = QueryRanking(opened, self.gallery, self.candidates, settings.timer)

    def encode_queries(self, texts: Sequence[str]) -> EncodedQueries:
        """Encode texts as queries, as `Searcher.encode_queries`."""
        return self.encoder.encode(texts)

    def answer(
        self, queries: Sequence[Query], options: SearchOptions, on_progress: Progress | None
    ) -> list[SearchResult]:
        """Answer queries, as `Searcher.answer_queries`."""
        options.check()
        for query in queries:
            self._reader.check(query)
        allowed = self.gallery.rows(options)
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
        notes = (*self.notes, *self.gallery.notes(options, allowed))
        passed = (replace(result, notes=(*result.notes, *notes)) for result in results)
        return [
            next(passed)
            if query.blocked is None
            else SearchResult(query.id, query.text, (), good_match=False, blocked=query.blocked)
            for query in asked
        ]

    def check_open(self) -> None:
        """Raise PhotoseekError if it is closed."""
        self._running.check_open()

    def begin(self) -> None:
        """Keep everything open until `end`. Raises PhotoseekError if it is closed."""
        self._running.begin()

    def end(self) -> None:
        """End what `begin` began, and let go of everything if it was the last after `close`."""
        if self._running.end():
            self._let_go()

    def close(self, *, with_index: bool = True) -> None:
        """Let go of what is in memory when the last query that runs is answered.

        Args:
            with_index: Whether the index is closed, too.
        """
        self._closes_index = with_index
        if self._running.close():
            self._let_go()

    def _let_go(self) -> None:
        if self._closes_index:
            self.index.close()
        self.view.close()
        for name in ("view", "encoder", "gallery", "_reader", "_ranking", "moderation"):
            self.__dict__.pop(name, None)

    def _open(self, queries: Block) -> None:
        """Compile the text encoder in a thread and read the candidates beside it: a fresh process waits for both."""
        text = next((query.parsed.text for query in queries if query.parsed.text), None)
        if text is None or self.encoder.is_open:
            return
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(self.encoder.text_encoder.encode, [text])
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
        own = self.encoder.notes(text) if text else ()
        chance = 0.0 if query.parsed.names_nothing else ranked.match_probability
        is_match = bool(hits) and chance >= self.ranker.no_match.threshold
        return SearchResult(query.id, query.text, hits, is_match, (*query.parsed.notes, *own, *notes), chance)
