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

from indexer.encoders import ImageEncoder, TextEncoder
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import grouped_split
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.joint_space import JointSpace, candidate_scores, joint_space_arrays, joint_space_of_arrays
from reranker.models.lexical_features import LexicalFeatures
from reranker.training import OnStage
from reranker.training.examples.galleries import Gallery
from reranker.training.fit_joint_space import (
    JointSpaceSettings,
    fit_joint_space,
    fit_late_imputation,
    fit_lexical_features,
)
from reranker.training.fit_linear_map import MapSettings
from reranker.training.vocabulary import ClassName, fit_vocabulary, with_own_class_names

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
        without_example: First names of the classes that nothing shows; None where no vocabulary was fitted.
    """

    joint_space: JointSpace
    fold_spaces: tuple[JointSpace, ...]
    fold_of: np.ndarray
    shrinkage: tuple[float, float] | None
    without_example: tuple[str, ...] | None


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
        for array in (embedded.x, embedded.t, embedded.owner, embedded.tokens.pieces):
            digest.update(np.ascontiguousarray(array).tobytes())
        if embedded.regions is not None:
            digest.update(embedded.regions.tobytes())
        self.folder = folder / digest.hexdigest()[:16]

    def get(
        self,
        photos: np.ndarray,
        settings: JointSpaceSettings,
        seed: int,
        lexical: LexicalFeatures,
        fit: Callable[[], JointSpace],
    ) -> JointSpace:
        """Read a space from the folder, or fit it and keep it there.

        Args:
            photos: (n,) int, the photos that it is fitted to.
            settings: How it is fitted.
            seed: The training's seed.
            lexical: The words that extend text vectors.
            fit: Fits the space; called if it is not in the folder, or damaged.

        Returns:
            The space, as `fit` gives it.
        """
        key = repr((photos.tolist(), asdict(settings), seed, lexical.words))
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.safetensors"
        with suppress(OSError, KeyError, ValueError, SafetensorError):
            arrays = load_file(path)
            words = bytes(arrays.pop("vocabulary")).decode("utf-8").split("\n")
            return joint_space_of_arrays(arrays, tuple(word for word in words if word), settings.ranking)
        joint_space = fit()
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = joint_space_arrays(joint_space)
        arrays["vocabulary"] = np.frombuffer("\n".join(joint_space.lexical.words).encode() or b"\n", np.uint8)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, Path(scratch) / path.name)
            os.replace(Path(scratch) / path.name, path)
        return joint_space

    def clear(self) -> None:
        """Remove the training's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def fit_joint_spaces(
    embedded: EmbeddedJudgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    class_names: Sequence[ClassName],
    settings: JointSpaceSettings,
    seed: int,
    cache: JointSpaceCache,
    on_stage: OnStage,
) -> JointSpaces:
    """Fit the space of all photos, and one per fold without the fold's photos.

    Args:
        embedded: The judged data of n photos.
        encoders: The image and the text encoder that made it.
        class_names: A vocabulary beside the image encoder's own classes.
        settings: See `JointSpaceSettings`.
        seed: Draws the folds, and everything random in a fit.
        cache: Keeps the fitted spaces.
        on_stage: Called with (stage, done, total).

    Returns:
        The spaces, with class names and late imputation.
    """
    captions = [embedded.texts[row] for row in np.flatnonzero(embedded.owner >= 0)]
    ranking = settings.ranking
    lexical = LexicalFeatures.none()
    if settings.lexical:
        lexical = fit_lexical_features(captions, ranking.lexical_weight)
    every_name = with_own_class_names(encoders[0], class_names)
    vocabulary = fit_vocabulary(embedded, every_name, *encoders, settings=ranking.class_names)

    def fit_space(photos: np.ndarray, how: JointSpaceSettings, stage: str) -> JointSpace:
        def fit() -> JointSpace:
            return fit_joint_space(embedded, photos, lexical, how, seed, stage, on_stage)

        return replace(cache.get(photos, how, seed, lexical, fit), class_names=vocabulary.head)

    chosen = settings
    if settings.choose_shrinkage:
        chosen = replace(settings, map=choose_shrinkage(embedded, settings, seed, fit_space))
    count, folds = len(embedded.photos), settings.folds
    fold_of = np.random.default_rng(seed).permutation(count) % folds
    of_folds = [
        fit_space(np.flatnonzero(fold_of != fold), chosen, f"{fold + 1} of {folds + 1}") for fold in range(folds)
    ]
    of_all = fit_space(np.arange(count), chosen, f"{folds + 1} of {folds + 1}")
    imputation = fit_late_imputation(of_folds, embedded, fold_of)
    return JointSpaces(
        joint_space=replace(of_all, late_imputation=imputation),
        fold_spaces=tuple(replace(space, late_imputation=imputation) for space in of_folds),
        fold_of=fold_of,
        shrinkage=(chosen.map.shrink_images, chosen.map.shrink_texts),
        without_example=vocabulary.without_example,
    )


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
    seen, held = grouped_split(np.arange(len(embedded.photos)), SHRINKAGE_SHARE, seed)
    best, chosen = -1.0, settings.map
    for number, (images, texts) in enumerate(SHRINKAGES, 1):
        tried = replace(settings.map, shrink_images=images, shrink_texts=texts)
        how = replace(settings, map=tried, late_interaction=None)
        joint_space = fit_space(np.sort(seen), how, f"shrinkage {number} of {len(SHRINKAGES)}")
        gallery = Gallery.of(embedded, np.sort(held), joint_space)
        rows, own = gallery.captions(embedded)
        ranks = ranks_of_own(candidate_scores(gallery.encoded_photos, gallery.encode_captions(embedded, rows)), own)
        total = sum(recall_at(ranks, k) for k in (1, 5, 10))
        if total > best:
            best, chosen = total, tried
    return chosen
