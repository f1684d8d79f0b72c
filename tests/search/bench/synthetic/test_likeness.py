"""search.bench.synthetic.likeness: synthetic photos are like the real ones, and what is said of that."""

import json

from indexer.index import Index
from search.bench.synthetic.likeness import measure_likeness
from search.bench.synthetic.statistics import GalleryStatistics, deviation, quantile_deviation
from search.searcher import Searcher

REAL, MADE = 300, 2_000
# Statistics of clouds that are alike differ by less than this.
AGREEMENT = 0.1


def test_dimension_and_similarities_are_those_of_the_real_ones(real: Index, made: Index) -> None:
    queries = Searcher(real).encode_queries(["a dog in the snow", "people on a beach", "dog"]).candidate
    found = measure_likeness(real, made, queries)
    assert (found.compared, found.photos, found.folder) == (REAL, MADE, made.folder)
    for side in (found.real, found.synthetic):
        assert list(side.similarity.values()) == sorted(side.similarity.values())
        assert list(side.query_score.values()) == sorted(side.query_score.values())
    assert found.largest_deviation == round(deviation(found.real, found.synthetic), 4)
    assert found.largest_deviation <= AGREEMENT
    assert found.query_deviation == round(quantile_deviation(found.real.query_score, found.synthetic.query_score), 4)
    values = found.as_dict()
    assert json.loads(json.dumps(values)) == values
    assert list(values) == [
        "folder",
        "photos",
        "compared",
        "estimator",
        "recipe",
        "real",
        "synthetic",
        "largest_deviation",
        "query_deviation",
    ]
    assert list(values["real"]) == ["intrinsic_dimension", "similarity", "query_score"]
    assert list(values["recipe"]) == ["photos", "neighbours", "spread", "seed", "source"]
    assert GalleryStatistics(1.0, {}).as_dict() == {"intrinsic_dimension": 1.0, "similarity": {}}
