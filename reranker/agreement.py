"""How far people agree: experts with each other, experts with the crowd; and what their judgments fit.

python -m reranker.agreement JUDGED
"""

from collections.abc import Sequence

import click
import numpy as np

from indexer.errors import PhotoseekError
from reranker.crowd_prior import CrowdPrior
from reranker.expert_weight import choose_expert_weight
from reranker.figures import Figures, defined, flat, value_of
from reranker.graded_response import GradedResponse
from reranker.judgments import CrowdRow, ExpertRow, Judgments, load_judgments
from reranker.metrics import interval, kendall_tau_b
from reranker.scores import EXPERT_WEIGHT, expert_mean

LEVELS = 4
RESAMPLES = 500


def krippendorff_alpha(grades: np.ndarray) -> float:
    """Krippendorff's alpha for ordinal grades (Krippendorff 2004, "Content Analysis", chapter 11): 1 is agreement, 0
    is chance. It needs no rater identities, so sorted grades do.

    grades: (pairs, raters) int in 1..4. NaN where all grades are the same, which leaves no chance to compare with.
    """
    from krippendorff import alpha

    counts = np.stack([(np.asarray(grades) == level).sum(axis=1) for level in range(1, LEVELS + 1)], axis=1)
    if (counts.sum(axis=0) > 0).sum() < 2:
        return float("nan")
    return float(alpha(value_counts=counts, level_of_measurement="ordinal"))


def expert_agreement(expert: Sequence[ExpertRow], resamples: int = RESAMPLES) -> dict[str, float]:
    """Alpha of the experts: `value`, `low`, `high` (95 % bootstrap, photos drawn whole)."""
    grades = np.array([row.grades for row in expert])
    return interval([row.photo for row in expert], lambda rows: krippendorff_alpha(grades[rows]), resamples)


def expert_crowd_agreement(
    expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow], resamples: int = RESAMPLES
) -> dict[str, float] | None:
    """Kendall's tau-b of the experts' mean grade and the crowd's share of yes, over the pairs that have both: `value`,
    `low`, `high` (95 % bootstrap, photos drawn whole); None where fewer than two pairs have both."""
    shares = {(row.photo, row.caption): row.share for row in crowd}
    both = [row for row in expert if (row.photo, row.caption) in shares]
    if len(both) < 2:
        return None
    mean = np.array([expert_mean(row.grades) for row in both])
    share = np.array([shares[row.photo, row.caption] for row in both])
    return interval([row.photo for row in both], lambda rows: kendall_tau_b(mean[rows], share[rows]), resamples)


def agreement(judgments: Judgments, resamples: int = RESAMPLES) -> Figures:
    """Everything this file and the models of the generalised score say of judged data, by name; intervals as `value`,
    `low`, `high`. What too few judgments, or all alike, do not allow is left out: a figure, or its interval."""
    expert, crowd = judgments.expert, judgments.crowd
    found: Figures = {}
    if expert:
        grades = np.array([row.grades for row in expert])
        model = GradedResponse.fit(grades)
        found["expert"] = {
            "pairs": len(expert),
            "alpha": expert_agreement(expert, resamples),
            "without_majority": sum(len(set(row.grades)) == 3 for row in expert),
            "slope": model.slope,
            "thresholds": model.thresholds.tolist(),
        }
    if crowd:
        yes, votes = np.array([(row.yes, row.yes + row.no) for row in crowd]).T
        prior = CrowdPrior.fit(yes, votes)
        found["crowd"] = {"pairs": len(crowd), "prior_yes": prior.a, "prior_no": prior.b}
    tau = expert_crowd_agreement(expert, crowd, resamples)
    if tau is not None:
        found["expert_crowd"] = {"tau_b": tau}
        chosen = choose_expert_weight(expert, crowd)
        if chosen is not None:
            found["expert_crowd"] |= {
                "weight": {"value": chosen.weight, "low": chosen.low, "high": chosen.high},
                "weight_pairs": chosen.pairs,
                "weight_photos": chosen.photos,
                "criterion": {f"{w:.2f}": chosen.at(w) for w in (0.0, chosen.weight, EXPERT_WEIGHT, 1.0)},
            }
    return defined(found)


@click.command()
@click.argument("judged", type=click.Path(exists=True, file_okay=False))
def main(judged: str) -> None:
    """Print how far the people who judged JUDGED agree, and what their judgments fit."""
    try:
        found = agreement(load_judgments(judged))
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    if not found:
        raise click.ClickException(f"judged data {judged} has neither experts' grades nor the crowd's votes")
    click.echo(_lines(found))


def _lines(found: Figures) -> str:
    lines = []
    for name, leaf in flat(found).items():
        if isinstance(leaf, list):
            shown = ", ".join(f"{item:.3f}" for item in leaf)
        elif isinstance(leaf, int):
            shown = str(leaf)
        else:
            interval = f"  [{leaf['low']:.3f}, {leaf['high']:.3f}]" if isinstance(leaf, dict) else ""
            shown = f"{value_of(leaf):.3f}{interval}"
        lines.append(f"{name:<32}{shown}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
