"""Fit the joint spaces of a training: one of all photos, and one per fold for the scores that the MLPs learn from."""
