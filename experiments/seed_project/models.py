"""Train the models of the seed project and score the held-out pairs and the test photos with them."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from experiments.seed_project.project import TITLES, ModelScores, ScoredPairs, Selection, Vectors
from indexer.encoders import ImageEncoder, TextEncoder
from reranker.evaluation.baselines import chance, concatenated, fit_plain_net, fit_ridge_pairs, score_every_pair
from reranker.gallery_ranking import rank_gallery
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import candidate_scores
from reranker.ranker import Ranker
from reranker.training import OnStage
from reranker.training.train import TrainSettings, train


def train_baselines(
    vectors: Vectors, pairs: ScoredPairs, seed: int, on_step: Callable[[str], None]
) -> dict[str, ModelScores]:
    """Train Ridge and the plain net on the concatenated vectors of the pairs.

    Args:
        vectors: The image and text vectors.
        pairs: The scored pairs and their split.
        seed: Seed of the net and of the random order.
        on_step: Called with one line about each model.

    Returns:
        The scores of "chance" (the mean score, a random order), "ridge" and "net".
    """
    test_photos, queries = vectors.test_photos.x, vectors.query_sentences
    joined = concatenated(vectors.features.x[pairs.photo_rows], vectors.sentences[pairs.text_rows])
    rows, scores = joined[pairs.train], pairs.scores[pairs.train]
    mean = np.full(len(pairs.held_out), scores.mean())
    models = {"chance": ModelScores(mean, chance(len(queries), len(test_photos), seed), from_0_to_1=True)}
    fits = {"ridge": partial(fit_ridge_pairs, rows, scores), "net": partial(fit_plain_net, rows, scores, seed)}
    for name, fit in fits.items():
        start = time.perf_counter()
        model = fit()
        seconds = time.perf_counter() - start
        search_scores = score_every_pair(model, test_photos, queries)
        models[name] = ModelScores(model.predict(joined[pairs.held_out]), search_scores, True, seconds)
        on_step(f"8 training: {TITLES[name]}, {seconds:.1f} s")
    return models


def train_photoseek(
    selection: Selection,
    vectors: Vectors,
    pairs: ScoredPairs,
    encoders: tuple[ImageEncoder, TextEncoder],
    settings: TrainSettings,
    on_stage: OnStage,
) -> tuple[Ranker, dict[str, ModelScores]]:
    """Train photoseek's ranker on the photos that the baselines learned from.

    Args:
        selection: The photos to learn from.
        vectors: The image and text vectors.
        pairs: The scored pairs and their split.
        encoders: The image encoder and the text encoder.
        settings: Settings of the training.
        on_stage: Called with the name of a stage, the units done and their total.

    Returns:
        The ranker, and the scores of "candidates" and "photoseek".
    """
    start = time.perf_counter()
    names = pairs.train_photos
    rows = np.array([row for row, name in enumerate(vectors.features.photos) if name in names])
    features = vectors.features.select(rows)
    ranker = train(features, selection.kept.restrict(names), encoders, settings, on_stage=on_stage)
    seconds = time.perf_counter() - start
    found = rank_gallery(ranker, vectors.test_photos, vectors.test_queries)
    candidates, relevance = score_held_out_pairs(ranker, vectors.features, pairs)
    models = {
        "candidates": ModelScores(candidates, found.candidate_scores, from_0_to_1=False),
        "photoseek": ModelScores(relevance, found.ranking_scores, True, seconds),
    }
    return ranker, models


def score_held_out_pairs(
    ranker: Ranker, features: EmbeddedJudgments, pairs: ScoredPairs
) -> tuple[np.ndarray, np.ndarray]:
    """Score the held-out pairs with a ranker.

    Args:
        ranker: The ranker.
        features: The photos and captions that the pairs are rows of.
        pairs: The scored pairs and their split.

    Returns:
        The candidate scores and the relevances from 0 to 1, each (held-out pairs,) float32.
    """
    photo_rows, photo = np.unique(pairs.photo_rows[pairs.held_out], return_inverse=True)
    text_rows, text = np.unique(pairs.text_rows[pairs.held_out], return_inverse=True)
    held_out = features.select(photo_rows)
    photos = ranker.encode_photos(held_out.x, held_out.regions)
    texts = [held_out.texts[row] for row in text_rows]
    queries = ranker.encode_queries(held_out.t[text_rows], texts, held_out.tokens.select(text_rows))
    relevance = np.stack([ranker.scores(photos, queries, row).relevance for row in range(len(text_rows))])
    return candidate_scores(photos, queries)[text, photo], relevance[text, photo]
