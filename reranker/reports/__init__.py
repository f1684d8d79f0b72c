"""Write HTML reports of charts, photos and tables; each is one file that needs no network."""

from reranker.reports.album import Album
from reranker.reports.page import Section, write_report

__all__ = ["Album", "Section", "write_report"]
