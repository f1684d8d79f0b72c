"""Open the searcher of an index as the options of a command say."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from photoseek.progress.console import say

if TYPE_CHECKING:
    from search.searcher import Searcher


def one_blas_thread() -> None:
    """Limit NumPy's BLAS to one thread, unless NumPy is loaded already.

    OpenBLAS starts one thread per core. A search has no use for them, and they spin before they sleep.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def open_searcher(
    folder: Path,
    ranker: Path | None,
    timer: Callable[[str, float], None] | None = None,
    candidates: int | None = None,
) -> "Searcher":
    """Open an index for searches.

    Args:
        folder: The index folder.
        ranker: The ranker folder that must be the attached one; None accepts any.
        timer: Called with (stage, seconds) of every stage of a search.
        candidates: How many photos are reranked per query; None for the default.

    Returns:
        The searcher. Problems that do not stop a search are printed on stderr.

    Raises:
        PhotoseekError: The index cannot be opened, or another ranker is attached.
    """
    from indexer.index import Index
    from indexer.printable import counted
    from reranker.ranker import Ranker
    from search.opened_view import needs_view
    from search.searcher import Searcher

    wanted = None if ranker is None else Ranker.load(ranker)
    index = Index.open(folder)
    if needs_view(index):
        say(f"note: preparing {counted(index.rows, 'photo')} for the first search")
    return Searcher(index, wanted, timer, say, candidates=candidates)
