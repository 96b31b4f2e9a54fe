"""Retraining on new footage: its settings, and whether it is worth it."""
