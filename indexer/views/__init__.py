"""Build, open and search views: what a ranker adds to an index, with its ANN structure."""
