"""Fit a joint space to photos and their captions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import JointSpace
from reranker.models.late_interaction import LateInteraction
from reranker.models.lexical_features import LexicalFeatures, words_of
from reranker.models.linear_map import LinearMap, unit
from reranker.models.ranking_settings import RankingSettings
from reranker.training import OnProgress, OnStage
from reranker.training.examples.galleries import Gallery, captions_of_photos
from reranker.training.fit_hubness import fit_hubness
from reranker.training.fit_late_interaction import LateInteractionSettings, fit_late_interaction
from reranker.training.fit_linear_map import MapSettings, fit_map, fit_meaning_map

# Captions per fold, about, and nearest photos of each, whose late scores the imputation is fitted to.
IMPUTED = 100


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
        ranking: Numbers of the ranking that are not learned; the fitted space keeps them.
    """

    map: MapSettings = field(default_factory=MapSettings)
    late_interaction: LateInteractionSettings | None = field(default_factory=LateInteractionSettings)
    lexical: bool = True
    hubness_captions: int = 6000
    hubness_photos: int = 1000
    choose_shrinkage: bool = True
    folds: int = 3
    ranking: RankingSettings = field(default_factory=RankingSettings)


def fit_joint_space(
    embedded: EmbeddedJudgments,
    photos: np.ndarray,
    lexical: LexicalFeatures,
    settings: JointSpaceSettings,
    seed: int,
    stage: str,
    on_stage: OnStage,
) -> JointSpace:
    """Fit a joint space to some photos and the captions that were written for them.

    Args:
        embedded: The judged data.
        photos: (n,) int, sorted rows of its photos.
        lexical: The words that extend text vectors.
        settings: See `JointSpaceSettings`.
        seed: Draws batches, dropout, and what hubness is taken over.
        stage: Which of the training's spaces this is, for `on_stage`.
        on_stage: Called with (part and stage, done, total).

    Returns:
        The space, without class names and with a late imputation of zeros.
    """
    rows, photo = captions_of_photos(embedded, photos)
    # A classifier's view of a photo is for names; it makes the match with sentences worse.
    x, t = embedded.x[photos, : embedded.x.shape[1] - embedded.class_dim], embedded.t[rows]
    vectors = lexical.extend(t, [embedded.texts[row] for row in rows])
    fitted = fit_map(x, vectors, photo, settings.map, seed, lambda d, n: on_stage(f"map {stage}", d, n))
    fitted = _with_blank_columns(fitted, embedded.class_dim)
    meaning = _with_blank_columns(fit_meaning_map(x, unit(t), photo), embedded.class_dim)
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(rows))[: settings.hubness_captions]
    seen = photos[generator.permutation(len(photos))[: settings.hubness_photos]]
    captions = np.concatenate([fitted.texts(vectors[chosen]), meaning.texts(unit(t[chosen]))], axis=1)
    x_seen = embedded.x[seen]
    in_both = [fitted.images(x_seen), settings.ranking.heads.meaning * meaning.images(x_seen)]
    hubness = fit_hubness(captions, np.concatenate(in_both, axis=1))
    late = _fit_late(embedded, photos, settings, seed, lambda d, n: on_stage(f"regions {stage}", d, n))
    names = ClassNameHead.none(embedded.x.shape[1], embedded.t.shape[1])
    no_imputation = np.zeros((4, 2), np.float32)
    return JointSpace(fitted, meaning, names, lexical, late, hubness, no_imputation, settings.ranking)


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


def _fit_late(
    embedded: EmbeddedJudgments, photos: np.ndarray, settings: JointSpaceSettings, seed: int, on_progress: OnProgress
) -> LateInteraction | None:
    """Fit late interaction, if it is wanted and the encoders give regions and tokens."""
    rows, photo = captions_of_photos(embedded, photos)
    tokens = embedded.tokens.select(rows)
    if settings.late_interaction is None or embedded.regions is None or not len(tokens.vectors):
        return None
    return fit_late_interaction(embedded.regions[photos], tokens, photo, settings.late_interaction, seed, on_progress)


def _with_blank_columns(fitted: LinearMap, columns: int) -> LinearMap:
    """Add rows of zeros to a map, so that it ignores the extra columns of wider embeddings."""
    blank = np.zeros((columns, fitted.k), np.float32)
    return LinearMap(np.concatenate([fitted.A, blank]), fitted.a, fitted.B, fitted.b)
