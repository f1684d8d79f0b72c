"""Search: query -> policy -> text vector -> map -> candidates -> MLP -> hits with a relevance."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from indexer.encoders import TextEncoder, open_text_encoder
from indexer.encoders.base import Tokens
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.storage.catalogue import Photo
from indexer.storage.vector_files import directions
from indexer.views.view import EncodedPhotos, View, damaged
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import MANY, Ranker, correct_small_gallery, isotonic_relevance
from search.results import Hit, SearchResult

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation

CANDIDATES = 200
# With `without`: a photo of which less than this is wanted is put this far down, behind all others.
UNWANTED_FROM, UNWANTED = 0.5, 100.0
# Queries answered at a time, each block of them by one thread.
BLOCK = 256
STAGES = ("encode", "map", "candidates", "rerank", "fetch")

T = TypeVar("T")
Block = Sequence[tuple[str, str]]


class Searcher:
    """An index with the ranker of its view, ready for queries.

    Opens lazily: the first query loads the text encoder and, beside it, the candidates. Of a query `candidates` photos
    are reranked, or k if that is more: with more of them one is missed less often, and each costs about a microsecond.
    `timer` gets (stage, seconds) of every stage of every block of queries, of several blocks from several threads; the
    stages are `STAGES`. Where the index has a policy, `moderation` sees to it that nothing it blocks comes out;
    `on_problem`, else a RuntimeWarning, says what of its audit log cannot be written.
    Raises PhotoseekError if the index has no ranker, or not this one, or its policy cannot be read, and for less than
    one candidate.
    """

    def __init__(
        self,
        index: Index,
        ranker: Ranker | None = None,
        timer: Callable[[str, float], None] | None = None,
        on_problem: Callable[[str], None] | None = None,
        *,
        candidates: int = CANDIDATES,
    ) -> None:
        if candidates < 1:
            raise PhotoseekError(f"candidates must be 1 or more, got {candidates}")
        self.candidates = candidates
        self.index = index
        self.view = index.view()
        self.ranker = ranker_of(self.view)
        if ranker is not None and ranker.id != self.ranker.id:
            raise PhotoseekError(
                f"index {index.folder} has ranker {self.ranker.id} attached, not {ranker.id}; photoseek use RANKER "
                f"-i {index.folder} attaches another"
            )
        if index.rows > self.view.rows:
            # What came after the view was built is scored exactly, until a build folds it in.
            late = np.asarray(index.embeddings()[self.view.rows :], np.float32)
            regions = index.regions()
            self.view.tail = self.ranker.encode_photos(late, None if regions is None else regions[self.view.rows :])
        dead = np.array(index.catalogue.dead_rows(), np.int64)
        self._alive = np.setdiff1d(np.arange(self.view.total_rows), dead) if len(dead) else None
        self._mean_caption = self.ranker.mean_caption()
        self._text: TextEncoder | None = None
        self._timer = timer
        self._blas = ThreadpoolController()
        self.moderation: Moderation | None = None
        if index.policy is not None:
            from search.moderation import policy_filter as moderation

            self.moderation = moderation.Moderation(index, self.view, self.ranker, self.encode_queries, on_problem)

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """The k most relevant photos for a sentence, best first; fewer only if the index holds fewer."""
        return list(self.answer(text, k).hits)

    def answer(
        self, text: str, k: int = 10, *, min_score: float = 0.0, under: str | None = None, without: str | None = None
    ) -> SearchResult:
        """Like `search`, with the verdict whether there is a good match. `under`, `without`: see `answer_many`."""
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
        """Answers to (id, text) queries, in their order; as good one by one as together.

        `min_score` leaves out hits of lower relevance; `under` keeps to a folder (from here, else from a root of the
        index); `without` multiplies each relevance by what is missing of a second sentence's, and photos that this
        rather fits than not come last.
        Raises PhotoseekError for a k under 1, an empty query, or a folder that holds no photos of the index.
        """
        _check_k(k)
        for name, text in [*queries, *([] if without is None else [("--without", without)])]:
            _check_text(name, text)
        allowed = self._allowed(under)
        unwanted = None if without is None else self.encode_queries([without])
        stops = [None if self.moderation is None else self.moderation.block_text(text) for _, text in queries]
        free = [query for query, stop in zip(queries, stops, strict=True) if stop is None]
        if free:
            self._open(free[0][1])
        blocks = [free[start : start + BLOCK] for start in range(0, len(free), BLOCK)]
        answers: list[SearchResult] = []
        # Products this small gain nothing from a second BLAS thread, which then spins beside the encoder's.
        with self._blas.limit(limits=1, user_api="blas"):
            threads = 1 if len(blocks) > 1 else None
            ranked = _each(
                lambda block: self._rank([t for _, t in block], k, min_score, allowed, unwanted, threads), blocks
            )
            for block, found in zip(blocks, ranked, strict=True):
                with self._stage("fetch"):
                    hits = self._hits([shown for shown, _ in found], under)
                for query, own, (_, chance) in zip(block, hits, found, strict=True):
                    good = chance >= self.ranker.no_match.threshold
                    answers.append(SearchResult(*query, own, good, self._notes(query[1]), chance))
                if on_progress is not None:
                    on_progress(len(queries) - len(free) + len(answers), len(queries))
        passed = iter(answers)
        return [
            next(passed) if stop is None else SearchResult(*query, (), good_match=False, blocked=stop)
            for query, stop in zip(queries, stops, strict=True)
        ]

    def like(self, photo: str | Path, k: int = 10, *, min_score: float = 0.0, under: str | None = None) -> SearchResult:
        """Photos that look like a photo (a file, in the index or not); relevance is the cosine of the embeddings."""
        from indexer.photos.decode import UnreadablePhoto, load

        _check_k(k)
        encoder = self.index.load_encoder()
        if encoder.fingerprint != self.index.encoder:
            raise PhotoseekError(
                f"index {self.index.folder} holds embeddings of {self.index.encoder}, but this machine has "
                f"{encoder.fingerprint}; build the index again"
            )
        try:
            loaded = load(os.fsencode(photo), encoder.fit)
        except UnreadablePhoto as error:
            raise PhotoseekError(f"photo {os.fspath(photo)}: {error}") from None
        regions = None
        if self.view.regions is None:
            x = encoder.encode(loaded.pixels[None])
        else:
            x, parts = encoder.encode_with_regions(loaded.pixels[None])
            regions = directions(parts)
        side = self.ranker.encode_photos(x, regions)
        name = f"like {os.fspath(photo)}"
        if self.moderation is not None:
            row = self.index.catalogue.row_of_digest(loaded.digest)
            stop = self.moderation.block_photo(os.path.abspath(os.fspath(photo)), side, row)
            if stop is not None:
                return SearchResult("1", name, (), good_match=False, blocked=stop)
        query = np.concatenate([side.z, np.zeros((1, 1), np.float32)], axis=1)
        rows, _ = self.view.search(query, max(self.candidates, k), self._allowed(under))
        cosines = np.asarray(self.index.embeddings()[rows[0]], np.float32) @ x[0]
        order = np.lexsort((rows[0], -cosines))[:k]
        relevance = np.clip(cosines, 0, 1)
        kept = order[relevance[order] >= min_score]
        shown = _Shown(rows[0][kept], relevance[kept], cosines[kept])
        return SearchResult("1", name, self._hits([shown], under)[0], good_match=True)

    def _rank(
        self,
        texts: Sequence[str],
        k: int,
        min_score: float,
        allowed: np.ndarray | None,
        unwanted: EncodedQueries | None,
        threads: int | None,
    ) -> list[tuple["_Shown", float]]:
        """Of each text what is shown, and the chance that anything fits it. Safe in several threads at once, of which
        each should search with one."""
        query = self.encode_queries(texts)
        with self._stage("candidates"):
            rows, _ = self.view.search(query.candidate, max(self.candidates, k), allowed, threads)
        with self._stage("rerank"):
            photos = self.view.total_rows if allowed is None else len(allowed)
            return [self._rerank(rows[i], query, i, unwanted, photos, k, min_score) for i in range(len(texts))]

    def _open(self, text: str) -> None:
        """Compile the text encoder in a thread and read the candidates beside it: a fresh process waits for both."""
        if self._text is not None:
            return
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(self._text_encoder().encode, [text])
            self.view.open_candidates()
            ready.result()

    def encode_queries(self, texts: Sequence[str]) -> EncodedQueries:
        with self._stage("encode"):
            if self.view.regions is None:
                vectors = self._text_encoder().encode(texts)
                tokens = Tokens.none(len(texts))
            else:
                vectors, tokens = self._text_encoder().encode_with_tokens(texts)
        with self._stage("map"):
            return self.ranker.encode_queries(vectors, list(texts), tokens)

    def _rerank(
        self,
        rows: np.ndarray,
        query: EncodedQueries,
        i: int,
        unwanted: EncodedQueries | None,
        photos: int,
        k: int,
        min_score: float,
    ) -> tuple["_Shown", float]:
        """Candidate rows (c,) of query i -> what is shown of them, best first, ties by row; and the chance that any of
        so many photos fits the query."""
        view = self.view
        side = EncodedPhotos(
            view.gather_z(rows), view.gather_hubness(rows), view.gather_hidden(rows), view.gather_regions(rows)
        )
        scores = self.ranker.scores(side, query, i)
        order, relevance = scores.ranking_scores, scores.relevance
        if photos < MANY:
            at_large = side.z @ self._mean_caption[:-1] + side.hubness * self._mean_caption[-1]
            order = correct_small_gallery(order, at_large, query.gate[i], photos)
        if unwanted is not None:
            wanted = 1 - self.ranker.scores(side, unwanted, 0).relevance
            relevance = relevance * wanted
            # The order is a log-probability up to a constant, so what is missing of the unwanted multiplies it; what
            # rather is unwanted than not stands behind all that is not.
            order = order + np.log(np.maximum(wanted, 1e-6)) - UNWANTED * (wanted < UNWANTED_FROM)
        places = np.lexsort((rows, -order))
        if not len(places):
            return _Shown(rows, relevance, order), 0.0
        first = places[:1]
        chance = self.ranker.match_probability(
            scores.ranking_scores[first], scores.pair_features[first], query.query_hubness[i : i + 1], photos
        )
        shown = isotonic_relevance(relevance[places], k)
        first = places[:k][shown >= min_score]
        return _Shown(rows[first], shown[shown >= min_score], order[first]), float(chance[0])

    def _hits(self, lists: "Sequence[_Shown]", under: str | None) -> list[tuple[Hit, ...]]:
        """The hits of each list. Of exact duplicates the first path is shown, one below `under` if given."""
        rows = sorted({row for shown in lists for row in shown.rows.tolist()})
        photos = self.index.catalogue.photos_of_rows(rows)
        sizes = self.index.catalogue.sizes_of_rows(rows)
        paths = {row: _paths(found, under) for row, found in photos.items()}
        return [
            tuple(
                Hit(rank, paths[row][0], relevance, score, *sizes[row], copies=tuple(paths[row][1:]))
                for rank, (row, relevance, score) in enumerate((hit for hit in shown.hits() if paths[hit[0]]), 1)
            )
            for shown in lists
        ]

    def _allowed(self, under: str | None) -> np.ndarray | None:
        """Sorted rows that may be found, or None where all may."""
        if under is None:
            return self._shown
        here, in_root = os.fsencode(os.path.abspath(under)), os.fsencode(under)
        rows = self.index.catalogue.rows_under(here) or self.index.catalogue.rows_under(in_root)
        if not rows:
            raise PhotoseekError(f"no photos of index {self.index.folder} lie under {under!r}")
        return self._unheld(np.array(rows, np.int64))

    @cached_property
    def _shown(self) -> np.ndarray | None:
        """Sorted rows that are neither deleted nor held back by the policy; None where that is every row."""
        return self._unheld(self._alive)

    def _unheld(self, rows: np.ndarray | None) -> np.ndarray | None:
        if self.moderation is None or not len(self.moderation.held):
            return rows
        every = np.arange(self.view.total_rows) if rows is None else rows
        return np.setdiff1d(every, self.moderation.held, assume_unique=True)

    def _notes(self, text: str) -> tuple[str, ...]:
        encoder = self._text_encoder()
        if not encoder.is_cut(text):
            return ()
        return (f"the query is longer than {encoder.max_tokens} word pieces; the rest was not read",)

    def _text_encoder(self) -> TextEncoder:
        if self._text is None:
            self._text = open_text_encoder(self.ranker.text_encoder, self.ranker.text_encoder_name)
        return self._text

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        if self._timer is not None:
            self._timer(name, time.perf_counter() - begin)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown for a query, best first: rows, relevance and order scores, (h,) each."""

    rows: np.ndarray
    relevance: np.ndarray
    scores: np.ndarray

    def hits(self) -> Iterator[tuple[int, float, float]]:
        return zip(self.rows.tolist(), self.relevance.tolist(), self.scores.tolist(), strict=True)


def _each(function: Callable[[Block], T], blocks: Sequence[Block]) -> Iterator[T]:
    """What the function makes of each block, in their order; several in a thread a core, which NumPy and the encoder
    leave to each other."""
    if len(blocks) < 2:
        yield from map(function, blocks)
        return
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    try:
        yield from pool.map(function, blocks)
    finally:
        pool.shutdown(cancel_futures=True)


def ranker_of(view: View) -> Ranker:
    """The ranker of a view. Raises PhotoseekError if it cannot be read or is not the view's."""
    try:
        ranker = Ranker.load(view.ranker_folder)
    except PhotoseekError as error:
        raise damaged(view.folder, str(error).partition(";")[0]) from None
    if view.ranker_id not in ("", ranker.id):
        raise damaged(view.folder, f"it is of ranker {view.ranker_id} and holds {ranker.id}")
    return ranker


def _check_k(k: int) -> None:
    if k < 1:
        raise PhotoseekError(f"k must be 1 or more, got {k}")


def _check_text(name: str, text: str) -> None:
    if not text.strip():
        raise PhotoseekError(f"query {name} is empty; say what the photo shows")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise PhotoseekError(f"query {name} is no valid Unicode text") from None


def _paths(photos: list[Photo], under: str | None) -> list[str]:
    """The absolute paths of a row's photos, those below `under` first. Roots may overlap, and then name one twice."""
    found = sorted(photos, key=lambda photo: under is not None and not _is_below(photo, under))
    return list(dict.fromkeys(os.fsdecode(os.path.join(photo.root, photo.path)) for photo in found))


def _is_below(photo: Photo, under: str) -> bool:
    """Whether a photo lies below a folder, named from here or from a root of the index."""
    here, in_root = os.fsencode(os.path.abspath(under)), os.path.normpath(os.fsencode(under))
    return os.path.join(photo.root, photo.path).startswith(here + b"/") or photo.path.startswith(in_root + b"/")
