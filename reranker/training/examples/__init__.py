"""Collect what the MLPs learn from: captions with photos, judged pairs, and single words asked as queries."""
