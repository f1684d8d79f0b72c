"""The ranker of a joint encoder: its relevance is the encoder's own, and nothing of it is learned."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checkpoints.tiny_huggingface import PHOTOS
from checkpoints.tiny_joint import JointCheckpoint, make_clip, make_siglip
from indexer.encoders import Tokens, load_image_encoder, load_text_encoder
from indexer.encoders.text_encoder import PairLogits
from indexer.photos.square_transform import to_square
from reranker.joint_ranker import everyday_captions, make_joint_ranker
from reranker.models.joint_space import PAIR_FEATURES, candidate_scores
from reranker.models.linear_map import unit
from reranker.ranker import NOT_CALIBRATED, Ranker
from reranker.ranking import Candidates, rank_candidates

D = 6
TEXTS = ["two children play football on the beach at sunset", "the red jacket of a dog on the beach"]


class Side:
    """Text side of a joint encoder that gives every text a random direction of its own."""

    name, fingerprint, dim = "clip:eyes", "clip:eyes@2", D

    def __init__(self, bias: float | None) -> None:
        self.pair_logits = PairLogits(20.0, bias)

    def encode(self, texts) -> np.ndarray:
        seeds = [sum(text.encode()) + len(text) for text in texts]
        return unit(np.stack([np.random.default_rng(seed).standard_normal(D) for seed in seeds]))


def made(bias: float | None) -> tuple[Ranker, Side, np.ndarray]:
    """Return a ranker, its text side, and nine photos."""
    side = Side(bias)
    photos = unit(np.random.default_rng(5).standard_normal((9, D)))
    return make_joint_ranker("clip:eyes@1", side), side, photos


def relevance(ranker: Ranker, photos: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Relevance of every photo for every text: (texts, photos)."""
    queries = ranker.encode_queries(vectors, [""] * len(vectors), Tokens.none(len(vectors)))
    encoded = ranker.encode_photos(photos)
    return np.stack([ranker.scores(encoded, queries, row).relevance for row in range(len(vectors))])


def test_the_shipped_captions_are_a_thousand_sentences() -> None:
    captions = everyday_captions()
    assert (len(captions), len(set(captions))) == (1000, 1000)
    assert {len(caption.split()) for caption in captions} == set(range(5, 17))


def test_with_a_bias_relevance_is_the_sigmoid_of_the_logit() -> None:
    ranker, side, photos = made(-4.0)
    vectors = side.encode(TEXTS)
    expected = 1 / (1 + np.exp(-(20 * vectors @ photos.T - 4)))
    assert relevance(ranker, photos, vectors) == pytest.approx(expected, abs=1e-4)


def test_without_a_bias_relevance_is_a_softmax_among_the_nearest_captions() -> None:
    ranker, side, photos = made(None)
    vectors = side.encode(TEXTS)
    nearest = np.sort(20 * photos @ side.encode(everyday_captions()).T, axis=1)[:, -10:]
    own = np.exp(20 * vectors @ photos.T)
    expected = own / (own + 10 * np.exp(nearest.mean(axis=1)))
    # The ranker keeps its captions in eight bits.
    assert relevance(ranker, photos, vectors) == pytest.approx(expected, abs=0.01)


def test_hits_are_in_the_order_of_their_cosine_less_half_their_hubness() -> None:
    ranker, side, photos = made(None)
    nearest = np.sort(photos @ side.encode(everyday_captions()).T, axis=1)[:, -10:].mean(axis=1)
    queries = ranker.encode_queries(side.encode(TEXTS), TEXTS, Tokens.none(2))
    encoded = ranker.encode_photos(photos)
    corrected = side.encode(TEXTS) @ photos.T - 0.5 * nearest
    assert candidate_scores(encoded, queries) == pytest.approx(corrected, abs=2e-3)
    scores = ranker.scores(encoded, queries, 1)
    assert scores.ranking_scores == pytest.approx(20 * corrected[1], abs=0.04)
    assert scores.pair_features[:, PAIR_FEATURES.index("cosine")] == pytest.approx((side.encode(TEXTS) @ photos.T)[1])
    assert (queries.gate.tolist(), queries.query_hubness.tolist()) == ([0, 0], [0, 0])


@pytest.mark.parametrize("bias", [None, -4.0])
def test_the_chance_of_a_match_is_the_relevance_of_the_first_hit(bias: float | None) -> None:
    ranker, side, photos = made(bias)
    queries = ranker.encode_queries(side.encode(TEXTS), TEXTS, Tokens.none(2))
    ranked = rank_candidates(ranker, Candidates(np.arange(9), ranker.encode_photos(photos), 9), queries, 0)
    assert ranked.match_probability == pytest.approx(ranked.relevance[0], rel=1e-4)
    assert ranker.no_match.threshold == 0.001
    # A photo that is all that the text is not.
    opposite = ranker.encode_photos(-side.encode(TEXTS[:1]))
    alone = rank_candidates(ranker, Candidates(np.arange(1), opposite, 1), queries, 0)
    assert alone.match_probability < 1e-6


def test_it_is_saved_as_any_ranker_and_says_that_it_is_not_calibrated(tmp_path: Path) -> None:
    ranker, side, photos = made(-4.0)
    ranker.save(tmp_path / "ranker")
    loaded = Ranker.load(tmp_path / "ranker")
    assert loaded.id == ranker.id
    assert (loaded.image_encoder, loaded.text_encoder) == ("clip:eyes@1", "clip:eyes@2")
    assert (loaded.image_encoder_name, loaded.text_encoder_name) == ("clip:eyes", "clip:eyes")
    assert np.array_equal(relevance(loaded, photos, side.encode(TEXTS)), relevance(ranker, photos, side.encode(TEXTS)))
    assert loaded.training == {
        "calibration": NOT_CALIBRATED,
        "relevance": "sigmoid of the pair's logit",
        "logit_scale": 20.0,
        "logit_bias": -4.0,
        "captions": 1000,
    }
    assert not loaded.is_calibrated
    assert replace(loaded, training={"calibration": "beta"}).is_calibrated
    assert {name: len(rows) for name, rows in loaded.queries().items()} == {"captions": 1000}


def test_progress_is_told_caption_by_caption_hundred() -> None:
    seen: list[tuple[int, int]] = []
    make_joint_ranker("clip:eyes@1", Side(None), lambda done, total: seen.append((done, total)))
    assert seen == [(done, 1000) for done in range(100, 1001, 100)]


@pytest.fixture
def seeded_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    import torch

    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint's ranker, PHOTOS as the network's squares, their vectors and those of TEXTS by photoseek's steps."""

    ranker: Ranker
    squares: list[Image.Image]
    photos: np.ndarray
    texts: np.ndarray


def load(own: JointCheckpoint) -> Loaded:
    images = load_image_encoder(f"clip:{own.folder}", device="cpu", precision="f32")
    texts = load_text_encoder(f"clip:{own.folder}", precision="f32")
    squares = [to_square(photo, images.transform) for photo in PHOTOS]
    vectors = images.encode(np.stack([np.asarray(square) for square in squares]))
    return Loaded(make_joint_ranker(images.fingerprint, texts), squares, vectors, texts.encode(TEXTS))


@pytest.mark.usefixtures("seeded_cache")
def test_the_relevance_of_a_siglip_is_that_of_its_library(tmp_path: Path) -> None:
    own = make_siglip(tmp_path / "siglip")
    loaded = load(own)
    expected = 1 / (1 + np.exp(-own.logits(TEXTS, loaded.squares)))
    assert relevance(loaded.ranker, loaded.photos, loaded.texts) == pytest.approx(expected, rel=1e-3)


@pytest.mark.usefixtures("seeded_cache")
def test_the_relevance_of_a_clip_is_a_softmax_of_its_librarys_logits(tmp_path: Path) -> None:
    own = make_clip(tmp_path / "clip")
    loaded = load(own)
    nearest = np.sort(own.logits(everyday_captions(), loaded.squares), axis=0)[-10:].mean(axis=0)
    asked = np.exp(own.logits(TEXTS, loaded.squares))
    expected = asked / (asked + 10 * np.exp(nearest))
    # The ranker keeps its captions in eight bits.
    assert relevance(loaded.ranker, loaded.photos, loaded.texts) == pytest.approx(expected, rel=0.02)
