"""What is common to the drawing of sample faces and to the source that reads them."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.files import arrays_digest

TRUTH = "truth.json"
"""The file beside a person's photographs that holds what is known of them."""

SHAPE = "shape.npz"
"""The file beside it that holds points and depth of these photographs, where they are told."""

DEPTH_UNIT = 0.005
"""Of depth in that file, in cm."""


class Lighting(StrEnum):
    """The five lighting conditions. Truth beside crops names one by its place in this order, which does not change."""

    FRONTAL = "frontal"
    SIDE = "side"
    TOP = "top"
    BACK = "back"
    DIM = "dim"


def read_shapes(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file of shapes; OSError, ValueError or BadZipFile if it is none."""
    with np.load(path, allow_pickle=False) as content:
        return dict(content)


def shape_of(shapes: Mapping[str, NDArray[Any]], photo: str, sha256: str) -> dict[str, NDArray[Any]]:
    """What ``read_shapes`` gave of a photo by its file's name; {} unless its digest is ``sha256``."""
    stem = f"{PurePath(photo).stem}."
    told = {key.removeprefix(stem): array for key, array in shapes.items() if key.startswith(stem)}
    return told if told and arrays_digest(told) == sha256 else {}
