"""The ablation: each row is the ranking with one part switched off, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.ablation import _figures, measure
from reranker.metrics.metrics import largest_share, ranks_of_own, recall_at
from reranker.models.class_names import ClassNameHead
from reranker.training.examples import Gallery, candidate_scores
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, made

PHOTOS, ASKED = 36, 20


@pytest.fixture(scope="module")
def data():
    return made(PHOTOS, seed=0, regions=True)[0], made(ASKED, seed=1, regions=True)[0]


def expected(scores, own):
    ranks, top = ranks_of_own(scores, own), np.argsort(-scores, axis=1)[:, :10]
    return (*(recall_at(ranks, k) for k in (1, 5, 10)), largest_share(top))


def test_the_candidates_are_those_of_a_search_and_go_without_their_hub_term(data):
    features, judgments, _ = made(PHOTOS, seed=0, regions=True)
    joint_space = train(features, judgments, ENCODERS, QUICK).joint_space
    asked = data[1]
    gallery = Gallery.of(asked, np.arange(ASKED), joint_space)
    rows = np.flatnonzero(asked.owner >= 0)
    query = gallery.queries(asked, rows)
    own = asked.owner[rows]
    assert _figures(asked, gallery) == expected(candidate_scores(gallery.side, query), own)
    flat = replace(gallery.side, hubness=np.zeros_like(gallery.side.hubness))
    assert _figures(asked, gallery, ("hub",)) == expected(candidate_scores(flat, query), own)


def test_every_part_has_its_row(data):
    seen, asked = data
    table = dict(measure(seen, asked, ClassNameHead.none(seen.x.shape[1], seen.t.shape[1]), 0))
    parts = ["hub term", "meaning head", "names head", "lexical part", "tuning (closed form)"]
    titles = ["candidates", *(f"candidates without {part}" for part in parts), "reranked"]
    titles.append("reranked by the scalars alone, as the MLP weighs them")
    titles += [f"reranked without {part}" for part in ("late interaction", "meaning", "hub term")]
    assert list(table) == titles
    # Nothing is named here, so that head takes nothing along; late interaction does.
    assert table["candidates without names head"] == table["candidates"]
    assert table["reranked without late interaction"] != table["reranked"]
    assert all(0 < at_ten <= 1 and one <= five <= at_ten for one, five, at_ten, _ in table.values())
