"""The student project that photoseek grew from, as one command, and photoseek's own ranker on the same split.

python -m experiments.seed_project.project JUDGED -o seed-project.html [--json FILE]

photos, captions, experts' grades -> majority score -> policy filter -> [image vector ; text vector]
    -> 7:3 split by photo -> Ridge, a plain net | photoseek -> search over the test photos
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from experiments.seed_project.encoder import choose_encoder
from indexer.encoders import ImageEncoder, TextEncoder, load_text_encoder
from indexer.encoders.minilm import SENTENCE
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
from reranker.evaluation.baselines import chance, concatenated, every_pair, fit_plain_net, fit_ridge_pairs
from reranker.evaluation.evaluation import Photos, Queries, search
from reranker.evaluation.results import defined, take_resampled
from reranker.judgments.aggregate import Pair, PairScore, majority
from reranker.judgments.checks import Finding, check_judgments
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments, embed_photos, embed_with_tokens
from reranker.judgments.judged_folder import Judgments, grouped_split, load_judgments
from reranker.metrics import metrics
from reranker.moderation.policy import Policy
from reranker.ranker import Ranker
from reranker.training.examples import candidate_scores
from reranker.training.train import TrainSettings, train, training_photos

TITLES = {
    "chance": "no model: the mean score, a random order",
    "ridge": "Ridge on the concatenated vector",
    "net": "plain net on the concatenated vector",
    "candidates": "photoseek, candidates",
    "photoseek": "photoseek",
}
KS = (1, 5, 10)
RESAMPLES = 200

Stage = Callable[[str, int, int], None]
Results = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The scored pairs: `names` (photo, caption), their rows in the features and their score, each (n,)."""

    names: list[tuple[str, str]]
    photo: np.ndarray
    text: np.ndarray
    score: np.ndarray


@dataclass(frozen=True, slots=True)
class Model:
    """What one model says: `pairs` (held-out pairs,) and `order` (queries, photos), which sorts the photos.

    `scaled`: whether `pairs` lie on a scale from 0 to 1, so that an error can be taken.
    """

    pairs: np.ndarray
    order: np.ndarray
    scaled: bool


@dataclass(frozen=True, slots=True)
class SeedProject:
    """Everything that the project computed, for its report.

    `judged` are the judged photos before the policy, `kept` after it; `seen` and `held` are rows of `pairs`.
    """

    judgments: Judgments
    judged: Judgments
    kept: Judgments
    policy: Policy
    image: str
    features: EmbeddedJudgments
    pairs: Pairs
    seen: np.ndarray
    held: np.ndarray
    checks: list[tuple[str, bool, str]]
    findings: tuple[Finding, ...]
    own: np.ndarray
    models: dict[str, Model]
    ranker: Ranker
    figures: Results
    seconds: dict[str, float]

    @property
    def seen_photos(self) -> set[str]:
        """The photos that the models learn from."""
        return {self.pairs.names[row][0] for row in self.seen}

    @property
    def sentences(self) -> np.ndarray:
        """(m, 384): the part of the text vectors that Ridge and the net get."""
        return self.features.t[:, :SENTENCE]


def seed_project(
    judgments: Judgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    image_title: str,
    policy: Policy,
    settings: TrainSettings,
    on_stage: Stage,
    on_step: Callable[[str], None] = lambda line: None,
) -> SeedProject:
    """Run every step. Raises PhotoseekError where the data has too few experts' majorities to learn from, or fewer than
    two test queries."""
    if not judgments.queries:
        raise PhotoseekError(
            f"judged data {judgments.folder} has no test_queries.csv with test_images.csv to search in"
        )
    if len(judgments.queries) < 2:
        raise PhotoseekError(f"judged data {judgments.folder} has one test query; only two can get the same photos")
    judged = judgments.restrict(training_photos(judgments, None))
    kept = policy.filter(judged)
    on_step(f"1-2 loading, exploration: {len(judged.photos)} judged photos, {len(judged.expert)} pairs with grades")
    scored = majority(kept.expert, ())
    if len({photo for photo, _ in scored}) < 2:
        raise PhotoseekError(
            f"judged data {judgments.folder}: policy {policy.name} leaves no two photos with a grade that two experts "
            "agree on; nothing to learn"
        )
    on_step(
        f"3 generalised score: {len(scored)} pairs with a majority; policy {policy.name} left out "
        f"{len(judged.photos) - len(kept.photos)} photos"
    )
    features = embed_judgments(kept, *encoders, lambda done, total: on_stage("image and text vectors", done, total))
    tested = Photos(*embed_photos([judgments.photos[name] for name in judgments.test_photos], encoders[0]))
    texts = [query.text for query in judgments.queries]
    queries = Queries(texts, *embed_with_tokens(texts, encoders[1]))
    own = np.array([judgments.test_photos.index(query.photo) for query in judgments.queries])

    pairs = scored_pairs(features, scored)
    seen, held = grouped_split(pairs.photo, 0.3, settings.seed)
    checks = check(judgments, kept, policy, features, pairs, seen, held)
    findings = check_judgments(judgments.folder, None)
    failed = [name for name, passed, _ in checks if not passed]
    on_step(f"4 checks: {', '.join(failed) + ' FAILED' if failed else f'all {len(checks)} passed'}")
    t, asked = features.t[:, :SENTENCE], queries.t[:, :SENTENCE]
    joined = concatenated(features.x[pairs.photo], t[pairs.text])
    on_step(f"5-7 vectors: {features.x.shape[1]} of the photo beside {t.shape[1]} of the text, {len(joined)} rows")

    mean = np.full(len(held), pairs.score[seen].mean())
    models = {"chance": Model(mean, chance(len(texts), len(tested.x), settings.seed), True)}
    seconds = {}
    for name, fit in (
        ("ridge", lambda: fit_ridge_pairs(joined[seen], pairs.score[seen])),
        ("net", lambda: fit_plain_net(joined[seen], pairs.score[seen], settings.seed)),
    ):
        begun = time.perf_counter()
        model = fit()
        seconds[name] = time.perf_counter() - begun
        models[name] = Model(model.predict(joined[held]), every_pair(model, tested.x, asked), True)
        on_step(f"8 training: {TITLES[name]}, {seconds[name]:.1f} s")
    begun = time.perf_counter()
    names = {pairs.names[row][0] for row in seen}
    rows = np.array([row for row, name in enumerate(features.photos) if name in names])
    ranker = train(features.select(rows), kept.restrict(names), encoders, settings, on_stage=on_stage)
    seconds["photoseek"] = time.perf_counter() - begun
    on_step(f"8 training: photoseek on the same {len(names)} photos, {seconds['photoseek']:.1f} s")
    found = search(ranker, tested, queries)
    candidates, relevance = ranked_pairs(ranker, features, pairs, held)
    models["candidates"] = Model(candidates, found.candidates, False)
    models["photoseek"] = Model(relevance, found.ranking_scores, True)
    groups = [pairs.names[row][0] for row in held]
    figures = {name: defined(figures_of(model, pairs.score[held], groups, own)) for name, model in models.items()}
    take_resampled(figures)
    return SeedProject(
        judgments, judged, kept, policy, image_title, features, pairs, seen, held, checks, findings, own, models,
        ranker, figures, seconds,
    )  # fmt: skip


def scored_pairs(features: EmbeddedJudgments, scored: dict[Pair, PairScore]) -> Pairs:
    """Return the pairs of an aggregation as rows of the features."""
    photo = {name: row for row, name in enumerate(features.photos)}
    text = {caption: row for row, caption in enumerate(features.captions)}
    return Pairs(
        list(scored),
        np.array([photo[name] for name, _ in scored]),
        np.array([text[caption] for _, caption in scored]),
        np.array([pair.score for pair in scored.values()]),
    )


def check(
    judgments: Judgments,
    kept: Judgments,
    policy: Policy,
    features: EmbeddedJudgments,
    pairs: Pairs,
    seen: np.ndarray,
    held: np.ndarray,
) -> list[tuple[str, bool, str]]:
    """What has to hold before anything is learned: (what, whether it does, the numbers)."""
    both = set(pairs.photo[seen]) & set(pairs.photo[held])
    blocked = policy.blocked_photos(kept.captions.items()) & set(kept.photos)
    trained = {kept.photos[name].read_bytes() for name in kept.photos}
    tested = [judgments.photos[name].read_bytes() in trained for name in judgments.test_photos]
    vectors = (features.x, features.t)
    return [
        ("every score lies between 0 and 1", bool(((pairs.score >= 0) & (pairs.score <= 1)).all()),
         f"from {pairs.score.min():.2f} to {pairs.score.max():.2f}"),
        ("no photo is on both sides of the split", not both,
         f"{len(set(pairs.photo[seen]))} and {len(set(pairs.photo[held]))} photos, {len(both)} on both"),
        ("no photo that is left falls under the policy", not blocked, f"{len(blocked)} of {len(kept.photos)} do"),
        ("no test photo is among those to learn from, byte by byte", not any(tested),
         f"{sum(tested)} of {len(tested)} are"),
        ("every vector is finite", all(np.isfinite(rows).all() for rows in vectors),
         f"{' and '.join(f'{len(rows)} x {rows.shape[1]}' for rows in vectors)} numbers"),
    ]  # fmt: skip


def ranked_pairs(
    ranker: Ranker, features: EmbeddedJudgments, pairs: Pairs, held: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Candidate score and relevance of the held-out pairs, each (n,)."""
    photos, photo = np.unique(pairs.photo[held], return_inverse=True)
    rows, text = np.unique(pairs.text[held], return_inverse=True)
    part = features.select(photos)
    side = ranker.encode_photos(part.x, part.regions)
    query = ranker.encode_queries(part.t[rows], [part.texts[row] for row in rows], part.tokens.select(rows))
    relevance = ranker.score_matrix(side, query, slice(0, len(rows))).relevance
    return candidate_scores(side, query)[text, photo], relevance[text, photo]


def figures_of(model: Model, score: np.ndarray, photos: list[str], own: np.ndarray) -> dict[str, Any]:
    """Errors and tau-c on the held-out pairs, score (n,), photos drawn whole; recall and hubs of the search."""
    figures: dict[str, Any] = {}
    said = model.pairs
    if model.scaled:
        squared, absolute = (said - score) ** 2, np.abs(said - score)
        figures["rmse"] = metrics.interval(photos, lambda rows: float(squared[rows].mean() ** 0.5), RESAMPLES)
        figures["mae"] = metrics.interval(photos, lambda rows: float(absolute[rows].mean()), RESAMPLES)
    if np.ptp(said) > 0:
        tau = partial(_tau, said, score)
        figures["tau_c"] = metrics.interval(photos, tau, RESAMPLES)
    queries = range(len(own))
    ranks = metrics.ranks_of_own(model.order, own)
    for k in KS:
        figures[f"recall@{k}"] = metrics.interval(queries, partial(_recall, ranks, k))
    top = np.argsort(-model.order, axis=1, kind="stable")[:, :10]
    has = metrics.has_most_shown(top)
    figures["largest_share"] = metrics.interval(queries, lambda rows: float(has[rows].mean()))
    figures["distinct@1"] = len(np.unique(top[:, 0]))
    figures["distinct@10"] = len(np.unique(top))
    figures["overlap@10"] = metrics.mean_overlap(top)
    return figures


def _tau(said: np.ndarray, score: np.ndarray, rows: np.ndarray) -> float:
    return metrics.kendall_tau_c(said[rows], score[rows])


def _recall(ranks: np.ndarray, k: int, rows: np.ndarray) -> float:
    return metrics.recall_at(ranks[rows], k)


COLUMNS = {
    "rmse": "RMSE",
    "mae": "MAE",
    "tau_c": "tau-c",
    "recall@1": "recall@1",
    "recall@5": "@5",
    "recall@10": "@10",
    "largest_share": "largest share",
    "overlap@10": "overlap",
    "distinct@1": "photos in top 1",
    "distinct@10": "in top 10",
}


def table(figures: Results) -> str:
    """The figures as a Markdown table, a line a model."""

    def shown(value: Any) -> str:
        if value is None:
            return "–"
        value = value["value"] if isinstance(value, dict) else value
        return str(value) if isinstance(value, int) else f"{value:.3f}"

    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, values in figures.items():
        lines.append(f"| {TITLES[name]} | {' | '.join(shown(values.get(key)) for key in COLUMNS)} |")
    return "\n".join(lines)


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
    # The report's part imports this file.
    from experiments.seed_project.report import sections_of
    from reranker.reports import Album, write_report
    from reranker.reports.page import check_file

    try:
        check_file(output)
        if json_file is not None:
            check_file(json_file)
        chosen = Policy.load(policy)
        judgments = load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say)
        image, title = choose_encoder(image_encoder, encoder_options(weights, preprocess), random_weights, device)
        encoders = (image, load_text_encoder("minilm"))
        with stages(quiet) as on_stage:
            on_step = (lambda line: None) if quiet else say
            project = seed_project(judgments, encoders, title, chosen, TrainSettings(seed=seed), on_stage, on_step)
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it stopped")
        sys.exit(130)
    album = Album.of(judgments, chosen)
    facts = [
        ("judged data", judged.resolve().name),
        ("image vectors", title),
        ("text vectors", "MiniLM, mean pooling"),
        ("policy", chosen.name),
        ("seed", str(seed)),
    ]
    write_report(output, "The seed project, and photoseek beside it", facts, sections_of(project, album))
    if json_file is not None:
        values = {"format": 1, "image_encoder": title, "seed": seed, **project.figures}
        json_file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    click.echo(f"image vectors: {title}\n\n{table(project.figures)}\n\nreport: {output}")


if __name__ == "__main__":
    main()
