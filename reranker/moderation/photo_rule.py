"""The photo rule of a policy: the share of a photo's relevance that goes to the policy's prompts, and its point."""

from dataclasses import dataclass

import numpy as np

from indexer.views.view import EncodedPhotos
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import Ranker


@dataclass(frozen=True, slots=True)
class PhotoRule:
    """Which photos are under a policy: those of which the share of relevance that goes to `prompts`, beside what goes
    to `contrast`, is `point` or more (see `prompt_share`)."""

    prompts: tuple[str, ...]
    contrast: tuple[str, ...]
    point: float

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them, the prompts first."""
        return self.prompts + self.contrast


def prompt_share(relevance: np.ndarray, prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """Of n photos: the share of their relevance that goes to the prompts, (n,) float32, and the strongest prompt, (n,).

    relevance: (texts of the rule, n) in 0..1, the `prompts` first. The share is the mean over the prompts, divided by
    the sum of that and the mean over the contrast: how well photos fit any text at all differs between rankers, and
    with regions and without; the share does not.
    """
    mine, others = relevance[:prompts].mean(axis=0), relevance[prompts:].mean(axis=0)
    share = mine / np.maximum(mine + others, np.finfo(np.float32).tiny)
    return share.astype(np.float32), relevance[:prompts].argmax(axis=0).astype(np.int16)


def photo_scores(
    rule: PhotoRule, ranker: Ranker, side: EncodedPhotos, query: EncodedQueries
) -> tuple[np.ndarray, np.ndarray]:
    """`prompt_share` of n photos for the rule's texts, which `query` holds."""
    relevance = [ranker.scores(side, query, row).relevance for row in range(len(rule.texts))]
    return prompt_share(np.stack(relevance), len(rule.prompts))
