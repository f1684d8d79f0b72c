"""Evaluation: protocols on the sample against a plain computation, their intervals, their report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker import ranker_encoders as trained_with
from reranker.evaluation import evaluation as shared
from reranker.evaluation import protocols
from reranker.evaluation.comparison import write_html
from reranker.evaluation.evaluation import Evaluation, Photos, Queries, search
from reranker.evaluation.protocols import PROTOCOLS, evaluate
from reranker.judgments.judged_folder import Judgments, load_judgments
from reranker.metrics.metrics import auroc, kendall_tau_b
from reranker.ranker import correct_small_gallery
from reranker.ranker_encoders import encoders_of
from tiny_evaluation import SAMPLE, Colours, evaluation_of
from tiny_judged import Ears
from tiny_space import inputs, make_ranker

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield evaluation_of(load_judgments(SAMPLE), tmp_path_factory.mktemp("none"))


def test_the_official_protocol_is_the_recall_of_every_caption_against_the_photos(evaluation: Evaluation):
    figures = evaluate(evaluation, ["official"])["official"]
    _, features = evaluation.judged()
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
        assert figures[f"recall@{k}"]["value"] == pytest.approx(count / len(rows), abs=2 / len(rows))
        assert figures[f"recall@{k}"]["low"] <= figures[f"recall@{k}"]["value"] <= figures[f"recall@{k}"]["high"]


def test_the_agreement_of_meaning_with_the_crowd_is_taub_over_its_pairs(evaluation: Evaluation):
    figure = evaluate(evaluation, ["crowd_meaning"])["crowd_meaning"]["tau_b"]
    judgments, features = evaluation.judged()
    joint_space = evaluation.ranker.joint_space
    shown = []
    for row in judgments.crowd:
        photo, text = features.photos.index(row.photo), features.captions.index(row.caption)
        meant = joint_space.meaning.texts(features.t[[text]] / np.linalg.norm(features.t[text]))
        shown.append(float((meant @ joint_space.meaning.images(features.x[[photo]]).T)[0, 0]))
    expected = kendall_tau_b(np.array(shown), np.array([row.share for row in judgments.crowd]))
    assert figure["value"] == pytest.approx(expected, abs=0.01)


def test_scores_of_pairs_are_those_of_each_pair_alone(evaluation: Evaluation):
    _, features = evaluation.judged()
    ranker = evaluation.ranker
    photo, text = np.array([3, 0, 3, 29, 11]), [7, 40, 7, 7, 0]
    relevance, pair_features = evaluation.pair_scores(ranker, photo, [features.captions[row] for row in text])
    assert np.array_equal(relevance, evaluation.pair_relevance(ranker, photo, [features.captions[row] for row in text]))
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
        f"judged data {SAMPLE} allows none of: breadth (it needs train_images/ with judgments, test_queries.csv, or a "
        "folder of named photos)"
    )


def test_no_pairs_have_no_scores(evaluation: Evaluation):
    relevance, pair_features = evaluation.pair_scores(evaluation.ranker, np.zeros(0, np.int64), [])
    assert (relevance.shape, pair_features.shape) == ((0,), (0, 7))


def of(evaluation: Evaluation, judgments: Judgments) -> Evaluation:
    """The same ranker on other judgments."""
    return replace(evaluation, judgments=judgments, resampled={}, _cache={"encoders": evaluation.encoders()})


def test_without_judgments_only_the_baselines_that_learn_from_none_are_measured(evaluation: Evaluation, tmp_path: Path):
    bare = of(evaluation, replace(evaluation.judgments, expert=(), crowd=()))
    figures = evaluate(bare, ["baseline", "expert", "crowd", "calibration"])
    assert list(figures) == ["baseline"]
    assert list(figures["baseline"]) == ["chance", "cosine", "ridge_map"]
    assert write_html(tmp_path / "r.html", bare, figures, None) == (tmp_path / "r.html").stat().st_size


def test_a_crowd_that_always_says_no_leaves_no_skill_to_show(evaluation: Evaluation, tmp_path: Path):
    votes = tuple(replace(row, yes=0, no=3) for row in evaluation.judgments.crowd)
    unanimous = of(evaluation, replace(evaluation.judgments, crowd=votes))
    figures = evaluate(unanimous, ["calibration"])
    assert list(figures["calibration"]) == ["ece"]
    write_html(tmp_path / "r.html", unanimous, figures, None)
    assert "so no skill can show" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("photos", "left"), [(1, []), (3, ["baseline"]), (22, ["course", "baseline"])])
def test_protocols_that_train_are_left_out_where_photos_are_too_few(evaluation: Evaluation, photos: int, left):
    judgments = evaluation.judgments
    few = judgments.sets["train_images"][:photos]
    fewer = replace(judgments, sets={**judgments.sets, "train_images": few})
    figures = evaluate(of(evaluation, fewer), ["course", "expert", "crowd", "calibration", "baseline", "hubs"])
    assert list(figures) == [*left, "hubs"]


def test_every_photo_of_a_small_gallery_in_the_top_ten_is_the_largest_share(evaluation: Evaluation):
    # Six test photos: each is in the top 10 of every query.
    assert evaluate(evaluation, ["hubs"])["hubs"]["largest_share"]["value"] == 1.0


def test_a_search_ranks_its_first_candidates_by_their_order_and_the_others_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(shared, "RERANKED", 3)
    ranker, given = make_ranker(), inputs()
    found = search(ranker, Photos(given.x, given.regions), Queries(list(given.texts), given.t, given.tokens))
    side = ranker.encode_photos(given.x, given.regions)
    order = ranker.score_matrix(
        side, ranker.encode_queries(given.t, given.texts, given.tokens), slice(0, 3)
    ).ranking_scores
    mean_caption = ranker.mean_caption()
    at_large = side.z @ mean_caption[:-1] + side.hubness * mean_caption[-1]
    for row in range(3):
        first = np.argsort(-found.candidates[row])[:3]
        rest = np.argsort(-found.candidates[row])[3:]
        assert found.learned[row, first] == pytest.approx(order[row, first], abs=1e-5)
        # Seven photos are few.
        gate = ranker.joint_space.class_names.texts(given.t)[1][row]
        spread = correct_small_gallery(order[row, first], at_large[first], gate, 7)
        expected = [*first[np.argsort(-spread)], *rest]
        assert np.argsort(-found.ranking_scores[row]).tolist() == expected
        assert found.ranking_scores[row, first] == pytest.approx(spread, abs=1e-5)
    # To 500 and more the rule does nothing, and a search of them is left alone.
    monkeypatch.setattr(shared, "MANY", 7)
    many = search(ranker, Photos(given.x, given.regions), Queries(list(given.texts), given.t, given.tokens))
    assert np.array_equal(many.ranking_scores, many.learned)
    assert np.array_equal(many.learned, found.learned)


def test_the_chance_of_a_match_is_that_of_the_first_photo_that_is_left():
    ranker, given = make_ranker(), inputs()
    found = search(ranker, Photos(given.x, given.regions), Queries(list(given.texts), given.t, given.tokens))
    side, query = (
        ranker.encode_photos(given.x, given.regions),
        ranker.encode_queries(given.t, given.texts, given.tokens),
    )
    gone = found.ranking_scores.copy()
    gone[np.arange(3), found.ranking_scores.argmax(axis=1)] = -np.inf
    for order in (found.ranking_scores, gone):
        for row in range(3):
            scores = ranker.scores(side, query, row)
            # Spreading few photos leaves the first hit, whichever photos are left.
            best = np.where(np.isfinite(order[row]), scores.ranking_scores, -np.inf).argmax()
            first = scores.ranking_scores[[best]], scores.pair_features[[best]], query.query_hubness[[row]]
            alone = ranker.match_probability(*first, np.isfinite(order[row]).sum())
            # Scalars are kept to half precision.
            assert found.match(order)[row] == pytest.approx(alone[0], abs=2e-3)


def test_the_no_match_figures_are_of_queries_with_their_photo_there_and_gone(evaluation: Evaluation):
    figures = evaluate(evaluation, ["no_match"])["no_match"]
    found, own = evaluation.official()
    gone = found.ranking_scores.copy()
    gone[np.arange(len(own)), own] = -np.inf
    present, absent = found.match(found.ranking_scores), found.match(gone)
    assert figures["auroc_removed"]["value"] == pytest.approx(auroc(present, absent))
    assert figures["refused_present"]["value"] == (present < evaluation.ranker.no_match.threshold).mean()
    assert figures["refused_removed"]["value"] == (absent < evaluation.ranker.no_match.threshold).mean()
    assert "auroc_foreign" not in figures  # there are no named photos


def test_a_tenth_of_a_gallery_has_a_querys_own_photo_in_it():
    order = np.random.default_rng(0).random((5, 40))
    own = np.array([0, 39, 7, 7, 20])
    left = protocols._tenths(order, own)
    assert (np.isfinite(left).sum(axis=1) == 4).all()
    assert np.array_equal(left[np.arange(5), own], order[np.arange(5), own])
    assert np.array_equal(np.isfinite(left[2]), np.isfinite(left[3]))


def test_named_photos_are_found_by_their_names(evaluation: Evaluation, tmp_path: Path):
    from PIL import Image

    for number in range(12):
        Image.new("RGB", (8, 8), (255, 10 * number, 0)).save(tmp_path / f"n01_{number}_red_ball.jpg")
        Image.new("RGB", (8, 8), (0, 10 * number, 255)).save(tmp_path / f"n02_{number}_sea.jpg")
    named = Evaluation(evaluation.judgments, evaluation.ranker, breadth=tmp_path, _cache=dict(evaluation._cache))
    named._cache.pop("names", None)
    synsets, words, photos, label = named.names()
    assert (synsets, words) == (["n01", "n02"], ["red ball", "sea"])
    assert label.tolist() == [0] * 12 + [1] * 12
    assert photos.x.shape == (24, 4)
    figures = evaluate(named, ["breadth"])["breadth"]["recall@10"]
    queries = named.queries(["a photo of a red ball", "a photo of a sea"])
    top = np.argsort(-search(named.ranker, photos, queries).ranking_scores, axis=1)[:, :10]
    expected = np.mean([(label[top[0]] == 0).sum() / 12, (label[top[1]] == 1).sum() / 12])
    assert figures["value"] == pytest.approx(expected)


def test_every_protocol_says_what_it_measures_and_stands_in_the_docs():
    readme = (Path(__file__).parents[3] / "docs" / "ranking-model.md").read_text(encoding="utf-8")
    for name, protocol in PROTOCOLS.items():
        assert protocol.__doc__
        assert f"`{name}`" in readme


def test_the_folds_never_learn_from_what_they_are_measured_on(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch):
    judgments, features = evaluation.judged()
    fold_of = np.random.default_rng(0).permutation(len(features.photos)) % 5
    learned = []

    def train_on(self, part, seen, seed):
        learned.append((set(part.photos), seen))
        return self.ranker

    monkeypatch.setattr(Evaluation, "train_on", train_on)
    own = Evaluation(evaluation.judgments, evaluation.ranker, _cache=dict(evaluation._cache))
    scores = own.folds(0)
    assert np.isfinite(scores["crowd"]).all()
    assert len(learned) == 10
    for number, (photos, seen) in enumerate(learned):
        held = {name for name, fold in zip(features.photos, fold_of, strict=True) if fold == number // 2}
        assert photos.isdisjoint(held)
        assert {row.photo for row in (*seen.expert, *seen.crowd)}.isdisjoint(held)
        if number % 2:  # strict: nor any caption that was written for a held-out photo
            assert {row.caption.rpartition("#")[0] for row in (*seen.expert, *seen.crowd)}.isdisjoint(held)
    place = dict(zip(features.photos, fold_of, strict=True))
    both = [place[row.photo] == place.get(row.caption.rpartition("#")[0]) for row in judgments.expert]
    assert np.isfinite(scores["strict"]).tolist() == both


def test_a_folds_ranker_has_the_order_of_the_given_one_and_a_relevance_of_its_own(evaluation: Evaluation):
    judgments, features = evaluation.judged()
    seen = np.arange(24)
    learned = evaluation.train_on(features.select(seen), judgments.restrict(features.photos[:24]), 0)
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
    monkeypatch.setattr(trained_with, "load_text_encoder", lambda name: Ears())
    ranker = replace(make_ranker(), image_encoder_name="file:/eyes", image_encoder_options={"preprocess": "size=9"})
    ranker = ranker.finished()
    with pytest.raises(PhotoseekError) as refusal:
        Evaluation(load_judgments(SAMPLE), ranker).encoders()
    assert str(refusal.value) == (
        f"ranker {ranker.id} was trained with eyes@1, here is eyes@2; name its place with --image-encoder "
        "(and --weights or --preprocess), or train a ranker for this one"
    )
    moved = ("file:/new", {"weights": "w"})
    with pytest.raises(PhotoseekError):
        Evaluation(load_judgments(SAMPLE), ranker, image_encoder=moved, precision="f32").encoders()
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
