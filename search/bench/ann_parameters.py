"""Vary the search parameters of a view's candidate structure, and look up its size.

A structure without a tuning scores every row. One with a tuning visits some of its lists (`nprobe`, by kind of query),
ranks the best rows of these (`refine_k`) by their 8-bit codes, and scores the best of those exactly.
"""

import os
from dataclasses import replace

from indexer.views.ann_search import SearchParameters, least_nprobe
from indexer.views.view import View

# The grid, as multiples of the parameters in use: of `nprobe`, then of `refine_k`.
NPROBE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2)
REFINE_K_SHARES = (1 / 4, 1 / 2, 1, 2)


def resident_bytes(view: View) -> int:
    """Return the bytes that the candidate structure keeps in memory; its 8-bit codes are mapped, as the vectors are."""
    return os.path.getsize(view.folder / "candidates.faiss")


def parameter_grid(view: View) -> list[SearchParameters]:
    """List the search parameters for a curve of recall against time.

    Args:
        view: The view.

    Returns:
        The parameters, ascending, each meant for every kind of query; empty if the structure scores every row. Their
        `recall` is 0, as it is not known yet.
    """
    if view.tuning is None:
        return []
    nlist = view.tuning.nlist
    used = max(view.tuning.kinds.values(), key=lambda parameters: parameters.nprobe)
    settings = set()
    for refine_k in {max(1, round(used.refine_k * share)) for share in REFINE_K_SHARES}:
        # A search visits at least so many lists, whatever is asked for: fewer would be measured as these.
        least = max(1, least_nprobe(refine_k, view.indexed_rows, nlist))
        settings |= {(min(nlist, max(least, round(used.nprobe * share))), refine_k) for share in NPROBE_SHARES}
    return [SearchParameters(nprobe, refine_k, recall=0.0) for nprobe, refine_k in sorted(settings)]


def with_parameters(view: View, parameters: SearchParameters) -> View:
    """Return a view that is searched with other parameters, the same for every kind of query.

    Args:
        view: A view whose structure has parameters.
        parameters: The parameters.

    Returns:
        The view; it shares the arrays of the given one.
    """
    assert view.tuning is not None
    return view.with_tuning(replace(view.tuning, kinds=dict.fromkeys(view.tuning.kinds, parameters)))
