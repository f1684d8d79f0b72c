"""Compute metrics: formulas alone, each with its source."""
