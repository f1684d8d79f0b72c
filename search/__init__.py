"""The search room: query -> hits. See README.md."""

from search.results import Answer, Hit
from search.searcher import Searcher

__all__ = ["Answer", "Hit", "Searcher"]
