"""Fit a joint space to photos and their captions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import JointSpace
from reranker.models.late_interaction import LateInteraction
from reranker.models.lexical_features import WORD, LexicalFeatures, words_of
from reranker.models.linear_map import LinearMap, unit
from reranker.models.query_words import KnownWords
from reranker.models.ranking_settings import RankingSettings
from reranker.training import OnProgress, OnStage
from reranker.training.examples.galleries import Gallery, captions_of_photos
from reranker.training.examples.phrase_examples import Phrases
from reranker.training.joint_space.fit_hubness import fit_hubness
from reranker.training.joint_space.fit_late_interaction import LateInteractionSettings, fit_late_interaction
from reranker.training.joint_space.fit_linear_map import MapSettings, fit_meaning_map
from reranker.training.joint_space.fit_name_gate import GateSettings
from reranker.training.joint_space.tune_linear_map import MapPairs, PhrasePhotos, fit_map

# Captions per fold, about, and nearest photos of each, whose late scores the imputation is fitted to.
IMPUTED = 100
# A word that is in fewer than one of so many captions, or in one alone, is taken for a mistake.
SENTENCES_PER_MISTAKE = 30000


@dataclass(frozen=True, slots=True)
class JointSpaceSettings:
    """Settings of fitting the joint spaces of a training.

    Attributes:
        map: How the map is fitted.
        late_interaction: How late interaction is fitted; None leaves it out.
        lexical: Whether the words of a sentence extend its text vector.
        hubness_captions: Random training captions that the hubness of photos is taken over.
        hubness_photos: Random training photos that the hubness of queries is taken over.
        choose_shrinkage: Whether held-out photos choose the map's shrinkages; else they are those of `map`.
        folds: Folds of the cross-fit. A map has seen its own photos, so the MLPs learn from scores that maps of other
            photos gave.
        gate: How the name gate is fitted.
        ranking: Numbers of the ranking that are not learned; the fitted space keeps them.
    """

    map: MapSettings = field(default_factory=MapSettings)
    late_interaction: LateInteractionSettings | None = field(default_factory=LateInteractionSettings)
    lexical: bool = True
    hubness_captions: int = 6000
    hubness_photos: int = 1000
    choose_shrinkage: bool = True
    folds: int = 3
    gate: GateSettings = field(default_factory=GateSettings)
    ranking: RankingSettings = field(default_factory=RankingSettings)


@dataclass(frozen=True, slots=True)
class TextWords:
    """Words that are known before a space is fitted.

    Attributes:
        lexical: The words that extend text vectors.
        known_words: All words of captions and names.
        phrases: Words and short phrases that the map is asked, too; None where it is not.
    """

    lexical: LexicalFeatures
    known_words: KnownWords
    phrases: Phrases | None = None


def fit_joint_space(
    embedded: EmbeddedJudgments,
    photos: np.ndarray,
    words: TextWords,
    settings: JointSpaceSettings,
    seed: int,
    on_stage: OnStage,
) -> JointSpace:
    """Fit a joint space to some photos and the captions that were written for them.

    Args:
        embedded: The judged data.
        photos: (n,) int, sorted rows of its photos.
        words: What is known of words before a space is fitted.
        settings: See `JointSpaceSettings`.
        seed: Draws batches, dropout, and what hubness is taken over.
        on_stage: Called with (part, done, total).

    Returns:
        The space, without class names and with a late imputation of zeros.
    """
    rows, photo = captions_of_photos(embedded, photos)
    # A classifier's view of a photo is for names; it makes the match with sentences worse.
    x, t = embedded.x[photos, : embedded.x.shape[1] - embedded.class_dim], embedded.t[rows]
    lexical = words.lexical
    vectors = lexical.extend(t, [embedded.texts[row] for row in rows])
    weights = embedded.sets.weights[embedded.sets.set_of[photos]]
    pairs = MapPairs(x, vectors, photo, weights, _phrases_of_photos(words, photos))
    fitted = fit_map(pairs, settings.map, seed, lambda d, n: on_stage("map", d, n))
    fitted = _with_blank_columns(fitted, embedded.class_dim)
    meaning = _with_blank_columns(fit_meaning_map(x, unit(t), photo), embedded.class_dim)
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(rows))[: settings.hubness_captions]
    seen = photos[generator.permutation(len(photos))[: settings.hubness_photos]]
    bank = lexical.extend(embedded.t[embedded.bank], [embedded.texts[row] for row in embedded.bank])
    captions = np.concatenate(
        [
            np.concatenate([fitted.texts(vectors[chosen]), fitted.texts(bank)]),
            meaning.texts(unit(np.concatenate([t[chosen], embedded.t[embedded.bank]]))),
        ],
        axis=1,
    )
    x_seen = embedded.x[seen]
    in_both = [fitted.images(x_seen), settings.ranking.heads.meaning * meaning.images(x_seen)]
    hubness = fit_hubness(captions, np.concatenate(in_both, axis=1))
    late = _fit_late(embedded, photos, settings, seed, lambda d, n: on_stage("regions", d, n))
    names = ClassNameHead.none(embedded.x.shape[1], embedded.t.shape[1])
    no_imputation = np.zeros((4, 2), np.float32)
    return JointSpace(
        fitted, meaning, names, lexical, late, hubness, no_imputation, settings.ranking, words.known_words
    )


def fit_lexical_features(sentences: Sequence[str], weight: float, min_sentences: int = 5) -> LexicalFeatures:
    """Choose the words that extend text vectors, and weigh them by their rarity.

    Args:
        sentences: The captions to learn from.
        weight: Norm of the lexical part beside the text encoder's unit vector.
        min_sentences: Words of fewer sentences are left out, and so are words of all.

    Returns:
        The words, sorted, with idf = log(sentences / sentences with the word).

    References:
        Spärck Jones 1972, "A statistical interpretation of term specificity and its application in retrieval".
    """
    counts = Counter(word for sentence in sentences for word in words_of(sentence))
    words = tuple(sorted(word for word, count in counts.items() if min_sentences <= count < len(sentences)))
    idf = np.array([np.log(len(sentences) / counts[word]) for word in words], np.float32)
    return LexicalFeatures(words, idf, weight)


def find_known_words(sentences: Iterable[str], names: Iterable[str]) -> KnownWords:
    """Collect the words that captions and names say, the most frequent first.

    Args:
        sentences: Captions. Words of very few of them are left out, which are mostly mistakes.
        names: Names of things; all of their words are known.
    """
    counts = Counter[str]()
    total = 0
    for sentence in sentences:
        counts.update(set(WORD.findall(sentence.lower())))
        total += 1
    least = max(2, round(total / SENTENCES_PER_MISTAKE))
    known = {word: count for word, count in counts.items() if count >= least}
    for name in names:
        for word in WORD.findall(name.lower()):
            known.setdefault(word, counts[word])
    return KnownWords(tuple(sorted(known, key=lambda word: (-known[word], word))))


def fit_late_imputation(spaces: Sequence[JointSpace], embedded: EmbeddedJudgments, fold_of: np.ndarray) -> np.ndarray:
    """Fit what a pair's late score and late hubness are, given its other scores, for photos without regions.

    Args:
        spaces: A joint space per fold, which has not seen the fold's photos.
        embedded: The judged data of n photos.
        fold_of: (n,) int, the fold of each photo.

    Returns:
        (4, 2) float32, least squares of (late score, late hubness) on (1, cosine, meaning, hubness), over captions of
        every fold and the photos that are nearest to them in the map.
    """
    inputs, outputs = [], []
    for fold, joint_space in enumerate(spaces):
        gallery = Gallery.of(embedded, np.flatnonzero(fold_of == fold), joint_space)
        rows, _ = gallery.captions(embedded)
        rows = rows[:: max(1, len(rows) // IMPUTED)]
        pair_features = gallery.pair_features(gallery.encode_captions(embedded, rows), slice(0, len(rows)))
        near = np.argsort(-pair_features[..., 0], axis=1)[:, :IMPUTED]
        picked = np.take_along_axis(pair_features, near[..., None], axis=1).reshape(-1, pair_features.shape[2])
        inputs.append(np.concatenate([np.ones((len(picked), 1)), picked[:, :3]], axis=1))
        outputs.append(picked[:, 5:])
    solved = np.linalg.lstsq(np.concatenate(inputs), np.concatenate(outputs), rcond=None)[0]
    return np.asarray(solved, np.float32)


def _phrases_of_photos(words: TextWords, photos: np.ndarray) -> PhrasePhotos | None:
    """Return the phrases that fit some of these photos, with those that they fit."""
    if words.phrases is None:
        return None
    fits = words.phrases.said[:, photos] > 0
    asked = np.flatnonzero(fits.any(axis=1))
    if not len(asked):
        return None
    texts = words.phrases.texts.take(asked)
    return PhrasePhotos(words.lexical.extend(texts.t, texts.texts), fits[asked])


def _fit_late(
    embedded: EmbeddedJudgments, photos: np.ndarray, settings: JointSpaceSettings, seed: int, on_progress: OnProgress
) -> LateInteraction | None:
    """Fit late interaction, if it is wanted and the encoders give regions and tokens."""
    rows, photo = captions_of_photos(embedded, photos)
    tokens = embedded.tokens.select(rows)
    if settings.late_interaction is None or embedded.regions is None or not len(tokens.vectors):
        return None
    weights = embedded.sets.weights[embedded.sets.set_of[photos]]
    return fit_late_interaction(
        embedded.regions[photos], tokens, photo, settings.late_interaction, seed, on_progress, weights=weights
    )


def _with_blank_columns(fitted: LinearMap, columns: int) -> LinearMap:
    """Add rows of zeros to a map, so that it ignores the extra columns of wider embeddings."""
    blank = np.zeros((columns, fitted.k), np.float32)
    return LinearMap(np.concatenate([fitted.A, blank]), fitted.a, fitted.B, fitted.b)
