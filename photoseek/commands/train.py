"""Train a ranker: `photoseek train`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.errors import PhotoseekError
from photoseek.commands.console import progress_bars, say
from photoseek.commands.options import (
    device_option,
    encoder_options,
    examples,
    image_encoder_options,
    judged_argument,
    keep_going_option,
    quiet_option,
    seed_option,
)

if TYPE_CHECKING:
    from indexer.encoders import ImageEncoder, TextEncoder
    from reranker.judgments.judgments import Judgments
    from reranker.ranker import Ranker
    from reranker.training.train import TrainSettings


@click.command()
@examples("photoseek train data/sample -o rankers/team")
@judged_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The ranker folder to write.")
@click.option(
    "--photos", "photo_set", default=None, help="Photo folder of JUDGED to train on.  [default: train_images, else all]"
)
@image_encoder_options("that of --from, else efficientnet-lite")
@click.option("--text-encoder", default=None, help="[default: that of --from, else minilm]")
@click.option(
    "--from",
    "base",
    type=click.Path(path_type=Path),
    help="A ranker to fine-tune: its space is kept, its MLPs go on learning. It must not have seen these photos.",
)
@click.option(
    "--class-names",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own vocabulary (.txt, .tsv, .csv), so that its words are found as names.",
)
@click.option("--keep-order", is_flag=True, help="With --from: learn relevance only, and leave the ranking as it is.")
@click.option(
    "--score",
    type=click.Choice(["majority", "mean"]),
    default="majority",
    show_default=True,
    help="How several people's judgments of a pair become one number.",
)
@click.option("--policy", help="Leave out what this policy protects: minors, or a .toml file.")
@click.option(
    "--epochs", type=click.IntRange(min=0), default=None, help="Contrastive epochs of the map; 0 keeps the closed form."
)
@seed_option
@keep_going_option
@device_option
@quiet_option
def train(
    judged: Path,
    output: Path,
    photo_set: str | None,
    image_encoder: str | None,
    weights: str | None,
    preprocess: str | None,
    text_encoder: str | None,
    base: Path | None,
    class_names: Path | None,
    keep_order: bool,
    score: str,
    policy: str | None,
    epochs: int | None,
    seed: int,
    keep_going: bool,
    device: str,
    quiet: bool,
) -> None:
    """Train a ranker on the judged folder JUDGED (photos, captions, expert grades, crowd votes)."""
    from reranker.judgments.judged_folder import load_judgments
    from reranker.ranker import Ranker
    from reranker.ranker_files import check_place
    from reranker.training.train_ranker import train_ranker
    from reranker.training.vocabulary import read_class_names

    _check_base(base, keep_order, epochs)
    check_place(output)
    base_ranker = None if base is None else Ranker.load(base)
    vocabulary = None if class_names is None else read_class_names(class_names)
    judgments = load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say)
    judgments = _select_photos(judgments, photo_set, policy)
    given = encoder_options(weights, preprocess)
    encoders = _load_encoders(base_ranker, image_encoder, text_encoder, given, device)
    settings = _train_settings(score, keep_order, epochs, seed)
    with progress_bars(quiet) as on_stage:
        ranker = train_ranker(
            judgments, encoders, base=base_ranker, class_names=vocabulary, settings=settings, on_stage=on_stage
        )
    ranker = replace(ranker, image_encoder_options=_kept_options(given, base_ranker, encoders[0]))
    ranker.save(output)
    _echo_training(ranker, output)


def _check_base(base: Path | None, keep_order: bool, epochs: int | None) -> None:
    """Refuse options that do not go together."""
    if keep_order and base is None:
        raise click.UsageError("--keep-order goes with --from RANKER, whose order is kept")
    if base is not None and epochs is not None:
        raise click.UsageError("--from keeps the map of its ranker, so --epochs has nothing to tune")


def _select_photos(judgments: "Judgments", photo_set: str | None, policy: str | None) -> "Judgments":
    """Return the judgments of the photos to train on, without those that the policy protects; say what is left out."""
    from reranker.moderation.policy import Policy
    from reranker.training.train import training_photos

    if judgments.dropped:
        say(f"{judgments.dropped} bad rows dropped")
    selected = judgments.restrict(training_photos(judgments, photo_set))
    if policy is None:
        return selected
    before = len(selected.photos)
    selected = Policy.load(policy).filter(selected)
    say(f"policy {policy}: {before - len(selected.photos)} of {before} photos left out")
    if not selected.photos:
        raise PhotoseekError(f"policy {policy} leaves no photo of judged data {judgments.folder} to train on")
    return selected


def _load_encoders(
    base: "Ranker | None", image_name: str | None, text_name: str | None, options: Mapping[str, str], device: str
) -> "tuple[ImageEncoder, TextEncoder]":
    """Load the encoders that were asked for, else those of the base ranker, else the default ones."""
    from indexer.encoders import load_image_encoder, load_text_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.ranker_encoders import encoders_of
    from reranker.training.train_ranker import DEFAULT_TEXT_ENCODER

    if base is not None:
        return encoders_of(base, device, image_name, options, text_name)
    image = load_image_encoder(image_name or DEFAULT_ENCODER, device=device, **options)
    return image, load_text_encoder(text_name or DEFAULT_TEXT_ENCODER)


def _kept_options(given: dict[str, str], base: "Ranker | None", image: "ImageEncoder") -> dict[str, str]:
    """Return the options of the image encoder that the ranker keeps: those given, else those of the base ranker."""
    if given or base is None or image.name != base.image_encoder_name:
        return given
    return dict(base.image_encoder_options)


def _train_settings(score: str, keep_order: bool, epochs: int | None, seed: int) -> "TrainSettings":
    """Return the settings of a training as the options say."""
    from reranker.judgments.aggregate import AGGREGATIONS
    from reranker.training.examples.example_lists import ExampleSettings
    from reranker.training.train import TrainSettings

    settings = TrainSettings(
        seed=seed, keep_ranking=keep_order, examples=ExampleSettings(aggregate=AGGREGATIONS[score])
    )
    if epochs is None:
        return settings
    tuned = replace(settings.joint_space.map, epochs=epochs)
    return replace(settings, joint_space=replace(settings.joint_space, map=tuned))


def _echo_training(ranker: "Ranker", output: Path) -> None:
    """Print what a ranker was trained on and how it did; the training of its base is left out."""
    for name, value in {**ranker.training, **ranker.results}.items():
        if name != "before":
            click.echo(f"{name:<26}{value}")
    click.echo(f"ranker {ranker.id} -> {output}")
