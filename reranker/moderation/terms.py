"""Find words and phrases in texts by their stems.

A text is folded to plain lower-case words and written as "form/stem form/stem ..."; then the exceptions are cut out,
and the first term that is left is found.

| in a list | finds |
|---|---|
| `child` | every word of that stem: child, children (an irregular form), child's |
| `high school` | these words one after the other, each by its stem; a hyphen counts as a blank |
| `=minors` | this form alone, not its stem |
| `gun*` | any word that begins with these letters |
| `<animal>` | any entry of the word list `animal` |
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

# A word keeps its apostrophes, which the stemmer knows; an ampersand is a word.
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|&")
# A part of a term: a word list, a sign, or a word as it is written in the list.
PART = re.compile(r"<[^<>\s]+>|[<>&]|=?[^\s<>&-]+")
# Put in the place of an exception, so that the words before and behind it do not become neighbours.
CUT = "|"
# Letters of a word that are stemmed: the time to stem a word grows with the square of its length.
LONGEST_WORD = 64


@dataclass(frozen=True, slots=True)
class FoundTerm:
    """A term that was found in a text.

    Attributes:
        term: The term as its list has it.
        words: The words of the text that it covers, folded.
    """

    term: str
    words: str


@dataclass(frozen=True, slots=True)
class Terms:
    """A list of terms with its exceptions, compiled to patterns.

    Attributes:
        terms: The terms as they are written in the list.
        forms: Irregular form -> the word that it belongs to, both folded.
        pattern: One group per term, over "form/stem" pairs.
        exceptions: The exceptions; None where there are none.
    """

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
        """Compile terms.

        Args:
            terms: The terms.
            exceptions: Terms that are cut out of a text before.
            words: Name -> the word list that `<name>` stands for.
            forms: Irregular form -> the word that it belongs to, such as children -> child.

        Returns:
            The compiled terms.

        Raises:
            ValueError: A term is blank, holds no word, or names a word list that is missing.
        """
        irregular = {fold_text(form): fold_text(word) for form, word in (forms or {}).items()}
        lists = {
            fold_text(name): _any_of([_phrase(entry, {}, irregular) for entry in entries])
            for name, entries in (words or {}).items()
        }
        found = [_phrase(term, lists, irregular) for term in terms]
        cut = [_phrase(term, lists, irregular) for term in exceptions]
        pattern = re.compile("(?<![^ ])(?:" + "|".join(f"({phrase})" for phrase in found) + ")(?![^ ])")
        left_out = re.compile(f"(?<![^ ]){_any_of(cut)}(?![^ ])") if cut else None
        return cls(tuple(terms), irregular, pattern, left_out)

    def find(self, text: str) -> FoundTerm | None:
        """Find the first term in a text that no exception covers; None where there is none."""
        words = " ".join(f"{word}/{_stem(word, self.forms)}" for word in WORD.findall(fold_text(text)))
        found = self.pattern.search(words)
        if found is not None and self.exceptions is not None:
            found = self.pattern.search(self.exceptions.sub(CUT, words))
        if found is None or found.lastindex is None:
            return None
        return FoundTerm(self.terms[found.lastindex - 1], " ".join(pair.split("/")[0] for pair in found[0].split()))


def fold_text(text: str) -> str:
    """Normalise a text, so that texts that look the same become equal.

    Args:
        text: Any text.

    Returns:
        The text in lower case, without accents and invisible characters, with every letter and apostrophe in its plain
        form.
    """
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf"))
    return kept.replace("\u2019", "'").replace("\u02bc", "'").casefold()


def _phrase(term: str, lists: Mapping[str, str], forms: Mapping[str, str]) -> str:
    """Compile a term to a pattern over "form/stem" pairs. lists: name -> pattern, forms: irregular form -> word."""
    patterns = []
    for part in PART.findall(fold_text(term)):
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
    # Longer phrases come first, because "sea turtle" has to be tried before "sea".
    return "(?:" + "|".join(sorted(phrases, key=len, reverse=True)) + ")"


@cache
def _stemmer() -> Any:
    import Stemmer  # PyStemmer loads in 1 ms, a stemmer in pure Python in 50 ms

    return Stemmer.Stemmer("english")


def _stem(word: str, forms: Mapping[str, str]) -> str:
    base = word.removesuffix("'s")
    return str(_stemmer().stemWord(forms.get(base, base)[:LONGEST_WORD]))
