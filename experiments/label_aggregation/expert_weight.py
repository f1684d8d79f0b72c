"""Choose the experts' weight beside the crowd by how well both together predict the judgment of one more person.

The score of a pair is w x expert + (1 - w) x crowd, where both are posterior means (`graded_response.py`,
`crowd_prior.py`) of models that are fitted on the training photos' judgments. On the held-out photos' pairs that both
kinds of people judged, each grade and each vote is left out in turn, and the score is computed from the others. The
criterion is the mean of two Pearson correlations, of the score with left-out grades and with left-out votes: experts
and crowd count alike, and their scales do not matter. The weight with the largest criterion is chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.graded_response import GradedResponse
from reranker.judgments.judgments import CrowdRow, ExpertRow, grouped_split
from reranker.metrics.bootstrap import percentile_interval, resample

# The weights to choose from.
WEIGHTS = np.arange(0, 1.001, 0.05)
# With fewer held-out pairs, the interval of the choice is most of 0 to 1.
MIN_PAIRS = 100


@dataclass(frozen=True, slots=True)
class ExpertWeight:
    """The chosen weight of the experts.

    Attributes:
        weight: The weight from 0 to 1.
        low: The lower end of its 95 % interval (bootstrap over photos).
        high: The upper end.
        criterion: The criterion of each of `WEIGHTS`, (21,) float64.
        pairs: The held-out pairs that it was chosen on.
        photos: The photos of these pairs.
    """

    weight: float
    low: float
    high: float
    criterion: np.ndarray
    pairs: int
    photos: int

    def criterion_at(self, weight: float) -> float:
        """Return the criterion at the nearest of `WEIGHTS`.

        Args:
            weight: A weight from 0 to 1.

        Returns:
            The mean of the two correlations.
        """
        return float(self.criterion[np.abs(WEIGHTS - weight).argmin()])


@dataclass(frozen=True, slots=True)
class LeftOutJudgments:
    """Judgments that were left out, and the scores that the other judgments of the pair give.

    Each array is (pairs, judgments left out) float64.

    Attributes:
        expert_scores: The score by the experts, without the judgment if it is a grade.
        crowd_scores: The score by the crowd, without the judgment if it is a vote.
        judgments: The left-out grade, or 1 for a left-out yes and 0 for a left-out no.
        weights: The weight of the judgment in the correlation.
    """

    expert_scores: np.ndarray
    crowd_scores: np.ndarray
    judgments: np.ndarray
    weights: np.ndarray


def choose_expert_weight(
    expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow], *, seed: int = 0, resamples: int = 200
) -> ExpertWeight | None:
    """Choose the weight on held-out photos, 3 of 10.

    Args:
        expert: The experts' grades.
        crowd: The crowd's votes.
        seed: Seed of the split.
        resamples: Bootstrap draws of the interval; 0 leaves it out (NaN).

    Returns:
        The weight; None where too few held-out pairs have both kinds of judgment, or all people say the same.
    """
    votes = {(row.photo, row.caption): row for row in crowd}
    both = [(row, votes[row.photo, row.caption]) for row in expert if (row.photo, row.caption) in votes]
    photos = sorted({row.photo for row, _ in both})
    if len(photos) < 2:
        return None
    _, places = grouped_split(np.array(photos), seed=seed)
    held_out = {photos[place] for place in places}
    judged = [(graded, voted) for graded, voted in both if graded.photo in held_out]
    seen_expert = [row.grades for row in expert if row.photo not in held_out]
    seen_crowd = [(row.yes, row.yes + row.no) for row in crowd if row.photo not in held_out]
    if len(judged) < MIN_PAIRS or not seen_expert or not seen_crowd:
        return None
    left_out_grades, left_out_votes = leave_one_out(
        np.array([graded.grades for graded, _ in judged]),
        np.array([(voted.yes, voted.yes + voted.no) for _, voted in judged]),
        GradedResponse.fit(np.array(seen_expert)),
        CrowdPrior.fit(*np.array(seen_crowd).T),
    )
    criterion = weight_criterion(left_out_grades, left_out_votes, np.arange(len(judged)))
    if not np.isfinite(criterion).all():
        return None
    _, photo = np.unique([graded.photo for graded, _ in judged], return_inverse=True)
    rows_of_photo = [np.flatnonzero(photo == place) for place in range(photo.max() + 1)]

    def choice(drawn: np.ndarray) -> float:
        rows = np.concatenate([rows_of_photo[i] for i in drawn])
        return float(WEIGHTS[weight_criterion(left_out_grades, left_out_votes, rows).argmax()])

    low, high = np.nan, np.nan
    if resamples:
        low, high = percentile_interval(resample(len(rows_of_photo), choice, resamples))
    return ExpertWeight(float(WEIGHTS[criterion.argmax()]), low, high, criterion, len(judged), len(rows_of_photo))


def leave_one_out(
    grades: np.ndarray, votes: np.ndarray, model: GradedResponse, prior: CrowdPrior
) -> tuple[LeftOutJudgments, LeftOutJudgments]:
    """Leave out each grade and each vote in turn, and score the pair by the others.

    Args:
        grades: The grades of each pair, (pairs, raters) int.
        votes: The votes for yes and all votes of each pair, (pairs, 2) int.
        model: The graded-response model of the experts.
        prior: The prior of the crowd.

    Returns:
        The left-out grades, (pairs, raters), and the left-out votes, (pairs, 2): yes and no, each weighted by its share
        of the votes, so that a pair counts once however many voted.
    """
    raters = grades.shape[1]
    by_other_experts = np.stack([model.score(np.delete(grades, i, axis=1)) for i in range(raters)], axis=1)
    shares = np.repeat(prior.share(*votes.T)[:, None], raters, axis=1)
    left_out_grades = LeftOutJudgments(by_other_experts, shares, grades.astype(float), np.ones(grades.shape))
    yes, count = votes.T
    scores = np.repeat(model.score(grades)[:, None], 2, axis=1)
    other_yes = np.stack([yes - 1, yes], axis=1)
    by_other_votes = (other_yes + prior.a) / (count[:, None] - 1 + prior.a + prior.b)
    said = np.tile([1.0, 0.0], (len(votes), 1))
    weights = np.stack([yes, count - yes], axis=1) / count[:, None]
    return left_out_grades, LeftOutJudgments(scores, by_other_votes, said, weights)


def weight_criterion(grades: LeftOutJudgments, votes: LeftOutJudgments, rows: np.ndarray) -> np.ndarray:
    """Compute the mean of the correlations with left-out grades and with left-out votes.

    Args:
        grades: The left-out grades.
        votes: The left-out votes.
        rows: The pairs to take, (n,) int.

    Returns:
        The criterion of each of `WEIGHTS`, (21,) float64; NaN where all people say the same.
    """
    return np.mean([_correlations(grades, rows), _correlations(votes, rows)], axis=0)


def _correlations(left_out: LeftOutJudgments, rows: np.ndarray) -> np.ndarray:
    """Return the weighted Pearson correlation of score and judgment for each of WEIGHTS, (21,)."""
    expert, crowd, judgments, weights = (
        part[rows].reshape(-1)
        for part in (left_out.expert_scores, left_out.crowd_scores, left_out.judgments, left_out.weights)
    )
    covariance = np.cov(np.stack([expert, crowd, judgments]), aweights=weights, ddof=0)
    mix = np.stack([WEIGHTS, 1 - WEIGHTS])
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.sqrt(np.einsum("iw,ij,jw->w", mix, covariance[:2, :2], mix) * covariance[2, 2])
        return np.asarray(covariance[2, :2] @ mix / deviation)
