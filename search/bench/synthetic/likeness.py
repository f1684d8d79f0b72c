"""Compare the photos of a synthetic index with the real ones."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexer.index import Index
from search.bench.exact_search import best_rows, view_blocks
from search.bench.synthetic.index import read_recipe
from search.bench.synthetic.photos import Recipe, source_rows
from search.bench.synthetic.statistics import (
    NEAREST,
    GalleryStatistics,
    deviation,
    quantile_deviation,
    quantiles,
    statistics,
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Statistics of synthetic photos beside those of the real ones.

    Attributes:
        folder: The synthetic index folder.
        photos: How many synthetic photos it has.
        compared: How many photos of either index were compared.
        recipe: What made the synthetic index; None if it does not say.
        real: Statistics of the real photos.
        synthetic: Statistics of as many synthetic ones.
        largest_deviation: The largest relative difference of dimension and similarities.
        query_deviation: The largest relative difference of query scores.
    """

    folder: Path
    photos: int
    compared: int
    recipe: Recipe | None
    real: GalleryStatistics
    synthetic: GalleryStatistics
    largest_deviation: float
    query_deviation: float

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "folder": str(self.folder),
            "photos": self.photos,
            "compared": self.compared,
            "estimator": "TwoNN",
            "recipe": None if self.recipe is None else asdict(self.recipe),
            "real": self.real.as_dict(),
            "synthetic": self.synthetic.as_dict(),
            "largest_deviation": self.largest_deviation,
            "query_deviation": self.query_deviation,
        }


def measure_likeness(real: Index, made: Index, queries: np.ndarray) -> Likeness:
    """Compare the real photos with a random part, equally large, of the synthetic ones. A whole one would be denser.

    Args:
        real: The real index.
        made: The synthetic index.
        queries: Mapped queries of one kind, (b, k + 1) float32; words and captions score on different scales.

    Returns:
        The statistics of both, and how far they are apart.
    """
    sources = source_rows(real)
    rows = np.sort(np.random.default_rng(2).choice(made.rows, min(len(sources), made.rows), replace=False))
    part = np.asarray(made.embeddings()[rows], np.float32)
    real_statistics = statistics(sources)
    made_statistics = statistics(part / np.linalg.norm(part, axis=1, keepdims=True))
    some = np.sort(np.random.default_rng(3).choice(real.rows, min(len(sources), real.rows), replace=False))
    real_scores, made_scores = _query_scores(real, queries, some), _query_scores(made, queries, rows)
    return Likeness(
        folder=made.folder,
        photos=made.rows,
        compared=len(rows),
        recipe=read_recipe(made.folder),
        real=replace(real_statistics, query_score=real_scores),
        synthetic=replace(made_statistics, query_score=made_scores),
        largest_deviation=round(deviation(real_statistics, made_statistics), 4),
        query_deviation=round(quantile_deviation(real_scores, made_scores), 4),
    )


def _query_scores(index: Index, queries: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Return the quantiles of the 100 best scores of queries (b, k + 1) among some rows of an index."""
    ((_, scores),) = best_rows(view_blocks(index.view()), queries, NEAREST, [rows])
    return quantiles(scores)
