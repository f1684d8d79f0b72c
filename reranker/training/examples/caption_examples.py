"""List every caption with its own photo, with mined photos and with random ones."""

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import PAIR_FEATURES, candidate_scores
from reranker.models.linear_map import unit
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings
from reranker.training.examples.galleries import BLOCK, Gallery


def caption_examples(
    embedded: EmbeddedJudgments, gallery: Gallery, settings: ExampleSettings, generator: np.random.Generator
) -> ExampleLists:
    """List every caption of a gallery's photos with its own photo first, then mined and random ones.

    Args:
        embedded: The judged data.
        gallery: The photos, two or more.
        settings: Its numbers of negatives are used.
        generator: Draws the negatives.

    Returns:
        A list per caption, of 1 + `mined_negatives` + `random_negatives` photos and the weight 1. A target is the
        chance that the caption fits, judged by the photo's own captions; the caption's own photo has 1.
    """
    rows, own = gallery.captions(embedded)
    places = np.empty((len(rows), 1 + settings.mined_negatives + settings.random_negatives), np.int64)
    places[:, 0] = own
    pair_features = np.empty((*places.shape, len(PAIR_FEATURES)), np.float32)
    for begin in range(0, len(rows), BLOCK):
        block = slice(begin, min(begin + BLOCK, len(rows)))
        queries = gallery.encode_captions(embedded, rows[block])
        scores = candidate_scores(gallery.encoded_photos, queries)
        scores[np.arange(len(scores)), own[block]] = -np.inf
        places[block, 1:] = _negatives(scores, own[block], settings, generator)
        features = gallery.pair_features(queries, slice(0, len(scores)))
        pair_features[block] = np.take_along_axis(features, places[block][..., None], axis=1)
    targets = _soft_targets(embedded, gallery, places)
    return ExampleLists(gallery.photos[places], rows, pair_features, targets, np.ones(len(rows), np.float32))


def _negatives(
    scores: np.ndarray, own: np.ndarray, settings: ExampleSettings, generator: np.random.Generator
) -> np.ndarray:
    """Draw mined and random photos per caption: scores (c, n), -inf for its own photo; own (c,) -> (c, negatives)."""
    captions, photos = scores.shape
    first = min(settings.mining_depth, photos - 1)
    near = np.argpartition(-scores, first - 1, axis=1)[:, :first]
    # A gallery too small for so many has some of them more than once: lists of all galleries are equally long.
    columns = np.arange(settings.mined_negatives) % first
    picks = generator.permuted(np.tile(np.arange(first), (captions, 1)), axis=1)[:, columns]
    mined = np.take_along_axis(near, picks, axis=1)
    others = generator.integers(0, photos - 1, (captions, settings.random_negatives))
    return np.concatenate([mined, others + (others >= own[:, None])], axis=1)


def _soft_targets(embedded: EmbeddedJudgments, gallery: Gallery, places: np.ndarray) -> np.ndarray:
    """Estimate how likely a caption fits each listed photo, places (c, l) -> (c, l) float32.

    A photo whose captions say the same thing is no true negative. The chance is a logistic regression of "is the
    caption's own photo" on the largest similarity between the caption and the photo's captions.
    """
    from sklearn.linear_model import LogisticRegression

    similarity = _caption_similarity(embedded, gallery, places)
    is_own = np.zeros(places.shape, np.float32)
    is_own[:, 0] = 1
    known = (similarity > -1).reshape(-1)
    if not known.any() or is_own.reshape(-1)[known].min() == is_own.reshape(-1)[known].max():
        return is_own
    model = LogisticRegression().fit(similarity.reshape(-1, 1)[known], is_own.reshape(-1)[known])
    chance = model.predict_proba(similarity.reshape(-1, 1))[:, 1].astype(np.float32)
    chance = np.where(known, chance, 0.0).reshape(places.shape)
    return np.where(is_own == 1, 1.0, chance).astype(np.float32)


def _caption_similarity(embedded: EmbeddedJudgments, gallery: Gallery, places: np.ndarray) -> np.ndarray:
    """Find the largest cosine of a caption with the captions of each listed photo, itself left out.

    places: (c, l) -> (c, l) float32, -1 where a photo has no other caption.
    """
    rows, own = gallery.captions(embedded)
    t = unit(embedded.t)[rows]
    captions_of = [np.flatnonzero(own == place) for place in range(len(gallery.photos))]
    similarity = np.full(places.shape, -1.0, np.float32)
    for number in range(max(map(len, captions_of))):
        other = np.array([captions[number] if number < len(captions) else -1 for captions in captions_of])
        for column in range(places.shape[1]):
            compared = other[places[:, column]]
            usable = (compared >= 0) & (compared != np.arange(len(rows)))
            products = np.einsum("ij,ij->i", t, t[compared])
            similarity[:, column] = np.maximum(similarity[:, column], np.where(usable, products, -1.0))
    return similarity
