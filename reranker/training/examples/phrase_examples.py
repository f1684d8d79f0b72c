"""Ask words and short phrases of the captions as queries, so that short queries are learned as well as sentences."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from indexer.encoders import TextEncoder
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import candidate_scores
from reranker.models.lexical_features import WORD
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings
from reranker.training.examples.galleries import Gallery

# Words that name nothing a photo could show; a phrase ends before one of them.
_WORDS = (
    "a about above across after against all along also am among an and another any are around as at away be because "
    "been before behind being below beneath beside between both but by can could did do does doing down during each "
    "few for from front had has have having he her here hers him his how i if in inside into is it its itself just "
    "like many me more most my near next no nor not of off on one onto only or other our out outside over own same "
    "she several side so some such than that the their them themselves then there these they this those three through "
    "to together too top toward towards two under until up upon very via was we were what when where which while who "
    "whom whose with within without would you your four five"
)
FUNCTION_WORDS = frozenset(_WORDS.split())
# What is asked, in turns.
TEMPLATES = ("a photo of a {}", "{}")
# Letters of the shortest word that is asked.
MIN_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Phrases:
    """Words and phrases of two words that captions say.

    Attributes:
        texts: The p phrases.
        said: (p, photos) uint8, how many captions of each embedded photo say it, 2 at most.
    """

    texts: EncodedTexts
    said: np.ndarray

    def __len__(self) -> int:
        """Return how many phrases these are."""
        return len(self.texts)

    @property
    def fits(self) -> np.ndarray:
        """Fit of each embedded photo to a phrase: (p, photos) float32, half the number of captions that say it."""
        return self.said.astype(np.float32) / 2


def find_phrases(embedded: EmbeddedJudgments, encoder: TextEncoder, min_photos: int) -> Phrases:
    """Find the words and the phrases of two words that captions of enough photos say.

    Args:
        embedded: The judged data.
        encoder: The text encoder that made its text vectors.
        min_photos: Phrases of fewer photos are left out.

    Returns:
        The phrases, sorted.
    """
    said: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in np.flatnonzero(embedded.owner >= 0):
        for phrase in set(phrases_of(embedded.texts[row])):
            said[phrase][int(embedded.owner[row])] += 1
    kept = [phrase for phrase in sorted(said) if len(said[phrase]) >= min_photos]
    counts = np.zeros((len(kept), len(embedded.photos)), np.uint8)
    for place, phrase in enumerate(kept):
        own = said[phrase]
        counts[place, list(own)] = np.minimum(list(own.values()), 2)
    asked = [TEMPLATES[place % len(TEMPLATES)].format(phrase) for place, phrase in enumerate(kept)]
    return Phrases(EncodedTexts.of(asked, encoder), counts)


def phrases_of(caption: str) -> Iterator[str]:
    """Yield the words of a caption that name something, and every two of them that stand side by side."""
    before = ""
    for word in WORD.findall(caption.lower()):
        if word in FUNCTION_WORDS:
            before = ""
            continue
        if len(word) >= MIN_LETTERS:
            yield word
        if before:
            yield f"{before} {word}"
        before = word


def phrase_pairs(
    phrases: Phrases, gallery: Gallery, settings: ExampleSettings, generator: np.random.Generator, first_row: int
) -> ExampleLists:
    """List phrases with photos that they fit, with their first candidates and with random photos, a third each.

    Args:
        phrases: The phrases, one or more.
        gallery: The photos.
        settings: Its `pairs_per_phrase` and `phrase_weight` are used.
        generator: Draws the photos.
        first_row: Row of the first phrase's text vector among those that the MLPs are trained with.

    Returns:
        Lists of one photo; a pair that is drawn twice is listed once.
    """
    encoded = phrases.texts.encode(gallery.joint_space)
    scores = candidate_scores(gallery.encoded_photos, encoded)
    fits = phrases.fits[:, gallery.photos]
    third = settings.pairs_per_phrase // 3
    found_photos, found_phrases = [], []
    for place, of_phrase in enumerate(fits):
        near = np.argsort(-scores[place])[: 4 * third]
        some = [generator.permutation(np.flatnonzero(of_phrase > 0))[:third], generator.permutation(near)[:third]]
        some.append(generator.integers(0, len(of_phrase), third))
        found_photos.append(np.unique(np.concatenate(some)))
        found_phrases.append(np.full(len(found_photos[-1]), place))
    places, asked = np.concatenate(found_photos), np.concatenate(found_phrases)
    weights = np.full(len(asked), settings.phrase_weight, np.float32)
    return ExampleLists(
        photo_rows=gallery.photos[places][:, None],
        text_rows=asked + first_row,
        pair_features=gallery.features_of_pairs(encoded, asked, places)[:, None],
        targets=fits[asked, places][:, None],
        weights=weights,
    )
