"""Run the seed project on a judged folder and write its report.

python -m experiments.seed_project JUDGED -o seed-project.html [--json FILE]
"""

import json
import sys
from pathlib import Path

import click

from experiments.seed_project.encoder import choose_encoder
from experiments.seed_project.project import SeedProject
from experiments.seed_project.report import sections_of
from experiments.seed_project.results import results_table
from experiments.seed_project.steps import run_seed_project
from indexer.encoders import load_text_encoder
from indexer.errors import PhotoseekError
from photoseek.options.standard_options import (
    device_option,
    encoder_options,
    image_encoder_options,
    judged_argument,
    keep_going_option,
    quiet_option,
    seed_option,
)
from photoseek.progress.console import progress_bars, say
from reranker.evaluation.results import to_json
from reranker.judgments.judged_folder import load_judgments
from reranker.moderation.policy import Policy
from reranker.reports import Album, write_report
from reranker.reports.page import check_file
from reranker.training.train import TrainSettings


@click.command()
@judged_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML report to write.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="The figures, too.")
@image_encoder_options("torchvision:resnet18 where it has weights, else efficientnet-lite2")
@click.option("--random-weights", is_flag=True, help="ResNet-18 as it is before any training.")
@click.option("--policy", default="minors", show_default=True, help="Leave out what this protects; or a .toml file.")
@seed_option
@keep_going_option
@device_option
@quiet_option
def main(
    judged: Path,
    output: Path,
    json_file: Path | None,
    image_encoder: str | None,
    weights: str | None,
    preprocess: str | None,
    random_weights: bool,
    policy: str,
    seed: int,
    keep_going: bool,
    device: str,
    quiet: bool,
) -> None:
    """Run the project that photoseek grew from on the judged folder JUDGED, and photoseek beside it."""
    if random_weights and (image_encoder or weights or preprocess):
        raise click.UsageError("--random-weights is a network of its own; leave out the options of another")
    try:
        for file in (output, json_file):
            if file is not None:
                check_file(file)
        chosen_policy = Policy.load(policy)
        judgments = load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say)
        options = encoder_options(weights, preprocess)
        encoder, title = choose_encoder(image_encoder, options, random_weights, device)
        encoders = (encoder, load_text_encoder("minilm"))
        settings, on_step = TrainSettings(seed=seed), _ignore if quiet else say
        with progress_bars(quiet) as on_stage:
            project = run_seed_project(judgments, encoders, title, chosen_policy, settings, on_stage, on_step)
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it stopped")
        sys.exit(130)
    _write_report(output, project, seed)
    if json_file is not None:
        _write_json(json_file, project, seed)
    click.echo(f"image vectors: {title}\n\n{results_table(project.results)}\n\nreport: {output}")


def _write_report(path: Path, project: SeedProject, seed: int) -> None:
    judgments, policy = project.selection.judgments, project.selection.policy
    facts = [
        ("judged data", judgments.folder.resolve().name),
        ("image vectors", project.vectors.image_title),
        ("text vectors", "MiniLM, mean pooling"),
        ("policy", policy.name),
        ("seed", str(seed)),
    ]
    sections = sections_of(project, Album.of(judgments, policy))
    write_report(path, "The seed project, and photoseek beside it", facts, sections)


def _write_json(path: Path, project: SeedProject, seed: int) -> None:
    values: dict[str, object] = {"format": 1, "image_encoder": project.vectors.image_title, "seed": seed}
    for name, results in project.results.items():
        values[name] = {metric: to_json(result) for metric, result in results.items()}
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _ignore(line: str) -> None:
    """Say nothing about a step."""


if __name__ == "__main__":
    main()
