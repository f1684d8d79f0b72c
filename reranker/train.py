"""Training: judged data -> ranker. Captions teach the map; captions, mined candidates and judgments teach the MLP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder
from indexer.errors import PhotoseekError
from indexer.views import PhotoSide
from reranker.calibration import Calibration
from reranker.features import Features
from reranker.judgments import Judgments, grouped_split
from reranker.lexicon import Lexicon
from reranker.linear_map import MapSettings, fit_map, fit_meaning, unit
from reranker.metrics import ranks_of_own, recall_at
from reranker.mlp import MLPSettings, fit, start
from reranker.pairs import CROWD, EXPERT, PairSettings, PhotoRows, Space, training_pairs, within
from reranker.ranker import QuerySide, Ranker

# Shrinkages that the held-out photos choose from: (images, texts). Few photos need more.
SHRINKAGES = ((1.0, 0.3), (3.0, 1.0), (10.0, 3.0))

# Share of queries with a photo to find that may be told "no good match".
MISSED = 0.05

ENOUGH_TO_CALIBRATE = 50

Stage = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that training may be told."""

    map: MapSettings = field(default_factory=MapSettings)
    mlp: MLPSettings = field(default_factory=MLPSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    choose_shrinkage: bool = True
    # The map has seen its own photos, so the MLP learns from scores that maps of other photos gave.
    folds: int = 3
    validation: float = 0.3
    bank: int = 2000
    seed: int = 0


def train(
    features: Features,
    judgments: Judgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    settings: TrainSettings | None = None,
    *,
    base: Ranker | None = None,
    on_stage: Stage | None = None,
) -> Ranker:
    """Train a ranker on judged data.

    `encoders`: the image and the text encoder that made `features`. With `base`, its map is kept as
    it is (it must not have seen these photos) and its MLP is the start. `on_stage` gets (stage, done, total).
    Raises PhotoseekError if there is too little to learn from.
    """
    settings = settings or TrainSettings()
    report = on_stage or (lambda stage, done, total: None)
    if base is not None and (base.image_encoder, base.text_encoder) != tuple(e.fingerprint for e in encoders):
        raise PhotoseekError(
            f"ranker {base.id} was trained with {base.image_encoder} and {base.text_encoder}; --from needs the same "
            "encoders"
        )
    captions = np.flatnonzero(features.owner >= 0)
    if len(features.photos) < 20 or len(captions) < 20:
        raise PhotoseekError(
            f"{len(features.photos)} photos with {len(captions)} captions of their own are too few to train on; "
            "20 is the least"
        )
    if base is None:
        lexicon = Lexicon.fit([features.texts[i] for i in captions])
        vectors = lexicon.extend(features.t, features.texts)
        map_settings = settings.map
        if settings.choose_shrinkage:
            map_settings = choose_shrinkage(features, vectors, settings, report)
        fold_of, spaces = _cross_fit(features, vectors, map_settings, settings, report)
        final = _fit_space(features, vectors, np.arange(len(features.photos)), map_settings, settings, report, "map")
    else:
        lexicon, map_settings = base.lexicon, settings.map
        vectors = lexicon.extend(features.t, features.texts)
        final = Space(base.map, base.meaning, base.bank)
        settings = replace(settings, pairs=replace(settings.pairs, hub_weight=base.hub_weight))
        fold_of, spaces = np.zeros(len(features.photos), np.int64), [final]

    _, validation_photos = grouped_split(np.arange(len(features.photos)), settings.validation, settings.seed)
    is_validation = np.isin(np.arange(len(features.photos)), validation_photos)
    pairs, kind = training_pairs(
        features, vectors, judgments, fold_of, is_validation, spaces, settings.pairs, settings.seed
    )
    held_out = is_validation[pairs.photo]
    learn, validate = pairs.take(np.flatnonzero(~held_out)), pairs.take(np.flatnonzero(held_out))
    t = unit(features.t)
    first = start(features.x.shape[1], t.shape[1], learn, settings.seed) if base is None else base.mlp
    mlp, losses = fit(
        first,
        features.x,
        t,
        learn,
        validate,
        settings.mlp,
        settings.seed,
        lambda done, total: report("reranker", done, total),
    )
    measured = validate.take(_calibration_rows(kind[held_out]))
    logits = mlp.plain(features.x[measured.photo], t[measured.text], measured.scalars)
    calibration = Calibration.fit(logits, measured.target, measured.weight, groups=measured.text)
    ranker = Ranker(
        image_encoder=encoders[0].fingerprint,
        text_encoder=encoders[1].fingerprint,
        text_encoder_name=encoders[1].name,
        map=final.map,
        meaning=final.meaning,
        lexicon=lexicon,
        bank=final.bank,
        mlp=mlp,
        calibration=calibration,
        hub_weight=settings.pairs.hub_weight,
        no_match=0.0,
        training={
            "photos": len(features.photos),
            "captions": len(captions),
            "expert_rows": len(judgments.expert),
            "crowd_rows": len(judgments.crowd),
            "pairs": len(pairs),
            **({"shrinkage": [map_settings.shrink_images, map_settings.shrink_texts]} if base is None else {}),
            **({"base": base.id} if base is not None else {}),
            "validation_log_loss": [round(loss, 4) for loss in losses],
            "calibration": calibration.method,
            "calibration_log_loss": {method: round(loss, 4) for method, loss in calibration.losses.items()},
            "seed": settings.seed,
        },
    )
    figures, no_match = _validate(ranker, features, fold_of, spaces, validation_photos)
    return replace(ranker, no_match=no_match, figures=figures).finished()


def training_photos(judgments: Judgments, photo_set: str | None) -> tuple[str, ...]:
    """The photos to train on: one photo folder's, by default `train_images`, else all that are no test photos."""
    if photo_set is None and "train_images" in judgments.sets:
        photo_set = "train_images"
    if photo_set is None:
        held_out = {*judgments.test_photos, *judgments.splits.get("dev", ()), *judgments.splits.get("test", ())}
        return tuple(name for name in judgments.photos if name not in held_out)
    if photo_set not in judgments.sets:
        raise PhotoseekError(
            f"judged data {judgments.folder} has no photo folder {photo_set!r}; it has {', '.join(judgments.sets)}"
        )
    return judgments.sets[photo_set]


def choose_shrinkage(features: Features, vectors: np.ndarray, settings: TrainSettings, report: Stage) -> MapSettings:
    """The shrinkage whose tuned map ranks held-out photos best, by recall@1 + 5 + 10 with the hub term."""
    kept, held = grouped_split(np.arange(len(features.photos)), 0.2, settings.seed)
    rows, photo = within(features, np.flatnonzero(features.owner >= 0), np.sort(held))
    best, chosen = -1.0, settings.map
    for number, (images, texts) in enumerate(SHRINKAGES, 1):
        tried = replace(settings.map, shrink_images=images, shrink_texts=texts)
        stage = f"shrinkage {number} of {len(SHRINKAGES)}"
        space = _fit_space(features, vectors, np.sort(kept), tried, settings, report, stage)
        side = PhotoRows(space, features.x[np.sort(held)])
        scores = space.map.texts(vectors[rows]) @ side.z.T - settings.pairs.hub_weight * side.hub
        total = sum(recall_at(ranks_of_own(scores, photo), k) for k in (1, 5, 10))
        if total > best:
            best, chosen = total, tried
    return chosen


def _calibration_rows(kind: np.ndarray) -> np.ndarray:
    """The pairs to calibrate on: yes and no of a crowd before experts' grades before captions, where there are enough.

    Relevance is the probability that a person says "this fits", and that is what a crowd was asked.
    """
    for wanted in (CROWD, EXPERT):
        rows = np.flatnonzero(kind == wanted)
        if len(rows) >= ENOUGH_TO_CALIBRATE:
            return rows
    return np.arange(len(kind))


def _cross_fit(
    features: Features, vectors: np.ndarray, map_settings: MapSettings, settings: TrainSettings, report: Stage
) -> tuple[np.ndarray, list[Space]]:
    """Fold of each photo, and per fold the space fitted on the photos of the other folds."""
    generator = np.random.default_rng(settings.seed)
    fold_of = generator.permutation(len(features.photos)) % settings.folds
    spaces = []
    for fold in range(settings.folds):
        others = np.flatnonzero(fold_of != fold)
        stage = f"map without fold {fold + 1} of {settings.folds}"
        spaces.append(_fit_space(features, vectors, others, map_settings, settings, report, stage))
    return fold_of, spaces


def _fit_space(
    features: Features,
    vectors: np.ndarray,
    photos: np.ndarray,
    map_settings: MapSettings,
    settings: TrainSettings,
    report: Stage,
    stage: str,
) -> Space:
    rows, photo = within(features, np.flatnonzero(features.owner >= 0), photos)
    x = features.x[photos]
    fitted = fit_map(x, vectors[rows], photo, map_settings, settings.seed, lambda d, n: report(stage, d, n))
    meaning = fit_meaning(x, unit(features.t[rows]), photo)
    chosen = np.random.default_rng(settings.seed).permutation(len(rows))[: settings.bank]
    return Space(fitted, meaning, fitted.texts(vectors[rows[chosen]]))


def _validate(
    ranker: Ranker,
    features: Features,
    fold_of: np.ndarray,
    spaces: Sequence[Space],
    photos: np.ndarray,
) -> tuple[dict[str, float], float]:
    """Recall on validation photos before and after reranking, and the relevance under which nothing matches.

    Every photo is scored by the space of a fold that has not seen it. The no-match point is a low quantile of the best
    relevance that queries reach whose photo is there.
    """
    fold = int(np.bincount(fold_of[photos]).argmax())
    gallery = photos[fold_of[photos] == fold]
    rows, own = within(features, np.flatnonzero(features.owner >= 0), gallery)
    space = spaces[fold]
    there = replace(ranker, map=space.map, meaning=space.meaning, bank=space.bank)
    side = there.photo_side(features.x[gallery])
    query = there.query_side(features.t[rows], [features.texts[row] for row in rows])
    before = query.candidate @ np.concatenate([side.z, side.hub[:, None]], axis=1).T
    after = relevance_matrix(there, side, query)
    figures = {"validation_photos": float(len(gallery))}
    for name, scores in (("candidates", before), ("reranked", after)):
        ranks = ranks_of_own(scores, own)
        figures |= {f"{name}_recall@{k}": round(recall_at(ranks, k), 4) for k in (1, 5, 10)}
    best_with = after.max(axis=1)
    return figures, float(np.quantile(best_with, MISSED))


def relevance_matrix(ranker: Ranker, side: PhotoSide, query: QuerySide) -> np.ndarray:
    """Relevance of every photo for every query: (queries, photos) float32."""
    return np.stack([ranker.relevance(side, query, row) for row in range(len(query.candidate))])
