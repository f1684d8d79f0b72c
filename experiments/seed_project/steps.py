"""Run the steps of the seed project, each a function that returns a frozen dataclass.

photos, captions, experts' grades -> majority score -> policy filter -> [image vector ; text vector]
    -> 7:3 split by photo -> Ridge, a plain net | photoseek -> search over the test photos
"""

from collections.abc import Callable

import numpy as np

from experiments.seed_project.checks import check_data
from experiments.seed_project.models import train_baselines, train_photoseek
from experiments.seed_project.project import ScoredPairs, SeedProject, Selection, Vectors
from experiments.seed_project.results import measure_models
from indexer.encoders import ImageEncoder, TextEncoder
from indexer.errors import PhotoseekError
from reranker.gallery_ranking import GalleryPhotos, GalleryQueries
from reranker.judgments.aggregate import Pair, PairScore, majority
from reranker.judgments.checks import check_judgments
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments, embed_photos, embed_with_tokens
from reranker.judgments.judgments import Judgments, grouped_split
from reranker.moderation.policy import Policy
from reranker.training import OnStage
from reranker.training.train import TrainSettings
from reranker.training.train_ranker import training_photos

# Share of the photos that is held out: the course's split of 7:3.
HELD_OUT_SHARE = 0.3


def run_seed_project(
    judgments: Judgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    image_title: str,
    policy: Policy,
    settings: TrainSettings,
    on_stage: OnStage,
    on_step: Callable[[str], None],
) -> SeedProject:
    """Run every step of the project, and train photoseek's ranker on the same photos.

    Args:
        judgments: The judged folder.
        encoders: The image encoder and the text encoder.
        image_title: The image encoder in words.
        policy: Leaves out the photos that it protects.
        settings: Settings of photoseek's training; its seed is that of the split and of the net, too.
        on_stage: Called with the name of a stage, the units done and their total.
        on_step: Called with one line about each step.

    Returns:
        The data, the models and their results.

    Raises:
        PhotoseekError: There are fewer than two test queries, or too few pairs with a majority to learn from.
    """
    selection = select_photos(judgments, policy)
    judged, kept = selection.judged, selection.kept
    on_step(f"1-2 loading, exploration: {len(judged.photos)} judged photos, {len(judged.expert)} pairs with grades")
    scores = score_pairs(selection)
    on_step(
        f"3 generalised score: {len(scores)} pairs with a majority; policy {policy.name} left out "
        f"{len(judged.photos) - len(kept.photos)} photos"
    )
    vectors = embed(selection, encoders, image_title, on_stage)
    pairs = split_pairs(vectors.features, scores, settings.seed)
    checks = check_data(selection, vectors.features, pairs)
    findings = check_judgments(judgments.folder, None)
    failed = [check.condition for check in checks if not check.passed]
    on_step(f"4 checks: {', '.join(failed) + ' FAILED' if failed else f'all {len(checks)} passed'}")
    on_step(
        f"5-7 vectors: {vectors.features.x.shape[1]} of the photo beside {vectors.sentences.shape[1]} of the text, "
        f"{len(pairs.names)} rows"
    )
    models = train_baselines(vectors, pairs, settings.seed, on_step)
    ranker, photoseek_models = train_photoseek(selection, vectors, pairs, encoders, settings, on_stage)
    models |= photoseek_models
    seconds = models["photoseek"].seconds
    on_step(f"8 training: photoseek on the same {len(pairs.train_photos)} photos, {seconds:.1f} s")
    results = measure_models(models, pairs, vectors.own_photos)
    return SeedProject(selection, vectors, pairs, checks, findings, models, ranker, results)


def select_photos(judgments: Judgments, policy: Policy) -> Selection:
    """Select the judged photos that a policy leaves.

    Args:
        judgments: The judged folder.
        policy: Leaves out the photos that it protects.

    Returns:
        The judged photos before and after the policy.

    Raises:
        PhotoseekError: The folder has fewer than two test queries.
    """
    if not judgments.queries:
        raise PhotoseekError(
            f"judged data {judgments.folder} has no test_queries.csv with test_images.csv to search in"
        )
    if len(judgments.queries) < 2:
        raise PhotoseekError(f"judged data {judgments.folder} has one test query; only two can get the same photos")
    judged = judgments.restrict(training_photos(judgments, None))
    return Selection(judgments, judged, policy.filter(judged), policy)


def score_pairs(selection: Selection) -> dict[Pair, PairScore]:
    """Score the pairs by the grade that most of the experts gave.

    Args:
        selection: The photos to learn from.

    Returns:
        The score of each pair that has a majority.

    Raises:
        PhotoseekError: Fewer than two photos have such a pair.
    """
    scores = majority(selection.kept.expert, ())
    if len({photo for photo, _ in scores}) < 2:
        raise PhotoseekError(
            f"judged data {selection.judgments.folder}: policy {selection.policy.name} leaves no two photos with a "
            "grade that two experts agree on; nothing to learn"
        )
    return scores


def embed(
    selection: Selection, encoders: tuple[ImageEncoder, TextEncoder], image_title: str, on_stage: OnStage
) -> Vectors:
    """Embed the photos and captions to learn from, the test photos and the test queries.

    Args:
        selection: The photos to learn from.
        encoders: The image encoder and the text encoder.
        image_title: The image encoder in words.
        on_stage: Called with the name of a stage, the units done and their total.

    Returns:
        The vectors, and the photo that each query was written for.
    """
    judgments = selection.judgments
    features = embed_judgments(
        selection.kept, *encoders, lambda done, total: on_stage("image and text vectors", done, total)
    )
    photos = GalleryPhotos(*embed_photos([judgments.photos[name] for name in judgments.test_photos], encoders[0]))
    texts = [query.text for query in judgments.queries]
    queries = GalleryQueries(texts, *embed_with_tokens(texts, encoders[1]))
    own_photos = np.array([judgments.test_photos.index(query.photo) for query in judgments.queries])
    return Vectors(image_title, features, photos, queries, own_photos)


def split_pairs(features: EmbeddedJudgments, scores: dict[Pair, PairScore], seed: int) -> ScoredPairs:
    """Find the scored pairs in the features and split them 7:3 by photo.

    Args:
        features: The photos and captions to learn from.
        scores: The score of each pair.
        seed: Seed of the split.

    Returns:
        The pairs as rows of the features.
    """
    photo_row = {name: row for row, name in enumerate(features.photos)}
    text_row = {caption: row for row, caption in enumerate(features.captions)}
    photo_rows = np.array([photo_row[name] for name, _ in scores])
    train, held_out = grouped_split(photo_rows, HELD_OUT_SHARE, seed)
    return ScoredPairs(
        names=tuple(scores),
        photo_rows=photo_rows,
        text_rows=np.array([text_row[caption] for _, caption in scores]),
        scores=np.array([pair.score for pair in scores.values()]),
        train=train,
        held_out=held_out,
    )
