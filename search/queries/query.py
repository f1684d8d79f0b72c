"""Define the parts of a query: a text, photos that hits should look like, and what they should not show."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexer.argument_checks import check_kind, is_number, shown
from indexer.errors import PhotoseekError

# Weight of a part that says nothing else.
PLAIN_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class Text:
    """A text as a part of a query.

    Attributes:
        text: What photos show, as people type it.
        weight: How much it counts beside the other parts, above 0.
    """

    text: str
    weight: float = PLAIN_WEIGHT


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo as a part of a query.

    Attributes:
        path: The photo file, in the index or not.
        weight: How much it counts beside the other parts, above 0.
    """

    path: str | Path
    weight: float = PLAIN_WEIGHT


# One photo or several: a str is a path here.
PhotosAsked = Photo | str | Path | Iterable[Photo | str | Path]
# One text or photo, or several: a str is a text here, a Path a photo.
PartsAsked = Text | Photo | str | Path | Iterable[Text | Photo | str | Path]


@dataclass(frozen=True, slots=True)
class Query:
    """A query of one or several parts, such as "a dog" like one photo and without snow.

    Attributes:
        text: What photos should show, a str or a `Text`; empty for a query of photos or exclusions alone.
        like: Photos that hits should look like, one or several: paths or `Photo`s.
        without: What hits should not show, one or several: texts (str or `Text`) and photos (`Path` or `Photo`).
        id: The id of its result.

    Raises:
        PhotoseekError: A part or the id is of another type, or a weight is not above 0.

    Examples:
        >>> Query("a dog", like=Photo("beach.jpg", weight=0.5), without=["snow", Photo("cat.jpg")]).described
        'a dog'
    """

    text: str | Text = ""
    like: PhotosAsked = ()
    without: PartsAsked = ()
    id: str = "1"

    def __post_init__(self) -> None:
        check_kind("the id of a query", self.id, str, "a text")
        like = tuple(_as_photo(one) for one in _each(self.like))
        without = tuple(_as_part(one) for one in _each(self.without))
        # Kept as tuples, because a query may be asked more than once.
        object.__setattr__(self, "like", like)
        object.__setattr__(self, "without", without)
        for part in (self.wanted_text, *like, *without):
            if isinstance(part, Text) and not isinstance(part.text, str):
                raise PhotoseekError(f"query {self.id}: {shown(part.text)} is no text")
            if isinstance(part, Photo) and not isinstance(part.path, str | Path):
                raise PhotoseekError(f"query {self.id}: {shown(part.path)} is no path of a photo")
            if not (is_number(part.weight) and math.isfinite(part.weight) and part.weight > 0):
                raise PhotoseekError(f"query {self.id}: a weight must be a number above 0, got {shown(part.weight)}")

    @property
    def wanted_text(self) -> Text:
        """The text with its weight."""
        return self.text if isinstance(self.text, Text) else Text(self.text)

    @property
    def wanted_photos(self) -> tuple[Photo, ...]:
        """The photos that hits should look like."""
        return tuple(one for one in _each(self.like) if isinstance(one, Photo))

    @property
    def excluded_texts(self) -> tuple[Text, ...]:
        """The texts that hits should not fit."""
        return tuple(one for one in _each(self.without) if isinstance(one, Text))

    @property
    def excluded_photos(self) -> tuple[Photo, ...]:
        """The photos that hits should not look like."""
        return tuple(one for one in _each(self.without) if isinstance(one, Photo))

    @property
    def described(self) -> str:
        """The text as it was typed; without one, the parts in words."""
        typed = self.wanted_text.text
        if typed.strip():
            return typed
        like = " and ".join(os.fspath(photo.path) for photo in self.wanted_photos)
        texts = [one.text for one in self.excluded_texts]
        without = " or ".join([*texts, *(os.fspath(photo.path) for photo in self.excluded_photos)])
        return " ".join(f"{word} {parts}" for word, parts in (("like", like), ("without", without)) if parts)


def with_parts(query: Query, like: PhotosAsked, without: PartsAsked) -> Query:
    """Return a query with more photos, and with more that is excluded.

    Args:
        query: The query.
        like: Photos that hits should look like, too.
        without: What they should not show, either.
    """
    more = Query(like=like, without=without, id=query.id)
    photos = (*query.wanted_photos, *more.wanted_photos)
    excluded: list[Text | Photo] = [*query.excluded_texts, *query.excluded_photos]
    excluded += [*more.excluded_texts, *more.excluded_photos]
    return replace(query, like=photos, without=excluded)


def as_queries(queries: object) -> list[Query]:
    """Read what a caller asks of a batch.

    Args:
        queries: An iterable of `Query`s, of pairs (id, text), or of texts, which are numbered from 1; or a mapping of
            ids to texts.

    Returns:
        The queries, in their order.

    Raises:
        PhotoseekError: It is a single text, nothing to go through, or holds something else.
    """
    if isinstance(queries, str | bytes | Query) or not isinstance(queries, Iterable):
        raise PhotoseekError(
            f"a batch takes many queries, as texts, pairs (id, text) or Query objects; got {shown(queries)}"
        )
    given = queries.items() if isinstance(queries, Mapping) else queries
    return [_as_query(number, one) for number, one in enumerate(given, 1)]


def _as_photo(part: Any) -> Photo:
    """Return what stands for a photo as one."""
    return part if isinstance(part, Photo) else Photo(part)


def _as_part(part: Any) -> Text | Photo:
    """Return a part of `without` as what it stands for: a str is a text."""
    if isinstance(part, str):
        return Text(part)
    return part if isinstance(part, Text) else _as_photo(part)


def _as_query(number: int, given: object) -> Query:
    """Read one query of a batch."""
    match given:
        case Query():
            return given
        case str():
            return Query(given, id=str(number))
        case (id_, str() as text):
            return Query(text, id=str(id_))
    raise PhotoseekError(
        f"query {number} of the batch must be a text, a pair (id, text) or a Query, got {shown(given)}"
    )


def _each(given: object) -> Iterable[object]:
    """Yield one part, or each of several."""
    if isinstance(given, str | bytes | Path | Text | Photo) or not isinstance(given, Iterable):
        return (given,)
    return given
