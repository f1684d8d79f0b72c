"""Tune the search of lists for a kind of query: pick the cheapest parameters that find enough of the best rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexer.views.ann_search import SearchParameters, exact_count
from indexer.views.ann_settings import AnnSettings
from indexer.views.byte_codes import ByteCodes
from indexer.views.lazy_faiss import faiss_module


@dataclass(frozen=True, slots=True, eq=False)
class HeldBackQueries:
    """Queries of one kind that the structure was not made with.

    Attributes:
        mapped: (b, r) float32, in the space of the lists.
        best: (b, c) int64, the best rows of each by exact score.
        recall: Share of these to find.
    """

    mapped: np.ndarray
    best: np.ndarray
    recall: float


def tune(
    lists: Any,
    codes: ByteCodes,
    queries: HeldBackQueries,
    settings: AnnSettings,
    on_share: Callable[[float], None],
) -> SearchParameters:
    """Pick the cheapest search with enough recall; if none has it, the cheapest near the best recall.

    Args:
        lists: The FAISS index of lists.
        codes: 8-bit codes of the rows in it.
        queries: What to search for.
        settings: Parameters to try, costs, tolerance.
        on_share: Gets the share of the lists that was visited so far.
    """
    faiss = faiss_module()
    rows = lists.ntotal
    refine_ks = sorted({min(refine_k, rows) for refine_k in settings.refine_ks})
    tried: list[tuple[float, SearchParameters]] = []
    for nprobe in sorted({max(1, round(share * lists.nlist)) for share in settings.nprobe_shares}):
        scanned = nprobe * rows / lists.nlist * lists.pq.M
        if any(parameters.recall >= queries.recall and scanned > cost for cost, parameters in tried):
            break
        found = lists.search(queries.mapped, refine_ks[-1], params=faiss.IVFSearchParameters(nprobe=nprobe))[1]
        each = zip(queries.mapped, found, queries.best, strict=True)
        hits = np.mean([_count_hits(codes, *three, refine_ks) for three in each], axis=0)
        for refine_k, hit in zip(refine_ks, hits / queries.best.shape[1], strict=True):
            cost = scanned + refine_k * lists.d * settings.byte_code_cost
            tried.append((cost, SearchParameters(nprobe, refine_k, round(float(hit), 4))))
        on_share(nprobe / lists.nlist)
    most = max(parameters.recall for _, parameters in tried)
    least = queries.recall if most >= queries.recall else most - settings.tolerance
    enough = [(cost, parameters) for cost, parameters in tried if parameters.recall >= least]
    return min(enough, key=lambda pair: pair[0])[1]


def _count_hits(
    codes: ByteCodes, query: np.ndarray, found: np.ndarray, best: np.ndarray, refine_ks: Sequence[int]
) -> list[int]:
    """Count the best rows that one query's search finds, for each `refine_k`.

    query: (r,); found: (n,) rows as lists order them, -1 in places without one; best: (c,) rows.
    """
    found = found[found >= 0]
    order = np.argsort(-codes.scores(query, found), kind="stable")
    hit = np.isin(found[order], best)
    return [int(hit[order < refine_k][: exact_count(len(best))].sum()) for refine_k in refine_ks]
