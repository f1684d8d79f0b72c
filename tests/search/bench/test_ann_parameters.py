"""search.bench.ann_parameters: the grid of a tuned structure, and a view that is searched with one of its points."""

from dataclasses import replace

import numpy as np

from indexer.views.ann_search import SearchParameters, Tuning
from search.bench.ann_parameters import parameter_grid, with_parameters
from search.searcher import Searcher

PHOTOS = 600


def test_a_grid_of_parameters_is_tried_where_a_structure_is_tuned(searcher: Searcher) -> None:
    kinds = {"captions": SearchParameters(8, 500, 0.99), "words": SearchParameters(4, 700, 0.99)}
    tuning = Tuning(64, kinds, np.eye(2, dtype=np.float32))

    assert parameter_grid(searcher.view) == []
    tuned = replace(searcher.view, tuning=tuning)
    assert tuned.indexed_rows == PHOTOS
    grid = parameter_grid(replace(tuned, indexed_rows=64_000))
    # A list holds 1,000: those that hold four times as many as 1,000 rows are 4, four times as many as 500 are 2.
    found = {k: [point.nprobe for point in grid if point.refine_k == k] for k in (125, 250, 500, 1000)}
    assert found == {125: [1, 2, 4, 8, 16], 250: [1, 2, 4, 8, 16], 500: [2, 4, 8, 16], 1000: [4, 8, 16]}
    assert len(grid) == 17
    # Of 600 rows four times as many are all.
    assert parameter_grid(tuned)[-1] == SearchParameters(64, 1000, 0.0)
    other = with_parameters(tuned, SearchParameters(1, 500, 0.0))
    assert other.tuning.kinds == {kind: SearchParameters(1, 500, 0.0) for kind in kinds}
    assert (other.tuning.nlist, other.structure, tuned.tuning) == (64, tuned.structure, tuning)
