"""The ablation: each row is the ranking with one part switched off, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.ablation import Row, candidate_row, measure, reranked_row
from reranker.metrics.hubs import largest_share
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import candidate_scores
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, made

PHOTOS, ASKED = 36, 20


@pytest.fixture(scope="module")
def data():
    return made(PHOTOS, seed=0, regions=True)[0], made(ASKED, seed=1, regions=True)[0]


def expected(scores, own):
    ranks, top = ranks_of_own(scores, own), np.argsort(-scores, axis=1)[:, :10]
    return Row(*(recall_at(ranks, k) for k in (1, 5, 10)), largest_share(top))


def test_the_candidates_are_those_of_a_search_and_go_without_their_hub_term(data):
    embedded, judgments, _ = made(PHOTOS, seed=0, regions=True)
    ranker = train(embedded, judgments, ENCODERS, QUICK)
    space, asked = ranker.joint_space, data[1]
    rows = np.flatnonzero(asked.owner >= 0)
    photos = space.encode_photos(asked.x, asked.regions)
    queries = space.encode_queries(asked.t[rows], [asked.texts[row] for row in rows], asked.tokens.select(rows))
    own = asked.owner[rows]
    assert candidate_row(asked, space) == expected(candidate_scores(photos, queries), own)
    flat = replace(photos, hubness=np.zeros_like(photos.hubness))
    assert candidate_row(asked, space, ("hub",)) == expected(candidate_scores(flat, queries), own)
    assert reranked_row(asked, space, ranker.ranking_mlp) == reranked_row(asked, space, ranker.ranking_mlp, ())


def test_every_part_has_its_row(data):
    seen, asked = data
    table = measure(seen, asked, ClassNameHead.none(seen.x.shape[1], seen.t.shape[1]), 0)
    parts = ["hub correction", "meaning head", "class-name head", "lexical features", "tuning (closed form)"]
    titles = ["candidates", *(f"candidates without {part}" for part in parts), "reranked"]
    titles.append("reranked by the pair features alone, as the MLP weighs them")
    titles += [f"reranked without {part}" for part in ("late interaction", "meaning", "hub correction")]
    assert list(table) == titles
    # Nothing is named here, so that head takes nothing along; late interaction does.
    assert table["candidates without class-name head"] == table["candidates"]
    assert table["reranked without late interaction"] != table["reranked"]
    assert all(0 < row.recall_at_1 <= row.recall_at_5 <= row.recall_at_10 <= 1 for row in table.values())
