from dataclasses import replace

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker.models.joint_space import joint_space_arrays
from reranker.models.mlp import MLP
from reranker.models.ranking_settings import HeadWeights
from reranker.ranker import Ranker
from reranker.training import fit_ranking
from reranker.training import train as training
from reranker.training.fit_mlp import FittedMLP, candidate_mlp
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, SHORT, StubImageEncoder, StubTextEncoder, is_kept, judged, made, recall

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


def test_a_base_keeps_its_space_and_teaches_its_networks_on(whole: Ranker):
    features, judgments, hidden = made(60, seed=2, regions=True)
    ranker = train(features, judged(features, judgments, hidden, 200), ENCODERS, SHORT, base=whole)
    for name, array in joint_space_arrays(whole.joint_space).items():
        assert np.array_equal(joint_space_arrays(ranker.joint_space)[name], array), name
    assert ranker.training["base"] == whole.id
    assert ranker.training["before"]["crowd_rows"] == 400
    assert ranker.training["crowd_rows"] == 200
    assert not is_kept(ranker.relevance_mlp, whole.relevance_mlp)
    assert ranker.id != whole.id
    assert recall(ranker, made(60, seed=1, regions=True)[0], 10) > 0.95


@pytest.mark.parametrize("spoiled", ["base", "start"])
def test_a_relevance_starts_from_the_base_or_anew_as_validation_photos_prefer(
    whole: Ranker, monkeypatch: pytest.MonkeyPatch, spoiled: str
):
    features, judgments, hidden = made(60, seed=1, regions=True)
    given = judged(features, judgments, hidden, 200)
    still = replace(SHORT, relevance_mlp=replace(SHORT.relevance_mlp, learning_rate=1e-9), keep_ranking=True)
    base = whole
    if spoiled == "base":
        base = replace(whole, relevance_mlp=replace(whole.relevance_mlp, ws=-whole.relevance_mlp.ws)).finished()
    else:
        begin = training.start_mlp
        monkeypatch.setattr(
            training, "start_mlp", lambda *arguments: replace(begin(*arguments), ws=-whole.relevance_mlp.ws)
        )
    ranker = train(features, given, ENCODERS, still, base=base)
    forgets = train(features, given, ENCODERS, replace(still, fresh_relevance=True), base=base)
    assert forgets.training["relevance"] == "learned anew"
    assert ranker.training["order"] == forgets.training["order"] == "that of the base"
    assert is_kept(ranker.ranking_mlp, base.ranking_mlp)
    # Learning nothing, one has the base's weights of the scalars, the other those it starts with.
    if spoiled == "base":
        assert ranker.training["relevance"] == "learned anew"
        assert is_kept(ranker.relevance_mlp, forgets.relevance_mlp)
    else:
        assert ranker.training["relevance"] == "goes on from the base"
        np.testing.assert_allclose(ranker.relevance_mlp.ws, base.relevance_mlp.ws, atol=1e-4)
        assert ranker.training["relevance_loss"][0] < forgets.training["relevance_loss"][0]


def test_a_base_takes_names_of_things_on(whole: Ranker):
    features, judgments, _ = made(60, seed=2, regions=True)
    things = [ClassName((word,)) for word in ("dog", "cat", "sea", "cow")]
    ranker = train(features, judgments, ENCODERS, SHORT, base=whole, class_names=things)
    assert (ranker.training["names"], ranker.training["names_without_example"]) == (3, ["cow"])
    assert (whole.joint_space.class_names.k, ranker.joint_space.class_names.k) == (0, 3)
    assert np.array_equal(ranker.joint_space.map.A, whole.joint_space.map.A)


def test_a_base_that_was_left_with_the_candidates_order_learns_one_anew(trained: Ranker):
    features, judgments, _ = made(60, seed=2)
    base = replace(trained, ranking_mlp=candidate_mlp(40, 30, HeadWeights())).finished()
    ranker = train(features, judgments, ENCODERS, SHORT, base=base)
    assert ranker.training["order"] == "learned"
    assert ranker.ranking_mlp.hidden > 1


@pytest.mark.parametrize(
    ("eyes", "ears"),
    [(StubImageEncoder(fingerprint="eyes@2"), ENCODERS[1]), (ENCODERS[0], StubTextEncoder(fingerprint="ears@2"))],
)
def test_a_base_of_other_encoders_is_refused(trained: Ranker, eyes: StubImageEncoder, ears: StubTextEncoder):
    features, judgments, _ = made(60, seed=2)
    with pytest.raises(PhotoseekError) as caught:
        train(features, judgments, (eyes, ears), QUICK, base=trained)
    assert str(caught.value) == (
        f"ranker {trained.id} was trained with eyes@1 and ears@1; --from needs the same encoders"
    )


def wrong_order(d: int, e: int) -> MLP:
    """An order that puts the best candidate last."""
    best = candidate_mlp(d, e, HeadWeights())
    return replace(best, ws=-best.ws)


@pytest.mark.parametrize("with_base", [False, True])
def test_an_order_that_finds_less_than_what_it_would_replace_is_refused(
    trained: Ranker, monkeypatch: pytest.MonkeyPatch, with_base: bool
):
    features, judgments, _ = made(40, seed=2)
    wrong = FittedMLP(wrong_order(40, 30), (1.0, 0.5))
    monkeypatch.setattr(fit_ranking, "fit_mlp", lambda *arguments, **options: wrong)
    ranker = train(features, judgments, ENCODERS, SHORT, base=trained if with_base else None)
    what = "the base" if with_base else "the candidates"
    verdict = ranker.training["order"]
    assert verdict.startswith("refused: on validation the learned one finds less (recall@1 + 5 + 10 ")
    assert f") than {what} (" in verdict
    assert is_kept(ranker.ranking_mlp, trained.ranking_mlp if with_base else candidate_mlp(40, 30, HeadWeights()))
    assert recall(ranker, made(60, seed=1)[0], 1) > 0.8
