"""Figures, baselines and the report."""
