"""Look at the words of a query: how many there are, how rare they are, and whether the ranker has ever read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reranker.models.lexical_features import WORD, LexicalFeatures, words_of

# Columns of `query_words`.
QUERY_WORDS = ("word_count", "rarity", "captioned", "known")
CAPTIONED = QUERY_WORDS.index("captioned")
# Scales that bring word counts and inverse document frequencies to about 1.
COUNT_SCALE, RARITY_SCALE = 2.0, 8.0


@dataclass(frozen=True, slots=True)
class KnownWords:
    """Words that the ranker has read in captions and names, the most frequent first; lower case.

    Attributes:
        words: The words.
    """

    words: tuple[str, ...] = ()
    _set: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", frozenset(self.words))

    def __contains__(self, word: str) -> bool:
        """Tell whether a lower-case word is known as it is or without its ending "es" or "s"."""
        return not self._set.isdisjoint((word, word.removesuffix("s"), word.removesuffix("es")))

    def share(self, text: str) -> float:
        """Return the share of a text's words that are known, 0..1; 0 of a text without words, 1 if nothing is known."""
        found = WORD.findall(text.lower())
        if not self.words:
            return 1.0
        return sum(word in self for word in found) / len(found) if found else 0.0


def query_words(texts: Sequence[str], lexical: LexicalFeatures, known: KnownWords) -> np.ndarray:
    """Describe the words of queries: (b, 4) float32, columns as `QUERY_WORDS`.

    Args:
        texts: The b texts.
        lexical: The words that training captions say, with their rarity.
        known: All words that the ranker has read.

    Returns:
        Per query the logarithm of the number of words; the inverse document frequency of the rarest word that captions
        say, where a word that they never say is the rarest of all; the share of the words that captions say; the share
        that is known. All are about 0 to 1.
    """
    rarest = float(lexical.idf.max()) if len(lexical.words) else 0.0
    described = np.zeros((len(texts), len(QUERY_WORDS)), np.float32)
    for row, text in enumerate(texts):
        words = words_of(text)
        places, _ = lexical.weights(text)
        captioned = len(places) / len(words) if words else 0.0
        rarity = float(lexical.idf[places].max()) if len(places) and len(places) == len(words) else rarest
        described[row] = (
            np.log1p(len(WORD.findall(text))) / COUNT_SCALE,
            rarity / RARITY_SCALE,
            captioned,
            known.share(text),
        )
    return described
