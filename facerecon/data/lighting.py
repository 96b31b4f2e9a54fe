"""Conditions of light, by the mean luma of a crop (Rec. 601, 0 to 255)."""

from typing import Any

LIGHTING = (("dark", 0, 85), ("medium", 85, 170), ("bright", 170, 255))
"""Name, and the range of the mean: the lower bound belongs to each, the upper one to the last alone."""


def within(luma: Any, low: int, high: int) -> Any:
    """Which of the means (an array or a column) lie in a range of ``LIGHTING``: booleans of the same shape."""
    return (luma >= low) & ((luma < high) | (high == LIGHTING[-1][2]))
