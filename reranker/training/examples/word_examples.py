"""Ask the captions' frequent words as queries, so that the MLPs learn short queries as well as sentences."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from indexer.encoders import TextEncoder, Tokens
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import EncodedQueries, JointSpace, candidate_scores
from reranker.models.lexical_features import STOP_WORDS, words_of
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings
from reranker.training.examples.galleries import Gallery


@dataclass(frozen=True, slots=True)
class WordQueries:
    """Words of the captions, asked as queries.

    Attributes:
        texts: The w queries.
        t: (w, e) float32 text vectors.
        tokens: Their word pieces.
        fits: (w, photos) float32 in 0..1, how well each embedded photo fits a word: 0.5 if one of its captions says it,
            1 if two or more do.
    """

    texts: tuple[str, ...]
    t: np.ndarray
    tokens: Tokens
    fits: np.ndarray

    def encode(self, joint_space: JointSpace) -> EncodedQueries:
        """Return the queries encoded by a joint space."""
        return joint_space.encode_queries(self.t, self.texts, self.tokens)


def word_queries(embedded: EmbeddedJudgments, encoder: TextEncoder, settings: ExampleSettings) -> WordQueries:
    """Make queries of the words that many captions say, in turns a "a photo of a WORD" and the word alone.

    Args:
        embedded: The judged data; captions without a photo in it do not count.
        encoder: The text encoder that made its text vectors.
        settings: Its `min_word_captions` is used.

    Returns:
        The queries, sorted by word; words start with three letters or more and are no stop words.
    """
    owned = np.flatnonzero(embedded.owner >= 0)
    words_of_captions = [words_of(embedded.texts[row]) for row in owned]
    counts = Counter(word for words in words_of_captions for word in words)
    frequent = [word for word, count in sorted(counts.items()) if count >= settings.min_word_captions]
    asked = [word for word in frequent if re.match(r"[a-z]{3}", word) and word not in STOP_WORDS]
    place_of = {word: place for place, word in enumerate(asked)}
    fits = np.zeros((len(asked), len(embedded.photos)), np.float32)
    for row, words in zip(owned, words_of_captions, strict=True):
        places = [place_of[word] for word in words if word in place_of]
        fits[places, embedded.owner[row]] += 0.5
    texts = tuple(word if place % 2 else f"a photo of a {word}" for word, place in place_of.items())
    t, tokens = encoder.encode_with_tokens(texts)
    return WordQueries(texts, t, tokens, np.minimum(fits, 1))


def word_examples(
    queries: WordQueries, gallery: Gallery, settings: ExampleSettings, generator: np.random.Generator, first_row: int
) -> ExampleLists:
    """List words with photos that they fit, with their first candidates and with random photos, a third each.

    Args:
        queries: The words, one or more.
        gallery: The photos.
        settings: Its `pairs_per_word` and `word_weight` are used.
        generator: Draws the photos.
        first_row: Row of the first word's text vector among those that the MLPs are trained with.

    Returns:
        Lists of one photo; a pair that is drawn twice is listed once.
    """
    encoded = queries.encode(gallery.joint_space)
    features = gallery.pair_features(encoded, slice(0, len(queries.texts)))
    scores = candidate_scores(gallery.encoded_photos, encoded)
    third = settings.pairs_per_word // 3
    found_photos, found_words = [], []
    for word, fits in enumerate(queries.fits[:, gallery.photos]):
        near = np.argsort(-scores[word])[: 4 * third]
        some = [generator.permutation(np.flatnonzero(fits > 0))[:third], generator.permutation(near)[:third]]
        some.append(generator.integers(0, len(fits), third))
        found_photos.append(np.unique(np.concatenate(some)))
        found_words.append(np.full(len(found_photos[-1]), word))
    places, words = np.concatenate(found_photos), np.concatenate(found_words)
    photo_rows = gallery.photos[places][:, None]
    targets = queries.fits[words, gallery.photos[places]][:, None]
    weights = np.full(len(words), settings.word_weight, np.float32)
    return ExampleLists(photo_rows, words + first_row, features[words, places][:, None], targets, weights)
