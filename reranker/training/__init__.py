"""Fit a ranker to judged data; the only part of the room that uses torch and scikit-learn."""
