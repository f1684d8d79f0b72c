"""Train a ranker: `photoseek train`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.errors import PhotoseekError
from photoseek.options.judged_sets import JUDGED_FOLDER, JUDGED_SET, JudgedSet, set_names
from photoseek.options.output_files import RANKER, OutputFolder, WritingCommand
from photoseek.options.standard_options import (
    UserPath,
    device_option,
    encoder_options,
    examples,
    image_encoder_options,
    keep_going_option,
    quiet_option,
    seed_option,
)
from photoseek.progress.console import progress_bars, say

if TYPE_CHECKING:
    from indexer.encoders import ImageEncoder, TextEncoder
    from reranker.judgments.judgments import Judgments
    from reranker.judgments.tables import BadRow
    from reranker.judgments.training_sets import TrainingSet
    from reranker.ranker import Ranker
    from reranker.training.train import TrainSettings


@click.command(cls=WritingCommand)
@examples("photoseek train data/sample -o rankers/team")
@click.argument("judged", nargs=-1, required=True, type=JUDGED_SET)
@click.option("-o", "--output", type=OutputFolder(RANKER), required=True, help="The ranker folder to write.")
@click.option(
    "--photos",
    "photo_set",
    default=None,
    help="Photo folder or split to train on, where JUDGED names none.  [default: train_images, else all but tests]",
)
@click.option(
    "--relevance",
    "relevance_sets",
    multiple=True,
    type=JUDGED_FOLDER,
    help="A judged folder that teaches the relevance alone: space and ranking never see its photos. Repeatable.",
)
@click.option(
    "--leave-out-lookalikes",
    is_flag=True,
    help="Leave out photos that look like a test photo of their folder (cosine of the embeddings 0.85 or more).",
)
@image_encoder_options("that of --from, else efficientnet-lite")
@click.option(
    "--text-encoder", default=None, help="[default: that of --from, or of a clip: image encoder, else minilm]"
)
@click.option(
    "--from",
    "base",
    type=UserPath(),
    help="A ranker to fine-tune: its space is kept, its MLPs go on learning. It must not have seen these photos.",
)
@click.option(
    "--class-names",
    type=UserPath(exists=True, dir_okay=False),
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
    judged: tuple[JudgedSet, ...],
    output: Path,
    photo_set: str | None,
    relevance_sets: tuple[JudgedSet, ...],
    leave_out_lookalikes: bool,
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
    """Train a ranker on judged folders (photos, captions, expert grades, crowd votes).

    JUDGED is FOLDER[:PHOTOS][=WEIGHT]: PHOTOS is a photo folder or split of it, WEIGHT is how often its photos are
    seen. A JUDGED that is a .tsv file has captions alone.
    """
    from reranker.ranker import Ranker
    from reranker.ranker_places import check_place
    from reranker.training.joint_space.class_name_files import read_class_names
    from reranker.training.train_ranker import train_ranker

    _check_base(base, keep_order, epochs)
    check_place(output)
    base_ranker = None if base is None else Ranker.load(base)
    vocabulary = None if class_names is None else read_class_names(class_names)
    given = encoder_options(weights, preprocess)
    reader = _SetReader(photo_set, policy, keep_going, quiet)
    sets, captions = reader.sets(judged, relevance_sets)
    encoders = _load_encoders(base_ranker, image_encoder, text_encoder, given, device)
    if leave_out_lookalikes:
        sets = _without_lookalikes(sets, encoders[0])
    settings = _train_settings(score, keep_order, epochs, seed)
    _check_epochs(epochs, encoders)
    with progress_bars(quiet) as on_stage:
        ranker = train_ranker(
            sets,
            encoders,
            base=base_ranker,
            class_names=vocabulary,
            captions=captions,
            settings=settings,
            on_stage=on_stage,
        )
    ranker = replace(ranker, image_encoder_options=_kept_options(given, base_ranker, encoders[0]))
    ranker.save(output)
    _echo_training(ranker, output)


@dataclass(frozen=True, slots=True)
class _SetReader:
    """Reads judged sets with the options of a training."""

    photo_set: str | None
    policy: str | None
    keep_going: bool
    quiet: bool

    def sets(
        self, judged: Sequence[JudgedSet], relevance: Sequence[JudgedSet]
    ) -> "tuple[list[TrainingSet], list[str]]":
        """Return the sets to train on, and captions that have no photos."""
        from reranker.judgments.captions_table import read_captions
        from reranker.judgments.training_sets import TrainingSet

        folders = [(one, False) for one in judged if one.folder.is_dir()]
        if not folders:
            raise click.UsageError("JUDGED names captions alone; a training needs a folder with photos")
        folders += [(one, True) for one in relevance]
        tables = [one.folder for one in judged if not one.folder.is_dir()]
        captions = [text for table in tables for text in read_captions(table, self._on_bad_row)]
        names = set_names([one for one, _ in folders])
        found = [
            TrainingSet(name, self._read(one), one.weight, relevance_only)
            for name, (one, relevance_only) in zip(names, folders, strict=True)
        ]
        return found, captions

    def _on_bad_row(self, row: "BadRow") -> None:
        """Refuse a row of captions alone that cannot be used, or name it."""
        if not self.keep_going:
            raise PhotoseekError(f"{row} (--keep-going drops such rows)")
        if not self.quiet:
            say(str(row))

    def _read(self, one: JudgedSet) -> "Judgments":
        """Read the judgments of the photos to train on, without those that the policy protects."""
        from reranker.judgments.judged_folder import load_judgments

        judgments = load_judgments(one.folder, keep_going=self.keep_going, on_problem=None if self.quiet else say)
        return _select_photos(judgments, one.photos or self.photo_set, self.policy)


def _without_lookalikes(sets: "list[TrainingSet]", encoder: "ImageEncoder") -> "list[TrainingSet]":
    """Leave out photos that look like a test photo of their folder, and say how many; relevance sets stay whole."""
    from reranker.judgments.judged_folder import load_judgments
    from reranker.training.train_ranker import without_lookalikes

    kept = []
    for one in sets:
        if one.relevance_only:
            kept.append(one)
            continue
        chosen = tuple(one.judgments.photos)
        names = without_lookalikes(load_judgments(one.judgments.folder, keep_going=True), chosen, encoder)
        say(f"{one.name}: {len(chosen) - len(names)} of {len(chosen)} photos look like a test photo and are left out")
        kept.append(replace(one, judgments=one.judgments.restrict(names)))
    return kept


def _check_base(base: Path | None, keep_order: bool, epochs: int | None) -> None:
    """Refuse options that do not go together."""
    if keep_order and base is None:
        raise click.UsageError("--keep-order goes with --from RANKER, whose order is kept")
    if base is not None and epochs is not None:
        raise click.UsageError("--from keeps the map of its ranker, so --epochs has nothing to tune")


def _check_epochs(epochs: int | None, encoders: "tuple[ImageEncoder, TextEncoder]") -> None:
    """Refuse epochs of a map that is not learned."""
    from reranker.joint_ranker import are_sides_of_one

    if epochs is not None and are_sides_of_one(*encoders):
        raise click.UsageError("a clip: encoder keeps its own space, so --epochs has nothing to tune")


def _select_photos(judgments: "Judgments", photo_set: str | None, policy: str | None) -> "Judgments":
    """Return the judgments of the photos to train on, without those that the policy protects; say what is left out."""
    from indexer.printable import counted
    from reranker.moderation.policy import Policy
    from reranker.training.train_ranker import training_photos

    if judgments.dropped:
        say(f"{counted(judgments.dropped, 'bad row')} dropped")
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
    from indexer.encoders import is_joint_name, load_image_encoder, load_text_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.ranker_encoders import encoders_of
    from reranker.training.train_ranker import DEFAULT_TEXT_ENCODER

    if base is not None:
        return encoders_of(base, device, image_name, options, text_name)
    image = load_image_encoder(image_name or DEFAULT_ENCODER, device=device, **options)
    return image, load_text_encoder(text_name or (image.name if is_joint_name(image.name) else DEFAULT_TEXT_ENCODER))


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
