"""Join several judged sets into one, for a training on all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reranker.judgments.judgments import Judgments


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """One judged set of a training.

    Attributes:
        name: Its name; names differ within a training.
        judgments: Its photos, captions and judgments.
        weight: How often its photos are seen, beside those of a set of weight 1.
        relevance_only: Whether its photos teach the relevance alone; joint space, gate and ranking never see them.
    """

    name: str
    judgments: Judgments
    weight: float = 1.0
    relevance_only: bool = False


@dataclass(frozen=True, slots=True)
class PhotoSets:
    """The sets that photos of a training come from.

    Attributes:
        names: Names of the s sets.
        weights: (s,) float32, how often the photos of each are seen.
        relevance_only: (s,) bool, which of them teach the relevance alone.
        set_of: (n,) int64, the place among the sets of each photo's own.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    relevance_only: np.ndarray
    set_of: np.ndarray

    @classmethod
    def one(cls, photos: int) -> "PhotoSets":
        """Return one set of weight 1 for all photos.

        Args:
            photos: How many photos there are.
        """
        return cls(("photos",), np.ones(1, np.float32), np.zeros(1, bool), np.zeros(photos, np.int64))

    @property
    def teach_space(self) -> np.ndarray:
        """Which photos teach joint space, gate and ranking: (n,) bool."""
        return np.asarray(~self.relevance_only[self.set_of])

    def select(self, photos: np.ndarray) -> "PhotoSets":
        """Return the sets of some photos.

        Args:
            photos: (k,) int, places of the photos.
        """
        return replace(self, set_of=self.set_of[photos])


def join_sets(sets: Sequence[TrainingSet]) -> tuple[Judgments, PhotoSets]:
    """Join judged sets.

    Args:
        sets: The sets, one or more.

    Returns:
        One judged set, and which set each of its photos comes from. With several sets, the names of photos begin with
        the name of their set, so that two sets may have photos of one name; test queries and splits are left out.
    """
    names = tuple(one.name for one in sets)
    weights = np.array([one.weight for one in sets], np.float32)
    relevance_only = np.array([one.relevance_only for one in sets])
    set_of = np.repeat(np.arange(len(sets)), [len(one.judgments.photos) for one in sets])
    photo_sets = PhotoSets(names, weights, relevance_only, set_of)
    if len(sets) == 1:
        return sets[0].judgments, photo_sets
    joined = Judgments(sets[0].judgments.folder, {}, {}, {}, {}, (), ())
    for one in sets:
        of_set, begin = one.judgments, f"{one.name}/"
        joined.photos.update({begin + name: path for name, path in of_set.photos.items()})
        joined.sets[one.name] = tuple(begin + name for name in of_set.photos)
        joined.captions.update({begin + caption: text for caption, text in of_set.captions.items()})
        pairs = {
            kind: tuple(
                replace(row, photo=begin + row.photo, caption=begin + row.caption) for row in getattr(of_set, kind)
            )
            for kind in ("expert", "crowd")
        }
        joined = replace(
            joined,
            expert=joined.expert + pairs["expert"],
            crowd=joined.crowd + pairs["crowd"],
            dropped=joined.dropped + of_set.dropped,
        )
    return joined, photo_sets
