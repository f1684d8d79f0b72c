"""Experiments: run from a checkout with `python -m experiments.NAME`, never installed."""
