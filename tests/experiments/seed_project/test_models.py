import pytest

from experiments.seed_project.models import score_held_out_pairs
from experiments.seed_project.steps import split_pairs
from reranker.judgments.aggregate import majority
from reranker.models.joint_space import candidate_scores
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, judged, made


def test_scores_of_held_out_pairs_are_those_of_the_ranker(one_thread: None) -> None:
    features, judgments, hidden = made(40, seed=0, regions=True)
    judgments = judged(features, judgments, hidden, 120)
    ranker = train(features, judgments, ENCODERS, QUICK)
    pairs = split_pairs(features, majority(judgments.expert, ()), seed=0)
    candidates, relevance = score_held_out_pairs(ranker, features, pairs)
    assert len(candidates) == len(relevance) == len(pairs.held_out)
    for place, row in list(enumerate(pairs.held_out))[::10]:
        photo, text = pairs.photo_rows[row : row + 1], pairs.text_rows[row : row + 1]
        assert pairs.names[row] == (features.photos[photo[0]], features.captions[text[0]])
        photos = ranker.encode_photos(features.x[photo], features.regions[photo])
        query = ranker.encode_queries(features.t[text], [features.texts[text[0]]], features.tokens.select(text))
        assert relevance[place] == pytest.approx(float(ranker.scores(photos, query, 0).relevance[0]), abs=1e-5)
        assert candidates[place] == pytest.approx(float(candidate_scores(photos, query)[0, 0]), abs=1e-5)
