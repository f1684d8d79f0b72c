"""The learning curve: more training photos find more held-out ones, and no held-out photo is trained on."""

from dataclasses import replace

import numpy as np

from experiments import learning_curve as module
from experiments.learning_curve import learning_curve
from reranker.judgments.training_sets import PhotoSets
from reranker.training.examples.phrase_examples import find_phrases
from tiny_judged import ENCODERS, made

PHOTOS = 120


def test_each_set_is_measured_and_more_photos_find_more(monkeypatch):
    monkeypatch.setattr(module, "COUNTS", (3, 500))
    embedded = made(PHOTOS, seed=0)[0]
    set_of = np.repeat([0, 1], [80, 40])
    embedded = replace(embedded, photo_sets=PhotoSets(("a", "b"), np.ones(2, np.float32), np.zeros(2, bool), set_of))
    fitted = []

    def fit(embedded, photos, *rest):
        fitted.append(set(photos.tolist()))
        return real(embedded, photos, *rest)

    real = module._fit
    monkeypatch.setattr(module, "_fit", fit)
    points = list(learning_curve(embedded, find_phrases(embedded, ENCODERS[1], 10), seed=0))
    # 15 % of 80 and of 40 photos are held out.
    assert [(point.photos, point.name) for point in points] == [(3, "a"), (3, "b"), (102, "a"), (102, "b")]
    assert fitted[0] < fitted[1]
    assert len(fitted[1]) == 102
    for few, many in zip(points[:2], points[2:], strict=True):
        assert sum(many.recalls) > sum(few.recalls)
        assert few.recalls == tuple(sorted(few.recalls))
