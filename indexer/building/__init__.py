"""Build an index or bring it up to date: what changed, what is read again, rows written, what is missing meanwhile."""
