"""Hold examples as lists of photos per query, and the settings of which examples there are."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from reranker.judgments.aggregate import Aggregation, majority


@dataclass(frozen=True, slots=True)
class ExampleSettings:
    """Settings of the pairs of a query and a photo that the MLPs learn from, and of their weights.

    Attributes:
        validation_share: Share of the described photos that training is validated on.
        aggregate: Aggregates the judgments of several people on a pair into one number.
        mined_negatives: Photos per caption drawn from its first candidates, its own photo left out.
        mining_depth: How many first candidates these are drawn from.
        random_negatives: Photos per caption drawn from all others.
        relevance_photos: How many of a caption's first photos, its own and mined ones, teach relevance as well; so does
            its last random one. Each has the weight 1.
        crowd_weight: Weight of a pair that a crowd judged, in caption pairs; without it, the many captions with mined
            photos would outweigh what people say.
        expert_weight: Weight of a pair that experts graded, in caption pairs.
        min_phrase_photos: Words and phrases that captions of at least this many photos say are asked as queries, too.
        pairs_per_phrase: Photos per phrase that teach relevance: a third fit it, a third are first candidates, a third
            are random.
        phrase_weight: Weight of a phrase's pair, in caption pairs.
    """

    validation_share: float = 0.3
    aggregate: Aggregation = majority
    mined_negatives: int = 10
    mining_depth: int = 50
    random_negatives: int = 1
    relevance_photos: int = 3
    crowd_weight: float = 20.0
    expert_weight: float = 400.0
    min_phrase_photos: int = 10
    pairs_per_phrase: int = 12
    phrase_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class ExampleLists:
    """n queries with l photos each. A judged pair is a list of one photo.

    Attributes:
        photo_rows: (n, l) int64, rows of the photo embeddings.
        text_rows: (n,) int64, rows of the text vectors.
        pair_features: (n, l, s) float32.
        targets: (n, l) float32 in 0..1, how well each photo fits.
        weights: (n,) float32, what each list counts in the loss.
    """

    photo_rows: np.ndarray
    text_rows: np.ndarray
    pair_features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        """Return n, how many lists these are."""
        return len(self.photo_rows)

    def take(self, rows: np.ndarray) -> "ExampleLists":
        """Return some of the lists.

        Args:
            rows: (k,) int places among the lists.
        """
        return ExampleLists(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def join(cls, parts: "Sequence[ExampleLists]") -> "ExampleLists":
        """Return the lists of all parts, one part after another; all are of the same length."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def as_pairs(self, columns: slice = slice(None)) -> "ExampleLists":
        """Return the pairs as lists of one photo, each with the weight of its list.

        Args:
            columns: Which photos of each list; by default all.
        """
        photo_rows, targets = self.photo_rows[:, columns], self.targets[:, columns]
        width = photo_rows.shape[1]
        pair_features = self.pair_features[:, columns].reshape(-1, 1, self.pair_features.shape[2])
        text_rows, weights = np.repeat(self.text_rows, width), np.repeat(self.weights, width)
        return ExampleLists(photo_rows.reshape(-1, 1), text_rows, pair_features, targets.reshape(-1, 1), weights)


def with_own_photo_only(lists: ExampleLists) -> ExampleLists:
    """Return the lists with the first photo of each as the only one that fits, as a ranking is measured.

    Args:
        lists: Lists with a caption's own photo first.
    """
    targets = np.zeros_like(lists.targets)
    targets[:, 0] = 1
    return replace(lists, targets=targets)
