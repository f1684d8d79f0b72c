"""Fitting a space to photos and their captions; what was fitted is kept, so that an interrupted training goes on."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import Hubness, JointSpace, joined, joint_space_arrays, joint_space_of_arrays
from reranker.models.late_interaction import LateSettings, fit_late
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import LinearMap, MapSettings, fit_map, fit_meaning, unit

Stage = Callable[[str, int, int], None]

# How many word-region scores are looked at to learn what a missing one would have been.
GUESSED = 100


@dataclass(frozen=True, slots=True)
class JointSpaceSettings:
    """How a space is fitted; `bank` captions are kept for hub terms, `reference` photos for queries' usual scores."""

    map: MapSettings = field(default_factory=MapSettings)
    late_interaction: LateSettings | None = field(default_factory=LateSettings)
    bank: int = 6000
    reference: int = 1000


def fit_joint_space(
    features: EmbeddedJudgments,
    photos: np.ndarray,
    lexical: LexicalFeatures,
    names: ClassNameHead,
    settings: JointSpaceSettings,
    seed: int,
    stage: str,
    report: Stage,
) -> JointSpace:
    """Fit a space to some photos (sorted rows of `features`) and the captions that are theirs."""
    rows, photo = captions_of_photos(features, photos)
    # A classifier's view of a photo is for names; it makes the match with sentences worse.
    x, t = features.x[photos, : features.x.shape[1] - features.class_dim], features.t[rows]
    vectors = lexical.extend(t, [features.texts[row] for row in rows])
    fitted = _widened(
        fit_map(x, vectors, photo, settings.map, seed, lambda d, n: report(f"map {stage}", d, n)), features.class_dim
    )
    meaning = _widened(fit_meaning(x, unit(t), photo), features.class_dim)
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(rows))[: settings.bank]
    seen = photos[generator.permutation(len(photos))[: settings.reference]]
    captions = np.concatenate([fitted.texts(vectors[chosen]), meaning.texts(unit(t[chosen]))], axis=1)
    hubness_bank = Hubness.fit(captions, joined(fitted, meaning, features.x[seen]))
    late = None
    tokens = features.tokens.select(rows)
    if settings.late_interaction is not None and features.regions is not None and len(tokens.vectors):
        regions = features.regions[photos]
        late = fit_late(
            regions,
            tokens,
            photo,
            settings.late_interaction,
            seed,
            lambda d, n: report(f"regions {stage}", d, n),
        )
    return JointSpace(fitted, meaning, names, lexical, late, hubness_bank, np.zeros((4, 2), np.float32))


def _widened(fitted: LinearMap, columns: int) -> LinearMap:
    """The same map for embeddings with so many more columns, which it does not look at."""
    blank = np.zeros((columns, fitted.k), np.float32)
    return LinearMap(np.concatenate([fitted.A, blank]), fitted.a, fitted.B, fitted.b)


def fit_late_imputation(spaces: Sequence[JointSpace], features: EmbeddedJudgments, fold_of: np.ndarray) -> np.ndarray:
    """What the late score and its hub term are, given a pair's other scores: (4, 2) least squares over captions that
    the space of a fold has not seen, and the photos that are nearest to them."""
    inputs, outputs = [], []
    for fold, joint_space in enumerate(spaces):
        gallery = np.flatnonzero(fold_of == fold)
        rows, own = captions_of_photos(features, gallery)
        rows, own = rows[:: max(1, len(rows) // GUESSED)], own[:: max(1, len(rows) // GUESSED)]
        side = joint_space.encode_photos(
            features.x[gallery], None if features.regions is None else features.regions[gallery]
        )
        query = joint_space.encode_queries(
            features.t[rows], [features.texts[r] for r in rows], features.tokens.select(rows)
        )
        pair_features = joint_space.matrix(side, query, slice(0, len(rows)))
        near = np.argsort(-pair_features[..., 0], axis=1)[:, :GUESSED]
        picked = np.take_along_axis(pair_features, near[..., None], axis=1).reshape(-1, pair_features.shape[2])
        inputs.append(np.concatenate([np.ones((len(picked), 1)), picked[:, :3]], axis=1))
        outputs.append(picked[:, 5:])
    solved = np.linalg.lstsq(np.concatenate(inputs), np.concatenate(outputs), rcond=None)[0]
    return np.asarray(solved, np.float32)


class JointSpaceCache:
    """Spaces of one training, kept in a folder under what went into each; removed when the training is done."""

    def __init__(self, folder: Path, features: EmbeddedJudgments) -> None:
        digest = hashlib.sha256()
        for array in (features.x, features.t, features.owner, features.tokens.pieces):
            digest.update(np.ascontiguousarray(array).tobytes())
        if features.regions is not None:
            digest.update(features.regions.tobytes())
        # A folder of its own, so that a training that is done takes nothing from one that still runs.
        self.folder = folder / digest.hexdigest()[:16]

    def get(
        self,
        photos: np.ndarray,
        settings: JointSpaceSettings,
        seed: int,
        names: ClassNameHead,
        lexical: LexicalFeatures,
        fit: Callable[[], JointSpace],
    ) -> JointSpace:
        """The space that `fit` gives, from the folder if it is whole there; names are put in, not fitted with it."""
        what = repr((photos.tolist(), asdict(settings), seed, lexical.words))
        path = self.folder / f"{hashlib.sha256(what.encode()).hexdigest()[:20]}.safetensors"
        with suppress(OSError, KeyError, ValueError, SafetensorError):
            arrays = load_file(path)
            words = bytes(arrays.pop("vocabulary")).decode("utf-8").split("\n")
            kept = joint_space_of_arrays(arrays, tuple(word for word in words if word))
            return replace(kept, class_names=names)
        joint_space = fit()
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = joint_space_arrays(joint_space)
        arrays["vocabulary"] = np.frombuffer("\n".join(joint_space.lexical.words).encode() or b"\n", np.uint8)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, Path(scratch) / path.name)
            os.replace(Path(scratch) / path.name, path)
        return joint_space

    def clear(self) -> None:
        """Forget them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def captions_of_photos(features: EmbeddedJudgments, photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The captions of some photos (sorted rows), and each one's photo as a position among them."""
    rows = np.flatnonzero(np.isin(features.owner, photos))
    return rows, np.searchsorted(photos, features.owner[rows])
