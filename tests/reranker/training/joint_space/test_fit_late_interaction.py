"""Fitting late interaction: words find the regions of photos that they were not fitted on."""

from dataclasses import replace

import numpy as np
import pytest

from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.training.joint_space.fit_late_interaction import LateInteractionSettings, fit_late_interaction
from tiny_judged import made

QUICK = LateInteractionSettings(k=32, epochs=15, batch=30, dropout_images=0.2, dropout_texts=0.1, hubness_captions=50)


@pytest.mark.usefixtures("one_thread")
def test_fitting_tells_photos_apart_by_their_regions_that_it_has_not_seen():
    features, _, _ = made(120, seed=0, regions=True)
    fresh, _, _ = made(60, seed=1, regions=True)
    fitted = fit_late_interaction(features.regions, features.tokens, features.owner, QUICK)
    scores = fitted.matrix(fitted.regions(fresh.regions), fitted.tokens(fresh.tokens))
    # A caption names two of eight words, in any order: 28 pairs, so that about two of 60 photos fit each.
    same = np.array([[a == b for b in fresh.texts[::4]] for a in fresh.texts])
    swapped = np.array([[a == " and ".join(b.split(" and ")[::-1]) for b in fresh.texts[::4]] for a in fresh.texts])
    fits = same | swapped
    best = scores.argmax(axis=1)
    assert fits.mean() < 0.08
    assert fits[np.arange(len(best)), best].mean() > 0.9
    assert recall_at(ranks_of_own(scores, fresh.owner), 10) > 0.95
    assert len(fitted.bank.offsets) == QUICK.hubness_captions + 1
    assert fitted.pieces.tolist() == list(range(8))


@pytest.mark.usefixtures("one_thread")
def test_fitting_repeats_for_a_seed_differs_for_another_and_reports_its_steps():
    features, _, _ = made(40, seed=0, regions=True)
    settings = replace(QUICK, epochs=3, batch=20)
    steps: list[tuple[int, int]] = []
    arguments = (features.regions, features.tokens, features.owner, settings)
    one = fit_late_interaction(*arguments, 5, lambda done, total: steps.append((done, total)))
    again, other = fit_late_interaction(*arguments, 5), fit_late_interaction(*arguments, 6)
    assert np.array_equal(one.A, again.A)
    assert np.array_equal(one.bank.vectors, again.bank.vectors)
    assert not np.array_equal(one.A, other.A)
    # 3 epochs of 40 photos in batches of 20.
    assert steps == [(done, 6) for done in range(1, 7)]


@pytest.mark.usefixtures("one_thread")
def test_pieces_of_fewer_than_five_captions_share_one_vector_and_one_weight():
    features, _, _ = made(30, seed=0, regions=True)
    pieces = features.tokens.pieces.copy()
    pieces[:3], pieces[3] = 100, 101  # of two captions and of one
    tokens = replace(features.tokens, pieces=pieces)
    fitted = fit_late_interaction(features.regions, tokens, features.owner, replace(QUICK, epochs=1))
    assert set(fitted.pieces.tolist()) == set(range(8))
    assert len(fitted.words) == len(fitted.worth) == 9
    rare = replace(tokens, pieces=np.where(pieces >= 100, 55, pieces))
    assert np.array_equal(fitted.tokens(tokens).vectors, fitted.tokens(rare).vectors)


@pytest.mark.usefixtures("one_thread")
def test_photos_without_a_caption_do_not_stop_a_fit():
    features, _, _ = made(30, seed=0, regions=True)
    kept = np.flatnonzero(features.owner % 3 != 0)
    fitted = fit_late_interaction(
        features.regions, features.tokens.select(kept), features.owner[kept], replace(QUICK, epochs=2)
    )
    assert np.isfinite(fitted.A).all()
    assert np.isfinite(fitted.words).all()
