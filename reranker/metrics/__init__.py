"""Formulas that measure rankings, calibration and agreement, with bootstrap intervals; nothing here knows a ranker."""
