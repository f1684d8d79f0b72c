from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from experiments import policy_operating_points
from experiments.policy_operating_points import (
    OperatingPoint,
    measure_point,
    operating_point_lines,
    protected_photos,
    threshold_at,
    train_without,
)
from indexer.errors import PhotoseekError
from reranker.metrics.separation import auroc
from reranker.moderation.photo_rule import PhotoRule, photo_scores
from reranker.moderation.policy import Policy
from reranker.moderation.terms import Terms
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, StubTextEncoder, made

SCORES, PROTECTED = np.float32([0.9, 0.7, 0.7, 0.4, 0.1]), np.array([True, False, True, True, False])
POLICY = Policy("dogs", "0" * 12, "No dogs.", Terms.of(["dog"]), PhotoRule(("dog",), ("cat", "car"), 0.5))


def test_what_a_point_holds_back():
    # 0.9, 0.7 and 0.7 of five; two of the three, and two of the three protected photos.
    expected = OperatingPoint(0.7, pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(0.6))
    assert measure_point(0.7, SCORES, PROTECTED) == expected
    assert measure_point(0.95, SCORES, PROTECTED) == OperatingPoint(0.95, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(("recall", "threshold"), [(0.3, 0.9), (0.34, 0.7), (0.6, 0.7), (0.7, 0.4), (1.0, 0.4)])
def test_a_threshold_is_the_highest_that_holds_back_enough(recall, threshold):
    found = threshold_at(recall, SCORES, PROTECTED)
    assert found == pytest.approx(threshold)
    assert measure_point(found, SCORES, PROTECTED).recall >= recall


@pytest.fixture(scope="module")
def trained(one_thread):
    features, judgments, _ = made(36, seed=0, regions=True)
    return train(features, judgments, ENCODERS, QUICK), features


def test_the_table_has_the_figures_with_regions_and_without(trained):
    ranker, features = trained
    lines = operating_point_lines(POLICY, ranker, features, StubTextEncoder())
    blocked = {features.owner[row] for row, text in enumerate(features.texts) if "dog" in text.split()} - {-1}
    protected = np.isin(np.arange(36), list(blocked))
    assert protected_photos(POLICY, features).tolist() == protected.tolist()
    assert lines[0] == f"36 photos, {protected.mean():.3f} of them under policy dogs"
    query = ranker.encode_queries(*_asked())
    for start, name, regions in ((2, "with regions", features.regions), (7, "without regions", None)):
        scores, _ = photo_scores(POLICY.photos, ranker, ranker.encode_photos(features.x, regions), query)
        assert lines[start] == f"{name}: AUROC {auroc(scores[protected], scores[~protected]):.3f}"
        for line, threshold, name in ((1, 0.5, "policy"), (3, threshold_at(0.9, scores, protected), "0.9")):
            point = measure_point(threshold, scores, protected)
            assert lines[start + line] == (
                f"  point {threshold:.4f} ({name}): precision {point.precision:.3f}, recall {point.recall:.3f}, "
                f"{point.held_back:.3f} of all photos held back"
            )
    assert len(lines) == 12


def _asked():
    texts = ("dog", "cat", "car")
    vectors, tokens = StubTextEncoder().encode_with_tokens(texts)
    return vectors, texts, tokens


def test_a_policy_that_nothing_can_be_told_about_is_refused(trained):
    ranker, features = trained
    with pytest.raises(PhotoseekError, match="policy dogs has no \\[photos\\]"):
        operating_point_lines(replace(POLICY, photos=None), ranker, features, StubTextEncoder())
    with pytest.raises(PhotoseekError, match="of 36 photos, 0 are under it; nothing to tell"):
        operating_point_lines(replace(POLICY, terms=Terms.of(["unicorn"])), ranker, features, StubTextEncoder())


def test_the_held_out_photos_are_not_trained_on(monkeypatch, tmp_path):
    features, judgments, _ = made(36, seed=0, regions=True)
    sets = {"train_224": features.photos, "train_images": features.photos[:1]}
    judgments = replace(judgments, folder=tmp_path / "judged", sets=sets)
    (tmp_path / "imagenet_classes.tsv").write_text("names\tindex\ndog\t0\n")
    for name in policy_operating_points.OTHER_SETS:
        folder = tmp_path / "elsewhere" / name
        (folder / "photos").mkdir(parents=True)
        rows = [f"{name}.jpg\ttrain\ta {name} photo", "other.jpg\ttest\tanother"]
        (folder / "captions.tsv").write_text("image\tsplit\tcaption\n" + "\n".join(rows) + "\n")
        for photo in (f"{name}.jpg", "other.jpg"):
            Image.new("RGB", (9, 9)).save(folder / "photos" / photo)
    (tmp_path / "elsewhere" / "captions_only").mkdir()
    (tmp_path / policy_operating_points.OTHER_CAPTIONS).write_text("caption\na bank of captions\n")
    calls = []

    def train(sets, encoders, **options):
        calls.append((sets, options))
        return "ranker"

    monkeypatch.setattr(policy_operating_points, "train_ranker", train)
    monkeypatch.setattr(policy_operating_points, "without_lookalikes", lambda _, chosen, encoder: tuple(chosen))
    monkeypatch.setattr(policy_operating_points, "embed_judgments", lambda restricted, *_: restricted)
    ranker, held_out = train_without(3, judgments, ENCODERS, None)
    [(trained_on, options)] = calls
    assert ranker == "ranker"
    assert len(held_out.photos) == 3
    names = {one.name: tuple(one.judgments.photos) for one in trained_on}
    assert names == {
        "flickr8k": tuple(name for name in features.photos if name not in held_out.photos),
        "coco": ("coco.jpg",),
        "scenes": ("scenes.jpg",),
        "web": ("web.jpg",),
        "judged": features.photos[:1],
    }
    assert [one.relevance_only for one in trained_on] == [False, False, False, False, True]
    assert [thing.names for thing in options["class_names"]] == [("dog",)]
    assert options["captions"] == ("a bank of captions",)
