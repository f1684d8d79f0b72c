"""What each part of the ranking is worth: every part switched off in turn, official protocol, several seeds.

    python -m reranker.ablation JUDGED [--image-encoder NAME] [--seeds N]

Trains as the shipped rankers are trained (on `train_224`), but judges nothing and keeps nothing.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER
from reranker.features import Features, embed_judgments
from reranker.fit_space import captions_within, fit_space, guess_late
from reranker.judgments import grouped_split, load_judgments
from reranker.lexicon import Lexicon
from reranker.linear_map import unit
from reranker.metrics import largest_share, ranks_of_own, recall_at
from reranker.mlp import MLP, Lists, fit, start
from reranker.names import Names
from reranker.pairs import BLOCK, Gallery, caption_lists, galleries, own_only
from reranker.space import HUB_WEIGHT, MEANING_WEIGHT, SCALARS
from reranker.train import TrainSettings
from reranker.vocabulary import learn_names, own_class_names

RERANKED = 200
Row = tuple[float, float, float, float]

# Scalars that a switched-off part takes along.
PARTS = {"late interaction": ("late", "late_hub"), "meaning": ("meaning",), "hub term": ("hub", "late_hub")}


@click.command()
@click.argument("judged", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--image-encoder", default=DEFAULT_ENCODER, show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
def main(judged: Path, image_encoder: str, seeds: int) -> None:
    """Print the table: mean recall@1, 5, 10 and the largest share of queries with one photo in their top 10."""
    try:
        judgments = load_judgments(judged)
        image, text = load_image_encoder(image_encoder), load_text_encoder("minilm")
        seen = embed_judgments(judgments.restrict(judgments.sets["train_224"]), image, text)
        asked = embed_judgments(judgments.restrict(judgments.sets["train_images"]), image, text)
    except (PhotoseekError, KeyError) as error:
        raise click.ClickException(str(error)) from None
    names, _ = learn_names(seen, own_class_names(image), image, text)
    rows: dict[str, list[Row]] = {}
    for seed in range(seeds):
        for name, row in measure(seen, asked, names, seed):
            rows.setdefault(name, []).append(row)
            click.echo(f"seed {seed}  {name:<44}{'  '.join(f'{value:.3f}' for value in row)}", err=True)
    click.echo(
        f"| {image_encoder}, mean of {seeds} seeds | recall@1 | @5 | @10 | largest share |\n|---|---|---|---|---|"
    )
    for name, found in rows.items():
        click.echo(f"| {name} | {' | '.join(f'{value:.3f}' for value in np.mean(found, axis=0))} |")


def measure(seen: Features, asked: Features, names: Names, seed: int) -> "list[tuple[str, Row]]":
    """(what is switched off, its figures) of one seed: candidates first, then reranking."""
    settings = TrainSettings(seed=seed)
    everything = np.arange(len(seen.photos))
    lexicon = Lexicon.fit([seen.texts[row] for row in np.flatnonzero(seen.owner >= 0)])
    table: list[tuple[str, Row]] = []

    def spaces_of(photos: np.ndarray, lexicon: Lexicon, epochs: int | None = None, late: bool = True) -> Gallery:
        tuned = settings.space.map if epochs is None else replace(settings.space.map, epochs=epochs)
        what = replace(settings.space, map=tuned, late=settings.space.late if late else None)
        space = fit_space(seen, photos, lexicon, names, what, seed, "", _say)
        return Gallery.of(asked, np.arange(len(asked.photos)), space)

    full = spaces_of(everything, lexicon)
    table.append(("candidates", _candidates(asked, full)))
    table.append(("candidates without hub term", _candidates(asked, full, hub=False)))
    table.append(("candidates without meaning head", _candidates(asked, full, meaning=False)))
    table.append(("candidates without names head", _candidates(asked, full, named=False)))
    table.append(
        ("candidates without lexical part", _candidates(asked, spaces_of(everything, Lexicon.none(), None, False)))
    )
    table.append(
        ("candidates without tuning (closed form)", _candidates(asked, spaces_of(everything, lexicon, 0, False)))
    )

    fold_of = np.random.default_rng(seed).permutation(len(everything)) % settings.folds
    folds = [spaces_of(np.flatnonzero(fold_of != fold), lexicon).space for fold in range(settings.folds)]
    guess = guess_late(folds, seen, fold_of)
    _, validation = grouped_split(everything, settings.validation, seed)
    held_out = np.isin(everything, validation)
    generator = np.random.default_rng(seed)
    parts: tuple[list[Lists], list[Lists]] = ([], [])
    for held, gallery in galleries(seen, fold_of, held_out, [replace(space, guess=guess) for space in folds]):
        parts[held].append(own_only(caption_lists(seen, gallery, settings.pairs, generator, lambda done, total: None)))
    learn, validate = Lists.join(parts[0]), Lists.join(parts[1])
    full = Gallery.of(asked, full.photos, replace(full.space, guess=guess))
    for name, off in {"": (), **PARTS}.items():
        columns = [SCALARS.index(scalar) for scalar in off]
        order = _order(seen, learn, validate, columns, settings)
        title = "reranked" + (f" without {name}" if name else "")
        table.append((title, _reranked(asked, full, order, columns)))
        if not name:
            linear = replace(order, w3=np.zeros_like(order.w3))
            table.append(("reranked by the scalars alone, as the MLP weighs them", _reranked(asked, full, linear, [])))
    return table


def _say(stage: str, done: int, total: int) -> None:
    if done == total:
        print(f"{stage} done", file=sys.stderr)


def _order(seen: Features, learn: Lists, validate: Lists, off: list[int], settings: TrainSettings) -> MLP:
    def blanked(lists: Lists) -> Lists:
        scalars = lists.scalars.copy()
        scalars[..., off] = 0
        return replace(lists, scalars=scalars)

    t = unit(seen.t)
    learn, validate = blanked(learn), blanked(validate)
    first = start(seen.x.shape[1], t.shape[1], learn, settings.seed)
    return fit(first, seen.x, t, learn, validate, settings.order, listwise=True, seed=settings.seed)[0]


def _candidates(
    asked: Features, gallery: Gallery, *, hub: bool = True, meaning: bool = True, named: bool = True
) -> Row:
    def score(scalars: np.ndarray, gate: np.ndarray, weighted_names: np.ndarray) -> np.ndarray:
        scores = scalars[..., 0] + MEANING_WEIGHT * scalars[..., 1] * meaning + weighted_names * named
        return np.asarray(scores - HUB_WEIGHT * (1 - gate * named) * scalars[..., 2] * hub)

    return _figures(asked, gallery, score)


def _reranked(asked: Features, gallery: Gallery, order: MLP, off: list[int]) -> Row:
    photo_part = order.photo_part(asked.x)
    rows, _ = captions_within(asked, np.flatnonzero(asked.owner >= 0), gallery.photos)
    text_part = order.text_part(unit(asked.t[rows]))
    place = iter(range(len(rows)))

    def score(scalars: np.ndarray, gate: np.ndarray, weighted_names: np.ndarray) -> np.ndarray:
        before = scalars[..., 0] + MEANING_WEIGHT * scalars[..., 1] + weighted_names
        before = before - HUB_WEIGHT * (1 - gate) * scalars[..., 2]
        kept = min(RERANKED, before.shape[1])
        threshold = np.partition(before, -kept, axis=1)[:, -kept][:, None]
        shown = scalars.copy()
        shown[..., off] = 0
        after = np.stack([order.logits(photo_part, text_part[next(place)], of_one) for of_one in shown])
        return np.where(before >= threshold, after, before - 1e4)

    return _figures(asked, gallery, score)


def _figures(
    asked: Features, gallery: Gallery, score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> Row:
    rows, own = captions_within(asked, np.flatnonzero(asked.owner >= 0), gallery.photos)
    scores = []
    for begin in range(0, len(rows), BLOCK):
        query = gallery.queries(asked, rows[begin : begin + BLOCK])
        scalars = gallery.space.matrix(gallery.side, query, slice(0, len(query.gate)))
        k = sum(gallery.space.widths[:2])
        weighted_names = query.candidate[:, k:-1] @ gallery.side.z[:, k:].T
        scores.append(score(scalars, query.gate[:, None], weighted_names))
    found = np.concatenate(scores)
    ranks = ranks_of_own(found, own)
    top = np.argsort(-found, axis=1)[:, :10]
    return (recall_at(ranks, 1), recall_at(ranks, 5), recall_at(ranks, 10), largest_share(top))


if __name__ == "__main__":
    main()
