"""What each `train --score` is worth: agreement with held-out judgments, each score beside the default one.

    python -m reranker.score_comparison JUDGED [--ranker RANKER] [--seeds N]

Trains relevance as protocols `expert` and `crowd` do (5 folds by photo), once a score and seed; the judgments it is
measured on are the raw ones, whatever the score.
"""

from dataclasses import replace
from pathlib import Path

import click

from indexer.errors import PhotoseekError
from indexer.terminal import ranker_option, say
from reranker.evaluate import evaluate
from reranker.evaluation import Evaluation
from reranker.figures import Figures, differences, flat, value_of
from reranker.judgments import load_judgments
from reranker.options import judged_argument
from reranker.ranker import Ranker
from reranker.scores import METHODS

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
        lines.append(_line(first.score, [_interval(leaf) for leaf in flat(figures).values()]))
        for score in METHODS:
            if score == first.score:
                continue
            say(f"{score} ...")
            # Only what the score has a part in is computed anew.
            kept = {name: first._cache[name] for name in ("encoders", "judged", "caption rows")}
            other = replace(first, score=score, resampled={}, _cache=kept)
            differing = differences(evaluate(other, PROTOCOLS), figures, other.resampled, first.resampled)
            lines.append(_line(score, [_interval(leaf, sign="+") for leaf in differing.values()]))
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(lines))


def _line(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _interval(leaf: Figures | float, sign: str = "") -> str:
    interval = f" [{leaf['low']:{sign}.4f}, {leaf['high']:{sign}.4f}]" if isinstance(leaf, dict) else ""
    return f"{value_of(leaf):{sign}.4f}{interval}"


if __name__ == "__main__":
    main()
