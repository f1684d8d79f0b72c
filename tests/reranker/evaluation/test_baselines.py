"""Baselines: each against the library's own, and the failure of the seed project's model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge

from indexer.encoders import Tokens
from reranker.evaluation import baselines
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import CrowdRow, Judgments
from reranker.metrics.hubs import largest_share
from reranker.models.linear_map import unit
from reranker.training.joint_space.fit_linear_map import MapSettings, fit_cca


def made() -> tuple[EmbeddedJudgments, Judgments]:
    generator = np.random.default_rng(0)
    names = tuple(f"{i}.jpg" for i in range(20))
    captions = tuple(f"{name}#0" for name in names)
    x, t = unit(generator.standard_normal((20, 6))), unit(generator.standard_normal((20, 5)))
    crowd = tuple(
        CrowdRow(p, c, int(v), 3 - int(v)) for p in names for c in captions[:4] for v in [generator.integers(4)]
    )
    texts = dict.fromkeys(captions, "a dog")
    judgments = Judgments(Path("judged"), {name: Path(name) for name in names}, {}, {}, texts, (), crowd)
    return EmbeddedJudgments(names, x, captions, captions, t, np.arange(20), Tokens.none(20)), judgments


def test_ridge_on_the_concatenated_vector_is_sklearns_and_ranks_photos_alike_for_every_query():
    features, judgments = made()
    scores = baselines.ridge_concatenated(features, judgments, features.x, features.t)
    photo = np.repeat(np.arange(20), 4)
    text = np.tile(np.arange(4), 20)
    target = [row.share for row in judgments.crowd]
    model = Ridge(alpha=1.0).fit(np.concatenate([features.x[photo], features.t[text]], axis=1), target)
    both = np.concatenate([np.tile(features.x, (20, 1)), np.repeat(features.t, 20, axis=0)], axis=1)
    np.testing.assert_allclose(scores, model.predict(both).reshape(20, 20), atol=1e-6)
    orders = np.argsort(-scores, axis=1)
    assert (orders == orders[0]).all()
    assert largest_share(orders[:, :10]) == 1.0


def test_the_ridge_map_finds_photos_that_are_a_linear_function_of_their_text():
    generator = np.random.default_rng(1)
    t = unit(generator.standard_normal((200, 8)))
    x = unit(t @ generator.standard_normal((8, 8)))
    names = tuple(map(str, range(200)))
    features = EmbeddedJudgments(names, x, names, names, t, np.arange(200), Tokens.none(200))
    scores = baselines.ridge_map(features, x, t)
    assert (scores.argmax(axis=1) == np.arange(200)).mean() > 0.5  # by chance 1 in 200


def test_the_cosine_is_that_of_a_closed_form_that_does_not_look_at_a_classifiers_view():
    generator = np.random.default_rng(1)
    t = unit(generator.standard_normal((200, 8)))
    x = unit(t @ generator.standard_normal((8, 8)))
    names = tuple(map(str, range(200)))
    features = EmbeddedJudgments(names, x, names, names, t, np.arange(200), Tokens.none(200))
    scores = baselines.cosine(features, x, t)
    joint_space = fit_cca(x, t, np.arange(200), MapSettings(shrink_images=3.0))
    np.testing.assert_allclose(scores, joint_space.texts(t) @ joint_space.images(x).T, atol=1e-6)
    assert (scores.argmax(axis=1) == np.arange(200)).mean() > 0.5  # by chance 1 in 200
    seeing = np.concatenate([x, generator.standard_normal((200, 4)).astype(np.float32)], axis=1)
    with_view = baselines.cosine(replace(features, x=seeing, class_dim=4), seeing, t)
    np.testing.assert_allclose(with_view, scores, atol=1e-5)


def test_the_plain_net_learns_a_product_that_no_sum_can_and_is_the_same_every_time():
    generator = np.random.default_rng(2)
    signs = generator.choice([-1, 1], (2000, 2))
    rows = np.concatenate([signs + 0.1 * generator.standard_normal((2000, 2))] * 2, axis=1).astype(np.float32)
    score = (signs.prod(axis=1) + 1) / 2  # 1 where both signs are the same: photo and query fit
    net = baselines.fit_plain_net(rows[:1500], score[:1500])
    left = ((net.predict(rows[1500:]) - score[1500:]) ** 2).mean()
    ridge = baselines.fit_ridge_pairs(rows[:1500], score[:1500])
    assert ((ridge.predict(rows[1500:]) - score[1500:]) ** 2).mean() > 0.24  # the mean alone leaves 0.25
    assert left < 0.01
    again = baselines.fit_plain_net(rows[:1500], score[:1500])
    assert (again.predict(rows) == net.predict(rows)).all()


def test_the_plain_net_scores_every_pair():
    features, judgments = made()
    scores = baselines.plain_net(features, judgments, features.x[:7], features.t[:3])
    photo, text = np.repeat(np.arange(20), 4), np.tile(np.arange(4), 20)
    target = np.array([row.share for row in judgments.crowd])
    net = baselines.fit_plain_net(np.concatenate([features.x[photo], features.t[text]], axis=1), target)
    pairs = np.concatenate([np.tile(features.x[:7], (3, 1)), np.repeat(features.t[:3], 7, axis=0)], axis=1)
    np.testing.assert_allclose(scores, net.predict(pairs).reshape(3, 7), atol=1e-6)


def test_chance_is_the_same_every_time_and_even():
    scores = baselines.chance(2000, 10)
    assert (scores == baselines.chance(2000, 10)).all()
    assert abs((scores.argmax(axis=1) == 3).mean() - 0.1) < 0.02
