"""Search: query -> policy -> text vector -> map -> candidates -> MLP -> hits with a relevance."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

from indexer.catalogue import Photo
from indexer.decode import UnreadablePhoto, load
from indexer.embeddings import directions
from indexer.encoders import TextEncoder, open_text_encoder
from indexer.encoders.base import Tokens
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.views import PhotoSide
from reranker.ranker import Ranker, shown_relevance
from reranker.space import QuerySide
from search.moderation import Moderation
from search.results import Answer, Hit

CANDIDATES = 200
# With `without`: a photo of which less than this is wanted is put this far down, behind all others.
UNWANTED_FROM, UNWANTED = 0.5, 100.0
BLOCK = 256
STAGES = ("encode", "map", "candidates", "rerank", "fetch")


class Searcher:
    """An index with the ranker of its view, ready for queries.

    Opens lazily: the text encoder is loaded by the first query. `timer` gets (stage, seconds) of every stage of every
    block of queries; the stages are `STAGES`. Where the index has a policy, `moderation` sees to it that nothing it
    blocks comes out; `on_problem`, else a RuntimeWarning, says what of its audit log cannot be written.
    Raises PhotoseekError if the index has no ranker, or not this one, or its policy cannot be read.
    """

    def __init__(
        self,
        index: Index,
        ranker: Ranker | None = None,
        timer: Callable[[str, float], None] | None = None,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self.index = index
        self.view = index.view()
        self.ranker = Ranker.load(self.view.ranker_folder)
        if ranker is not None and ranker.id != self.ranker.id:
            raise PhotoseekError(
                f"index {index.folder} has ranker {self.ranker.id} attached, not {ranker.id}; photoseek use RANKER "
                f"-i {index.folder} attaches another"
            )
        if index.rows > self.view.rows:
            # What came after the view was built is scored exactly, until a build folds it in.
            late = np.asarray(index.embeddings()[self.view.rows :], np.float32)
            regions = index.regions()
            self.view.tail = self.ranker.photo_side(late, None if regions is None else regions[self.view.rows :])
        dead = np.array(index.catalogue.dead_rows(), np.int64)
        self._alive = np.setdiff1d(np.arange(self.view.total_rows), dead) if len(dead) else None
        self._text: TextEncoder | None = None
        self._timer = timer
        self._blas = ThreadpoolController()
        self.moderation: Moderation | None = None
        if index.policy is not None:
            self.moderation = Moderation(index, self.view, self.ranker, self.query_side, on_problem)

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """The k most relevant photos for a sentence, best first; fewer only if the index holds fewer."""
        return list(self.answer(text, k).hits)

    def answer(
        self, text: str, k: int = 10, *, min_score: float = 0.0, under: str | None = None, without: str | None = None
    ) -> Answer:
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
    ) -> list[Answer]:
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
        unwanted = None if without is None else self.query_side([without])
        answers: list[Answer] = []
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            stops = [None if self.moderation is None else self.moderation.block_text(text) for _, text in block]
            free = [query for query, stop in zip(block, stops, strict=True) if stop is None]
            # Products this small gain nothing from a second BLAS thread, which then spins beside OpenVINO's.
            with self._blas.limit(limits=1, user_api="blas"):
                found = iter(self._answer_block(free, k, min_score, under, allowed, unwanted) if free else [])
            for (name, text), stop in zip(block, stops, strict=True):
                answers.append(next(found) if stop is None else Answer(name, text, (), good=False, blocked=stop))
            if on_progress is not None:
                on_progress(len(answers), len(queries))
        return answers

    def like(self, photo: str | Path, k: int = 10, *, min_score: float = 0.0, under: str | None = None) -> Answer:
        """Photos that look like a photo (a file, in the index or not); relevance is the cosine of the embeddings."""
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
        side = self.ranker.photo_side(x, regions)
        name = f"like {os.fspath(photo)}"
        if self.moderation is not None:
            row = self.index.catalogue.row_of_digest(loaded.digest)
            stop = self.moderation.block_photo(os.path.abspath(os.fspath(photo)), side, row)
            if stop is not None:
                return Answer("1", name, (), good=False, blocked=stop)
        query = np.concatenate([side.z, np.zeros((1, 1), np.float32)], axis=1)
        rows, _ = self.view.search(query, max(CANDIDATES, k), self._allowed(under))
        cosines = np.asarray(self.index.embeddings()[rows[0]], np.float32) @ x[0]
        order = np.lexsort((rows[0], -cosines))[:k]
        relevance = np.clip(cosines, 0, 1)
        kept = order[relevance[order] >= min_score]
        hits = self._hits(rows[0][kept], relevance[kept], cosines[kept], under)
        return Answer("1", name, hits, good=True)

    def _answer_block(
        self,
        queries: Sequence[tuple[str, str]],
        k: int,
        min_score: float,
        under: str | None,
        allowed: np.ndarray | None,
        unwanted: QuerySide | None,
    ) -> list[Answer]:
        texts = [text for _, text in queries]
        query = self.query_side(texts)
        with self._stage("candidates"):
            rows, _ = self.view.search(query.candidate, max(CANDIDATES, k), allowed)
        with self._stage("rerank"):
            photos = self.view.total_rows if allowed is None else len(allowed)
            ranked = [self._rerank(rows[i], query, i, unwanted, photos) for i in range(len(texts))]
        answers = []
        for i, (name, text) in enumerate(queries):
            ranked_rows, order, relevance, chance = ranked[i]
            kept = np.flatnonzero(relevance[:k] >= min_score)
            with self._stage("fetch"):
                hits = self._hits(ranked_rows[kept], relevance[kept], order[kept], under)
            good = chance >= self.ranker.match.threshold
            answers.append(Answer(name, text, hits, good, self._notes(text), chance))
        return answers

    def query_side(self, texts: Sequence[str]) -> QuerySide:
        with self._stage("encode"):
            if self.view.regions is None:
                vectors = self._text_encoder().encode(texts)
                tokens = Tokens.none(len(texts))
            else:
                vectors, tokens = self._text_encoder().encode_with_tokens(texts)
        with self._stage("map"):
            return self.ranker.query_side(vectors, list(texts), tokens)

    def _rerank(
        self, rows: np.ndarray, query: QuerySide, i: int, unwanted: QuerySide | None, photos: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Candidate rows (c,) of query i -> best first, ties by row: rows, order scores and shown relevance, (c,) each;
        and the chance that anything among so many photos fits the query."""
        view = self.view
        side = PhotoSide(
            view.gather_z(rows), view.gather_hub(rows), view.gather_hidden(rows), view.gather_regions(rows)
        )
        scores = self.ranker.scores(side, query, i)
        order, relevance = scores.order, scores.relevance
        if unwanted is not None:
            wanted = 1 - self.ranker.scores(side, unwanted, 0).relevance
            relevance = relevance * wanted
            # The order is a log-probability up to a constant, so what is missing of the unwanted multiplies it; what
            # rather is unwanted than not stands behind all that is not.
            order = order + np.log(np.maximum(wanted, 1e-6)) - UNWANTED * (wanted < UNWANTED_FROM)
        places = np.lexsort((rows, -order))
        if not len(places):
            return rows, order, relevance, 0.0
        first = places[:1]
        chance = self.ranker.match_probability(
            scores.order[first], scores.scalars[first], query.usual[i : i + 1], photos
        )
        return rows[places], order[places], shown_relevance(places, relevance)[places], float(chance[0])

    def _hits(self, rows: np.ndarray, relevance: np.ndarray, scores: np.ndarray, under: str | None) -> tuple[Hit, ...]:
        """Hits of rows in their order. Of exact duplicates the first path is shown, one below `under` if given."""
        photos = self.index.catalogue.photos_of_rows(rows.tolist())
        sizes = self.index.catalogue.sizes_of_rows(rows.tolist())
        hits: list[Hit] = []
        for row, value, score in zip(rows.tolist(), relevance.tolist(), scores.tolist(), strict=True):
            found = sorted(photos[row], key=lambda photo: under is not None and not _is_below(photo, under))
            # Roots may overlap, and then name a photo twice.
            paths = list(dict.fromkeys(os.fsdecode(os.path.join(photo.root, photo.path)) for photo in found))
            if paths:
                hits.append(Hit(len(hits) + 1, paths[0], value, score, *sizes[row], copies=tuple(paths[1:])))
        return tuple(hits)

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


def _is_below(photo: Photo, under: str) -> bool:
    """Whether a photo lies below a folder, named from here or from a root of the index."""
    here, in_root = os.fsencode(os.path.abspath(under)), os.path.normpath(os.fsencode(under))
    return os.path.join(photo.root, photo.path).startswith(here + b"/") or photo.path.startswith(in_root + b"/")
