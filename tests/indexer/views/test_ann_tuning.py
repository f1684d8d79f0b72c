from types import SimpleNamespace

import numpy as np
import pytest

from indexer.views import ann_tuning
from indexer.views.ann_settings import AnnSettings
from indexer.views.ann_tuning import HeldBackQueries, tune

SETTINGS = AnnSettings(nprobe_shares=(0.25, 0.5, 1), refine_ks=(250, 500))


@pytest.mark.parametrize(("found", "chosen"), [(0.995, (8, 500)), (0.9805, (8, 250))])
def test_the_cheapest_search_that_is_good_enough_is_taken_or_nearly_as_good_as_any(monkeypatch, found, chosen):
    """Of the best rows, 4 lists of 16 hold 97.8 %, 8 hold 98 % among 250 rows and what `found` says among 500."""
    recalls = {(8, 250): 0.98, (8, 500): found, (16, 250): 0.98, (16, 500): found}
    lists = SimpleNamespace(nlist=16, ntotal=1000, d=24, pq=SimpleNamespace(M=6))
    lists.search = lambda asked, refine_k, params: (None, np.full((len(asked), 1), params.nprobe))

    def count_hits(codes, query, rows, best, refine_ks):
        return [1000 * recalls.get((rows[0], refine_k), 0.978) for refine_k in refine_ks]

    monkeypatch.setattr(ann_tuning, "_count_hits", count_hits)
    queries = HeldBackQueries(np.zeros((1, 24)), np.zeros((1, 1000)), 0.99)
    shares = []
    parameters = tune(lists, None, queries, SETTINGS, shares.append)
    assert (parameters.nprobe, parameters.refine_k) == chosen
    assert shares == [0.25, 0.5, 1]
