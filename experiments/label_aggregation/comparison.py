"""Compare aggregations by how well a ranker trained on each agrees with held-out judgments.

python -m experiments.label_aggregation.comparison JUDGED [--ranker RANKER] [--seeds N]

Relevance is trained for each aggregation and seed as in the protocols `expert` and `crowd` (5 folds by photo). The
held-out judgments are the raw ones, whatever the aggregation.
"""

from pathlib import Path

import click

from experiments.label_aggregation.aggregations import ALL_AGGREGATIONS
from indexer.errors import PhotoseekError
from photoseek.options.standard_options import judged_argument, ranker_option
from photoseek.progress.console import say
from reranker.evaluation.comparison import differences
from reranker.evaluation.data import EvaluationData
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import evaluate
from reranker.evaluation.results import Result, flatten, value_of
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import Judgments
from reranker.metrics.bootstrap import Measured
from reranker.ranker import Ranker

PROTOCOLS = ("expert", "expert_strict", "crowd", "calibration")
# The aggregation that training takes by default; the others are compared with it.
REFERENCE = "majority"


@click.command()
@judged_argument
@ranker_option("The ranker whose space is used.  [default: the shipped one]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
def main(judged: Path, ranker: Path | None, seeds: int) -> None:
    """Print the results of the first aggregation with their intervals, and the others' differences from them."""
    try:
        chosen = Ranker.default() if ranker is None else Ranker.load(ranker)
        lines = comparison(load_judgments(judged), chosen, seeds)
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(lines))


def comparison(judgments: Judgments, ranker: Ranker, seeds: int) -> list[str]:
    """Evaluate every aggregation and compare it with the reference.

    Args:
        judgments: The judged data to train and to test on.
        ranker: The ranker whose joint space is used.
        seeds: How often each protocol trains; results are means.

    Returns:
        The lines of a Markdown table: results of the reference, then differences of the others from them.

    Raises:
        PhotoseekError: The data allows none of the protocols.
    """
    data = EvaluationData.of_ranker(judgments, ranker)
    reference = Evaluation(data, ranker, seeds=seeds, aggregate=ALL_AGGREGATIONS[REFERENCE])
    results = evaluate(reference, PROTOCOLS)
    names = list(flatten(results))
    lines = [_line("score", names), "|---" * (1 + len(names)) + "|"]
    lines.append(_line(REFERENCE, [_shown(leaf) for leaf in flatten(results).values()]))
    for name, aggregate in ALL_AGGREGATIONS.items():
        if name == REFERENCE:
            continue
        say(f"{name} ...")
        other = Evaluation(data, ranker, seeds=seeds, aggregate=aggregate)
        differing = differences(evaluate(other, PROTOCOLS), results)
        lines.append(_line(name, [_shown(leaf, sign="+") for leaf in differing.values()]))
    return lines


def _line(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _shown(leaf: Result, sign: str = "") -> str:
    interval = f" [{leaf.low:{sign}.4f}, {leaf.high:{sign}.4f}]" if isinstance(leaf, Measured) else ""
    return f"{value_of(leaf):{sign}.4f}{interval}"


if __name__ == "__main__":
    main()
