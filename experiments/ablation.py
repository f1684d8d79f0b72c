"""Measure what each part of the ranking is worth: switch every part off in turn, official protocol, several seeds.

    python -m experiments.ablation JUDGED [--image-encoder NAME] [--seeds N]

Trains as the shipped rankers are trained (on `train_224`), but learns no relevance and keeps nothing.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER
from indexer.views.view import EncodedPhotos
from reranker.gallery_ranking import GalleryPhotos, GalleryQueries, rank_gallery
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import grouped_split
from reranker.metrics.hubs import largest_share
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.calibration import Calibration
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import PAIR_FEATURES, EncodedQueries, JointSpace
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.models.no_match import FEATURE_NAMES, NoMatchClassifier
from reranker.models.query_words import KnownWords
from reranker.ranker import Ranker
from reranker.training.examples.caption_examples import caption_examples
from reranker.training.examples.example_lists import ExampleLists, with_own_photo_only
from reranker.training.examples.galleries import fold_galleries
from reranker.training.fit_mlp import MLPExamples, candidate_mlp, fit_mlp, start_mlp
from reranker.training.joint_space.class_name_files import own_class_names
from reranker.training.joint_space.fit_joint_space import (
    TextWords,
    fit_joint_space,
    fit_late_imputation,
    fit_lexical_features,
)
from reranker.training.joint_space.vocabulary import fit_vocabulary
from reranker.training.train import TrainSettings

# Pair features that are switched off together with a part.
CANDIDATE_PARTS = {"hub correction": ("hub",), "meaning head": ("meaning",), "class-name head": ("named", "gate")}
RERANKED_PARTS = {
    "late interaction": ("late", "late_hub"),
    "meaning": ("meaning",),
    "hub correction": ("hub", "late_hub"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Results of one ranking: recall@1, @5 and @10, and the largest share of queries with one photo in their top 10."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    largest_share: float

    @property
    def values(self) -> tuple[float, float, float, float]:
        """The results, in the order of the table."""
        return self.recall_at_1, self.recall_at_5, self.recall_at_10, self.largest_share


@dataclass(frozen=True, slots=True)
class AblatedSpace(JointSpace):
    """A joint space without some pair features.

    Attributes:
        off: The pair features that are 0 for every pair, as if their part were not there.
    """

    off: tuple[str, ...] = ()

    def pair_features(self, photos: EncodedPhotos, queries: EncodedQueries, row: int) -> np.ndarray:
        """Compute the features of photos paired with one query; see `JointSpace.pair_features`."""
        return _blanked(JointSpace.pair_features(self, photos, queries, row), self.off)


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
    head = fit_vocabulary(seen, own_class_names(image), image, text).head
    rows: dict[str, list[Row]] = {}
    for seed in range(seeds):
        for name, row in measure(seen, asked, head, seed).items():
            rows.setdefault(name, []).append(row)
            click.echo(f"seed {seed}  {name:<44}{'  '.join(f'{value:.3f}' for value in row.values)}", err=True)
    click.echo(
        f"| {image_encoder}, mean of {seeds} seeds | recall@1 | @5 | @10 | largest share |\n|---|---|---|---|---|"
    )
    for name, found in rows.items():
        means = np.mean([row.values for row in found], axis=0)
        click.echo(f"| {name} | {' | '.join(f'{value:.3f}' for value in means)} |")


def measure(seen: EmbeddedJudgments, asked: EmbeddedJudgments, class_names: ClassNameHead, seed: int) -> dict[str, Row]:
    """Train with one seed and measure, first candidates and then reranking, with every part off in turn.

    Args:
        seen: The judged data to train on.
        asked: The judged data to measure on.
        class_names: The class-name head of all joint spaces.
        seed: Draws everything that is random.

    Returns:
        The results by what is switched off.
    """
    spaces = _Spaces(seen, class_names, seed)
    everything = np.arange(len(seen.photos))
    full = spaces.fit(everything)
    table = {"candidates": candidate_row(asked, full)}
    for name, off in CANDIDATE_PARTS.items():
        table[f"candidates without {name}"] = candidate_row(asked, full, off)
    table["candidates without lexical features"] = candidate_row(
        asked, spaces.fit(everything, lexical=False, late=False)
    )
    table["candidates without tuning (closed form)"] = candidate_row(
        asked, spaces.fit(everything, epochs=0, late=False)
    )

    learn, validate, imputation = spaces.cross_fit()
    full = replace(full, late_imputation=imputation)
    mlp = spaces.fit_ranking(learn, validate, ())
    table["reranked"] = reranked_row(asked, full, mlp)
    by_features = replace(mlp, w3=np.zeros_like(mlp.w3))
    table["reranked by the pair features alone, as the MLP weighs them"] = reranked_row(asked, full, by_features)
    for name, off in RERANKED_PARTS.items():
        table[f"reranked without {name}"] = reranked_row(asked, full, spaces.fit_ranking(learn, validate, off), off)
    return table


def candidate_row(asked: EmbeddedJudgments, joint_space: JointSpace, off: Sequence[str] = ()) -> Row:
    """Measure the candidate stage of a joint space, without some pair features.

    Args:
        asked: The judged data to measure on.
        joint_space: The joint space.
        off: The pair features that are left out.
    """
    photos, queries = _gallery(asked)
    encoded_photos = joint_space.encode_photos(photos.x, photos.regions)
    encoded = joint_space.encode_queries(queries.t, queries.texts, queries.tokens)
    scores = np.stack(
        [
            joint_space.candidate_scores_of(_blanked(joint_space.pair_features(encoded_photos, encoded, row), off))
            for row in range(len(queries.texts))
        ]
    )
    return _row(scores, asked)


def reranked_row(asked: EmbeddedJudgments, joint_space: JointSpace, mlp: MLP, off: Sequence[str] = ()) -> Row:
    """Measure a ranking as a search ranks, with the candidates of the whole joint space.

    Args:
        asked: The judged data to measure on.
        joint_space: The joint space.
        mlp: The ranking MLP.
        off: The pair features that the reranker does without.
    """
    parts = {name: getattr(joint_space, name) for name in JointSpace.__dataclass_fields__}
    ranker = Ranker(
        image_encoder="",
        text_encoder="",
        text_encoder_name="",
        joint_space=AblatedSpace(**parts, off=tuple(off)),
        ranking_mlp=mlp,
        # Relevance is not measured here.
        relevance_mlp=candidate_mlp(mlp.Wx.shape[0], mlp.Wt.shape[0], joint_space.settings.heads),
        calibration=Calibration(),
        no_match=NoMatchClassifier((0.0,) * len(FEATURE_NAMES), 0.0, 0.0),
    )
    return _row(rank_gallery(ranker, *_gallery(asked)).ranking_scores, asked)


class _Spaces:
    """Fits joint spaces and rankings to one set of judged data, with one seed."""

    def __init__(self, seen: EmbeddedJudgments, class_names: ClassNameHead, seed: int) -> None:
        self._seen, self._class_names = seen, class_names
        self._settings = TrainSettings(seed=seed)
        captions = [seen.texts[row] for row in np.flatnonzero(seen.owner >= 0)]
        self._lexical = fit_lexical_features(captions, self._settings.joint_space.ranking.lexical_weight)

    def fit(
        self, photos: np.ndarray, *, lexical: bool = True, epochs: int | None = None, late: bool = True
    ) -> JointSpace:
        """Fit a joint space to some photos, (n,) rows; lexical features, tuning and late interaction are optional."""
        how = self._settings.joint_space
        if epochs is not None:
            how = replace(how, map=replace(how.map, epochs=epochs))
        if not late:
            how = replace(how, late_interaction=None)
        words = TextWords(self._lexical if lexical else LexicalFeatures.none(), KnownWords())
        fitted = fit_joint_space(self._seen, photos, words, how, self._settings.seed, _say)
        return replace(fitted, class_names=self._class_names)

    def cross_fit(self) -> tuple[ExampleLists, ExampleLists, np.ndarray]:
        """Collect captions' examples from spaces that have not seen them, and the imputation of late scores."""
        settings, seen = self._settings, self._seen
        everything, folds = np.arange(len(seen.photos)), settings.joint_space.folds
        fold_of = np.random.default_rng(settings.seed).permutation(len(everything)) % folds
        spaces = [self.fit(np.flatnonzero(fold_of != fold)) for fold in range(folds)]
        imputation = fit_late_imputation(spaces, seen, fold_of)
        spaces = [replace(space, late_imputation=imputation) for space in spaces]
        _, validation = grouped_split(everything, settings.examples.validation_share, settings.seed)
        generator = np.random.default_rng(settings.seed)
        parts: tuple[list[ExampleLists], list[ExampleLists]] = ([], [])
        for held, gallery in fold_galleries(seen, fold_of, np.isin(everything, validation), spaces):
            lists = caption_examples(seen, gallery, settings.examples, generator)
            parts[held].append(with_own_photo_only(lists))
        return ExampleLists.join(parts[0]), ExampleLists.join(parts[1]), imputation

    def fit_ranking(self, learn: ExampleLists, validate: ExampleLists, off: Sequence[str]) -> MLP:
        """Train a ranking MLP that does without some pair features."""
        x, t = self._seen.x, unit(self._seen.t)
        learn, validate = (
            replace(lists, pair_features=_blanked(lists.pair_features, off)) for lists in (learn, validate)
        )
        seed = self._settings.seed
        first = start_mlp(x.shape[1], t.shape[1], learn, seed)
        examples = MLPExamples(x, t, learn, validate)
        return fit_mlp(first, examples, self._settings.ranking_mlp, listwise=True, seed=seed).mlp


def _gallery(asked: EmbeddedJudgments) -> tuple[GalleryPhotos, GalleryQueries]:
    """Return the photos of judged data, and the captions that were written for them."""
    rows = np.flatnonzero(asked.owner >= 0)
    queries = GalleryQueries([asked.texts[row] for row in rows], asked.t[rows], asked.tokens.select(rows))
    return GalleryPhotos(asked.x, asked.regions), queries


def _row(scores: np.ndarray, asked: EmbeddedJudgments) -> Row:
    """Measure scores (captions, photos) where each caption asks for its own photo."""
    ranks = ranks_of_own(scores, asked.owner[asked.owner >= 0])
    top = np.argsort(-scores, axis=1)[:, :10]
    return Row(recall_at(ranks, 1), recall_at(ranks, 5), recall_at(ranks, 10), largest_share(top))


def _blanked(pair_features: np.ndarray, off: Sequence[str]) -> np.ndarray:
    """Return pair features (..., 7) with some set to 0."""
    blanked = pair_features.copy()
    blanked[..., [PAIR_FEATURES.index(name) for name in off]] = 0
    return blanked


def _say(stage: str, done: int, total: int) -> None:
    if done == total:
        print(f"{stage} done", file=sys.stderr)


if __name__ == "__main__":
    main()
