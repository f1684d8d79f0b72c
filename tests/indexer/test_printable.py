"""indexer.printable: paths that are not fit for a terminal."""

import os

import pytest

from indexer.printable import printable

# Invalid UTF-8, a newline, a terminal escape, a right-to-left override, blanks, a percent sign.
ODD = os.fsdecode(b"/p/a b\n\x1b[31m%20\xff") + "\u202egpj.jpg"
ODD_SHOWN = "/p/a b\\n\\x1b[31m%20\\udcff\\u202egpj.jpg"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/p/a dog, é 狗 🐕.jpg", "/p/a dog, é 狗 🐕.jpg"),
        (ODD, ODD_SHOWN),
        # A narrow blank, joined emoji, letters of the private use area: names as systems and cameras make them.
        ("/p/3.45.01\u202fPM 👨\u200d👩\u200d👧 \ue000.jpg", "/p/3.45.01\u202fPM 👨\u200d👩\u200d👧 \ue000.jpg"),
        ("/p/a\u2028b\u2029.jpg", "/p/a\\u2028b\\u2029.jpg"),
        ("/p/\u200fa\u2066b\u2069.jpg", "/p/\\u200fa\\u2066b\\u2069.jpg"),
        ("/p/a\tb\r\x00\x7f\x9b.jpg", "/p/a\\tb\\r\\x00\\x7f\\x9b.jpg"),
    ],
)
def test_what_a_terminal_cannot_show_is_escaped(path: str, shown: str) -> None:
    assert printable(path) == shown
