"""A small index without photos, and a synthetic one made of it."""

import pytest

from indexer.index import Index
from reranker.ranker import Ranker
from search.bench.synthetic.index import synthetic_index
from tiny_cloud import make_index

REAL, MADE = 300, 2_000


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, ranker: Ranker) -> Index:
    return make_index(tmp_path_factory.mktemp("cloud") / "photos", REAL, ranker)


@pytest.fixture(scope="session")
def made(real: Index) -> Index:
    return synthetic_index(real, MADE)
