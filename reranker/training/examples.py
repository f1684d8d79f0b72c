"""What the MLPs learn from: captions with their own photo and mined candidates, words, judged pairs; with scalars."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from indexer.encoders import TextEncoder
from indexer.encoders.base import Tokens
from indexer.views.view import EncodedPhotos
from reranker.judgments.aggregate import Aggregation, majority
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judged_folder import Judgments
from reranker.models.joint_space import PAIR_FEATURES, EncodedQueries, JointSpace
from reranker.models.lexical_features import STOP_WORDS, words_of
from reranker.models.linear_map import unit
from reranker.models.mlp import Lists
from reranker.training.fit_joint_space import captions_of_photos

BLOCK = 256


@dataclass(frozen=True, slots=True)
class PairSettings:
    """Which pairs the MLPs learn from, and what each is worth."""

    # Makes one number of what several people said of a pair.
    aggregate: Aggregation = majority
    # Negatives a caption: from its first `mined_from` candidates, and at random.
    mined: int = 10
    mined_from: int = 50
    random: int = 1
    # A caption's own photo, two mined ones and a random one also teach relevance, with weight 1 each.
    shown: int = 3
    # A judgment is worth this many caption pairs: captions against mined photos would drown what people say.
    crowd_weight: float = 20.0
    expert_weight: float = 400.0
    # Words of this many captions or more are asked as queries, too: pairs a word, and the weight of one.
    word_captions: int = 50
    word_pairs: int = 12
    word_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class Gallery:
    """Photos that one space has not seen, as rows of the features, with what the space makes of them."""

    photos: np.ndarray
    joint_space: JointSpace
    side: EncodedPhotos

    @classmethod
    def of(cls, features: EmbeddedJudgments, photos: np.ndarray, joint_space: JointSpace) -> "Gallery":
        regions = None if features.regions is None else features.regions[photos]
        return cls(photos, joint_space, joint_space.encode_photos(features.x[photos], regions))

    def queries(self, features: EmbeddedJudgments, rows: np.ndarray) -> EncodedQueries:
        """The query side of some captions."""
        return self.joint_space.encode_queries(
            features.t[rows], [features.texts[r] for r in rows], features.tokens.select(rows)
        )


def galleries(
    features: EmbeddedJudgments, fold_of: np.ndarray, held_out: np.ndarray, spaces: Sequence[JointSpace]
) -> Iterator[tuple[bool, Gallery]]:
    """(whether it is held out, gallery) of every fold and side; a mined pair never joins two of them.

    fold_of: (n,) int, the place in `spaces` of the one that has not seen a photo; held_out: (n,) bool, photos of the
    validation side.
    """
    for fold, held in product(range(len(spaces)), (False, True)):
        photos = np.flatnonzero((fold_of == fold) & (held_out == held))
        if len(photos) > 1:
            yield held, Gallery.of(features, photos, spaces[fold])


def caption_lists(
    features: EmbeddedJudgments, gallery: Gallery, settings: PairSettings, generator: np.random.Generator
) -> Lists:
    """Every caption of a gallery's photos with its own photo first, then mined and random ones."""
    rows, own = captions_of_photos(features, gallery.photos)
    first, count = min(settings.mined_from, len(gallery.photos) - 1), settings.mined
    photo = np.empty((len(rows), 1 + count + settings.random), np.int64)
    photo[:, 0] = own
    pair_features = np.empty((*photo.shape, len(PAIR_FEATURES)), np.float32)
    for begin in range(0, len(rows), BLOCK):
        block = slice(begin, min(begin + BLOCK, len(rows)))
        query = gallery.queries(features, rows[block])
        scores = candidate_scores(gallery.side, query)
        mine, places = own[block], np.arange(block.stop - begin)
        scores[places, mine] = -np.inf
        near = np.argpartition(-scores, first - 1, axis=1)[:, :first]
        # A gallery too small for so many has some of them more than once: lists of all galleries are equally long.
        picks = generator.permuted(np.tile(np.arange(first), (len(mine), 1)), axis=1)[:, np.arange(count) % first]
        photo[block, 1 : 1 + count] = np.take_along_axis(near, picks, axis=1)
        others = generator.integers(0, len(gallery.photos) - 1, (len(mine), settings.random))
        photo[block, 1 + count :] = others + (others >= mine[:, None])
        matrix = gallery.joint_space.matrix(gallery.side, query, slice(0, len(mine)))
        pair_features[block] = np.take_along_axis(matrix, photo[block][..., None], axis=1)
    target = _soft_targets(features, gallery.photos, rows, own, photo)
    return Lists(gallery.photos[photo], rows, pair_features, target, np.ones(len(rows), np.float32))


def own_only(lists: Lists) -> Lists:
    """The same lists with their own photo as the only right one: what an order is measured by."""
    target = np.zeros_like(lists.target)
    target[:, 0] = 1
    return Lists(lists.photo, lists.text, lists.pair_features, target, lists.weight)


def judged_pairs(
    features: EmbeddedJudgments, judgments: Judgments, gallery: Gallery, settings: PairSettings
) -> tuple[Lists, np.ndarray]:
    """The judged pairs of a gallery's photos, with their generalised score; and which of them experts graded."""
    position = {features.photos[row]: place for place, row in enumerate(gallery.photos)}
    caption_row = {caption: row for row, caption in enumerate(features.captions)}
    scored = settings.aggregate(judgments.expert, judgments.crowd)
    judged = [
        (caption_row[c], position[p], pair.score, pair.by_experts) for (p, c), pair in scored.items() if p in position
    ]
    judged.sort()
    text, photo = (np.array([row[i] for row in judged], np.int64) for i in (0, 1))
    target = np.array([row[2] for row in judged], np.float32)
    by_experts = np.array([row[3] for row in judged], bool)
    pair_features = np.empty((len(judged), 1, len(PAIR_FEATURES)), np.float32)
    distinct, which = np.unique(text, return_inverse=True)
    for begin in range(0, len(distinct), BLOCK):
        rows = distinct[begin : begin + BLOCK]
        matrix = gallery.joint_space.matrix(gallery.side, gallery.queries(features, rows), slice(0, len(rows)))
        inside = np.flatnonzero((which >= begin) & (which < begin + BLOCK))
        pair_features[inside, 0] = matrix[which[inside] - begin, photo[inside]]
    weight = np.where(by_experts, settings.expert_weight, settings.crowd_weight).astype(np.float32)
    return Lists(gallery.photos[photo][:, None], text, pair_features, target[:, None], weight), by_experts


@dataclass(frozen=True, slots=True)
class WordQueries:
    """Words of the captions, asked as queries: their text vectors t (w, e), tokens, and how well each photo fits a
    word, `fits` (w, photos) float32 in 0..1, by how many of its captions say it."""

    texts: tuple[str, ...]
    t: np.ndarray
    tokens: Tokens
    fits: np.ndarray


def word_queries(features: EmbeddedJudgments, encoder: TextEncoder, settings: PairSettings) -> WordQueries:
    """Usual words, as they are and in "a photo of a WORD" in turns; a photo fits if two of its captions say it."""
    owned = np.flatnonzero(features.owner >= 0)
    said = [words_of(features.texts[row]) for row in owned]
    counts = Counter(word for words in said for word in words)
    usual = [w for w, n in sorted(counts.items()) if n >= settings.word_captions and re.match(r"[a-z]{3}", w)]
    words = {word: place for place, word in enumerate(w for w in usual if w not in STOP_WORDS)}
    fits = np.zeros((len(words), len(features.photos)), np.float32)
    for row, of_caption in zip(owned, said, strict=True):
        places = [words[word] for word in of_caption if word in words]
        fits[places, features.owner[row]] += 0.5
    texts = tuple(word if place % 2 else f"a photo of a {word}" for word, place in words.items())
    t, tokens = encoder.encode_with_tokens(texts)
    return WordQueries(texts, t, tokens, np.minimum(fits, 1))


def word_pairs(
    queries: WordQueries, gallery: Gallery, settings: PairSettings, generator: np.random.Generator, first_row: int
) -> Lists:
    """Words with photos that they fit, with their first candidates and with random photos; a third each.

    `first_row`: the row of the first word's text vector among those that the MLP will see.
    """
    query = gallery.joint_space.encode_queries(queries.t, queries.texts, queries.tokens)
    matrix = gallery.joint_space.matrix(gallery.side, query, slice(0, len(queries.texts)))
    scores = candidate_scores(gallery.side, query)
    third = settings.word_pairs // 3
    photo, text = [], []
    for word, fits in enumerate(queries.fits[:, gallery.photos]):
        fitting = np.flatnonzero(fits > 0)
        near = np.argsort(-scores[word])[: 4 * third]
        some = [generator.permutation(fitting)[:third], generator.permutation(near)[:third]]
        some.append(generator.integers(0, len(fits), third))
        photo.append(np.unique(np.concatenate(some)))
        text.append(np.full(len(photo[-1]), word))
    places, words = np.concatenate(photo), np.concatenate(text)
    target = queries.fits[words, gallery.photos[places]]
    weight = np.full(len(words), settings.word_weight, np.float32)
    pair_features = matrix[words, places][:, None]
    return Lists(gallery.photos[places][:, None], words + first_row, pair_features, target[:, None], weight)


def candidate_scores(side: EncodedPhotos, query: EncodedQueries) -> np.ndarray:
    """Scores of the candidate stage, (queries, photos) float32."""
    scores: np.ndarray = query.candidate[:, :-1] @ side.z.T
    scores += query.candidate[:, -1:] * side.hubness
    return scores


def _soft_targets(
    features: EmbeddedJudgments, gallery: np.ndarray, rows: np.ndarray, own: np.ndarray, photo: np.ndarray
) -> np.ndarray:
    """How likely a caption fits each photo, judged by the photo's other captions: (captions, photos) float32.

    A photo whose captions say the same thing is no true negative. The chance is a logistic regression of "is the
    caption's own photo" on the largest similarity between the caption and the photo's captions (its own left out).
    """
    from sklearn.linear_model import LogisticRegression

    t = unit(features.t)[rows]
    captions_of = [np.flatnonzero(own == i) for i in range(len(gallery))]
    similarity = np.full(photo.shape, -1.0, np.float32)
    for offset in range(max(map(len, captions_of))):
        other = np.array([ids[offset] if offset < len(ids) else -1 for ids in captions_of])
        for column in range(photo.shape[1]):
            compared = other[photo[:, column]]
            usable = (compared >= 0) & (compared != np.arange(len(rows)))
            products = np.einsum("ij,ij->i", t, t[compared])
            similarity[:, column] = np.maximum(similarity[:, column], np.where(usable, products, -1.0))
    is_own = np.zeros(photo.shape, np.float32)
    is_own[:, 0] = 1
    known = (similarity > -1).reshape(-1)
    if not known.any() or is_own.reshape(-1)[known].min() == is_own.reshape(-1)[known].max():
        return is_own
    model = LogisticRegression().fit(similarity.reshape(-1, 1)[known], is_own.reshape(-1)[known])
    chance = model.predict_proba(similarity.reshape(-1, 1))[:, 1].astype(np.float32)
    chance = np.where(known, chance, 0.0).reshape(photo.shape)
    return np.where(is_own == 1, 1.0, chance).astype(np.float32)
