"""Join several judged sets into one, for a training on all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError
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

    Raises:
        PhotoseekError: Two sets have the same photo file.
    """
    _check_apart(sets)
    names = tuple(one.name for one in sets)
    weights = np.array([one.weight for one in sets], np.float32)
    relevance_only = np.array([one.relevance_only for one in sets])
    set_of = np.repeat(np.arange(len(sets)), [len(one.judgments.photos) for one in sets])
    photo_sets = PhotoSets(names, weights, relevance_only, set_of)
    if len(sets) == 1:
        return sets[0].judgments, photo_sets
    named = [_with_set_name(one) for one in sets]
    joined = Judgments(
        folder=sets[0].judgments.folder,
        photos={name: path for one in named for name, path in one.photos.items()},
        sets={name: tuple(one.photos) for name, one in zip(names, named, strict=True)},
        splits={},
        captions={caption: text for one in named for caption, text in one.captions.items()},
        expert=tuple(row for one in named for row in one.expert),
        crowd=tuple(row for one in named for row in one.crowd),
        dropped=sum(one.dropped for one in named),
    )
    return joined, photo_sets


def _with_set_name(one: TrainingSet) -> Judgments:
    """Return the judgments of a set with its name before the names of photos and the ids of captions."""
    of_set, begin = one.judgments, f"{one.name}/"
    return replace(
        of_set,
        photos={begin + name: path for name, path in of_set.photos.items()},
        captions={begin + caption: text for caption, text in of_set.captions.items()},
        expert=tuple(replace(row, photo=begin + row.photo, caption=begin + row.caption) for row in of_set.expert),
        crowd=tuple(replace(row, photo=begin + row.photo, caption=begin + row.caption) for row in of_set.crowd),
    )


def _check_apart(sets: Sequence[TrainingSet]) -> None:
    """Refuse a photo file of two sets: one would learn from the photos that the other holds out."""
    set_of: dict[Path, str] = {}
    for one in sets if len(sets) > 1 else ():
        for name, path in one.judgments.photos.items():
            other = set_of.setdefault(path.resolve(), one.name)
            if other != one.name:
                raise PhotoseekError(
                    f"photo {name} of judged set {one.name} is in {other}, too; name a photo's folder once, and how "
                    f"often it is seen by its weight: FOLDER=2"
                )
