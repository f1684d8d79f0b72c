"""FAISS, imported when it is first needed."""

from typing import Any


def faiss_module() -> Any:
    """FAISS, which takes too long to import for whoever does not search."""
    import faiss  # typed as Any: its stubs lack the keyword arguments that its own wrappers add

    return faiss
