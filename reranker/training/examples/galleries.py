"""Hold photos that a joint space has not seen, as the gallery that their captions are asked in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from indexer.views.view import EncodedPhotos
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import PAIR_FEATURES, EncodedQueries, JointSpace

# Queries scored at a time: pair features of all queries and photos at once would take gigabytes.
BLOCK = 256


@dataclass(frozen=True, slots=True)
class Gallery:
    """Photos that one joint space has not seen, and what the space makes of them.

    Attributes:
        photos: (n,) int64, sorted rows of the embedded photos.
        joint_space: The space.
        encoded_photos: The photos encoded by it, in the order of `photos`.
    """

    photos: np.ndarray
    joint_space: JointSpace
    encoded_photos: EncodedPhotos

    @classmethod
    def of(cls, embedded: EmbeddedJudgments, photos: np.ndarray, joint_space: JointSpace) -> "Gallery":
        """Encode photos by a space.

        Args:
            embedded: The judged data.
            photos: (n,) int, sorted rows of its photos.
            joint_space: The space.

        Returns:
            The gallery.
        """
        regions = None if embedded.regions is None else embedded.regions[photos]
        return cls(photos, joint_space, joint_space.encode_photos(embedded.x[photos], regions))

    def encode_captions(self, embedded: EmbeddedJudgments, rows: np.ndarray) -> EncodedQueries:
        """Encode captions by the gallery's space.

        Args:
            embedded: The judged data.
            rows: (b,) int, rows of its captions.

        Returns:
            The encoded captions, without the parts of MLPs.
        """
        texts = [embedded.texts[row] for row in rows]
        return self.joint_space.encode_queries(embedded.t[rows], texts, embedded.tokens.select(rows))

    def pair_features(self, queries: EncodedQueries, rows: slice) -> np.ndarray:
        """Return the pair features of some queries with every photo: (queries, n, 7) float32.

        Args:
            queries: Queries encoded by the gallery's space.
            rows: Which of them.
        """
        return self.joint_space.pair_feature_matrix(self.encoded_photos, queries, rows)

    def features_of_pairs(self, queries: EncodedQueries, asked: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return the pair features of single pairs: (p, 7) float32.

        Args:
            queries: Queries encoded by the gallery's space.
            asked: (p,) int, the query of each pair.
            places: (p,) int, the place of its photo.
        """
        pair_features = np.empty((len(asked), len(PAIR_FEATURES)), np.float32)
        for begin in range(0, len(queries.gate), BLOCK):
            inside = np.flatnonzero((asked >= begin) & (asked < begin + BLOCK))
            if len(inside):
                features = self.pair_features(queries, slice(begin, min(begin + BLOCK, len(queries.gate))))
                pair_features[inside] = features[asked[inside] - begin, places[inside]]
        return pair_features

    def captions(self, embedded: EmbeddedJudgments) -> tuple[np.ndarray, np.ndarray]:
        """Return the captions of the gallery's photos; see `captions_of_photos`."""
        return captions_of_photos(embedded, self.photos)


def fold_galleries(
    embedded: EmbeddedJudgments, fold_of: np.ndarray, held_out: np.ndarray, spaces: Sequence[JointSpace]
) -> Iterator[tuple[bool, Gallery]]:
    """Yield (whether it validates, gallery) for the two sides of every fold that have two photos or more.

    Args:
        embedded: The judged data of n photos.
        fold_of: (n,) int, the place in `spaces` of the space that has not seen a photo.
        held_out: (n,) bool, photos that training is validated on. A mined pair never joins the two sides.
        spaces: A joint space per fold.
    """
    for fold, held in product(range(len(spaces)), (False, True)):
        photos = np.flatnonzero((fold_of == fold) & (held_out == held))
        if len(photos) > 1:
            yield held, Gallery.of(embedded, photos, spaces[fold])


def captions_of_photos(embedded: EmbeddedJudgments, photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the captions that were written for some photos.

    Args:
        embedded: The judged data.
        photos: (n,) int, sorted rows of its photos.

    Returns:
        (m,) int64 rows of the captions, and (m,) int64 places of their photos among `photos`.
    """
    rows = np.flatnonzero(np.isin(embedded.owner, photos))
    return rows, np.searchsorted(photos, embedded.owner[rows])
