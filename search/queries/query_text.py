"""Read a query as people type it: capitals, typing errors, "a photo of", plurals, and what it excludes."""

import re
from dataclasses import dataclass, replace

from search.queries.exclusions import split_exclusions
from search.queries.spelling import AMERICAN, PHOTO_WORDS, Spelling, word_set

# Words of a query up to which it is read; a longer text is searched for as it is.
LONGEST_READ = 60

# A word that stands for itself: no part of a file name, a number or a compound.
WORD = re.compile(r"(?<![\w'’@./\\-])[^\W\d_]+(?![\w'’@/\\-]|\.\w)")
# "show me" may stand alone before what is wanted; "show" and "find" only before "photos of".
_TO_ME = r"(?:show|find|give) me|search for|i want to see|i am looking for|i'm looking for"
_ASK = rf"(?:please )?(?:(?:can|could) you )?(?:{_TO_ME}"
_MEDIUM = rf"(?:(?:an?|the|some|any|all|my|all my) )?(?:{'|'.join(sorted(PHOTO_WORDS))})s?"
_LINK = r"(?:of|with|(?:that |which )?show(?:s|ing)?|containing|featuring|depicting)"
# Words that say that a photo is wanted, and not which.
CARRIER = re.compile(rf"(?:{_ASK}|show|find|search|i want|looking for) )?{_MEDIUM} {_LINK} |{_ASK}) ")
PLEASE = re.compile(r"(?<=\S),? please[.!]?$")

# Words that stand in no bare noun phrase.
FUNCTION_WORDS = word_set(
    "a an the this that these those some any many several few all both no not one two three four five six seven "
    "eight nine ten his her its their my your our i me you he she it they we and or but of in on at by with from to "
    "for as is are was were be has have near under over behind beside between through into onto around"
)
# Words of the frame of a query, which say nothing of what a photo shows.
FRAME_WORDS = PHOTO_WORDS.union(
    {f"{word}s" for word in PHOTO_WORDS},
    word_set("anything everything find please search show showing something without"),
)
# What is said of a query of nothing but frame and function words.
NOTHING_NAMED_NOTE = "no word of the query says what a photo shows, so the hits mean little"
# Marks that people put behind a query, behind a few words also a full stop; and a query as a quotation.
MARKS, STOPS = "!?… ", ".,;:"
QUOTATION = re.compile(r"""["'“‘]([^"“”]+)["'”’]""")
# Words of a bare noun phrase, at most.
LONGEST_NAME = 3
# Words behind which a noun stands, and not a verb.
ADJECTIVES = word_set(
    "beautiful big black blue brown colorful cute dark dirty empty golden gray green happy large little modern new old "
    "orange pink purple red small tall tiny white wild wooden yellow young"
)
# Words for anybody, and what captions say of one of them.
PEOPLE = word_set("people person persons human humans anybody anyone")
ANYBODY = ("person", "a man", "a woman")


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """Parts of a query as it was typed.

    Attributes:
        text: What photos should show; empty if the query only excludes.
        excluded: What they should not show, in the words of the query.
        unwanted: The texts that photos should not fit, for all that is excluded.
        notes: What was done to the query that its writer may not expect.
    """

    text: str
    excluded: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names_nothing(self) -> bool:
        """Whether the text has words, but none that says what a photo shows ("photo", "the", "no")."""
        words = re.findall(r"\w+", self.text)
        return bool(words) and not self.excluded and FUNCTION_WORDS.union(FRAME_WORDS).issuperset(words)


def parse_query(text: str, known: Spelling) -> ParsedQuery:
    """Read a query as people type it.

    Capitals, British spelling, "a photo of", and the plural of a bare name change nothing in what is found. A typing
    error of one letter is mended, and what follows "without", "no" or "not" is excluded, both with a note.

    Args:
        text: The query as it was typed.
        known: The words that are right.

    Returns:
        What the query asks for.
    """
    words = text.split()
    if len(words) > LONGEST_READ:
        return ParsedQuery(text)
    mended, notes = _mend(" ".join(words), known)
    plain = WORD.sub(lambda found: AMERICAN.get(found[0], found[0]), mended.lower())
    carrier = CARRIER.match(plain)
    asked = PLEASE.sub("", plain if carrier is None else plain[carrier.end() :])
    wanted, excluded = split_exclusions(asked)
    wanted = _singular_name(_without_marks(wanted), known)
    if excluded:
        without = ", ".join(f"'{phrase}'" for phrase in excluded)
        notes.append(f"searched for {f'{wanted!r},' if wanted else 'photos'} without {without}")
    unwanted = tuple(text for phrase in excluded for text in unwanted_texts(phrase, known))
    parsed = ParsedQuery(wanted, excluded, unwanted, tuple(notes))
    return replace(parsed, notes=(*notes, NOTHING_NAMED_NOTE)) if parsed.names_nothing else parsed


def unwanted_texts(excluded: str, known: Spelling) -> tuple[str, ...]:
    """Return the texts that photos should not fit if a phrase is excluded.

    Args:
        excluded: The phrase.
        known: The words that are right.

    Returns:
        The phrase, a bare name in the singular. For "people" also what captions call a single one: they seldom say
        "people" of a photo that shows a man.
    """
    name = _singular_name(excluded, known)
    return (name, *ANYBODY) if name.lower() in PEOPLE else (name,)


def _mend(text: str, known: Spelling) -> tuple[str, list[str]]:
    """Return a text with its typing errors mended, and a note for each."""
    notes = []
    # Beside words without a capital, a capital inside the text begins a name.
    has_names = any(word[0].islower() for word in text.split())

    def mend(found: re.Match[str]) -> str:
        if has_names and found.start() and found[0][0].isupper():
            return found[0]
        right = known.mend(found[0].lower())
        if right is None:
            return found[0]
        notes.append(f"searched for {right!r} instead of {found[0]!r}")
        return right

    return WORD.sub(mend, text), notes


def _without_marks(text: str) -> str:
    """Return a text without the marks around it; a text of nothing else as it is."""
    quoted = QUOTATION.fullmatch(text)
    marks = MARKS + STOPS if len(text.split()) <= LONGEST_NAME else MARKS
    return (text if quoted is None else quoted[1]).rstrip(marks) or text


def _singular_name(text: str, known: Spelling) -> str:
    """Return a bare name, such as "dogs" or "red cars", in the singular; any other text as it is."""
    words = text.split()
    if not 1 <= len(words) <= LONGEST_NAME or not all(w.isalpha() and w not in FUNCTION_WORDS for w in words):
        return text
    singular = known.singular(words[-1])
    if singular is None or (len(words) > 1 and words[-2] not in ADJECTIVES and known.may_be_verb(words[-1])):
        return text
    return " ".join([*words[:-1], singular])
