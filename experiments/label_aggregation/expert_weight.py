"""How much experts weigh beside the crowd, chosen by how well the two together foretell one more person.

Score of a pair: w x expert + (1 - w) x crowd, both of them posterior means (`graded_response.py`, `crowd_prior.py`)
whose parameters come from the training photos' judgments. On the held-out photos' pairs that both kinds judged, each
expert and each vote is left out in turn; the others make the score, and it is held against what the one said. The
criterion is the mean of two Pearson correlations, with left-out grades and with left-out votes: experts and crowd count
alike as witnesses, and neither's scale matters. The weight that maximises it is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.graded_response import GradedResponse
from reranker.judgments.judged_folder import CrowdRow, ExpertRow, grouped_split
from reranker.metrics.metrics import bootstrap

WEIGHTS = np.arange(0, 1.001, 0.05)
# Fewer held-out pairs than this say nothing about a weight: its interval would be most of 0 to 1.
FEWEST_PAIRS = 100


@dataclass(frozen=True, slots=True)
class ExpertWeight:
    """`weight` of the experts with the 95 % interval of the choice (bootstrap over photos); `criterion` (21,) float64
    of each of `WEIGHTS`; how many held-out `pairs` of how many `photos` it was chosen on."""

    weight: float
    low: float
    high: float
    criterion: np.ndarray
    pairs: int
    photos: int

    def at(self, weight: float) -> float:
        """The criterion at the nearest of `WEIGHTS`."""
        return float(self.criterion[np.abs(WEIGHTS - weight).argmin()])


def choose_expert_weight(
    expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow], *, seed: int = 0, resamples: int = 200
) -> ExpertWeight | None:
    """The weight chosen on held-out photos (3 of 10); None where too few pairs have both kinds, or all say the same.

    resamples: of the interval; 0 leaves it out (NaN).
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
    if len(judged) < FEWEST_PAIRS or not seen_expert or not seen_crowd:
        return None
    material = _left_out(
        np.array([graded.grades for graded, _ in judged]),
        np.array([(voted.yes, voted.yes + voted.no) for _, voted in judged]),
        GradedResponse.fit(np.array(seen_expert)),
        CrowdPrior.fit(*np.array(seen_crowd).T),
    )
    criterion = _criterion(material, np.arange(len(judged)))
    if not np.isfinite(criterion).all():
        return None
    _, photo = np.unique([graded.photo for graded, _ in judged], return_inverse=True)
    rows_of = [np.flatnonzero(photo == place) for place in range(photo.max() + 1)]

    def choice(drawn: np.ndarray) -> float:
        return float(WEIGHTS[_criterion(material, np.concatenate([rows_of[i] for i in drawn])).argmax()])

    low, high = bootstrap(len(rows_of), choice, resamples) if resamples else (np.nan, np.nan)
    return ExpertWeight(float(WEIGHTS[criterion.argmax()]), low, high, criterion, len(judged), len(rows_of))


# Of one kind of witness: scores by the experts and by the crowd, what the left-out person said, and the weight of it,
# each (pairs, people left out).
_Witness = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _left_out(
    grades: np.ndarray, votes: np.ndarray, model: GradedResponse, prior: CrowdPrior
) -> tuple[_Witness, _Witness]:
    """Left-out experts and left-out votes. grades: (pairs, raters) int; votes: (pairs, 2) int, yes and all."""
    raters = grades.shape[1]
    by_others = np.stack([model.score(np.delete(grades, i, axis=1)) for i in range(raters)], axis=1)
    share = np.repeat(prior.share(*votes.T)[:, None], raters, axis=1)
    experts = (by_others, share, grades.astype(float), np.ones(grades.shape))
    yes, count = votes.T
    score = np.repeat(model.score(grades)[:, None], 2, axis=1)
    # A vote of yes is left out `yes` times, a no the other times: a pair counts once however many voted.
    others = np.stack([yes - 1, yes], axis=1)
    by_other_votes = (others + prior.a) / (count[:, None] - 1 + prior.a + prior.b)
    said = np.tile([1.0, 0.0], (len(votes), 1))
    return experts, (score, by_other_votes, said, np.stack([yes, count - yes], axis=1) / count[:, None])


def _criterion(material: tuple[_Witness, _Witness], rows: np.ndarray) -> np.ndarray:
    """(21,): the mean of the two correlations at each of WEIGHTS."""
    return np.mean([_correlations(*(part[rows].reshape(-1) for part in witness)) for witness in material], axis=0)


def _correlations(expert: np.ndarray, crowd: np.ndarray, said: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Pearson correlation of w expert + (1 - w) crowd with what was said, for each w of WEIGHTS."""
    covariance = np.cov(np.stack([expert, crowd, said]), aweights=weights, ddof=0)
    mix = np.stack([WEIGHTS, 1 - WEIGHTS])
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.sqrt(np.einsum("iw,ij,jw->w", mix, covariance[:2, :2], mix) * covariance[2, 2])
        return np.asarray(covariance[2, :2] @ mix / deviation)
