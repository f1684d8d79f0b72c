"""Decoders of photos, one file per kind; `indexer.photos.decode` chooses among them by a file's content."""
