"""Search an index: query -> policy -> text vector -> candidates -> ranking -> hits with a relevance."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, NoReturn, Unpack

from indexer.argument_checks import check_count, check_kind
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.storage.fork_safe_lock import ForkSafeLock
from indexer.views.view import View
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import Ranker
from search.opened_index import OpenedIndex, Progress, SearcherSettings
from search.queries.query import PartsAsked, PhotosAsked, Query, as_queries, with_parts
from search.queries.search_options import OptionsByName, SearchOptions
from search.results import Hit, SearchResult

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation

STAGES = ("encode", "map", "candidates", "rerank", "fetch")


class Searcher:
    """An open index with the ranker of its view, ready for queries; a context manager that closes it.

    The first query loads the text encoder and, at the same time, the candidate structure. `index`, `view`, `ranker` and
    `candidates` may be read; `moderation` is what the index's policy does, None without a policy; `notes` hold for
    every answer. An index without a view, as when its build was cut short, gets one of the shipped ranker. A searcher
    may be used from several threads, and in a process that is forked before the first query. What builds write after
    it was opened is seen after `refresh`.

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
        self._settings = SearcherSettings(None if ranker is None else ranker.id, candidates, timer, on_problem)
        self._opened, self._has_given_index = OpenedIndex(index, self._settings), True
        self._refreshing = ForkSafeLock()

    @property
    def index(self) -> Index:
        """The index, as it was opened or refreshed last."""
        return self._opened.index

    @property
    def view(self) -> View:
        """The view that is searched."""
        return self._opened.view

    @property
    def ranker(self) -> Ranker:
        """The ranker of the view."""
        return self._opened.ranker

    @property
    def candidates(self) -> int:
        """Number of candidates of a query that are reranked."""
        return self._opened.candidates

    @property
    def moderation(self) -> "Moderation | None":
        """Moderation by the index's policy; None without one."""
        return self._opened.moderation

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes that hold for every answer."""
        return self._opened.notes

    def refresh(self) -> bool:
        """Go on with what was written since: photos that came or went, another ranker, the files of a compaction.

        Queries that run in other threads go on with what was open when they began.

        Returns:
            Whether anything had been written.

        Raises:
            PhotoseekError: The index is damaged or has another ranker than the searcher was made for, and the searcher
                goes on with what it had; or the searcher is closed.
        """
        with self._refreshing:
            before = self._opened
            before.check_open()
            if not before.index.changed:
                return False
            index = Index.open(before.index.folder)
            try:
                self._opened = OpenedIndex(index, self._settings, before.encoder)
            except PhotoseekError:
                index.close()
                raise
            # The first index is the caller's, who may search it with other searchers.
            before.close(with_index=not self._has_given_index)
            self._has_given_index = False
        return True

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
        with self._in_use() as opened:
            return opened.answer(queries, options, on_progress)

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
        with self._refreshing:
            self._opened.close()

    @contextmanager
    def _in_use(self) -> Iterator[OpenedIndex]:
        """Yield what is open, and keep it so during the block. Raises PhotoseekError if the searcher is closed."""
        while True:
            opened = self._opened
            try:
                opened.begin()
                break
            except PhotoseekError:
                if opened is self._opened:  # else it was refreshed at this moment
                    raise
        try:
            yield opened
        finally:
            opened.end()

    def __enter__(self) -> "Searcher":
        self._opened.check_open()
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
        with self._in_use() as opened:
            return opened.encode_queries(texts)
