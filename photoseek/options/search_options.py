"""Define the options that say what a search asks for and which photos it may find."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer.errors import PhotoseekError
from indexer.photos.metadata.record import KINDS
from photoseek.options.standard_options import POSITIVE_INTEGER, RELEVANCE, FloatRange, UserPath, with_options

if TYPE_CHECKING:
    from search.queries.query import Query

Function = Callable[..., None]
WEIGHT = FloatRange(min=0, min_open=True)
# Options that are the fields of `search.filters.Filters`.
FILTERS = ("after", "before", "camera", "near", "kind")


class TimeType(click.ParamType):
    """A time as `search.filters.read_moment` reads it."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the time. Raises click.BadParameter if it cannot be read."""
        from search.filters import read_moment

        return _read(self, read_moment, value, param, ctx)


class PlaceType(click.ParamType):
    """A place with a distance, as `search.filters.read_circle` reads it."""

    name = "lat,lon[,km]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the circle. Raises click.BadParameter if it cannot be read."""
        from search.filters import read_circle

        return _read(self, read_circle, value, param, ctx)


class CameraType(click.ParamType):
    """Words of the name of a camera, as `search.filters.Filters` takes them."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the words. Raises click.BadParameter if there are none."""
        from search.filters import read_camera

        return _read(self, read_camera, value, param, ctx)


TIME, PLACE, CAMERA = TimeType(), PlaceType(), CameraType()


def _read(
    kind: click.ParamType,
    read: Callable[[str], Any],
    value: Any,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> Any:
    """Read the value of an option, and refuse it as misuse."""
    try:
        return read(value) if isinstance(value, str) else value
    except PhotoseekError as error:
        kind.fail(str(error), param, ctx)


ALL_HELP = "Show every photo of a burst, in several sizes or copied, not only the best."


def search_options(count_help: str) -> Callable[[Function], Function]:
    """Return a decorator that adds what all searches have in common, as one argument `options`, a `SearchOptions`.

    Args:
        count_help: The help text of `-k`.
    """
    added = (
        click.option("-k", "k", type=POSITIVE_INTEGER, default=10, show_default=True, help=count_help),
        click.option("--min-score", type=RELEVANCE, default=0.0, help="Leave out photos of lower relevance."),
        click.option("--under", metavar="DIR", help="Only photos below this folder."),
        click.option("--after", type=TIME, help="Only photos taken from the beginning of this day, month or year on."),
        click.option("--before", type=TIME, help="Only photos taken before the beginning of this day, month or year."),
        click.option("--camera", type=CAMERA, help="Only photos of cameras whose name has these words."),
        click.option(
            "--near", type=PLACE, help="Only photos taken within KM kilometres of a place.  [default: within 1]"
        ),
        click.option("--kind", type=click.Choice(KINDS), help="Only photos of this kind."),
        click.option("--all", "show_all", is_flag=True, help=ALL_HELP),
    )

    def add(function: Function) -> Function:
        @wraps(function)
        def command(*args: Any, k: int, min_score: float, under: str | None, show_all: bool, **others: Any) -> None:
            from search.filters import Filters
            from search.queries.search_options import SearchOptions

            filters = Filters(**{name: others.pop(name) for name in FILTERS})
            function(*args, options=SearchOptions(k, min_score, under, filters, show_all), **others)

        return with_options(command, *added)

    return add


def sort_option(function: Function) -> Function:
    """Add `--sort` to a command."""
    text = "Order of the photos that are found; by date, the newest comes first."
    choice = click.Choice(["relevance", "date"])
    return click.option("--sort", type=choice, default="relevance", show_default=True, help=text)(function)


@dataclass(frozen=True, slots=True)
class QueryParts:
    """The parts of a query beside its text, as the options of `search` name them.

    Attributes:
        like: Photos that hits should look like.
        like_weight: How much each of them counts beside the text.
        without: Texts that hits should not fit.
        unlike: Photos that hits should not look like.
    """

    like: tuple[Path, ...]
    like_weight: float | None
    without: tuple[str, ...]
    unlike: tuple[Path, ...]

    def query(self, text: str | None) -> "Query":
        """Return the query with its text.

        Args:
            text: The text, None or blank if there is none.

        Raises:
            click.UsageError: Nothing is asked for, a text is blank, or a weight stands alone.
        """
        from search.queries.query import PLAIN_WEIGHT, Photo, Query

        typed = text or ""
        if any(not part.strip() for part in self.without):
            raise click.UsageError("--without needs a TEXT that says what photos should not show")
        if self.like_weight is not None and not (self.like and typed.strip()):
            raise click.UsageError("--like-weight goes with a TEXT and --like PHOTO")
        if not (typed.strip() or self.like or self.without or self.unlike):
            raise click.UsageError("give a TEXT that says what the photo shows, or --like PHOTO")
        weight = PLAIN_WEIGHT if self.like_weight is None else self.like_weight
        like = [Photo(path, weight) for path in self.like]
        return Query(typed, like, [*self.without, *map(Photo, self.unlike)])


def query_parts(function: Function) -> Function:
    """Add the parts of a query beside its text to a command, as its argument `parts`, a `QueryParts`."""
    photo: dict[str, Any] = {"metavar": "PHOTO", "type": UserPath(), "multiple": True}
    added = (
        click.option("--like", help="Find photos that look like this one, beside TEXT or alone; repeatable.", **photo),
        click.option(
            "--like-weight", type=WEIGHT, help="How much a --like PHOTO counts beside the TEXT.  [default: 1]"
        ),
        click.option(
            "--without", metavar="TEXT", multiple=True, help="Prefer photos that this does not describe; repeatable."
        ),
        click.option("--unlike", help="Prefer photos that do not look like this one; repeatable.", **photo),
    )

    @wraps(function)
    def command(*args: Any, **given: Any) -> None:
        names = ("like", "like_weight", "without", "unlike")
        function(*args, parts=QueryParts(*(given.pop(name) for name in names)), **given)

    return with_options(command, *added)
