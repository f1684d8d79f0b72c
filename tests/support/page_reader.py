"""Parse a report as a browser does (html5lib), and check what must hold for every report."""

import re
from pathlib import Path
from typing import Any

import html5lib


def parsed(path: Path) -> Any:
    """Parse a page into an element tree; raise on markup that a browser would have to repair."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(path.read_text(encoding="utf-8"))


def texts(page: Any, path: str) -> list[str]:
    """Return the text of every element on a path, with single spaces."""
    return [" ".join("".join(element.itertext()).split()) for element in page.findall(f".//{path}")]


def assert_self_contained(path: Path) -> None:
    """Check that a page loads nothing, that its ids are unique, its pictures have a text and its links a target."""
    page, markup = parsed(path), path.read_text(encoding="utf-8")
    elements = [element for element in page.iter() if isinstance(element.tag, str)]
    places = [(name, value) for e in elements for name, value in e.attrib.items() if name.endswith(("src", "href"))]
    assert [value for _, value in places if not value.startswith(("data:", "#"))] == []
    # What a page fetches by other ways than an element: a style sheet, a script.
    code = "\n".join("".join(e.itertext()) for e in elements if e.tag in ("style", "script"))
    assert re.findall(r"https?:|//\w|@import|fetch\(|XMLHttpRequest|url\(", code) == []
    assert re.findall(r"url\((?!#)", markup) == []
    ids = [element.attrib["id"] for element in elements if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    named = {value[1:] for _, value in places if value.startswith("#")} | set(re.findall(r"url\(#([^)]*)\)", markup))
    assert named <= set(ids)
    assert [e.attrib for e in elements if e.tag == "img" and not e.attrib["alt"]] == []
    assert [e.attrib for e in elements if e.tag.endswith("}svg") and not e.attrib["aria-label"]] == []
    policy = next(e.attrib["content"] for e in elements if "http-equiv" in e.attrib)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    assert [e.attrib for e in elements if any(name.startswith("on") for name in e.attrib)] == []
    assert len([e for e in elements if e.tag == "script"]) == 1
