"""Judged data in memory: what people said of photos and captions, and how to restrict and split it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class ExpertRow:
    """Grades of three experts for a photo and a caption.

    Attributes:
        photo: Name of the photo.
        caption: Id of the caption.
        grades: From 1, nothing to do with the photo, to 4, describes it without a fault.
    """

    photo: str
    caption: str
    grades: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class CrowdRow:
    """Votes of a crowd on whether a caption describes a photo.

    Attributes:
        photo: Name of the photo.
        caption: Id of the caption.
        yes: Number of votes that it does.
        no: Number of votes that it does not.
    """

    photo: str
    caption: str
    yes: int
    no: int

    @property
    def share(self) -> float:
        """The share of yes, in 0..1."""
        return self.yes / (self.yes + self.no)


@dataclass(frozen=True, slots=True)
class Query:
    """A test query and the photo that it was written for."""

    id: str
    text: str
    photo: str


@dataclass(frozen=True, slots=True)
class Judgments:
    """Judged data.

    Attributes:
        folder: The folder that it was read from.
        photos: Name of a photo -> its file.
        sets: Name of a photo folder, such as `train_images`, or of a split in `captions.tsv` -> names of its photos.
        splits: `train`, `dev` or `test` -> names of photos, from Flickr8k's own lists or `captions.tsv`.
        captions: Id of a caption, `<photo>#<n>` -> its text.
        expert: The experts' grades.
        crowd: The crowd's votes.
        queries: The test queries.
        test_photos: Names of the photos that the queries are asked against.
        dropped: Number of bad rows that were left out.
    """

    folder: Path
    photos: dict[str, Path]
    sets: dict[str, tuple[str, ...]]
    splits: dict[str, tuple[str, ...]]
    captions: dict[str, str]
    expert: tuple[ExpertRow, ...]
    crowd: tuple[CrowdRow, ...]
    queries: tuple[Query, ...] = ()
    test_photos: tuple[str, ...] = ()
    dropped: int = 0

    def restrict(self, photos: Iterable[str]) -> "Judgments":
        """Keep some photos, their own captions, and the judgments of these photos.

        Args:
            photos: Names of the photos to keep.

        Returns:
            The judged data of these photos, with the captions of other photos that they were judged beside; sets,
            splits and queries as they are.
        """
        names = set(photos)
        expert = tuple(row for row in self.expert if row.photo in names)
        crowd = tuple(row for row in self.crowd if row.photo in names)
        judged = {row.caption for row in expert} | {row.caption for row in crowd}
        captions = {i: text for i, text in self.captions.items() if photo_of(i) in names or i in judged}
        return replace(
            self,
            photos={name: path for name, path in self.photos.items() if name in names},
            captions=captions,
            expert=expert,
            crowd=crowd,
        )

    def without_captions(self, captions: Iterable[str]) -> "Judgments":
        """Leave out some captions and their judgments.

        Args:
            captions: Ids of the captions to leave out.

        Returns:
            The other captions and judgments; photos, sets, splits and queries as they are.
        """
        removed = set(captions)
        return replace(
            self,
            captions={i: text for i, text in self.captions.items() if i not in removed},
            expert=tuple(row for row in self.expert if row.caption not in removed),
            crowd=tuple(row for row in self.crowd if row.caption not in removed),
        )


def photo_of(caption: str) -> str:
    """Return the photo that a caption was written for, from the caption's id: `<photo>#<n>` -> `<photo>`."""
    return caption.rpartition("#")[0]


def grouped_split(groups: np.ndarray, test_share: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into train and test, so that no group (such as a photo) is on both sides.

    Args:
        groups: (n,) the group of each row.
        test_share: Share of the groups that go to the test side.
        seed: Seed of the split.

    Returns:
        Rows of the train side and rows of the test side, int64 each.
    """
    from sklearn.model_selection import GroupShuffleSplit

    splitter = GroupShuffleSplit(n_splits=1, test_size=test_share, random_state=seed)
    train, test = next(splitter.split(groups, groups=groups))
    return train, test
