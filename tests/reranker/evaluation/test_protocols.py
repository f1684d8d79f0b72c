"""Evaluation: protocols on the sample against a plain computation, their intervals, their report."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker import ranker_encoders as trained_with
from reranker.evaluation import baselines, no_match_protocol
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.folds import score_pairs
from reranker.evaluation.protocols import PROTOCOLS, evaluate
from reranker.gallery_ranking import rank_gallery
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import Judgments
from reranker.metrics.rank_correlation import kendall_tau_b
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.metrics.separation import auroc
from reranker.ranker_encoders import encoders_of
from reranker.reports.ranker_report import write_ranker_report
from tiny_evaluation import SAMPLE, Colours, evaluation_of
from tiny_judged import StubTextEncoder
from tiny_space import make_ranker

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield evaluation_of(load_judgments(SAMPLE), tmp_path_factory.mktemp("none"))


def test_the_official_protocol_is_the_recall_of_every_caption_against_the_photos(evaluation: Evaluation):
    figures = evaluate(evaluation, ["official"])["official"]
    _, features = evaluation.data.judged
    ranker = evaluation.ranker
    side = ranker.encode_photos(features.x, features.regions)
    rows = [i for i, photo in enumerate(features.owner) if photo >= 0]
    hits = {1: 0, 5: 0, 10: 0}
    for row in rows:
        tokens = features.tokens.select(np.array([row]))
        query = ranker.encode_queries(features.t[[row]], [features.texts[row]], tokens)
        order = ranker.scores(side, query, 0).ranking_scores
        rank = int((order >= order[features.owner[row]]).sum()) - 1
        for k in hits:
            hits[k] += rank < k
    for k, count in hits.items():
        # Rounding may settle a tie of two photos of one colour otherwise.
        assert figures[f"recall@{k}"].value == pytest.approx(count / len(rows), abs=2 / len(rows))
        assert figures[f"recall@{k}"].low <= figures[f"recall@{k}"].value <= figures[f"recall@{k}"].high


def test_the_agreement_of_meaning_with_the_crowd_is_taub_over_its_pairs(evaluation: Evaluation):
    figure = evaluate(evaluation, ["crowd_meaning"])["crowd_meaning"]["tau_b"]
    judgments, features = evaluation.data.judged
    joint_space = evaluation.ranker.joint_space
    shown = []
    for row in judgments.crowd:
        photo, text = features.photos.index(row.photo), features.captions.index(row.caption)
        meant = joint_space.meaning.texts(features.t[[text]] / np.linalg.norm(features.t[text]))
        shown.append(float((meant @ joint_space.meaning.images(features.x[[photo]]).T)[0, 0]))
    expected = kendall_tau_b(np.array(shown), np.array([row.share for row in judgments.crowd]))
    assert figure.value == pytest.approx(expected, abs=0.01)


def test_scores_of_pairs_are_those_of_each_pair_alone(evaluation: Evaluation):
    _, features = evaluation.data.judged
    ranker = evaluation.ranker
    photo, text = np.array([3, 0, 3, 29, 11]), [7, 40, 7, 7, 0]
    scored = score_pairs(evaluation.data, ranker, photo, [features.captions[row] for row in text])
    relevance, pair_features = scored.relevance, scored.pair_features
    for place, (column, row) in enumerate(zip(photo, text, strict=True)):
        side = ranker.encode_photos(features.x[[column]], features.regions[[column]])
        tokens = features.tokens.select(np.array([row]))
        alone = ranker.scores(side, ranker.encode_queries(features.t[[row]], [features.texts[row]], tokens), 0)
        assert relevance[place] == pytest.approx(alone.relevance[0], abs=1e-5)
        np.testing.assert_allclose(pair_features[place], alone.pair_features[0], atol=1e-5)


def test_what_the_data_does_not_allow_is_left_out_and_nothing_at_all_is_refused(evaluation: Evaluation):
    assert set(evaluate(evaluation, ["hubs", "breadth"])) == {"hubs"}
    with pytest.raises(PhotoseekError) as refusal:
        evaluate(evaluation, ["breadth"])
    assert str(refusal.value) == (
        f"judged data {SAMPLE} allows none of: breadth (it needs train_images/ with judgments, test_queries.csv, named "
        "photos for --breadth, or other photos for --elsewhere)"
    )


def test_no_pairs_have_no_scores(evaluation: Evaluation):
    scored = score_pairs(evaluation.data, evaluation.ranker, np.zeros(0, np.int64), [])
    assert (scored.relevance.shape, scored.pair_features.shape) == ((0,), (0, 7))


def of(evaluation: Evaluation, judgments: Judgments) -> Evaluation:
    """Evaluate the same ranker on other judgments."""
    return replace(evaluation, data=replace(evaluation.data, judgments=judgments))


def test_without_judgments_only_the_baselines_that_learn_from_none_are_measured(evaluation: Evaluation, tmp_path: Path):
    bare = of(evaluation, replace(evaluation.judgments, expert=(), crowd=()))
    figures = evaluate(bare, ["baseline", "expert", "crowd", "calibration"])
    assert list(figures) == ["baseline"]
    assert list(figures["baseline"]) == ["chance", "cosine", "ridge_map"]
    assert write_ranker_report(tmp_path / "r.html", bare, figures, None) == (tmp_path / "r.html").stat().st_size


def test_a_crowd_that_always_says_no_leaves_no_skill_to_show(evaluation: Evaluation, tmp_path: Path):
    votes = tuple(replace(row, yes=0, no=3) for row in evaluation.judgments.crowd)
    unanimous = of(evaluation, replace(evaluation.judgments, crowd=votes))
    figures = evaluate(unanimous, ["calibration"])
    assert list(figures["calibration"]) == ["ece"]
    write_ranker_report(tmp_path / "r.html", unanimous, figures, None)
    assert "so there is no Brier skill" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_plain_nets_results_are_means_over_three_trainings(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch):
    own = evaluation.data.course.own
    scores = {seed: np.random.default_rng(seed).random((18, 6)) for seed in range(3)}

    def plain_net(embedded, judgments, x, t, seed):
        return scores[seed]

    monkeypatch.setattr(baselines, "plain_net", plain_net)
    figures = evaluate(replace(evaluation), ["baseline"])["baseline"]
    for k in (1, 5):
        recalls = [recall_at(ranks_of_own(scores[seed], own), k) for seed in range(3)]
        assert figures["plain_net"][f"recall@{k}"].value == pytest.approx(np.mean(recalls))
    tied = recall_at(ranks_of_own(sum(scores.values()), own), 1)
    assert figures["plain_net"]["recall@1"].value != pytest.approx(tied)  # not of the mean of the scores


@pytest.mark.parametrize(("photos", "left"), [(1, []), (3, ["baseline"]), (22, ["course", "baseline"])])
def test_protocols_that_train_are_left_out_where_photos_are_too_few(evaluation: Evaluation, photos: int, left):
    judgments = evaluation.judgments
    few = judgments.sets["train_images"][:photos]
    fewer = replace(judgments, sets={**judgments.sets, "train_images": few})
    figures = evaluate(of(evaluation, fewer), ["course", "expert", "crowd", "calibration", "baseline", "hubs"])
    assert list(figures) == [*left, "hubs"]


def test_every_photo_of_a_small_gallery_in_the_top_ten_is_the_largest_share(evaluation: Evaluation):
    # Six test photos: each is in the top 10 of every query.
    assert evaluate(evaluation, ["hubs"])["hubs"]["largest_share"].value == 1.0


def test_the_no_match_figures_are_of_queries_with_their_photo_there_and_gone(evaluation: Evaluation):
    figures = evaluate(evaluation, ["no_match"])["no_match"]
    found, own = evaluation.official()
    kept = np.ones(found.ranking_scores.shape, bool)
    present = found.match_probability(kept)
    kept[np.arange(len(own)), own] = False
    absent = found.match_probability(kept)
    assert figures["auroc_removed"].value == pytest.approx(auroc(present, absent))
    assert figures["refused_present"].value == (present < evaluation.ranker.no_match.threshold).mean()
    assert figures["refused_removed"].value == (absent < evaluation.ranker.no_match.threshold).mean()
    assert "auroc_foreign" not in figures  # there are no named photos


def test_a_tenth_of_a_gallery_has_a_querys_own_photo_in_it():
    own = np.array([0, 39, 7, 7, 20])
    left = no_match_protocol._tenths(SimpleNamespace(ranking_scores=np.zeros((5, 40))), own)
    assert (left.sum(axis=1) == 4).all()
    assert left[np.arange(5), own].all()
    assert np.array_equal(left[2], left[3])


def test_named_photos_are_found_by_their_names(evaluation: Evaluation, tmp_path: Path):
    from PIL import Image

    for number in range(12):
        Image.new("RGB", (8, 8), (255, 10 * number, 0)).save(tmp_path / f"n01_{number}_red_ball.jpg")
        Image.new("RGB", (8, 8), (0, 10 * number, 255)).save(tmp_path / f"n02_{number}_sea.jpg")
    data = replace(evaluation.data, breadth=tmp_path)
    named = data.named_photos
    assert (named.synsets, named.words) == (("n01", "n02"), ("red ball", "sea"))
    assert named.synset_of.tolist() == [0] * 12 + [1] * 12
    assert named.photos.x.shape == (24, 4)
    figures = evaluate(replace(evaluation, data=data), ["breadth"])["breadth"]["recall@10"]
    queries = data.queries(["a photo of a red ball", "a photo of a sea"])
    top = np.argsort(-rank_gallery(evaluation.ranker, named.photos, queries).ranking_scores, axis=1)[:, :10]
    expected = np.mean([(named.synset_of[top[0]] == 0).sum() / 12, (named.synset_of[top[1]] == 1).sum() / 12])
    assert figures.value == pytest.approx(expected)


def test_every_protocol_says_what_it_measures_and_stands_in_the_docs():
    readme = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for name, protocol in PROTOCOLS.items():
        assert protocol.__doc__
        assert f"`{name}`" in readme


def test_the_folds_never_learn_from_what_they_are_measured_on(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch):
    judgments, features = evaluation.data.judged
    fold_of = np.random.default_rng(0).permutation(len(features.photos)) % 5
    learned = []

    def train_relevance(self, part, seen, seed):
        learned.append((set(part.photos), seen))
        return self.ranker

    monkeypatch.setattr(Evaluation, "train_relevance", train_relevance)
    scores = replace(evaluation).folds(0)
    assert np.isfinite(scores.crowd).all()
    assert len(learned) == 10
    for number, (photos, seen) in enumerate(learned):
        held = {name for name, fold in zip(features.photos, fold_of, strict=True) if fold == number // 2}
        assert photos.isdisjoint(held)
        assert {row.photo for row in (*seen.expert, *seen.crowd)}.isdisjoint(held)
        if number % 2:  # strict: nor any caption that was written for a held-out photo
            assert {row.caption.rpartition("#")[0] for row in (*seen.expert, *seen.crowd)}.isdisjoint(held)
    place = dict(zip(features.photos, fold_of, strict=True))
    both = [place[row.photo] == place.get(row.caption.rpartition("#")[0]) for row in judgments.expert]
    assert np.isfinite(scores.strict).tolist() == both


def test_a_folds_ranker_has_the_order_of_the_given_one_and_a_relevance_of_its_own(evaluation: Evaluation):
    judgments, features = evaluation.data.judged
    seen = np.arange(24)
    learned = evaluation.train_relevance(features.select(seen), judgments.restrict(features.photos[:24]), 0)
    assert np.array_equal(learned.ranking_mlp.ws, evaluation.ranker.ranking_mlp.ws)
    assert np.array_equal(learned.joint_space.map.A, evaluation.ranker.joint_space.map.A)
    assert not np.array_equal(learned.relevance_mlp.ws, evaluation.ranker.relevance_mlp.ws)
    assert learned.training["order"] == "that of the base"


def test_encoders_of_other_weights_than_the_rankers_are_refused(monkeypatch: pytest.MonkeyPatch):
    given = {}

    def load(name: str, **options: str) -> Colours:
        given[name] = options
        return Colours(name=name, fingerprint="eyes@2")

    monkeypatch.setattr(trained_with, "load_image_encoder", load)
    monkeypatch.setattr(trained_with, "load_text_encoder", lambda name: StubTextEncoder())
    ranker = replace(make_ranker(), image_encoder_name="file:/eyes", image_encoder_options={"preprocess": "size=9"})
    ranker = ranker.finished()
    with pytest.raises(PhotoseekError) as refusal:
        encoders_of(ranker)
    assert str(refusal.value) == (
        f"ranker {ranker.id} was trained with eyes@1, here is eyes@2; name its place with --image-encoder "
        "(and --weights or --preprocess), or train a ranker for this one"
    )
    with pytest.raises(PhotoseekError):
        encoders_of(ranker, "auto", "file:/new", {"weights": "w"}, precision="f32")
    # The options are those of the name that they were kept with.
    assert given == {
        "file:/eyes": {"device": "auto", "precision": "auto", "preprocess": "size=9"},
        "file:/new": {"device": "auto", "precision": "f32", "weights": "w"},
    }


def test_an_encoder_that_is_gone_is_refused_saying_how_to_name_its_place(tmp_path: Path):
    ranker = replace(make_ranker(), image_encoder_name=f"file:{tmp_path}/gone.onnx").finished()
    with pytest.raises(PhotoseekError) as refusal:
        encoders_of(ranker)
    assert str(refusal.value) == (
        f"ranker {ranker.id} needs image encoder eyes@1: file:{tmp_path}/gone.onnx: no such file; name its place with "
        "--image-encoder (and --weights or --preprocess)"
    )
