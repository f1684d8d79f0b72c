"""FAISS, imported when it is first needed."""

from typing import Any


def faiss_module() -> Any:
    """Import FAISS, which takes too long for a process that does not search.

    Returns:
        The module, typed as Any: its stubs lack the keyword arguments that its own wrappers add.
    """
    import faiss

    return faiss
