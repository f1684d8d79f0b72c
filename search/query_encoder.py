"""Encode query texts: text vectors by the ranker's text encoder, then everything that the ranker makes of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from indexer.encoders import TextEncoder, Tokens, open_text_encoder
from indexer.errors import PhotoseekError
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import NOT_CALIBRATED, Ranker

OnStage = Callable[[str, float], None]
# What is said of a query none of whose words the ranker has ever read, in another script or language or no word at all.
NOTHING_KNOWN = "the ranker knows no word of the query; it has read English captions, so the hits mean little"


class QueryEncoder:
    """Encoder of query texts; it opens the ranker's text encoder when the first text comes.

    Args:
        ranker: The ranker whose text encoder is used.
        with_tokens: Whether word pieces are encoded, too, for late interaction with region vectors.
        on_stage: Called with (stage, seconds) for the stages `encode` and `map`.
    """

    def __init__(self, ranker: Ranker, with_tokens: bool, on_stage: OnStage | None = None) -> None:
        self._ranker = ranker
        self._with_tokens = with_tokens
        self._on_stage = on_stage
        self._encoder: TextEncoder | None = None

    def fits(self, ranker: Ranker, with_tokens: bool) -> bool:
        """Return whether it encodes for a ranker, with or without tokens."""
        return (self._ranker.id, self._with_tokens) == (ranker.id, with_tokens)

    @property
    def is_open(self) -> bool:
        """Whether the text encoder has been opened."""
        return self._encoder is not None

    @property
    def text_encoder(self) -> TextEncoder:
        """The text encoder, opened now if it was not.

        Raises:
            PhotoseekError: It is not the one that the ranker was trained with.
        """
        if self._encoder is None:
            self._encoder = open_text_encoder(self._ranker.text_encoder, self._ranker.text_encoder_name)
        return self._encoder

    def encode(self, texts: Sequence[str]) -> EncodedQueries:
        """Encode texts as queries.

        Args:
            texts: b texts.

        Returns:
            What ranking needs of each query, b rows per array.
        """
        with timed("encode", self._on_stage):
            if self._with_tokens:
                vectors, tokens = self.text_encoder.encode_with_tokens(texts)
            else:
                vectors, tokens = self.text_encoder.encode(texts), Tokens.none(len(texts))
        with timed("map", self._on_stage):
            return self._ranker.encode_queries(vectors, list(texts), tokens)

    def is_word(self, word: str) -> bool:
        """Return whether the text encoder has a lower-case word whole; this opens it."""
        return self.text_encoder.is_word(word)

    def notes(self, text: str) -> tuple[str, ...]:
        """Return remarks for a person on the answer to a text: that it was not read whole or not understood.

        Args:
            text: The text.
        """
        notes = []
        if self.text_encoder.is_cut(text):
            notes.append(f"the query is longer than {self.text_encoder.max_tokens} word pieces; the rest was not read")
        known = self._ranker.joint_space.known_words
        if known.words and not known.share(text):
            notes.append(NOTHING_KNOWN)
        if not self._ranker.is_calibrated:
            notes.append(f"relevance is the encoder's own, {NOT_CALIBRATED}")
        return tuple(notes)


@contextmanager
def timed(stage: str, on_stage: OnStage | None) -> Iterator[None]:
    """Time a block as a stage."""
    begin = time.perf_counter()
    yield
    if on_stage is not None:
        on_stage(stage, time.perf_counter() - begin)


def check_query_text(name: str, text: str) -> None:
    """Check that a text can be a query.

    Args:
        name: The name of the query, for the message.
        text: The text.

    Raises:
        PhotoseekError: It is blank or no valid Unicode.
    """
    if not text.strip():
        raise PhotoseekError(f"query {name} is empty; say what the photo shows")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise PhotoseekError(f"query {name} is no valid Unicode text") from None
