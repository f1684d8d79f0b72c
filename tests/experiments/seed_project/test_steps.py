from math import ceil

from experiments.seed_project.steps import split_pairs
from reranker.judgments.aggregate import majority
from tiny_judged import judged, made


def test_the_split_puts_three_of_ten_photos_on_the_held_out_side() -> None:
    features, judgments, hidden = made(40, seed=0)
    scores = majority(judged(features, judgments, hidden, 400).expert, ())
    pairs = split_pairs(features, scores, seed=0)
    photos = {photo for photo, _ in scores}
    assert pairs.train_photos.isdisjoint(pairs.held_out_photos)
    assert pairs.train_photos | set(pairs.held_out_photos) == photos
    assert len(set(pairs.held_out_photos)) == ceil(0.3 * len(photos))
    assert sorted([*pairs.train, *pairs.held_out]) == list(range(len(scores)))
    assert pairs.held_out_scores.tolist() == [scores[pairs.names[row]].score for row in pairs.held_out]
