"""Reports: charts, photos and tables -> one HTML file that asks nothing of any network."""

from reranker.reports.album import Album
from reranker.reports.page import Section, write_report

__all__ = ["Album", "Section", "write_report"]
