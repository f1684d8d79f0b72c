"""Fit the joint spaces of one training: one of all photos, and one per fold that has not seen the fold's photos."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from indexer.cache_folder import explain_cache_errors
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import grouped_split
from reranker.metrics.recall import CUTOFFS, ranks_of_own, recall_at
from reranker.models.joint_space import JointSpace, candidate_scores, joint_space_arrays, joint_space_of_arrays
from reranker.models.lexical_features import LexicalFeatures
from reranker.training import OnStage
from reranker.training.examples.galleries import Gallery
from reranker.training.joint_space.class_name_files import ClassName, with_own_class_names
from reranker.training.joint_space.fit_joint_space import (
    JointSpaceSettings,
    TextWords,
    find_known_words,
    fit_joint_space,
    fit_late_imputation,
    fit_lexical_features,
)
from reranker.training.joint_space.fit_linear_map import MapSettings
from reranker.training.joint_space.vocabulary import FittedVocabulary, fit_vocabulary
from reranker.training.training_data import TrainingData

# Shrinkages that held-out photos choose from: (images, texts). Few photos need more.
SHRINKAGES = ((1.0, 0.3), (3.0, 1.0))
# Share of the photos that choose the shrinkage.
SHRINKAGE_SHARE = 0.2

# Fits a space to some photos, for a stage; see `fit_joint_spaces`.
FitSpace = Callable[[np.ndarray, JointSpaceSettings, str], JointSpace]


@dataclass(frozen=True, slots=True)
class JointSpaces:
    """The joint spaces of a training.

    Attributes:
        joint_space: The space of the ranker.
        fold_spaces: The spaces whose scores the MLPs learn from.
        fold_of: (n,) int, the place in `fold_spaces` of the space that has not seen a photo.
        shrinkage: Shrinkages of images and texts; None where no space was fitted.
        vocabulary: The class names that were fitted; None where none were.
    """

    joint_space: JointSpace
    fold_spaces: tuple[JointSpace, ...]
    fold_of: np.ndarray
    shrinkage: tuple[float, float] | None
    vocabulary: FittedVocabulary | None

    def with_gate(self, gate: np.ndarray) -> "JointSpaces":
        """Return the spaces with another name gate for words that captions say.

        Args:
            gate: (e + 7,) float32, its weights.
        """

        def changed(space: JointSpace) -> JointSpace:
            return replace(space, class_names=replace(space.class_names, said_gate=gate))

        return replace(self, joint_space=changed(self.joint_space), fold_spaces=tuple(map(changed, self.fold_spaces)))


class JointSpaceCache:
    """Fitted spaces of one training, kept in a folder so that an interrupted training goes on with them.

    A space is found again by a digest of everything that it was fitted to.
    """

    def __init__(self, folder: Path, embedded: EmbeddedJudgments) -> None:
        """Name the folder of a training.

        Args:
            folder: The folder of all trainings.
            embedded: The judged data of this one. It has a folder of its own, so that a training that is done takes
                nothing from one that still runs.
        """
        digest = hashlib.sha256()
        seen = embedded.sets.weights[embedded.sets.set_of]
        for array in (embedded.x, embedded.t, embedded.owner, embedded.tokens.pieces, seen, embedded.bank):
            digest.update(np.ascontiguousarray(array).tobytes())
        if embedded.regions is not None:
            digest.update(embedded.regions.tobytes())
        self.folder = folder / digest.hexdigest()[:16]

    def get(
        self,
        photos: np.ndarray,
        settings: JointSpaceSettings,
        seed: int,
        words: TextWords,
        fit: Callable[[], JointSpace],
    ) -> JointSpace:
        """Read a space from the folder, or fit it and keep it there.

        Args:
            photos: (n,) int, the photos that it is fitted to.
            settings: How it is fitted.
            seed: The training's seed.
            words: What is known of words.
            fit: Fits the space; called if it is not in the folder, or damaged.

        Returns:
            The space, as `fit` gives it.
        """
        asked = None if words.phrases is None else words.phrases.texts.texts
        key = repr((photos.tolist(), asdict(settings), seed, words.lexical.words, asked))
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.safetensors"
        with suppress(OSError, KeyError, ValueError, SafetensorError):
            arrays = load_file(path)
            return joint_space_of_arrays(arrays, words.lexical.words, settings.ranking, words.known_words.words)
        joint_space = fit()
        arrays = joint_space_arrays(joint_space)
        with explain_cache_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, Path(scratch) / path.name)
                os.replace(Path(scratch) / path.name, path)
        return joint_space

    def clear(self) -> None:
        """Remove the training's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def fit_joint_spaces(
    data: TrainingData, settings: JointSpaceSettings, seed: int, cache: JointSpaceCache, on_stage: OnStage
) -> JointSpaces:
    """Fit the space of all photos, and one per fold without the fold's photos.

    Photos that teach the relevance alone are in no fold: the space of all others has not seen them.

    Args:
        data: What the training learns from, n photos.
        settings: See `JointSpaceSettings`.
        seed: Draws the folds, and everything random in a fit.
        cache: Keeps the fitted spaces.
        on_stage: Called with (stage, done, total).

    Returns:
        The spaces, with class names and late imputation.
    """
    embedded, ranking = data.embedded, settings.ranking
    every_name = with_own_class_names(data.encoders[0], data.class_names)
    vocabulary = fit_vocabulary(embedded, every_name, *data.encoders, settings=ranking.class_names)
    words = _text_words(data, every_name, settings)

    def fit_space(photos: np.ndarray, how: JointSpaceSettings, stage: str) -> JointSpace:
        def fit() -> JointSpace:
            return fit_joint_space(
                embedded, photos, words, how, seed, lambda part, done, total: on_stage(f"{part} {stage}", done, total)
            )

        return replace(cache.get(photos, how, seed, words, fit), class_names=vocabulary.head)

    chosen = settings
    if settings.choose_shrinkage:
        chosen = replace(settings, map=choose_shrinkage(embedded, settings, seed, fit_space))
    seen, folds = np.flatnonzero(embedded.sets.teach_space), settings.folds
    fold_of = np.full(len(embedded.photos), folds)
    fold_of[seen] = np.random.default_rng(seed).permutation(len(seen)) % folds
    of_folds = [fit_space(seen[fold_of[seen] != fold], chosen, f"{fold + 1} of {folds + 1}") for fold in range(folds)]
    of_all = fit_space(seen, chosen, f"{folds + 1} of {folds + 1}")
    imputation = fit_late_imputation(of_folds, embedded, fold_of)
    return JointSpaces(
        joint_space=replace(of_all, late_imputation=imputation),
        fold_spaces=tuple(replace(space, late_imputation=imputation) for space in (*of_folds, of_all)),
        fold_of=fold_of,
        shrinkage=(chosen.map.shrink_images, chosen.map.shrink_texts),
        vocabulary=vocabulary,
    )


def _text_words(data: TrainingData, class_names: Sequence[ClassName], settings: JointSpaceSettings) -> TextWords:
    """Collect what is known of words: those of captions that teach the space, of other captions, and of names."""
    embedded = data.embedded
    owned = np.flatnonzero(embedded.owner >= 0)
    taught = owned[embedded.sets.teach_space[embedded.owner[owned]]]
    captions = [embedded.texts[row] for row in taught]
    lexical = LexicalFeatures.none()
    if settings.lexical:
        lexical = fit_lexical_features(captions, settings.ranking.lexical_weight)
    names = [name for class_name in class_names for name in class_name.names]
    known = find_known_words([*captions, *embedded.other_captions], names)
    return TextWords(lexical, known, data.phrases if len(data.phrases) else None)


def choose_shrinkage(
    embedded: EmbeddedJudgments, settings: JointSpaceSettings, seed: int, fit_space: FitSpace
) -> MapSettings:
    """Choose the shrinkage whose tuned map ranks held-out photos best, by recall@1 + 5 + 10 of the candidates.

    Args:
        embedded: The judged data.
        settings: How spaces are fitted; late interaction is left out, as candidates do without it.
        seed: Draws the photos that are held out.
        fit_space: Fits a space to some photos.

    Returns:
        `settings.map` with the chosen shrinkages.
    """
    photos = np.flatnonzero(embedded.sets.teach_space)
    seen, held = (photos[side] for side in grouped_split(photos, SHRINKAGE_SHARE, seed))
    best, chosen = -1.0, settings.map
    for number, (images, texts) in enumerate(SHRINKAGES, 1):
        tried = replace(settings.map, shrink_images=images, shrink_texts=texts)
        how = replace(settings, map=tried, late_interaction=None)
        joint_space = fit_space(np.sort(seen), how, f"shrinkage {number} of {len(SHRINKAGES)}")
        gallery = Gallery.of(embedded, np.sort(held), joint_space)
        rows, own = gallery.captions(embedded)
        ranks = ranks_of_own(candidate_scores(gallery.encoded_photos, gallery.encode_captions(embedded, rows)), own)
        total = sum(recall_at(ranks, k) for k in CUTOFFS)
        if total > best:
            best, chosen = total, tried
    return chosen
