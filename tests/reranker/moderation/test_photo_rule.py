import numpy as np
import pytest

from reranker.moderation.photo_rule import PhotoRule, photo_scores, prompt_share
from tiny_space import inputs, make_ranker


def test_the_share_is_the_prompts_mean_beside_the_contrasts():
    relevance = np.float32([[0.4, 0.0, 0.1], [0.2, 0.0, 0.3], [0.1, 0.5, 0.2]])
    share, strongest = prompt_share(relevance, 2)
    # 0.3 / (0.3 + 0.1); 0 / (0 + 0.5); 0.2 / (0.2 + 0.2)
    assert share == pytest.approx([0.75, 0.0, 0.5])
    assert strongest.tolist() == [0, 0, 1]
    assert (share.dtype, strongest.dtype) == (np.float32, np.int16)


def test_the_share_of_a_photo_that_fits_nothing_is_0():
    assert prompt_share(np.zeros((3, 2), np.float32), 1)[0].tolist() == [0, 0]


@pytest.mark.parametrize("late", [True, False])
def test_photo_scores_are_the_shares_of_the_rankers_relevance(late):
    given, ranker = inputs(), make_ranker(late=late)
    side = ranker.encode_photos(given.x, given.regions)
    query = ranker.encode_queries(given.t, given.texts, given.tokens)
    rule = PhotoRule(given.texts[:2], given.texts[2:], 0.5)
    share, strongest = photo_scores(rule, ranker, side, query)
    relevance = np.stack([ranker.scores(side, query, row).relevance for row in range(3)])
    mine = relevance[:2].mean(axis=0)
    assert share == pytest.approx(mine / (mine + relevance[2]), abs=1e-5)
    assert strongest.tolist() == relevance[:2].argmax(axis=0).tolist()
