"""The reranker room: judgments -> ranker folder; what turns a pair of vectors into a relevance. See README.md."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reranker.judgments.judged_folder import load_judgments
    from reranker.ranker import Ranker

__all__ = ["Ranker", "load_judgments"]


def __getattr__(name: str) -> Any:
    # As in `indexer`: a command's help needs none of it.
    homes = {"Ranker": "reranker.ranker", "load_judgments": "reranker.judgments.judged_folder"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
