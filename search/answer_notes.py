"""Notes of an answer: what is missing in the index, what a policy holds back, and why there are no hits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.results import Hit

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation

# What is said where a search can find nothing at all.
NO_PHOTOS = "the index holds no photos"


def held_back_notes(rows: np.ndarray | None, total_rows: int, moderation: "Moderation") -> tuple[str, ...]:
    """Return the note on the photos that a policy holds back, or none if it holds none back.

    Args:
        rows: Sorted rows of the photos that a search might find without the policy, (a,) int64; None for all.
        total_rows: How many rows there are.
        moderation: What the index's policy does.
    """
    held = moderation.held_back_rows
    count = len(held) if rows is None else len(np.intersect1d(rows, held, assume_unique=True))
    if not count:
        return ()
    total = total_rows if rows is None else len(rows)
    are = "is" if count == 1 else "are"
    return (f"{count:,} of {total:,} photos {are} held back by policy {moderation.policy.name}",)


def min_score_notes(hits: Sequence[Hit], min_score: float, best_relevance: float | None) -> tuple[str, ...]:
    """Return the note on a least relevance that left nothing of what was found, or none if it did not.

    Args:
        hits: The hits that are left.
        min_score: The least relevance.
        best_relevance: The relevance of the best photo that was found; None if none was.
    """
    if hits or best_relevance is None:
        return ()
    return (f"no photo has a relevance of {min_score:g} or more; the best has {best_relevance:.3f}",)
