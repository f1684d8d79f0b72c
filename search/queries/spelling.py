"""Know words: mend a typing error of one letter, write American spelling, lead a plural back to its singular."""

import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


# Words for a photo. They say nothing of what it shows.
PHOTO_WORDS = word_set("photo photograph picture image pic shot snapshot")

# Letters of a word from which on a typing error is mended: shorter words have too many others one letter away.
SHORTEST_MENDED = 5
# Letters of a word up to which: no word of a photo is longer.
LONGEST_MENDED = 20

# Words whose singular is another thing, or none.
PLURAL_ONLY = word_set(
    "arms binoculars briefs christmas clothes crossroads fireworks glasses goggles goods grounds headphones "
    "headquarters jeans knickers leggings lens news overalls pajamas pants physics ruins scissors series shorts "
    "species spectacles sports stairs sunglasses swiss tights trousers waters wings woods"
)
IRREGULAR = {
    "children": "child",
    "feet": "foot",
    "firemen": "fireman",
    "fishermen": "fisherman",
    "geese": "goose",
    "men": "man",
    "mice": "mouse",
    "policemen": "policeman",
    "snowmen": "snowman",
    "teeth": "tooth",
    "women": "woman",
}
# Endings of a plural and of its singular; the first pair that gives a known word counts.
ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("s", ""), ("es", ""))
# Endings of other forms, and the fewest letters before them; in short words they are often a part of the word.
SUFFIXES = (("ing", 3), ("ed", 3), ("er", 4), ("ers", 4), ("est", 4), ("ly", 4), ("y", 4), ("less", 4), ("like", 4))

_OUR = word_set("arm behavi col flav harb hon hum lab neighb od parl rum savi vap")
_RE = {
    "centre": "center",
    "fibre": "fiber",
    "litre": "liter",
    "metre": "meter",
    "sabre": "saber",
    "spectre": "specter",
    "theatre": "theater",
}
_OTHER = {
    "aeroplane": "airplane",
    "catalogue": "catalog",
    "colourful": "colorful",
    "coloured": "colored",
    "colouring": "coloring",
    "cosy": "cozy",
    "defence": "defense",
    "favourite": "favorite",
    "grey": "gray",
    "greyish": "grayish",
    "jewellery": "jewelry",
    "jeweller": "jeweler",
    "kerb": "curb",
    "licence": "license",
    "marvellous": "marvelous",
    "mould": "mold",
    "moustache": "mustache",
    "neighbourhood": "neighborhood",
    "neighbouring": "neighboring",
    "plough": "plow",
    "pyjamas": "pajamas",
    "savoury": "savory",
    "sceptre": "scepter",
    "traveller": "traveler",
    "travelling": "traveling",
    "tyre": "tire",
    "woollen": "woolen",
    "yoghurt": "yogurt",
}
# British spelling -> American spelling, of words that a photo may show.
AMERICAN = {f"{stem}our": f"{stem}or" for stem in _OUR} | _RE | _OTHER
AMERICAN |= {f"{british}s": f"{american}s" for british, american in AMERICAN.items()}


@dataclass(frozen=True, slots=True)
class Spelling:
    """The words that are known to be right.

    Attributes:
        words: Lower-case words, most frequent first; an error is mended to one of these.
        is_word: Tells whether a lower-case word is right although it is none of `words`.
    """

    words: Sequence[str]
    is_word: Callable[[str], bool]
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {word: place for place, word in reversed([*enumerate(self.words)])})

    def mend(self, word: str) -> str | None:
        """Mend a typing error of one letter (after Norvig, "How to Write a Spelling Corrector", 2007).

        Args:
            word: A word in lower case.

        Returns:
            The most frequent known word that is one letter added, left out, replaced or changed over with its
            neighbour away; None if the word is right, is too short to be sure, or is near no known word.
        """
        if word in self._places or not SHORTEST_MENDED <= len(word) <= LONGEST_MENDED or not word.isascii():
            return None
        near = [self._places[other] for other in _one_edit_away(word) if other in self._places]
        if not near and word.endswith("s"):
            singular = self.mend(word[:-1])
            return None if singular is None else singular + "s"
        return None if not near or self._is_right(word) else self.words[min(near)]

    def singular(self, word: str) -> str | None:
        """Return the singular of a plural, both lower case; None for a word that is no plural of a known word."""
        if word in IRREGULAR:
            return IRREGULAR[word]
        if word in PLURAL_ONLY or len(word) < 4 or word.endswith(("ss", "us", "is")):
            return None
        for ending, replacement in ENDINGS:
            if word.endswith(ending):
                base = word.removesuffix(ending) + replacement
                if base in self._places and (ending != "es" or base.endswith(("s", "x", "z", "ch", "sh", "o"))):
                    return base
        return None

    def may_be_verb(self, word: str) -> bool:
        """Tell whether a word that ends in s may be a verb ("runs", "flies"): its -ing form is known."""
        stems = [word.removesuffix("s"), word.removesuffix("es")]
        stems += [stem.removesuffix("e") for stem in stems] + [stem + stem[-1] for stem in stems if stem]
        stems += [word.removesuffix("ies") + "y"] if word.endswith("ies") else []
        return any(stem + "ing" in self._places for stem in stems)

    def _is_right(self, word: str) -> bool:
        """Tell whether a word, or a word that it is a form of, is right."""
        forms = [word, word + "s", *_bases(word)]
        return word in AMERICAN or any(form in self._places or self.is_word(form) for form in forms)


def _bases(word: str) -> Iterator[str]:
    """Yield what a word may be a form of."""
    yield from (word.removesuffix(ending) + new for ending, new in ENDINGS if word.endswith(ending))
    for ending, shortest in SUFFIXES:
        stem = word.removesuffix(ending)
        if shortest <= len(stem) < len(word):
            yield from (stem, stem + "e", *([stem[:-1]] if stem[-1:] == stem[-2:-1] else []))


def _one_edit_away(word: str) -> Iterator[str]:
    """Yield the texts that one letter left out, changed over with the next, replaced or added makes of a word.

    People get the first letter right, unless they change it over with the second. In a word of five letters nothing is
    left out or replaced: too many right words are that near to each other.
    """
    yield word[1] + word[0] + word[2:]
    long = len(word) > SHORTEST_MENDED
    for i in range(1, len(word) + 1):
        before, after = word[:i], word[i:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        if after and long:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in string.ascii_lowercase)
        yield from (before + letter + after for letter in string.ascii_lowercase)
