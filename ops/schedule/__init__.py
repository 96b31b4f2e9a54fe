"""Retraining on a schedule, on one machine: `facerecon watch` in the foreground, or a timer of the system."""
