"""Compare aggregations of judgments by the agreement with held-out judgments that training on each gives.

    python -m experiments.label_aggregation.comparison JUDGED [--ranker RANKER] [--seeds N]

Trains relevance as protocols `expert` and `crowd` do (5 folds by photo), once a score and seed; the judgments it is
measured on are the raw ones, whatever the score.
"""

from dataclasses import replace
from pathlib import Path

import click

from experiments.label_aggregation.aggregations import ALL_AGGREGATIONS
from indexer.errors import PhotoseekError
from photoseek.commands.console import say
from photoseek.commands.options import judged_argument, ranker_option
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import evaluate
from reranker.evaluation.results import Results, differences, flat, value_of
from reranker.judgments.judged_folder import load_judgments
from reranker.ranker import Ranker

PROTOCOLS = ("expert", "expert_strict", "crowd", "calibration")


@click.command()
@judged_argument
@ranker_option("The ranker whose space is used.  [default: the shipped one]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
def main(judged: Path, ranker: Path | None, seeds: int) -> None:
    """Print the table: figures of the first score with their intervals, the others' differences from them."""
    try:
        chosen = Ranker.default() if ranker is None else Ranker.load(ranker)
        first = Evaluation(load_judgments(judged), chosen, seeds=seeds)
        figures = evaluate(first, PROTOCOLS)
        lines = [_line("score", list(flat(figures))), "|---" * (1 + len(flat(figures))) + "|"]
        lines.append(_line(first.aggregate.__name__, [_interval(leaf) for leaf in flat(figures).values()]))
        for score, aggregate in ALL_AGGREGATIONS.items():
            if aggregate is first.aggregate:
                continue
            say(f"{score} ...")
            # Only what the score has a part in is computed anew.
            kept = {name: first._cache[name] for name in ("encoders", "judged", "caption rows")}
            other = replace(first, aggregate=aggregate, resampled={}, _cache=kept)
            differing = differences(evaluate(other, PROTOCOLS), figures, other.resampled, first.resampled)
            lines.append(_line(score, [_interval(leaf, sign="+") for leaf in differing.values()]))
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(lines))


def _line(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _interval(leaf: Results | float, sign: str = "") -> str:
    interval = f" [{leaf['low']:{sign}.4f}, {leaf['high']:{sign}.4f}]" if isinstance(leaf, dict) else ""
    return f"{value_of(leaf):{sign}.4f}{interval}"


if __name__ == "__main__":
    main()
