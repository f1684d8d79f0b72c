"""Open the searcher of an index as a command's options say."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from photoseek.commands.console import say


def one_blas_thread() -> None:
    """Unless NumPy is loaded already: its BLAS starts a thread a core, of no use to a search, and they spin before
    they sleep."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def open_searcher(
    folder: Path,
    ranker: Path | None,
    timer: Callable[[str, float], None] | None = None,
    candidates: int | None = None,
) -> Any:
    from indexer.index import Index
    from reranker.ranker import Ranker
    from search.searcher import CANDIDATES, Searcher

    wanted = None if ranker is None else Ranker.load(ranker)
    return Searcher(Index.open(folder), wanted, timer, say, candidates=candidates or CANDIDATES)
