"""Read single values of XMP, which is XML, without an XML parser: its entities could be made to grow without end."""

import html
import re
from functools import lru_cache


def xmp_value(xmp: str, name: str) -> str | None:
    """Return the value of a property, written as an attribute or as an element.

    Args:
        xmp: The XMP.
        name: The property with its usual prefix, as in `photoshop:DateCreated`.

    Returns:
        The text without control characters and repeated white space; None if there is none.
    """
    if name not in xmp:
        return None
    found = _pattern(name).search(xmp)
    if found is None:
        return None
    text = html.unescape(found.group(1) or found.group(2) or found.group(3) or "")
    return plain_text(text) or None


def plain_text(text: str) -> str:
    """Return text without control characters, and with single blanks."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


@lru_cache(64)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"""[\s<]{re.escape(name)}(?:\s*=\s*(?:"([^"<]*)"|'([^'<]*)')|>([^<]*)<)""")
