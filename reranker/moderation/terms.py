"""Terms: lists of words and phrases, written as a person writes them, found in texts by stem.

text -> folded words -> "form/stem form/stem" -> exceptions cut out -> the first term that is left

| in a list | finds |
|---|---|
| `child` | every word of that stem: child, children (an irregular form), child's |
| `high school` | these words one after the other, each by stem; hyphens are blanks |
| `=minors` | this very form, not its stem |
| `gun*` | any word that begins so |
| `<animal>` | any entry of the word list `animal` |
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

# A word keeps its apostrophes, which the stemmer knows; an ampersand stands for itself.
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|&")
PART = re.compile(r"<[^<>\s]+>|[<>&]|=?[^\s<>&-]+")
# Between two words that only became neighbours when an exception was cut out.
CUT = "|"
LONGEST_WORD = 64  # stemming takes the square of a word's length; no word that is meant is longer


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in a text: the `term` as its list has it, and the `words` of the text that it covers, folded."""

    term: str
    words: str


@dataclass(frozen=True, slots=True)
class Terms:
    """A list of terms with its exceptions, ready to look through texts."""

    terms: tuple[str, ...]
    forms: Mapping[str, str]
    pattern: re.Pattern[str]
    exceptions: re.Pattern[str] | None

    @classmethod
    def of(
        cls,
        terms: Sequence[str],
        exceptions: Sequence[str] = (),
        words: Mapping[str, Sequence[str]] | None = None,
        forms: Mapping[str, str] | None = None,
    ) -> "Terms":
        """`words` are the lists that `<name>` stands for; `forms` irregular forms with the word they belong to.

        Raises ValueError for a term that is blank, holds no word, or names a list that is not there.
        """
        irregular = {folded(form): folded(word) for form, word in (forms or {}).items()}
        lists = {
            folded(name): _any_of([_phrase(entry, {}, irregular) for entry in entries])
            for name, entries in (words or {}).items()
        }
        found = [_phrase(term, lists, irregular) for term in terms]
        cut = [_phrase(term, lists, irregular) for term in exceptions]
        pattern = re.compile("(?<![^ ])(?:" + "|".join(f"({phrase})" for phrase in found) + ")(?![^ ])")
        left_out = re.compile(f"(?<![^ ]){_any_of(cut)}(?![^ ])") if cut else None
        return cls(tuple(terms), irregular, pattern, left_out)

    def find(self, text: str) -> Finding | None:
        """The first term in the text that no exception covers; None where there is none."""
        words = " ".join(f"{word}/{_stem(word, self.forms)}" for word in WORD.findall(folded(text)))
        found = self.pattern.search(words)
        if found is not None and self.exceptions is not None:
            found = self.pattern.search(self.exceptions.sub(CUT, words))
        if found is None or found.lastindex is None:
            return None
        return Finding(self.terms[found.lastindex - 1], " ".join(pair.split("/")[0] for pair in found[0].split()))


def folded(text: str) -> str:
    """The text in lower case, without accents and invisible characters, every letter and apostrophe in its plain form:
    what looks the same reads the same."""
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf"))
    return kept.replace("\u2019", "'").replace("\u02bc", "'").casefold()


def _phrase(term: str, lists: Mapping[str, str], forms: Mapping[str, str]) -> str:
    """A term as a pattern over "form/stem" pairs."""
    patterns = []
    for part in PART.findall(folded(term)):
        name = part.strip("<>")
        if part.startswith("<"):
            if name not in lists:
                raise ValueError(f"term {term!r} names the word list {name!r}, which is not there")
            patterns.append(lists[name])
            continue
        word = part.removeprefix("=").removesuffix("*")
        if not WORD.fullmatch(word):
            raise ValueError(f"term {term!r}: {part!r} is no word")
        if part.startswith("="):
            patterns.append(f"{re.escape(word)}/[^ ]+")
        elif part.endswith("*"):
            patterns.append(f"{re.escape(word)}[^ /]*/[^ ]+")
        else:
            patterns.append(f"[^ /]+/{re.escape(_stem(word, forms))}")
    if not patterns:
        raise ValueError(f"term {term!r} holds no word")
    return " ".join(patterns)


def _any_of(phrases: Sequence[str]) -> str:
    # The longest first: "sea turtle" has to be tried before "sea".
    return "(?:" + "|".join(sorted(phrases, key=len, reverse=True)) + ")"


@cache
def _stemmer() -> Any:
    import Stemmer  # one millisecond; the pure Python stemmers take fifty

    return Stemmer.Stemmer("english")


def _stem(word: str, forms: Mapping[str, str]) -> str:
    base = word.removesuffix("'s")
    return str(_stemmer().stemWord(forms.get(base, base)[:LONGEST_WORD]))
