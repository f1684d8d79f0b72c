"""What validation photos decide: which order is kept, and what the no-match decision learns from."""

import re
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.metrics.metrics import auroc, ranks_of_own, recall_at
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import PAIR_FEATURES, JointSpace, candidate_of
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.models.no_match import FEATURES, NoMatchClassifier, no_match_features
from reranker.ranker import NAMED_SCALE, ranking_scores
from reranker.training import validation
from reranker.training.examples import Gallery, PairSettings, WordQueries, candidate_scores, word_queries
from reranker.training.fit_joint_space import fit_joint_space
from reranker.training.train import candidate_mlp
from reranker.training.validation import (
    MISSED,
    OTHER_SUBJECTS,
    WORDS_SHARE,
    ask_captions,
    ask_words,
    gate,
    learn_no_match,
)
from tiny_judged import QUICK, Ears, made

pytestmark = pytest.mark.usefixtures("one_thread")

HUB = PAIR_FEATURES.index("hub")


def by(**weights: float) -> MLP:
    """An order that is a weighed sum of scalars, in the form of a network of two hidden units."""
    ws = np.zeros(len(PAIR_FEATURES), np.float32)
    for name, weight in weights.items():
        ws[PAIR_FEATURES.index(name)] = weight
    Wx, Wt, Ws = (np.zeros((rows, 2), np.float32) for rows in (40, 30, len(PAIR_FEATURES)))
    two = np.zeros(2, np.float32)
    return MLP(Wx, Wt, Ws, two, np.zeros((2, 1), np.float32), two[:1], two[:1], ws, two[:1])


GOOD, LATE, WORST = by(cosine=1), by(late=1), by(cosine=-1)


def is_kept(one: MLP | None, other: MLP | None) -> bool:
    """Whether these are the same weights, or both none."""
    if one is None or other is None:
        return one is other
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(MLP))


@dataclass(frozen=True, slots=True)
class Made:
    """Photos, of which the space has seen the first 40; galleries of 30 and of 10 others."""

    features: EmbeddedJudgments
    joint_space: JointSpace
    held: tuple[Gallery, Gallery]
    words: WordQueries


@pytest.fixture(scope="module")
def given() -> Made:
    features = made(80, seed=0, regions=True)[0]
    features = replace(features, owner=np.where(np.arange(320) % 8 == 7, -1, features.owner))
    joint_space = fit_joint_space(
        features,
        np.arange(40),
        LexicalFeatures.fit(features.texts),
        ClassNameHead.none(40, 30),
        QUICK.joint_space,
        0,
        "",
        lambda *_: None,
    )
    held = Gallery.of(features, np.arange(40, 70), joint_space), Gallery.of(features, np.arange(70, 80), joint_space)
    return Made(features, joint_space, held, word_queries(features, Ears(), PairSettings(word_captions=20)))


NO_WORDS = WordQueries((), np.zeros((0, 30), np.float32), Ears().encode_with_tokens(())[1], np.zeros((0, 80)))


def pair_features_of(given: Made, gallery: Gallery) -> tuple[np.ndarray, np.ndarray]:
    """Every caption's scalars, (captions, photos, 7), and the place of its own photo."""
    rows = np.flatnonzero(np.isin(given.features.owner, gallery.photos))
    query = gallery.queries(given.features, rows)
    own = np.array([gallery.photos.tolist().index(owner) for owner in given.features.owner[rows]])
    return gallery.joint_space.matrix(gallery.side, query, slice(0, len(rows))), own


def recalls(given: Made, column: str | None) -> list[float]:
    """Recall@1, 5 and 10 over both galleries' captions together, by one scalar or by the candidate stage."""
    ranks = []
    for gallery in given.held:
        pair_features, own = pair_features_of(given, gallery)
        scores = candidate_of(pair_features) if column is None else pair_features[..., PAIR_FEATURES.index(column)]
        ranks.append(ranks_of_own(scores, own))
    return [round(recall_at(np.concatenate(ranks), k), 4) for k in (1, 5, 10)]


def figures_of(candidates: list[float], reranked: list[float]) -> dict[str, float]:
    found = {"candidates": candidates, "reranked": reranked}
    return {f"{name}_recall@{k}": found[name][i] for name in found for i, k in enumerate((1, 5, 10))}


@pytest.mark.parametrize("base", [WORST, LATE])
def test_an_order_that_finds_as_much_as_the_base_or_more_is_kept_with_its_figures(given: Made, base: MLP):
    kept, verdict, figures = gate(given.features, given.held, base, LATE)
    assert is_kept(kept, LATE)
    assert verdict == "learned"
    assert figures == figures_of(recalls(given, None), recalls(given, "late"))
    assert recalls(given, None) != recalls(given, "late")


def test_an_order_that_finds_as_much_as_the_candidates_is_kept(given: Made):
    learned = replace(by(), ws=candidate_mlp(40, 30).ws)
    kept, verdict, figures = gate(given.features, given.held, None, learned)
    assert is_kept(kept, learned)
    assert verdict == "learned"
    assert figures == figures_of(recalls(given, None), recalls(given, None))


@pytest.mark.parametrize(("base", "what", "column"), [(None, "the candidates", None), (GOOD, "the base", "cosine")])
def test_an_order_that_finds_less_is_refused_and_the_figures_are_of_what_is_kept(
    given: Made, base: MLP | None, what: str, column: str | None
):
    kept, verdict, figures = gate(given.features, given.held, base, WORST)
    assert is_kept(kept, base)
    assert figures == figures_of(recalls(given, None), recalls(given, column))
    told = re.fullmatch(
        r"refused: on validation the learned one finds less \(recall@1 \+ 5 \+ 10 (\S+)\) than (.+) \((\S+)\)", verdict
    )
    assert told
    assert told[2] == what
    assert float(told[1]) < float(told[3]) == pytest.approx(sum(recalls(given, column)), abs=0.001)


def test_every_caption_of_a_gallerys_photos_is_asked_and_its_own_photo_fits(given: Made):
    for gallery in given.held:
        asked = ask_captions(given.features, gallery, LATE)
        pair_features, own = pair_features_of(given, gallery)
        # Seven of eight captions have an owner.
        assert len(own) == len(gallery.photos) * 7 // 2
        assert np.array_equal(asked.fits, own[:, None] == np.arange(len(gallery.photos)))
        np.testing.assert_allclose(asked.ranking_scores, pair_features[..., PAIR_FEATURES.index("late")], atol=1e-6)
        np.testing.assert_allclose(asked.candidates, candidate_of(pair_features), atol=1e-5)
        rows = np.flatnonzero(np.isin(given.features.owner, gallery.photos))
        np.testing.assert_allclose(asked.t, unit(given.features.t[rows]), atol=1e-6)


def test_every_usual_word_is_asked_and_photos_whose_captions_say_it_fit(given: Made):
    gallery = given.held[1]
    asked = ask_words(given.features, given.words, gallery, GOOD)
    said = [text.removeprefix("a photo of a ") for text in given.words.texts]
    owned = [set(np.flatnonzero(given.features.owner == photo)) for photo in gallery.photos]
    expected = [[any(word in given.features.texts[row].split() for row in rows) for rows in owned] for word in said]
    assert len(said) == 8
    assert asked.fits.tolist() == expected
    query = gallery.joint_space.encode_queries(given.words.t, given.words.texts, given.words.tokens)
    np.testing.assert_allclose(asked.candidates, candidate_scores(gallery.side, query), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(asked.t, axis=1), 1, atol=1e-6)


def test_an_order_is_asked_as_it_will_sort_the_hits(given: Made):
    generator = np.random.default_rng(0)
    learned = MLP(*(generator.standard_normal(getattr(GOOD, f.name).shape).astype(np.float32) for f in fields(MLP)))
    A, keys, values = (generator.standard_normal(shape).astype(np.float32) for shape in ((40, 3), (5, 30), (5, 3)))
    half_open = ClassNameHead(A, np.zeros(3, np.float32), unit(keys), unit(values), np.zeros(32, np.float32))
    named = replace(given.joint_space, class_names=half_open)
    gallery = Gallery.of(given.features, given.held[1].photos, named)
    asked = ask_words(given.features, given.words, gallery, learned)
    assert asked.side.gate == pytest.approx([0.5] * 8)
    for word in range(8):
        pair_features = named.pair_features(gallery.side, asked.side, word)
        parts = learned.photo_part(given.features.x[gallery.photos]), learned.text_part(asked.t[word : word + 1])[0]
        np.testing.assert_allclose(
            asked.ranking_scores[word], ranking_scores(learned, *parts, pair_features), atol=1e-4
        )
        logits = learned.logits(*parts, pair_features)
        both = 0.5 * logits + 0.5 * NAMED_SCALE * asked.candidates[word]
        np.testing.assert_allclose(asked.ranking_scores[word], both, atol=1e-4)


@pytest.fixture
def learned_from(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What the decision is fitted to: present, absent; filled by `learn_no_match`."""
    seen: list[np.ndarray] = []

    def fit_no_match(present: np.ndarray, absent: np.ndarray, missed: float) -> NoMatchClassifier:
        assert missed == MISSED
        seen[:] = present, absent
        return NoMatchClassifier((0.0,) * FEATURES, 0.0, 0.5)

    monkeypatch.setattr(validation, "fit_no_match", fit_no_match)
    return seen


def expected_photos(order: np.ndarray, fits: np.ndarray) -> tuple[list[int], list[int]]:
    """First hits by plain loops: of queries with a photo that fits; of all without those."""
    ranked = [np.argsort(-row).tolist() for row in order]
    others = [[photo for photo in row if not fits[query, photo]] for query, row in enumerate(ranked)]
    return [row[0] for query, row in enumerate(ranked) if fits[query].any()], [row[0] for row in others if row]


def photos_of(rows: np.ndarray, gallery: Gallery) -> list[int]:
    """Which photo each row of the decision's features is of, told by its hub term, which no other photo has."""
    distance = np.abs(rows[:, HUB, None] - gallery.side.hubness)
    assert distance.min(axis=1).max() < 1e-6
    return distance.argmin(axis=1).tolist()


def test_the_decision_learns_from_first_hits_with_and_without_every_photo_that_fits(given: Made, learned_from):
    gallery = given.held[0]
    assert len(np.unique(gallery.side.hubness.round(5))) == 30
    learn_no_match(given.features, given.words, [gallery], GOOD)
    captions = ask_captions(given.features, gallery, GOOD)
    words = ask_words(given.features, given.words, gallery, GOOD)
    present, absent = expected_photos(captions.ranking_scores, captions.fits)
    there, gone = expected_photos(words.ranking_scores, words.fits)
    # 105 captions and 8 words: each word is told round(0.3 * 105 / 8) = 4 times.
    assert photos_of(learned_from[0], gallery) == present + 4 * there
    assert photos_of(learned_from[1], gallery) == absent + 4 * gone
    # With the values of those very pairs.
    first = np.array(present)
    pair_features, _ = pair_features_of(given, gallery)
    every = np.arange(len(first))
    rows = no_match_features(
        captions.ranking_scores[every, first], pair_features[every, first], captions.side.query_hubness, 30
    )
    np.testing.assert_allclose(learned_from[0][: len(first)], rows, atol=1e-5)


def test_the_decision_learns_from_parts_of_a_gallery_too(given: Made, learned_from, monkeypatch):
    monkeypatch.setattr(validation, "FEWEST", 3)
    gallery = given.held[0]
    learn_no_match(given.features, NO_WORDS, [gallery], GOOD)
    growth = FEATURES // 2 - 2
    sizes = [np.exp((rows[:, growth] + rows[:, -2]) ** 2 / 2) for rows in learned_from]
    # 105 captions with their photo among all 30, and among it and a third or a tenth of the 29 others.
    assert len(sizes[0]) == 3 * 105
    assert sizes[0][:105].round(3).tolist() == [30] * 105
    assert sizes[0][105:210].mean() == pytest.approx(1 + 29 / 3, abs=1)
    assert sizes[0][210:].mean() == pytest.approx(1 + 29 / 10, abs=0.5)
    # Without it, and twice with as many photos of other subjects; a caption with nothing left is not told as absent.
    assert sizes[1][:105].round(3).tolist() == [29] * 105
    assert 3.9 * 105 < len(sizes[1]) <= 5 * 105
    assert sizes[1].round(3).min() == 1
    assert sizes[1].round(3).max() == 29


def test_other_subjects_are_the_photos_whose_captions_are_least_like_a_query(given: Made, learned_from, monkeypatch):
    # Half of the photos, all of that half: each caption finds the first hit of its own other half.
    monkeypatch.setattr(validation, "SHARES", (OTHER_SUBJECTS,))
    monkeypatch.setattr(validation, "FEWEST", 3)
    gallery = given.held[0]
    learn_no_match(given.features, NO_WORDS, [gallery], GOOD)
    asked = ask_captions(given.features, gallery, GOOD)
    said = [given.features.t[given.features.owner == photo] for photo in gallery.photos]
    likeness = asked.t @ unit(np.stack([unit(rows).mean(axis=0) for rows in said])).T
    np.testing.assert_allclose(asked.likeness, likeness, atol=1e-5)
    others = [
        set(np.argsort(row)[:15].tolist()) - {own} for row, own in zip(likeness, asked.fits.argmax(1), strict=True)
    ]
    expected = [max(photos, key=row.__getitem__) for photos, row in zip(others, asked.ranking_scores, strict=True)]
    assert photos_of(learned_from[1][-105:], gallery) == expected


def test_words_count_for_their_share_of_the_captions_in_every_gallery(given: Made, learned_from):
    for gallery, captions in zip(given.held, (105, 35), strict=True):
        learn_no_match(given.features, NO_WORDS, [gallery], GOOD)
        alone = len(learned_from[0])
        assert alone == captions
        learn_no_match(given.features, given.words, [gallery], GOOD)
        share = (len(learned_from[0]) - alone) / captions
        # Whole times of 8 words: up to 4 away from the share.
        assert share == pytest.approx(WORDS_SHARE, abs=4 / captions)


def test_a_word_that_every_photo_fits_is_never_told_as_absent(given: Made, learned_from):
    gallery = given.held[1]
    learn_no_match(given.features, NO_WORDS, [gallery], GOOD)
    alone = [len(rows) for rows in learned_from]
    everywhere = replace(given.words, fits=np.ones_like(given.words.fits))
    learn_no_match(given.features, everywhere, [gallery], GOOD)
    assert [len(rows) for rows in learned_from] == [alone[0] + 8, alone[1]]
    # With 8 of 10 photos gone, two are left.
    most = replace(given.words, fits=np.where(np.arange(80) < 78, 1, 0) * np.ones_like(given.words.fits))
    learn_no_match(given.features, most, [gallery], GOOD)
    assert [len(rows) for rows in learned_from] == [alone[0] + 8, alone[1] + 8]
    assert set(photos_of(learned_from[1][alone[1] :], gallery)) <= {8, 9}


def test_a_word_that_no_photo_fits_is_only_ever_absent(given: Made, learned_from):
    gallery = given.held[1]
    learn_no_match(given.features, NO_WORDS, [gallery], GOOD)
    alone = [len(rows) for rows in learned_from]
    learn_no_match(given.features, replace(given.words, fits=np.zeros_like(given.words.fits)), [gallery], GOOD)
    assert [len(rows) for rows in learned_from] == [alone[0], alone[1] + 8]


@pytest.mark.parametrize("with_words", [True, False])
def test_a_gallery_of_two_photos_is_enough(given: Made, learned_from, monkeypatch, with_words: bool):
    words = given.words if with_words else NO_WORDS
    gallery = Gallery.of(given.features, np.array([50, 61]), given.joint_space)
    learn_no_match(given.features, words, [gallery], GOOD)
    captions = ask_captions(given.features, gallery, GOOD)
    # Without its own photo a caption finds the other.
    assert photos_of(learned_from[1][:7], gallery) == (1 - captions.fits.argmax(axis=1)).tolist()
    if not with_words:
        assert [len(rows) for rows in learned_from] == [7, 7]
    monkeypatch.undo()
    match = learn_no_match(given.features, words, [gallery], GOOD)
    assert np.isfinite(match.weights).all()
    assert 0 < match.threshold < 1


@pytest.mark.parametrize("with_words", [True, False])
def test_no_match_is_likelier_where_the_photo_is_gone(given: Made, with_words: bool):
    match = learn_no_match(given.features, given.words if with_words else NO_WORDS, given.held, GOOD)
    # As many photos as the larger of the galleries it learned from.
    fresh = made(30, seed=1, regions=True)[0]
    gallery = Gallery.of(fresh, np.arange(30), given.joint_space)
    asked = ask_captions(fresh, gallery, GOOD)
    every = np.arange(len(fresh.texts))
    pair_features = given.joint_space.matrix(gallery.side, asked.side, slice(0, len(every)))

    def chance(order: np.ndarray) -> np.ndarray:
        first = order.argmax(axis=1)
        return match.probability(
            no_match_features(order[every, first], pair_features[every, first], asked.side.query_hubness, 30)
        )

    there, gone = chance(asked.ranking_scores), chance(np.where(asked.fits, -np.inf, asked.ranking_scores))
    assert auroc(there, gone) > 0.7
    assert (there < match.threshold).mean() < 0.2
