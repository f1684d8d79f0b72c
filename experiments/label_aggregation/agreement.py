"""Print how far the people who judged a folder agree, and what their judgments fit.

python -m experiments.label_aggregation.agreement JUDGED
"""

import click
import numpy as np

from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.expert_weight import choose_expert_weight
from experiments.label_aggregation.graded_response import GradedResponse
from indexer.errors import PhotoseekError
from reranker.evaluation.results import Results, defined, flat, value_of
from reranker.judgments.aggregate import EXPERT_WEIGHT
from reranker.judgments.agreement import RESAMPLES, expert_agreement, expert_crowd_agreement
from reranker.judgments.judged_folder import Judgments, load_judgments


def agreement(judgments: Judgments, resamples: int = RESAMPLES) -> Results:
    """Everything this file and the models of the generalised score say of judged data, by name; intervals as `value`,
    `low`, `high`. What too few judgments, or all alike, do not allow is left out: a figure, or its interval."""
    expert, crowd = judgments.expert, judgments.crowd
    found: Results = {}
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


def _lines(found: Results) -> str:
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
