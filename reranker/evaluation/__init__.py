"""Measure a ranker: protocols, error analysis, comparison, TREC files."""
