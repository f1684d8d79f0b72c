"""Refuse arguments of another type than is wanted, in one line that says what to give instead."""

import operator
from numbers import Real
from typing import Any

from indexer.errors import PhotoseekError

# Letters of a value that a message shows.
SHOWN = 60


def check_kind(name: str, value: object, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Refuse a value that is not of some types.

    Args:
        name: The argument.
        value: What was given for it.
        kinds: The types.
        wanted: What it must be, for the message.

    Raises:
        PhotoseekError: It is of another type.
    """
    if not isinstance(value, kinds):
        raise PhotoseekError(f"{name} must be {wanted}, got {shown(value)}")


def check_count(name: str, value: Any) -> None:
    """Refuse what is not a whole number from 1 on.

    Args:
        name: The argument.
        value: What was given for it.

    Raises:
        PhotoseekError: It is no whole number, or under 1.
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise PhotoseekError(f"{name} must be a whole number, got {shown(value)}") from None
    if count < 1:
        raise PhotoseekError(f"{name} must be 1 or more, got {value}")


def is_number(value: object) -> bool:
    """Return whether a value is a number of Python's or of NumPy's."""
    return isinstance(value, Real)


def shown(value: object) -> str:
    """Return a value for a message, shortened and on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
