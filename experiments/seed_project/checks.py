"""Check the seed project's data before anything is learned from it."""

import numpy as np

from experiments.seed_project.project import Check, ScoredPairs, Selection
from reranker.judgments.embedded import EmbeddedJudgments


def check_data(selection: Selection, features: EmbeddedJudgments, pairs: ScoredPairs) -> tuple[Check, ...]:
    """Check the scores, the split, the policy, the test photos and the vectors.

    Args:
        selection: The photos to learn from.
        features: Their vectors.
        pairs: The scored pairs and their split.

    Returns:
        Five checks, those that failed as well.
    """
    return (
        _check_scores(pairs),
        _check_split(pairs),
        _check_policy(selection),
        _check_test_photos(selection),
        _check_vectors(features),
    )


def _check_scores(pairs: ScoredPairs) -> Check:
    low, high = pairs.scores.min(), pairs.scores.max()
    inside = bool(((pairs.scores >= 0) & (pairs.scores <= 1)).all())
    return Check("every score lies between 0 and 1", inside, f"from {low:.2f} to {high:.2f}")


def _check_split(pairs: ScoredPairs) -> Check:
    train, held_out = set(pairs.photo_rows[pairs.train]), set(pairs.photo_rows[pairs.held_out])
    both = train & held_out
    numbers = f"{len(train)} and {len(held_out)} photos, {len(both)} on both"
    return Check("no photo is on both sides of the split", not both, numbers)


def _check_policy(selection: Selection) -> Check:
    kept = selection.kept
    blocked = selection.policy.blocked_photos(kept.captions.items()) & set(kept.photos)
    numbers = f"{len(blocked)} of {len(kept.photos)} do"
    return Check("no photo that is left falls under the policy", not blocked, numbers)


def _check_test_photos(selection: Selection) -> Check:
    """Compare the files themselves: a copy may have another name."""
    judgments, kept = selection.judgments, selection.kept
    learned = {kept.photos[name].read_bytes() for name in kept.photos}
    found = [judgments.photos[name].read_bytes() in learned for name in judgments.test_photos]
    condition = "no test photo is among those to learn from, byte by byte"
    return Check(condition, not any(found), f"{sum(found)} of {len(found)} are")


def _check_vectors(features: EmbeddedJudgments) -> Check:
    matrices = (features.x, features.t)
    finite = all(np.isfinite(rows).all() for rows in matrices)
    shapes = " and ".join(f"{len(rows)} x {rows.shape[1]}" for rows in matrices)
    return Check("every vector is finite", finite, f"{shapes} numbers")
