from dataclasses import replace

import numpy as np
import pytest

from experiments.policy_operating_points import Held, _train_without, point_of, table
from indexer.errors import PhotoseekError
from reranker.metrics.metrics import auroc
from reranker.moderation.photo_rule import PhotoRule, photo_scores
from reranker.moderation.policy import Policy
from reranker.moderation.terms import Terms
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, Ears, made

SCORES, UNDER = np.float32([0.9, 0.7, 0.7, 0.4, 0.1]), np.array([True, False, True, True, False])
POLICY = Policy("dogs", "0" * 12, "No dogs.", Terms.of(["dog"]), PhotoRule(("dog",), ("cat", "car"), 0.5))


def test_what_a_point_holds_back():
    # 0.9, 0.7 and 0.7 of five; two of the three, and two of the three under the policy.
    assert Held.of(SCORES, UNDER, 0.7) == Held(0.7, pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(0.6))
    assert Held.of(SCORES, UNDER, 0.95) == Held(0.95, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(("recall", "point"), [(0.3, 0.9), (0.34, 0.7), (0.6, 0.7), (0.7, 0.4), (1.0, 0.4)])
def test_a_point_is_the_highest_that_holds_back_enough(recall, point):
    assert point_of(SCORES, UNDER, recall) == pytest.approx(point)
    assert Held.of(SCORES, UNDER, point_of(SCORES, UNDER, recall)).recall >= recall


@pytest.fixture(scope="module")
def trained(one_thread):
    features, judgments, _ = made(36, seed=0, regions=True)
    return train(features, judgments, ENCODERS, QUICK), features


def test_the_table_has_the_figures_with_regions_and_without(trained):
    ranker, features = trained
    lines = table(POLICY, ranker, features, Ears())
    blocked = {features.owner[row] for row, text in enumerate(features.texts) if "dog" in text.split()} - {-1}
    under = np.isin(np.arange(36), list(blocked))
    assert lines[0] == f"36 photos, {under.mean():.3f} of them under policy dogs"
    query = ranker.encode_queries(*_asked())
    for start, name, regions in ((2, "with regions", features.regions), (7, "without regions", None)):
        scores, _ = photo_scores(POLICY.photos, ranker, ranker.encode_photos(features.x, regions), query)
        assert lines[start] == f"{name}: AUROC {auroc(scores[under], scores[~under]):.3f}"
        held = Held.of(scores, under, 0.5)
        assert lines[start + 1] == (
            f"  point 0.5000 (policy): precision {held.precision:.3f}, recall {held.recall:.3f}, {held.share:.3f} of "
            "all photos held back"
        )
    assert len(lines) == 12


def _asked():
    texts = ("dog", "cat", "car")
    vectors, tokens = Ears().encode_with_tokens(texts)
    return vectors, texts, tokens


def test_a_policy_that_nothing_can_be_told_about_is_refused(trained):
    ranker, features = trained
    with pytest.raises(PhotoseekError, match="policy dogs has no \\[photos\\]"):
        table(replace(POLICY, photos=None), ranker, features, Ears())
    with pytest.raises(PhotoseekError, match="of 36 photos, 0 are under it; nothing to tell"):
        table(replace(POLICY, terms=Terms.of(["unicorn"])), ranker, features, Ears())


def test_the_held_out_photos_are_not_trained_on(monkeypatch, tmp_path):
    features, judgments, _ = made(36, seed=0, regions=True)
    judgments = replace(judgments, folder=tmp_path / "judged", sets={"train_images": ("p0.jpg",)})
    (tmp_path / "imagenet_classes.tsv").write_text("names\tindex\ndog\t0\n")
    seen = []
    monkeypatch.setattr(
        "experiments.policy_operating_points.train", lambda *given, **options: seen.append((given, options))
    )
    monkeypatch.setattr("experiments.policy_operating_points.embed_judgments", lambda *given: "judged features")
    rows = np.array([1, 4, 35])
    _train_without(rows, features, judgments, judgments, ENCODERS, None)
    (first, _), (second, how) = seen
    left = [name for row, name in enumerate(features.photos) if row not in rows]
    assert list(first[0].photos) == left
    assert set(first[1].photos) == set(left)
    assert second[0] == "judged features"
    assert second[3].keep_order
    assert how["base"] is None
