"""Training: judged data -> ranker. Captions teach the space and the order; people's judgments teach the relevance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder
from indexer.encoders.network import cache_folder
from indexer.errors import PhotoseekError
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judged_folder import Judgments, grouped_split
from reranker.metrics.metrics import ranks_of_own, recall_at
from reranker.models.calibration import Calibration
from reranker.models.joint_space import HUB_WEIGHT, MEANING_WEIGHT, NAMES_WEIGHT, PAIR_FEATURES, JointSpace
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import MapSettings, unit
from reranker.models.mlp import MLP, Lists, MLPSettings, fit, start
from reranker.ranker import Ranker
from reranker.training.examples import (
    Gallery,
    PairSettings,
    WordQueries,
    candidate_scores,
    caption_lists,
    galleries,
    judged_pairs,
    own_only,
    word_pairs,
    word_queries,
)
from reranker.training.fit_joint_space import (
    JointSpaceCache,
    JointSpaceSettings,
    captions_of_photos,
    fit_joint_space,
    fit_late_imputation,
)
from reranker.training.validation import gate, learn_no_match
from reranker.training.vocabulary import Thing, learn_class_names, vocabulary_of

# Shrinkages that the held-out photos choose from: (images, texts). Few photos need more.
SHRINKAGES = ((1.0, 0.3), (3.0, 1.0))

ENOUGH_TO_CALIBRATE = 50
LEAST = 20

Stage = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that training may be told."""

    joint_space: JointSpaceSettings = field(default_factory=JointSpaceSettings)
    ranking_mlp: MLPSettings = field(default_factory=MLPSettings)
    relevance_mlp: MLPSettings = field(default_factory=MLPSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    choose_shrinkage: bool = True
    lexical: bool = True
    # The map has seen its own photos, so the MLPs learn from scores that maps of other photos gave.
    folds: int = 3
    validation: float = 0.3
    # With a base: whether its order goes on learning, and whether its relevance may be the start or is forgotten.
    keep_order: bool = False
    fresh_relevance: bool = False
    seed: int = 0


def train(
    features: EmbeddedJudgments,
    judgments: Judgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    settings: TrainSettings | None = None,
    *,
    base: Ranker | None = None,
    things: Sequence[Thing] | None = None,
    on_stage: Stage | None = None,
) -> Ranker:
    """Train a ranker on judged data.

    `encoders`: the image and the text encoder that made `features`. With `base`, its space is kept as it is (it must
    not have seen these photos) and its MLPs are the start. `things` is a vocabulary beside the encoder's own class
    names. `on_stage` gets (stage, done, total). An interrupted training goes on with the spaces it had fitted.
    Raises PhotoseekError if there is too little to learn from.
    """
    settings = settings or TrainSettings()
    report = on_stage or (lambda stage, done, total: None)
    _check(features, encoders, base)
    count = len(features.photos)
    captions = np.flatnonzero(features.owner >= 0)
    kept = JointSpaceCache(cache_folder() / "training", features)
    summary: dict[str, Any] = {
        "photos": count,
        "captions": len(captions),
        "expert_rows": len(judgments.expert),
        "crowd_rows": len(judgments.crowd),
        "score": settings.pairs.aggregate.__name__,
        "seed": settings.seed,
    }
    if base is None:
        joint_space, spaces, fold_of = _new_spaces(features, encoders, settings, things, kept, summary, report)
    else:
        joint_space, spaces, fold_of = base.joint_space, [base.joint_space], np.zeros(count, np.int64)
        summary |= {"base": base.id, "before": {k: v for k, v in base.training.items() if k != "before"}}
        if things:
            before = base.joint_space.class_names
            vocabulary = things if before.k else vocabulary_of(encoders[0], things)
            names, unknown = learn_class_names(features, vocabulary, *encoders, before)
            joint_space = replace(joint_space, class_names=names)
            spaces = [joint_space]
            summary |= {"names": len(names.keys), "names_without_example": unknown}

    described = np.unique(features.owner[captions])
    _, validation_photos = grouped_split(described, settings.validation, settings.seed)
    held_out = np.isin(np.arange(count), described[validation_photos])
    material = _collect(features, judgments, encoders[1], settings, fold_of, held_out, spaces, report)
    t = np.concatenate([unit(features.t), unit(material.words.t)])
    dims = (features.x.shape[1], t.shape[1])

    order = None if base is None else base.ranking_mlp
    learns_order = base is None or not settings.keep_order
    if learns_order:
        # A base that was left with the candidates' own order has no network to go on with.
        if order is not None and order.reads_vectors:
            first = order
        else:
            first = start(*dims, own_only(material.lists[0]), settings.seed)
        learned, losses = fit(
            first,
            features.x,
            t,
            own_only(material.lists[0]),
            own_only(material.lists[1]),
            settings.ranking_mlp,
            listwise=True,
            seed=settings.seed,
            on_progress=lambda done, total: report("order", done, total),
        )
        summary["order_loss"] = [round(loss, 4) for loss in losses]
        order, summary["order"], recalls = gate(features, material.galleries, order, learned)
    else:
        recalls = {}
        summary["order"] = "that of the base"
    if order is None:
        order = candidate_mlp(*dims)

    begins = {"learned anew": start(*dims, material.pairs[0], settings.seed)}
    if base is not None and not settings.fresh_relevance:
        begins["goes on from the base"] = base.relevance_mlp
    tried = {
        name: fit(
            begin,
            features.x,
            t,
            material.pairs[0],
            material.pairs[1],
            settings.relevance_mlp,
            listwise=False,
            seed=settings.seed,
            on_progress=lambda done, total: report("relevance", done, total),
        )
        for name, begin in begins.items()
    }
    # A base that learned from captions alone may be further off than a new start; validation photos tell.
    summary["relevance"] = min(tried, key=lambda name: min(tried[name][1]))
    relevance, losses = tried[summary["relevance"]]
    summary["relevance_loss"] = [round(loss, 4) for loss in losses]
    measured = material.to_calibrate
    logits = relevance.plain(features.x[measured.photo[:, 0]], t[measured.text], measured.pair_features[:, 0])
    calibration = Calibration.fit(logits, measured.target[:, 0], measured.weight, groups=measured.text)
    summary |= {"calibration": calibration.method, "calibration_pairs": len(measured)}
    summary["calibration_log_loss"] = {name: round(loss, 5) for name, loss in calibration.losses.items()}
    if base is None or learns_order:
        match = learn_no_match(features, material.words, material.galleries, order)
    else:
        match = base.no_match
    ranker = Ranker(
        image_encoder=encoders[0].fingerprint,
        text_encoder=encoders[1].fingerprint,
        text_encoder_name=encoders[1].name,
        image_encoder_name=encoders[0].name,
        joint_space=joint_space,
        ranking_mlp=order,
        relevance_mlp=relevance,
        calibration=calibration,
        no_match=match,
        training=summary,
        results={"validation_photos": float(held_out.sum()), **recalls},
    ).finished()
    kept.clear()
    return ranker


def candidate_mlp(d: int, e: int) -> MLP:
    """An order that is the candidates' own: what a reranker has to beat."""
    weights = np.zeros(len(PAIR_FEATURES), np.float32)
    for name, weight in (("cosine", 1), ("meaning", MEANING_WEIGHT), ("named", NAMES_WEIGHT), ("hub", -HUB_WEIGHT)):
        weights[PAIR_FEATURES.index(name)] = weight
    one = np.zeros(1, np.float32)
    Wx, Wt, Ws = (np.zeros((rows, 1), np.float32) for rows in (d, e, len(PAIR_FEATURES)))
    return MLP(Wx, Wt, Ws, one, np.zeros((1, 1), np.float32), one, one, weights, one)


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


def _check(features: EmbeddedJudgments, encoders: tuple[ImageEncoder, TextEncoder], base: Ranker | None) -> None:
    if base is not None and (base.image_encoder, base.text_encoder) != tuple(e.fingerprint for e in encoders):
        raise PhotoseekError(
            f"ranker {base.id} was trained with {base.image_encoder} and {base.text_encoder}; --from needs the same "
            "encoders"
        )
    owned = features.owner[features.owner >= 0]
    described = len(np.unique(owned))
    if described < LEAST:
        raise PhotoseekError(
            f"{described} photos with {len(owned)} captions of their own are too few to train on; {LEAST} is the least"
        )


def _new_spaces(
    features: EmbeddedJudgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    settings: TrainSettings,
    things: Sequence[Thing] | None,
    kept: JointSpaceCache,
    summary: dict[str, Any],
    report: Stage,
) -> tuple[JointSpace, list[JointSpace], np.ndarray]:
    """The space of all photos, those of the cross-fit, and which of these has not seen a photo."""
    owned = np.flatnonzero(features.owner >= 0)
    lexical = (
        LexicalFeatures.fit([features.texts[row] for row in owned]) if settings.lexical else LexicalFeatures.none()
    )
    names, unknown = learn_class_names(features, vocabulary_of(encoders[0], things or ()), *encoders)
    summary |= {"names": len(names.keys), "names_without_example": unknown}

    def fitted(photos: np.ndarray, what: JointSpaceSettings, stage: str) -> JointSpace:
        return kept.get(
            photos,
            what,
            settings.seed,
            names,
            lexical,
            lambda: fit_joint_space(features, photos, lexical, names, what, settings.seed, stage, report),
        )

    chosen = settings.joint_space
    everything = np.arange(len(features.photos))
    if settings.choose_shrinkage:
        chosen = replace(chosen, map=_choose_shrinkage(features, settings, fitted))
    summary["shrinkage"] = [chosen.map.shrink_images, chosen.map.shrink_texts]
    fold_of = np.random.default_rng(settings.seed).permutation(len(features.photos)) % settings.folds
    spaces = [
        fitted(np.flatnonzero(fold_of != fold), chosen, f"{fold + 1} of {settings.folds + 1}")
        for fold in range(settings.folds)
    ]
    final = fitted(everything, chosen, f"{settings.folds + 1} of {settings.folds + 1}")
    guess = fit_late_imputation(spaces, features, fold_of)
    return (
        replace(final, late_imputation=guess),
        [replace(joint_space, late_imputation=guess) for joint_space in spaces],
        fold_of,
    )


def _choose_shrinkage(
    features: EmbeddedJudgments,
    settings: TrainSettings,
    fitted: Callable[[np.ndarray, JointSpaceSettings, str], JointSpace],
) -> MapSettings:
    """The shrinkage whose tuned map ranks held-out photos best, by recall@1 + 5 + 10 with the hub term."""
    seen, held = grouped_split(np.arange(len(features.photos)), 0.2, settings.seed)
    best, chosen = -1.0, settings.joint_space.map
    for number, (images, texts) in enumerate(SHRINKAGES, 1):
        tried = replace(settings.joint_space.map, shrink_images=images, shrink_texts=texts)
        joint_space = fitted(
            np.sort(seen),
            replace(settings.joint_space, map=tried, late_interaction=None),
            f"shrinkage {number} of {len(SHRINKAGES)}",
        )
        gallery = Gallery.of(features, np.sort(held), joint_space)
        rows, own = captions_of_photos(features, gallery.photos)
        ranks = ranks_of_own(candidate_scores(gallery.side, gallery.queries(features, rows)), own)
        total = sum(recall_at(ranks, k) for k in (1, 5, 10))
        if total > best:
            best, chosen = total, tried
    return chosen


@dataclass(frozen=True, slots=True)
class _Material:
    """What the MLPs learn from. `lists` and `pairs`: (training, validation); `galleries`: those of the validation side;
    the vectors of `words` follow the captions' among the rows of t; `to_calibrate`: validation pairs."""

    lists: tuple[Lists, Lists]
    pairs: tuple[Lists, Lists]
    galleries: list[Gallery]
    words: WordQueries
    to_calibrate: Lists


def _collect(
    features: EmbeddedJudgments,
    judgments: Judgments,
    text: TextEncoder,
    settings: TrainSettings,
    fold_of: np.ndarray,
    held_out: np.ndarray,
    spaces: Sequence[JointSpace],
    report: Stage,
) -> _Material:
    generator = np.random.default_rng(settings.seed)
    words = word_queries(features, text, settings.pairs)
    lists: tuple[list[Lists], list[Lists]] = ([], [])
    pairs: tuple[list[Lists], list[Lists]] = ([], [])
    to_calibrate: dict[str, list[Lists]] = {"crowd": [], "expert": [], "caption": []}
    kept = []
    shown = settings.pairs.shown
    total = len(np.unique(np.stack([fold_of, held_out]), axis=1).T)
    for number, (held, gallery) in enumerate(galleries(features, fold_of, held_out, spaces), 1):
        side = int(held)
        of_captions = caption_lists(features, gallery, settings.pairs, generator)
        lists[side].append(of_captions)
        taught = [of_captions.pairs(slice(0, shown)), of_captions.pairs(slice(-1, None))]
        pairs[side].extend(taught)
        if len(words.texts):
            pairs[side].append(word_pairs(words, gallery, settings.pairs, generator, len(features.t)))
        judged, by_experts = judged_pairs(features, judgments, gallery, settings.pairs)
        pairs[side].append(judged)
        if held:
            kept.append(gallery)
            to_calibrate["crowd"].append(judged.take(np.flatnonzero(~by_experts)))
            to_calibrate["expert"].append(judged.take(np.flatnonzero(by_experts)))
            to_calibrate["caption"] += taught
        report("pairs", number, total)
    # Relevance is the probability that a person says "this fits", and that is what a crowd was asked.
    for name in ("crowd", "expert", "caption"):
        measured = Lists.join(to_calibrate[name])
        if len(measured) >= ENOUGH_TO_CALIBRATE:
            break
    return _Material(
        (Lists.join(lists[0]), Lists.join(lists[1])),
        (Lists.join(pairs[0]), Lists.join(pairs[1])),
        kept,
        words,
        measured,
    )
