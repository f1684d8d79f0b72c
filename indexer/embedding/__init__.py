"""Embed photo files: the pipeline from paths to vectors, its precision, region vectors."""
