"""Rankers that several tests of training look at, each trained once a module."""

import pytest

from reranker.ranker import Ranker
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, judged, made


@pytest.fixture(scope="module")
def cache(one_thread: None, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def trained() -> Ranker:
    """Without regions and without judgments."""
    features, judgments, _ = made(60, seed=0)
    return train(features, judgments, ENCODERS, QUICK)


@pytest.fixture(scope="module")
def whole() -> Ranker:
    """With regions, tokens and judgments."""
    features, judgments, hidden = made(60, seed=0, regions=True)
    return train(features, judged(features, judgments, hidden, 400), ENCODERS, QUICK)
