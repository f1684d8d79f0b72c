"""Print how far the people who judged a folder agree, and the parameters that fit their judgments.

python -m experiments.label_aggregation.agreement JUDGED
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.expert_weight import choose_expert_weight
from experiments.label_aggregation.graded_response import GradedResponse
from indexer.errors import PhotoseekError
from photoseek.options.standard_options import judged_argument
from reranker.evaluation.results import Results, drop_undefined, flatten, value_of
from reranker.judgments.aggregate import EXPERT_WEIGHT
from reranker.judgments.agreement import RESAMPLES, expert_agreement, expert_crowd_agreement
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments
from reranker.metrics.bootstrap import Measured


def agreement(judgments: Judgments, resamples: int = RESAMPLES) -> Results:
    """Measure the agreement of judged data, and fit the models of its aggregation.

    Args:
        judgments: The judged data.
        resamples: Bootstrap draws of the agreements' intervals.

    Returns:
        The results of "expert", "crowd" and "expert_crowd" by name. A result, or its interval, is left out where there
        are too few judgments or all are equal.
    """
    results: Results = {}
    if judgments.expert:
        results["expert"] = _expert_results(judgments.expert, resamples)
    if judgments.crowd:
        results["crowd"] = _crowd_results(judgments.crowd)
    tau = expert_crowd_agreement(judgments.expert, judgments.crowd, resamples)
    if tau is not None:
        results["expert_crowd"] = {"tau_b": tau, **_weight_results(judgments)}
    return drop_undefined(results)


def _expert_results(expert: Sequence[ExpertRow], resamples: int) -> Results:
    grades = np.array([row.grades for row in expert])
    model = GradedResponse.fit(grades)
    return {
        "pairs": len(expert),
        "alpha": expert_agreement(expert, resamples),
        "without_majority": sum(len(set(row.grades)) == 3 for row in expert),
        "slope": model.slope,
        "thresholds": model.thresholds.tolist(),
    }


def _crowd_results(crowd: Sequence[CrowdRow]) -> Results:
    yes, votes = np.array([(row.yes, row.yes + row.no) for row in crowd]).T
    prior = CrowdPrior.fit(yes, votes)
    return {"pairs": len(crowd), "prior_yes": prior.a, "prior_no": prior.b}


def _weight_results(judgments: Judgments) -> Results:
    """Return the chosen expert weight with its criterion, or nothing where none can be chosen."""
    chosen = choose_expert_weight(judgments.expert, judgments.crowd)
    if chosen is None:
        return {}
    return {
        "weight": Measured(chosen.weight, chosen.low, chosen.high),
        "weight_pairs": chosen.pairs,
        "weight_photos": chosen.photos,
        "criterion": {
            f"{weight:.2f}": chosen.criterion_at(weight) for weight in (0.0, chosen.weight, EXPERT_WEIGHT, 1.0)
        },
    }


@click.command()
@judged_argument
def main(judged: Path) -> None:
    """Print how far the people who judged JUDGED agree, and the parameters that fit their judgments."""
    try:
        results = agreement(load_judgments(judged))
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    if not results:
        raise click.ClickException(f"judged data {judged} has neither experts' grades nor the crowd's votes")
    for name, leaf in flatten(results).items():
        click.echo(f"{name:<32}{_shown(leaf)}")


def _shown(leaf: Any) -> str:
    if isinstance(leaf, list):
        return ", ".join(f"{item:.3f}" for item in leaf)
    if isinstance(leaf, int):
        return str(leaf)
    interval = f"  [{leaf.low:.3f}, {leaf.high:.3f}]" if isinstance(leaf, Measured) else ""
    return f"{value_of(leaf):.3f}{interval}"


if __name__ == "__main__":
    main()
