"""Tuning a linear map: captions, weights of photos, words and short phrases."""

from dataclasses import replace

import numpy as np
import pytest

from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.linear_map import LinearMap, unit
from reranker.training.joint_space.fit_linear_map import MapSettings, fit_cca
from reranker.training.joint_space.tune_linear_map import (
    MapPairs,
    PhrasePhotos,
    captions_by_photo,
    fit_map,
    photo_batches,
    tune_map,
)


def wide(photos: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw photos and sentences with eight shared directions in 40 and 30 dimensions, three sentences per photo."""
    generator = np.random.default_rng(seed)
    known = np.random.default_rng(7)
    hidden = generator.standard_normal((photos, 8))
    photo = np.repeat(np.arange(photos), 3)
    x = hidden @ known.standard_normal((8, 40)) + 1.5 * generator.standard_normal((photos, 40))
    t = hidden[photo] @ known.standard_normal((8, 30)) + 1.5 * generator.standard_normal((len(photo), 30))
    return unit(x), unit(t), photo


def recall(joint_space: LinearMap, data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    x, t, photo = data
    return recall_at(ranks_of_own(joint_space.texts(t) @ joint_space.images(x).T, photo), 1)


def contrastive_loss(joint_space: LinearMap, data: tuple[np.ndarray, np.ndarray, np.ndarray], scale: float) -> float:
    """Cross-entropy from sentence to photo among all photos."""
    x, t, photo = data
    logits = scale * joint_space.texts(t) @ joint_space.images(x).T
    return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(t)), photo]).mean())


TUNING = MapSettings(k=8, epochs=40, batch=50, dropout_images=0.2, dropout_texts=0.1)


@pytest.mark.usefixtures("one_thread")
def test_tuning_a_rough_start_lowers_the_loss_and_finds_more_photos_that_it_has_not_seen():
    data, fresh = wide(150, seed=0), wide(150, seed=1)
    generator = np.random.default_rng(0)
    exact = fit_cca(*data, MapSettings(k=8))
    rough = replace(exact, A=exact.A + exact.A.std() * generator.standard_normal(exact.A.shape).astype(np.float32))
    tuned = tune_map(rough, MapPairs(*data), TUNING)
    assert contrastive_loss(tuned, data, 20.0) < 0.7 * contrastive_loss(rough, data, 20.0)
    assert recall(tuned, fresh) > recall(rough, fresh) + 0.1
    # Chance is 1 / 150.
    assert recall(tuned, fresh) > 0.4


@pytest.mark.usefixtures("one_thread")
def test_tuning_repeats_for_a_seed_differs_for_another_and_leaves_its_start_alone():
    data = wide(60, seed=0)
    start = fit_cca(*data, MapSettings(k=8))
    before = [weight.copy() for weight in (start.A, start.a, start.B, start.b)]
    steps: list[tuple[int, int]] = []
    settings = replace(TUNING, epochs=3, batch=20)
    one = tune_map(
        start, MapPairs(*data), settings, seed=5, on_progress=lambda done, total: steps.append((done, total))
    )
    again, other = (
        tune_map(start, MapPairs(*data), settings, seed=5),
        tune_map(start, MapPairs(*data), settings, seed=6),
    )
    assert np.array_equal(one.A, again.A)
    assert np.array_equal(one.B, again.B)
    assert not np.array_equal(one.A, other.A)
    for weight, kept in zip((start.A, start.a, start.B, start.b), before, strict=True):
        assert np.array_equal(weight, kept)
    # 3 epochs of 60 photos in batches of 20.
    assert steps == [(done, 9) for done in range(1, 10)]


@pytest.mark.usefixtures("one_thread")
def test_photos_with_one_caption_or_none_can_be_tuned_on():
    x, t, photo = wide(40, seed=0)
    kept = np.flatnonzero((photo % 4 != 0) & ((np.arange(len(t)) % 3 == 0) | (photo % 2 == 0)))
    pairs = MapPairs(x, t[kept], photo[kept])
    tuned = tune_map(fit_cca(x, t[kept], photo[kept], MapSettings(k=4)), pairs, replace(TUNING, epochs=2))
    assert np.isfinite(tuned.A).all()
    assert np.isfinite(tuned.B).all()


def test_no_epochs_leave_the_closed_form_as_it_is():
    data = wide(60, seed=0)
    settings = MapSettings(k=8, epochs=0)
    closed, fitted = fit_cca(*data, settings), fit_map(MapPairs(*data), settings)
    assert np.array_equal(closed.A, fitted.A)
    assert np.array_equal(closed.b, fitted.b)


def test_captions_are_found_by_their_photo():
    photos, captions = captions_by_photo(np.array([5, 2, 5, 9, 2, 5]))
    assert photos.tolist() == [2, 5, 9]
    assert [rows.tolist() for rows in captions] == [[1, 4], [0, 2, 5], [3]]


def batches(weights: list[float], batch: int, steps: int, seed: int = 0) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [chosen.tolist() for chosen in photo_batches(generator, np.array(weights), batch, steps)]


def test_photos_of_weight_1_come_once_an_epoch_in_whole_batches():
    found = batches([1] * 7, 3, 6)
    assert [len(chosen) for chosen in found] == [3] * 6
    # An epoch has two batches of seven photos; the one that is left over is not seen.
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert len({*first, *second}) == 6
    assert found[:2] != found[2:4]


def test_photos_of_weight_2_come_twice_and_of_half_a_weight_every_other_time():
    weights = [1.0, 2.0, 0.5, 1.5]
    # An epoch has 1 + 2 + 0.5 + 1.5 = 5 photos in the mean: 2,000 photos are 400 epochs.
    counts = np.bincount(np.concatenate(batches(weights, 1, 2000)), minlength=4)
    assert counts.sum() == 2000
    np.testing.assert_allclose(counts / 400, weights, atol=0.1)
    assert counts[1] == pytest.approx(2 * counts[0], abs=2)


def test_batches_that_are_longer_than_an_epoch_take_several():
    (only,) = batches([0.25] * 4, 6, 1)
    assert len(only) == 6
    assert set(only) <= {0, 1, 2, 3}


def mean_cosine(joint_space: LinearMap, data: tuple[np.ndarray, np.ndarray, np.ndarray], photos: np.ndarray) -> float:
    """Mean cosine of the captions of some photos with them, less that with all."""
    x, t, photo = data
    rows = np.flatnonzero(np.isin(photo, photos))
    cosines = joint_space.texts(t[rows]) @ joint_space.images(x).T
    return float((cosines[np.arange(len(rows)), photo[rows]] - cosines.mean(axis=1)).mean())


@pytest.mark.usefixtures("one_thread")
def test_photos_that_are_seen_more_often_are_learned_better():
    data = wide(60, seed=0)
    start = fit_cca(*data, MapSettings(k=4))
    settings = replace(TUNING, epochs=6, batch=20)
    first, last = np.arange(30), np.arange(30, 60)
    steps: list[int] = []

    def tuned(weights: np.ndarray | None) -> LinearMap:
        return tune_map(start, MapPairs(*data, weights), settings, 0, lambda done, total: steps.append(total))

    more_of_first, more_of_last = (tuned(np.where(np.isin(np.arange(60), side), 4, 0.25)) for side in (first, last))
    for side, more, less in ((first, more_of_first, more_of_last), (last, more_of_last, more_of_first)):
        assert mean_cosine(more, data, side) > mean_cosine(less, data, side)
    # 6 epochs of 30 x 4 + 30 x 0.25 photos, in batches of 20.
    assert set(steps) == {round(6 * 127.5 / 20)}
    assert np.array_equal(tuned(None).A, tuned(np.ones(60)).A)


@pytest.mark.usefixtures("one_thread")
def test_phrases_lead_to_the_photos_that_they_fit():
    data = wide(60, seed=0)
    generator = np.random.default_rng(1)
    # Two phrases that no caption says anything of, each for the photos on one side of a direction.
    words = unit(generator.standard_normal((2, 30)))
    along = data[0] @ generator.standard_normal(40)
    fits = np.stack([along > np.median(along), along <= np.median(along)])
    start = fit_cca(*data, MapSettings(k=8))
    settings = replace(TUNING, epochs=20, batch=30, phrase_weight=1.0)

    def contrast(joint_space: LinearMap) -> float:
        cosines = joint_space.texts(words) @ joint_space.images(data[0]).T
        return float(cosines[fits].mean() - cosines[~fits].mean())

    with_phrases = tune_map(start, MapPairs(*data, phrases=PhrasePhotos(words, fits)), settings)
    without = tune_map(start, MapPairs(*data), settings)
    assert contrast(with_phrases) > contrast(without) + 0.1
    assert recall(with_phrases, data) > 0.5


@pytest.mark.usefixtures("one_thread")
def test_phrases_that_fit_none_of_a_batch_teach_nothing_in_it():
    data = wide(30, seed=0)
    fits = np.zeros((1, 30), bool)
    fits[0, 0] = True
    phrases = PhrasePhotos(unit(np.random.default_rng(1).standard_normal((1, 30))), fits)
    tuned = tune_map(
        fit_cca(*data, MapSettings(k=4)), MapPairs(*data, phrases=phrases), replace(TUNING, epochs=1, batch=5)
    )
    assert np.isfinite(tuned.A).all()
    assert np.isfinite(tuned.B).all()
