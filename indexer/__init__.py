"""Index photos: photos -> embeddings -> index folder. See README.md."""

from typing import TYPE_CHECKING, Any

from indexer.errors import PhotoseekError

if TYPE_CHECKING:
    from indexer.index import Index

__all__ = ["Index", "PhotoseekError"]


def __getattr__(name: str) -> Any:
    # NumPy, which an index needs, takes longer than all of `photoseek --help`.
    if name != "Index":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from indexer.index import Index

    return Index
