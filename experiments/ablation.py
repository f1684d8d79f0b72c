"""What each part of the ranking is worth: every part switched off in turn, official protocol, several seeds.

    python -m experiments.ablation JUDGED [--image-encoder NAME] [--seeds N]

Trains as the shipped rankers are trained (on `train_224`), but judges nothing and keeps nothing.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER
from reranker.evaluation.evaluation import RERANKED
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments
from reranker.judgments.judged_folder import grouped_split, load_judgments
from reranker.metrics.metrics import largest_share, ranks_of_own, recall_at
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import PAIR_FEATURES, candidate_of
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP, Lists, fit, start
from reranker.ranker import ranking_scores
from reranker.training.examples import BLOCK, Gallery, caption_lists, galleries, own_only
from reranker.training.fit_joint_space import captions_of_photos, fit_joint_space, fit_late_imputation
from reranker.training.train import TrainSettings
from reranker.training.vocabulary import learn_class_names, own_class_names

Row = tuple[float, float, float, float]

# Scalars that a switched-off part takes along.
CANDIDATE_PARTS = {"hub term": ("hub",), "meaning head": ("meaning",), "names head": ("named", "gate")}
RERANKED_PARTS = {"late interaction": ("late", "late_hub"), "meaning": ("meaning",), "hub term": ("hub", "late_hub")}


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
    names, _ = learn_class_names(seen, own_class_names(image), image, text)
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


def measure(
    seen: EmbeddedJudgments, asked: EmbeddedJudgments, names: ClassNameHead, seed: int
) -> "list[tuple[str, Row]]":
    """(what is switched off, its figures) of one seed: candidates first, then reranking."""
    settings = TrainSettings(seed=seed)
    everything = np.arange(len(seen.photos))
    lexical = LexicalFeatures.fit([seen.texts[row] for row in np.flatnonzero(seen.owner >= 0)])
    table: list[tuple[str, Row]] = []

    def spaces_of(
        photos: np.ndarray, lexical: LexicalFeatures, epochs: int | None = None, late: bool = True
    ) -> Gallery:
        tuned = settings.joint_space.map if epochs is None else replace(settings.joint_space.map, epochs=epochs)
        what = replace(
            settings.joint_space, map=tuned, late_interaction=settings.joint_space.late_interaction if late else None
        )
        joint_space = fit_joint_space(seen, photos, lexical, names, what, seed, "", _say)
        return Gallery.of(asked, np.arange(len(asked.photos)), joint_space)

    full = spaces_of(everything, lexical)
    table.append(("candidates", _figures(asked, full)))
    for name, off in CANDIDATE_PARTS.items():
        table.append((f"candidates without {name}", _figures(asked, full, off)))
    plain = spaces_of(everything, LexicalFeatures.none(), late=False)
    table.append(("candidates without lexical part", _figures(asked, plain)))
    closed = spaces_of(everything, lexical, epochs=0, late=False)
    table.append(("candidates without tuning (closed form)", _figures(asked, closed)))

    fold_of = np.random.default_rng(seed).permutation(len(everything)) % settings.folds
    folds = [spaces_of(np.flatnonzero(fold_of != fold), lexical).joint_space for fold in range(settings.folds)]
    guess = fit_late_imputation(folds, seen, fold_of)
    _, validation = grouped_split(everything, settings.validation, seed)
    held_out = np.isin(everything, validation)
    generator = np.random.default_rng(seed)
    parts: tuple[list[Lists], list[Lists]] = ([], [])
    for held, gallery in galleries(
        seen, fold_of, held_out, [replace(joint_space, late_imputation=guess) for joint_space in folds]
    ):
        parts[held].append(own_only(caption_lists(seen, gallery, settings.pairs, generator)))
    learn, validate = Lists.join(parts[0]), Lists.join(parts[1])
    full = Gallery.of(asked, full.photos, replace(full.joint_space, late_imputation=guess))
    order = _order(seen, learn, validate, (), settings)
    table.append(("reranked", _figures(asked, full, order=order)))
    linear = replace(order, w3=np.zeros_like(order.w3))
    table.append(("reranked by the scalars alone, as the MLP weighs them", _figures(asked, full, order=linear)))
    for name, off in RERANKED_PARTS.items():
        order = _order(seen, learn, validate, off, settings)
        table.append((f"reranked without {name}", _figures(asked, full, off, order)))
    return table


def _say(stage: str, done: int, total: int) -> None:
    if done == total:
        print(f"{stage} done", file=sys.stderr)


def _order(seen: EmbeddedJudgments, learn: Lists, validate: Lists, off: Sequence[str], settings: TrainSettings) -> MLP:
    t = unit(seen.t)
    learn, validate = (replace(lists, pair_features=_without(lists.pair_features, off)) for lists in (learn, validate))
    first = start(seen.x.shape[1], t.shape[1], learn, settings.seed)
    return fit(first, seen.x, t, learn, validate, settings.ranking_mlp, listwise=True, seed=settings.seed)[0]


def _without(pair_features: np.ndarray, off: Sequence[str]) -> np.ndarray:
    """The same scalars (..., 7) with some at 0, which is as if their part were not there."""
    blanked = pair_features.copy()
    blanked[..., [PAIR_FEATURES.index(name) for name in off]] = 0
    return blanked


def _figures(asked: EmbeddedJudgments, gallery: Gallery, off: Sequence[str] = (), order: MLP | None = None) -> Row:
    """Recall and largest share of the candidates, or of what an order makes of the first of all candidates."""
    rows, own = captions_of_photos(asked, gallery.photos)
    scores = np.empty((len(rows), len(gallery.photos)), np.float32)
    for begin in range(0, len(rows), BLOCK):
        query = gallery.queries(asked, rows[begin : begin + BLOCK])
        block = gallery.joint_space.matrix(gallery.side, query, slice(0, len(query.gate)))
        if order is None:
            scores[begin : begin + BLOCK] = candidate_of(_without(block, off))
            continue
        photo_part, text_part = order.photo_part(asked.x), order.text_part(unit(asked.t[rows[begin : begin + BLOCK]]))
        for place, pair_features in enumerate(block):
            before = candidate_of(pair_features)
            after = ranking_scores(order, photo_part, text_part[place], _without(pair_features, off))
            kept = before >= np.sort(before)[-min(RERANKED, len(before))]
            scores[begin + place] = np.where(kept, after, before - 1e4)
    ranks = ranks_of_own(scores, own)
    top = np.argsort(-scores, axis=1)[:, :10]
    return (recall_at(ranks, 1), recall_at(ranks, 5), recall_at(ranks, 10), largest_share(top))


if __name__ == "__main__":
    main()
