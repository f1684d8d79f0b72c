"""The photo rule of a policy: whether a photo is more relevant to the policy's prompts than to other texts."""

from dataclasses import dataclass

import numpy as np

from indexer.views.view import EncodedPhotos
from reranker.models.joint_space import EncodedQueries
from reranker.ranker import Ranker


@dataclass(frozen=True, slots=True)
class PhotoRule:
    """The photos under a policy: those whose `prompt_share` is at the operating point or above.

    Attributes:
        prompts: Texts that describe what the policy protects.
        contrast: Texts that describe other subjects.
        point: The operating point, over 0 and up to 1.
    """

    prompts: tuple[str, ...]
    contrast: tuple[str, ...]
    point: float

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompts, then the contrast."""
        return self.prompts + self.contrast


def prompt_share(relevance: np.ndarray, prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the share of each photo's relevance that goes to the prompts.

    The share is P / (P + C), where P is the mean relevance to the prompts and C that to the contrast. How relevant
    photos are to any text at all differs between rankers, and with regions and without; their share does not.

    Args:
        relevance: (texts, n) float in 0..1, the relevance of n photos to the texts of a rule, the prompts first.
        prompts: Number of prompts.

    Returns:
        The share, (n,) float32 in 0..1, and the place of the most relevant prompt, (n,) int16.
    """
    to_prompts, to_contrast = relevance[:prompts].mean(axis=0), relevance[prompts:].mean(axis=0)
    share = to_prompts / np.maximum(to_prompts + to_contrast, np.finfo(np.float32).tiny)
    return share.astype(np.float32), relevance[:prompts].argmax(axis=0).astype(np.int16)


def photo_scores(
    rule: PhotoRule, ranker: Ranker, photos: EncodedPhotos, texts: EncodedQueries
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the prompt share of photos under a rule.

    Args:
        rule: The rule.
        ranker: The ranker that encoded the photos and the texts.
        photos: n encoded photos.
        texts: The texts of the rule, encoded in their order.

    Returns:
        The share, (n,) float32 in 0..1, and the place of the most relevant prompt, (n,) int16.
    """
    relevance = [ranker.scores(photos, texts, row).relevance for row in range(len(rule.texts))]
    return prompt_share(np.stack(relevance), len(rule.prompts))
