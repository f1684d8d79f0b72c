"""Apply a ranker: every model is a frozen dataclass of arrays; NumPy is all it needs."""
