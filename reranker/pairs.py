"""Training pairs for the MLP: captions with their own photos, mined candidates, judged pairs; each with its scalars."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from reranker.features import Features
from reranker.judgments import Judgments
from reranker.linear_map import LinearMap, hub_terms, unit
from reranker.mlp import Pairs
from reranker.scores import generalised_scores

# Where a training pair comes from; an expert pair may have crowd votes as well.
CAPTION, EXPERT, CROWD = 0, 1, 2


@dataclass(frozen=True, slots=True)
class PairSettings:
    """Which pairs the MLP learns from, and what each is worth."""

    hub_weight: float = 0.5
    # Negatives a caption: from its first `mined_from` candidates, and at random.
    mined: int = 3
    mined_from: int = 50
    random: int = 1
    # A judgment is worth this many caption pairs.
    crowd_weight: float = 2.0
    expert_weight: float = 8.0


@dataclass(frozen=True, slots=True)
class Space:
    """The map of one fold (or of all photos) with what belongs to it: everything below the MLP."""

    map: LinearMap
    meaning: LinearMap
    bank: np.ndarray


def training_pairs(
    features: Features,
    vectors: np.ndarray,
    judgments: Judgments,
    fold_of: np.ndarray,
    held_out: np.ndarray,
    spaces: Sequence[Space],
    settings: PairSettings,
    seed: int,
) -> tuple[Pairs, np.ndarray]:
    """Pairs for the MLP, each scored by the map of a fold that has not seen its photo; (pairs, kind of each).

    vectors: (m, e) float32, the text vectors with their lexical part; fold_of: (n,) int, the place in `spaces` of the
    map that has not seen a photo; held_out: (n,) bool, photos of the validation side, whose captions are paired with
    photos of that side only. Judged pairs go by their photo.
    """
    generator = np.random.default_rng(seed)
    position = {name: i for i, name in enumerate(features.photos)}
    caption_row = {caption: i for i, caption in enumerate(features.captions)}
    scored = generalised_scores(judgments.expert, judgments.crowd)
    judged = [(position[p], caption_row[c], *score) for (p, c), score in scored.items() if p in position]
    parts, kinds = [], []
    for fold, held in product(range(len(spaces)), (False, True)):
        gallery = np.flatnonzero((fold_of == fold) & (held_out == held))
        if len(gallery) < 2:
            continue
        side = PhotoRows(spaces[fold], features.x[gallery])
        mined = _mined_pairs(features, vectors, gallery, spaces[fold], side, settings, generator)
        parts.append(mined)
        kinds.append(np.full(len(mined), CAPTION))
        rows = [row for row in judged if fold_of[row[0]] == fold and held_out[row[0]] == held]
        if rows:
            photo, text = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
            target = np.array([row[2] for row in rows], np.float32)
            weight = np.where([row[3] for row in rows], settings.expert_weight, settings.crowd_weight)
            scalars = side.scalars(np.searchsorted(gallery, photo), vectors[text], unit(features.t[text]))
            parts.append(Pairs(photo, text, scalars, target, weight.astype(np.float32)))
            kinds.append(np.where([row[3] for row in rows], EXPERT, CROWD))
    return Pairs.join(parts), np.concatenate(kinds)


class PhotoRows:
    """Photos of a gallery in one space, to take the MLP's scalars from."""

    def __init__(self, space: Space, x: np.ndarray) -> None:
        self.space = space
        self.z = space.map.images(x)
        self.meaning = space.meaning.images(x)
        self.hub = hub_terms(self.z, space.bank)

    def scalars(self, photo: np.ndarray, vectors: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n, 3) float32 of n pairs: photo rows beside their text vectors, with and without the lexical part."""
        cosine = (self.z[photo] * self.space.map.texts(vectors)).sum(axis=1)
        meaning = (self.meaning[photo] * self.space.meaning.texts(t)).sum(axis=1)
        return np.stack([cosine, meaning, self.hub[photo]], axis=1).astype(np.float32)


def _mined_pairs(
    features: Features,
    vectors: np.ndarray,
    gallery: np.ndarray,
    space: Space,
    side: PhotoRows,
    settings: PairSettings,
    generator: np.random.Generator,
) -> Pairs:
    """Own captions, hard negatives from the candidate stage and random ones, of the photos in one gallery."""
    rows, own = within(features, np.flatnonzero(features.owner >= 0), gallery)
    count = settings.mined + settings.random
    first = min(settings.mined_from, len(gallery) - 1)
    q = space.map.texts(vectors[rows])
    photo = np.empty((len(rows), 1 + count), np.int64)
    photo[:, 0] = own
    for begin in range(0, len(rows), 1024):
        block = slice(begin, begin + 1024)
        scores = q[block] @ side.z.T - settings.hub_weight * side.hub
        scores[np.arange(len(scores)), own[block]] = -np.inf
        candidates = np.argpartition(-scores, first - 1, axis=1)[:, :first]
        picks = generator.integers(0, first, (len(scores), settings.mined))
        photo[block, 1 : 1 + settings.mined] = np.take_along_axis(candidates, picks, axis=1)
        others = generator.integers(0, len(gallery) - 1, (len(scores), settings.random))
        photo[block, 1 + settings.mined :] = others + (others >= own[block, None])
    flat, text = photo.reshape(-1), np.repeat(rows, 1 + count)
    target = _soft_targets(features, gallery, rows, own, photo)
    scalars = side.scalars(flat, vectors[text], unit(features.t[text]))
    return Pairs(gallery[flat], text, scalars, target, np.ones(len(flat), np.float32))


def _soft_targets(
    features: Features, gallery: np.ndarray, rows: np.ndarray, own: np.ndarray, photo: np.ndarray
) -> np.ndarray:
    """How likely a caption fits each photo, judged by the photo's other captions: (captions * photos,) float32.

    A photo whose captions say the same thing is no true negative. The chance is a logistic regression of "is the
    caption's own photo" on the largest similarity between the caption and the photo's captions (its own left out).
    """
    from sklearn.linear_model import LogisticRegression

    t = unit(features.t)[rows]
    captions_of = [np.flatnonzero(own == i) for i in range(len(gallery))]
    similarity = np.full(photo.shape, -1.0, np.float32)
    for column in range(photo.shape[1]):
        for offset in range(max(map(len, captions_of))):
            other = np.array([ids[offset] if offset < len(ids) else -1 for ids in captions_of])[photo[:, column]]
            usable = (other >= 0) & (other != np.arange(len(rows)))
            products = (t * t[other]).sum(axis=1)
            similarity[:, column] = np.maximum(similarity[:, column], np.where(usable, products, -1.0))
    is_own = np.zeros(photo.shape, np.float32)
    is_own[:, 0] = 1
    known = (similarity > -1).reshape(-1)
    if not known.any() or is_own.reshape(-1)[known].min() == is_own.reshape(-1)[known].max():
        return is_own.reshape(-1)
    model = LogisticRegression().fit(similarity.reshape(-1, 1)[known], is_own.reshape(-1)[known])
    chance = model.predict_proba(similarity.reshape(-1, 1))[:, 1].astype(np.float32)
    return np.where(is_own.reshape(-1) == 1, 1.0, np.where(known, chance, 0.0)).astype(np.float32)


def within(features: Features, captions: np.ndarray, photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The captions of some photos (sorted rows), and each one's photo as a position among them."""
    rows = captions[np.isin(features.owner[captions], photos)]
    return rows, np.searchsorted(photos, features.owner[rows])
