"""Read queries as people ask them: parse texts, encode photos, and ask the policy."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from indexer.index import Index
from search.queries.asked_query import AskedPhoto, AskedQuery
from search.queries.photo_encoder import EncodedPhoto, PhotoEncoder
from search.queries.query import Photo, Query, Text
from search.queries.query_text import ParsedQuery, parse_query, unwanted_texts
from search.queries.spelling import Spelling
from search.query_encoder import QueryEncoder, check_query_text

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation


class QueryReader:
    """Reader of queries for one index.

    Args:
        index: The index.
        known_words: The words to which typing errors are mended, the most frequent first.
        encoder: Encodes texts.
        photo_encoder: Encodes photos.
        moderation: What the index's policy does, None without a policy.
    """

    def __init__(
        self,
        index: Index,
        known_words: Sequence[str],
        encoder: QueryEncoder,
        photo_encoder: PhotoEncoder,
        moderation: "Moderation | None",
    ) -> None:
        self._index, self._known_words = index, known_words
        self._encoder, self._photo_encoder = encoder, photo_encoder
        self._moderation = moderation

    def check(self, query: Query) -> None:
        """Refuse a query that asks for nothing.

        Args:
            query: The query.

        Raises:
            PhotoseekError: It has no part, or a text of it is empty or no valid Unicode.
        """
        text = query.wanted_text.text
        if text.strip() or not (query.wanted_photos or query.excluded_texts or query.excluded_photos):
            check_query_text(query.id, text)
        for part in query.excluded_texts:
            check_query_text("--without", part.text)

    def read(self, query: Query) -> AskedQuery:
        """Read a query.

        Args:
            query: The query, checked.

        Returns:
            The query as it is ranked; with `blocked` set, and its photos not read, if the policy blocks it.

        Raises:
            PhotoseekError: A photo cannot be read, or this machine has another image encoder than the index.
        """
        typed = query.wanted_text
        parsed = parse_query(typed.text, self._spelling) if typed.text.strip() else ParsedQuery("")
        excluded = [
            replace(part, text=text)
            for part in query.excluded_texts
            for text in unwanted_texts(part.text, self._spelling)
        ]
        unwanted = (*map(Text, parsed.unwanted), *excluded)
        asked = AskedQuery(query.id, query.described, parsed, typed.weight, unwanted)
        stop = None
        if self._moderation is not None and typed.text.strip():
            stop = self._moderation.block_text(typed.text, parsed.text)
        if stop is not None:
            return replace(asked, blocked=stop)
        like = [(self._photo_encoder.encode(photo.path), photo) for photo in query.wanted_photos]
        for encoded, _ in like:
            if (stop := self._block(encoded)) is not None:
                return replace(asked, blocked=stop)
        unlike = [(self._photo_encoder.encode(photo.path), photo) for photo in query.excluded_photos]
        return replace(asked, like=_asked(like), unlike=_asked(unlike))

    def _block(self, photo: EncodedPhoto) -> str | None:
        """Return the disclaimer if the policy blocks a photo that is asked for, else None."""
        if self._moderation is None:
            return None
        row = self._index.catalogue.row_of_digest(photo.digest)
        return self._moderation.block_photo(photo.path, photo.photo, row)

    @cached_property
    def _spelling(self) -> Spelling:
        return Spelling(self._known_words, self._encoder.is_word)


def _asked(photos: Sequence[tuple[EncodedPhoto, Photo]]) -> tuple[AskedPhoto, ...]:
    """Return encoded photos as parts of a query."""
    return tuple(AskedPhoto(encoded.embedding, encoded.photo.z[0], photo.weight) for encoded, photo in photos)
