"""The photo rule of a policy: a photo's relevance to the policy's prompts, and the operating point from which it counts.

`python -m reranker.photo_rule JUDGED --ranker RANKER` prints what each prompt and each point would hold back, against
captions: a photo is under the policy if any of its own captions is blocked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from indexer.errors import PhotoseekError
from indexer.terminal import say
from indexer.views import PhotoSide
from reranker.metrics import auroc
from reranker.policy import Policy
from reranker.ranker import Ranker
from reranker.space import QuerySide

# Of the photos under the policy, the share that its point has to hold back.
WANTED_RECALL = 0.9


def prompt_relevance(ranker: Ranker, side: PhotoSide, prompts: QuerySide) -> tuple[np.ndarray, np.ndarray]:
    """Of n photos: the highest relevance to any prompt, (n,) float32, and which prompt that is, (n,) int16."""
    relevance = np.stack([ranker.scores(side, prompts, row).relevance for row in range(len(prompts.gate))])
    which = relevance.argmax(axis=0)
    return np.take_along_axis(relevance, which[None], axis=0)[0].astype(np.float32), which.astype(np.int16)


@dataclass(frozen=True, slots=True)
class Held:
    """How a point does: of the photos held back the share that is under the policy, of those under it the share that
    is held back, and the share of all photos that is held back."""

    point: float
    precision: float
    recall: float
    share: float

    @classmethod
    def of(cls, scores: np.ndarray, under: np.ndarray, point: float) -> "Held":
        """scores: (n,) as of `prompt_relevance`; under: (n,) bool. Precision is 1 where nothing is held back."""
        held = scores >= point
        right = (held & under).sum()
        precision = right / held.sum() if held.any() else 1.0
        return cls(point, float(precision), float(right / under.sum()), float(held.mean()))


def choose_point(scores: np.ndarray, under: np.ndarray, recall: float = WANTED_RECALL) -> float:
    """The highest score that holds back the wanted share of the photos under the policy.

    scores: (n,); under: (n,) bool, some of them True. Ties are held back together, so recall may be higher.
    """
    own = np.sort(scores[under])[::-1]
    return float(own[int(np.ceil(recall * len(own))) - 1])
