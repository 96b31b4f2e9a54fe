"""What is common to the drawing of sample faces and to the source that reads them."""

from enum import StrEnum

TRUTH = "truth.json"
"""The file beside a person's photographs that holds what is known of them."""


class Lighting(StrEnum):
    """The five lighting conditions. Truth beside crops names one by its place in this order, which does not change."""

    FRONTAL = "frontal"
    SIDE = "side"
    TOP = "top"
    BACK = "back"
    DIM = "dim"
