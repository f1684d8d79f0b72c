"""Find what a query excludes: "a street without cars" is a street, without cars.

A negation is taken for an exclusion only where a short noun phrase follows it, in a short query. Signs and sayings ("no
parking"), and verbs ("not looking at the camera") stay in the text. So do sentences, and people without a shirt: the
ranker has learned from captions what such photos look like, and finds them better by the text as it stands.
"""

import re
from dataclasses import dataclass

from search.queries.spelling import PHOTO_WORDS, word_set

# Words of a query that excludes, at most; more are a sentence.
LONGEST_QUERY = 9
# Words of an excluded phrase, at most; more are a clause that the rules here do not understand.
LONGEST_PHRASE = 4

BRACKETS = frozenset('()"“”')
PUNCTUATION = BRACKETS | frozenset(",;:.!?")
TOKEN = re.compile(r"[^\s,;:.!?()\"“”]+|[,;:.!?()\"“”]")
DETERMINERS = word_set("a an the all any his her their its my your our this these those")
NUMBERS = word_set("one two three four five six seven eight nine ten some many several few more most both")
PREPOSITIONS = word_set(
    "about above across against along among around at behind below beneath beside between by during for from in "
    "inside into near next off on onto out outside over past through to toward towards under up upon with within"
)
CONJUNCTIONS = word_set("and or but nor")
# Words that begin another clause.
CLAUSE = word_set(
    "is are was were has have had does do did can could will would that which who while when where as if because "
    "without no not except sit sits stand stands walk walks run runs ride rides jump jumps hold holds look looks lie "
    "lies lay lays"
)
AUXILIARIES = word_set(
    "is are was were am be been do does did can could will would should must may might has have had or if why"
)
# Words before "no" that make it a part of a name or of what is said.
BEFORE_A_SAYING = DETERMINERS | word_set("say says said saying reads reading see hear speak means oh or yes")
# Words behind "no" and "not" that make a saying of it, or something that no photo can show.
NO_SAYINGS = word_set(
    "admittance doubt entrance entry evil exit fear go hands idea less limit limits longer man's man’s matter means "
    "more need nonsense one other others pain passing problem stopping such thanks through u-turn way where"
)
NOT_SAYINGS = word_set(
    "always anymore at be even every far for just long many much necessarily now often only quite really same so sure "
    "that to too until very without yet"
)
# What a body is bare without: its absence can be seen, and captions tell of it.
WORN = word_set("bra clothes clothing pants shirt shirts shoes sleeves socks top")
# What makes a sign of the words before it.
SIGNS = word_set("allowed lane logo notice permitted sign symbol zone")
# Things that end like a verb.
ING_THINGS = word_set(
    "awning being building ceiling clothing earring evening icing king lighting lightning living painting railing ring "
    "scaffolding siding spring sting string swing thing wing wedding"
)
# The rest of an excluded phrase that belongs to it, and the rest that only says where it would be: in the photo.
WITHIN = word_set("background foreground distance")
THE_PHOTO = PHOTO_WORDS | word_set("it them him her there frame scene sight view")
# A query that only excludes may begin so.
ANYTHING = re.compile(
    rf"(?:(?:an?|the|any|all|some|my) )?(?:{'|'.join(sorted(PHOTO_WORDS))})s?|(?:any|every|some)thing"
    r"|there (?:is|are)"
)
# Short forms of negations, and the minus sign of web searches, each with what it stands for.
SHORT_FORMS = (
    (re.compile(r"\b(is|are|do|does)n['’]t\b"), r"\1 not"),
    (re.compile(r"(?<!\S)w/o(?!\S)"), "without"),
    (re.compile(r"(?<=\s)-(?=[^\W\d_])"), "without "),
)


@dataclass(frozen=True, slots=True)
class _Negation:
    """A negation at a place of a text: how many words it takes, which word it is, whether it stands for itself.

    `apart`: at the beginning, or behind a comma or "but", so that whatever follows can only be an exclusion.
    """

    length: int
    word: str
    apart: bool


def split_exclusions(text: str) -> tuple[str, tuple[str, ...]]:
    """Split a text into what is wanted and what is excluded.

    Args:
        text: A text in lower case.

    Returns:
        What is wanted, empty if the text only excludes, and the excluded phrases; the text itself if it excludes
        nothing.
    """
    written_out = text
    for short, long in SHORT_FORMS:
        written_out = short.sub(long, written_out)
    words = TOKEN.findall(written_out)
    if sum(word not in PUNCTUATION for word in words) > LONGEST_QUERY:
        return text, ()
    kept: list[str] = []
    excluded: list[str] = []
    i = 0
    while i < len(words):
        negation = _negation_at(words, i)
        phrases, end = ([], i) if negation is None else _excluded_phrases(words, i, negation)
        if phrases:
            excluded += phrases
            i = end
        else:
            kept.append(words[i])
            i += 1
    if not excluded:
        return text, ()
    return _joined(kept), tuple(dict.fromkeys(excluded))


def _negation_at(words: list[str], i: int) -> _Negation | None:
    """Return the negation that begins at a place, with the comma, conjunction or verb before it."""
    j = i
    while j < len(words) and words[j] in PUNCTUATION | CONJUNCTIONS:
        j += 1
    apart = j > i or i == 0
    ahead = [*words[j : j + 4], "", "", "", ""][:4]
    before = words[j - 1] if j else ""
    if ahead[0] in ("without", "excluding"):
        return None if before == "not" else _Negation(j - i + 1, "without", apart)
    if ahead[0] == "except":
        return _Negation(j - i + 1 + (ahead[1] == "for"), "without", apart)
    if ahead[:2] in (["other", "than"], ["apart", "from"], ["with", "neither"]):
        return _Negation(j - i + 2, "without", apart)
    if ahead[0] in ("with", "wearing", "has", "have", "having") and ahead[1] == "no":
        return _Negation(j - i + 2, "no", apart)
    if ahead[0] in ("that", "which") and ahead[1] in ("has", "have") and ahead[2] == "no":
        return _Negation(j - i + 3, "no", apart)
    if ahead[0] in ("that", "which") and ahead[1] in ("do", "does") and ahead[2:] == ["not", "have"]:
        return _Negation(j - i + 4, "no", apart)
    if ahead[0] in ("that", "which") and ahead[1] in ("is", "are") and ahead[2] == "not":
        return _Negation(j - i + 3, "not", apart=False)
    says_it = before in BEFORE_A_SAYING or _is_verb(before) or not SIGNS.isdisjoint(words[:j])
    if ahead[0] == "no" and not says_it and (apart or i <= 3):
        return _Negation(j - i + 1, "no", apart)
    if ahead[0] == "not" and (before not in AUXILIARIES or words[i] == "or"):
        return _Negation(j - i + 1, "not", apart)
    return None


def _excluded_phrases(words: list[str], start: int, negation: _Negation) -> tuple[list[str], int]:
    """Return the phrases that a negation excludes, and the place behind them; no phrases if it is no exclusion."""
    i = start + negation.length
    ahead = words[i] if i < len(words) else ""
    if negation.word == "not":
        if ahead in NOT_SAYINGS or (_is_verb(ahead) and not negation.apart):
            return [], start
        if ahead in PREPOSITIONS or _is_verb(ahead):
            end = _end_of_clause(words, i)
            return ([" ".join(words[i:end])], end) if end - i <= LONGEST_PHRASE else ([], start)
    if negation.word == "no" and (ahead in NO_SAYINGS or _is_ing_verb(ahead)):
        return [], start
    phrase, i = _noun_phrase(words, i)
    if not phrase or phrase[-1] in SIGNS or (i < len(words) and words[i] in SIGNS):
        return [], start
    if start and phrase[-1] in WORN:
        return [], start
    others, i = _listed_phrases(words, i)
    phrases = [phrase, *others]
    ending, i = _rest_of_phrase(words, i)
    phrases[-1] = [*phrases[-1], *ending]
    return [" ".join(phrase) for phrase in phrases], i


def _listed_phrases(words: list[str], i: int) -> tuple[list[list[str]], int]:
    """Return the phrases that are excluded with the one that ends at a place, and the place behind them.

    "cars, bikes or people" excludes all three. A list with "and" may go on with what is wanted ("no hat and a dog"), so
    only a last short phrase without an article is taken; a list of commas alone may, too.
    """
    listed: list[list[str]] = []
    taken, end = 0, i
    while i < len(words) and words[i] in (",", "or", "nor", "and"):
        joint, start = words[i], i + 1
        if joint == "," and words[start : start + 1] == ["or"]:
            joint, start = "or", start + 1
        phrase, i = _noun_phrase(words, start)
        is_last = words[i : i + 1] in ([], [","], ["."])
        if not phrase or (joint == "and" and (len(phrase) > 2 or words[start] in DETERMINERS or not is_last)):
            break
        listed.append(phrase)
        if joint != ",":
            taken, end = len(listed), i
    return listed[:taken], end


def _noun_phrase(words: list[str], i: int) -> tuple[list[str], int]:
    """Return the noun phrase at a place without its article, and the place behind it; empty if there is none."""
    while i < len(words) and words[i] in DETERMINERS:
        i += 1
    start = i
    if i + 1 < len(words) and words[i].endswith("ed") and not _ends_phrase(words[i + 1]):
        i += 1  # "parked cars"
    while i < len(words) and not _ends_phrase(words[i]):
        i += 1
    phrase = words[start:i]
    if len(phrase) > LONGEST_PHRASE or any(word in DETERMINERS | NUMBERS or word[:1].isdigit() for word in phrase):
        return [], start
    return phrase, i


def _ends_phrase(word: str) -> bool:
    return word in PUNCTUATION | PREPOSITIONS | CONJUNCTIONS | CLAUSE or _is_verb(word)


def _rest_of_phrase(words: list[str], i: int) -> tuple[list[str], int]:
    """Return what belongs to a phrase that ends at a place ("in the background"), and the place behind it.

    What only says that a thing is not in the photo ("on it", "in the picture") is passed over.
    """
    if i >= len(words) or words[i] not in PREPOSITIONS:
        return [], i
    end = i + 1
    while end < len(words) and words[end] in DETERMINERS - {"her"}:
        end += 1
    if end == len(words) or words[end] in PUNCTUATION:
        return [], end
    if words[end] in WITHIN:
        return words[i : end + 1], end + 1
    is_last = end + 1 == len(words) or words[end + 1] in PUNCTUATION | CONJUNCTIONS
    return [], end + 1 if words[end] in THE_PHOTO and is_last else i


def _end_of_clause(words: list[str], i: int) -> int:
    """Return the place of the next punctuation mark or conjunction, or the end."""
    return next((j for j in range(i, len(words)) if words[j] in PUNCTUATION | CONJUNCTIONS), len(words))


def _is_verb(word: str) -> bool:
    """Tell whether a word looks like a participle ("looking", "painted")."""
    return _is_ing_verb(word) or (len(word) > 4 and word.endswith("ed"))


def _is_ing_verb(word: str) -> bool:
    return len(word) > 4 and word.endswith("ing") and word not in ING_THINGS


def _joined(words: list[str]) -> str:
    """Return words as a text, without brackets and what an exclusion left loose at the ends."""
    loose = PUNCTUATION | CONJUNCTIONS
    words = [word for word in words if word not in BRACKETS]
    while words and words[-1] in loose | {"with"}:
        words = words[:-1]
    while words and words[0] in loose:
        words = words[1:]
    text = re.sub(r" (?=[,;:.!?])", "", " ".join(words))
    return "" if ANYTHING.fullmatch(text) else text
