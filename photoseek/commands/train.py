"""Train a ranker: `photoseek train`."""

from pathlib import Path

import click

from indexer.errors import PhotoseekError
from photoseek.commands.console import say, stages
from photoseek.commands.options import (
    device_option,
    encoder_options,
    image_encoder_options,
    judged_argument,
    keep_going_option,
    quiet_option,
    seed_option,
)


@click.command()
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
    """Train a ranker on the judged folder JUDGED (photos, captions, expert grades, crowd votes).

    \b
    photoseek train data/sample -o rankers/team
    """
    from dataclasses import replace

    from indexer.encoders import load_image_encoder, load_text_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.judgments.aggregate import AGGREGATIONS
    from reranker.judgments.judged_folder import load_judgments
    from reranker.moderation.policy import Policy
    from reranker.ranker import Ranker, check_place
    from reranker.ranker_encoders import encoders_of
    from reranker.training.examples import PairSettings
    from reranker.training.train import TrainSettings, training_photos
    from reranker.training.train_ranker import train_ranker
    from reranker.training.vocabulary import read_class_names

    if keep_order and base is None:
        raise click.UsageError("--keep-order goes with --from RANKER, whose order is kept")
    if base is not None and epochs is not None:
        raise click.UsageError("--from keeps the map of its ranker, so --epochs has nothing to tune")
    check_place(output)
    start = None if base is None else Ranker.load(base)
    things = None if class_names is None else read_class_names(class_names)
    problem = None if quiet else say
    judgments = load_judgments(judged, keep_going=keep_going, on_problem=problem)
    if judgments.dropped:
        click.echo(f"{judgments.dropped} bad rows dropped", err=True)
    judgments = judgments.restrict(training_photos(judgments, photo_set))
    if policy is not None:
        before = len(judgments.photos)
        judgments = Policy.load(policy).filter(judgments)
        click.echo(f"policy {policy}: {before - len(judgments.photos)} of {before} photos left out", err=True)
        if not judgments.photos:
            raise PhotoseekError(f"policy {policy} leaves no photo of judged data {judged} to train on")
    options = encoder_options(weights, preprocess)
    if start is None:
        image = load_image_encoder(image_encoder or DEFAULT_ENCODER, device=device, **options)
        text = load_text_encoder(text_encoder or "minilm")
    else:
        image, text = encoders_of(start, device, image_encoder, options, text_encoder)
        options = options or (start.image_encoder_options if image.name == start.image_encoder_name else {})
    settings = TrainSettings(seed=seed, keep_order=keep_order, pairs=PairSettings(aggregate=AGGREGATIONS[score]))
    if epochs is not None:
        tuned = replace(settings.joint_space.map, epochs=epochs)
        settings = replace(settings, joint_space=replace(settings.joint_space, map=tuned))
    with stages(quiet) as on_stage:
        ranker = train_ranker(
            judgments, (image, text), base=start, class_names=things, settings=settings, on_stage=on_stage
        )
    ranker = replace(ranker, image_encoder_options=options)
    ranker.save(output)
    for name, value in {**ranker.training, **ranker.results}.items():
        if name != "before":
            click.echo(f"{name:<26}{value}")
    click.echo(f"ranker {ranker.id} -> {output}")
