"""The indexer room: photos -> embeddings -> index folder. See README.md."""

from indexer.errors import PhotoseekError
from indexer.index import Index

__all__ = ["Index", "PhotoseekError"]
