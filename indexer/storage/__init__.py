"""Keep an index on disk: manifest, catalogue, vectors, files that are whole or missing."""
