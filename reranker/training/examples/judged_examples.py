"""List the pairs of a caption and a photo that people judged."""

from dataclasses import dataclass

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings
from reranker.training.examples.galleries import Gallery


@dataclass(frozen=True, slots=True)
class JudgedExamples:
    """Judged pairs.

    Attributes:
        pairs: n lists of one photo; a target is what people said of the pair, 0..1.
        by_experts: (n,) bool, which of them experts graded.
    """

    pairs: ExampleLists
    by_experts: np.ndarray


def judged_examples(
    embedded: EmbeddedJudgments, judgments: Judgments, gallery: Gallery, settings: ExampleSettings
) -> JudgedExamples:
    """List the judged pairs of a gallery's photos.

    Args:
        embedded: The judged data as arrays.
        judgments: The judged data with what people said.
        gallery: The photos.
        settings: Its aggregation and weights are used.

    Returns:
        The pairs, sorted by caption and photo.
    """
    position = {embedded.photos[row]: place for place, row in enumerate(gallery.photos)}
    caption_row = {caption: row for row, caption in enumerate(embedded.captions)}
    scored = settings.aggregate(judgments.expert, judgments.crowd)
    judged = [
        (caption_row[c], position[p], pair.score, pair.by_experts) for (p, c), pair in scored.items() if p in position
    ]
    judged.sort()
    text_rows, places = (np.array([row[i] for row in judged], np.int64) for i in (0, 1))
    targets = np.array([row[2] for row in judged], np.float32)
    by_experts = np.array([row[3] for row in judged], bool)
    distinct, asked = np.unique(text_rows, return_inverse=True)
    queries = gallery.encode_captions(embedded, distinct)
    pair_features = gallery.features_of_pairs(queries, asked, places)[:, None]
    weights = np.where(by_experts, settings.expert_weight, settings.crowd_weight).astype(np.float32)
    photo_rows = gallery.photos[places][:, None]
    return JudgedExamples(ExampleLists(photo_rows, text_rows, pair_features, targets[:, None], weights), by_experts)
