"""The reranker room: judgments -> ranker folder; what turns a pair of vectors into a relevance. See README.md."""

from reranker.judgments import load_judgments
from reranker.ranker import Ranker

__all__ = ["Ranker", "load_judgments"]
