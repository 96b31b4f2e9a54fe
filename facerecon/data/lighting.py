"""Conditions of light: of any crop by its mean luma (Rec. 601, 0 to 255), of a drawn face the one it was drawn in."""

from collections.abc import Sequence
from typing import Any

from facerecon.data.manifest import Manifest
from facerecon.drawn import Lighting
from facerecon.errors import FaceReconError

LIGHTING = (("dark", 0, 85), ("medium", 85, 170), ("bright", 170, 255))
"""Name, and the range of the mean: the lower bound belongs to each, the upper one to the last alone."""

LIGHT = "light"
"""The truth beside a crop that says the light, an integer: the condition's place in ``Lighting``."""


def within(luma: Any, low: int, high: int) -> Any:
    """Which of the means (an array or a column) lie in a range of ``LIGHTING``: booleans of the same shape."""
    return (luma >= low) & ((luma < high) | (high == LIGHTING[-1][2]))


def light_of(manifest: Manifest, faces: Sequence[str]) -> tuple[str, ...] | None:
    """The light that each of ``faces`` is in, a name of ``Lighting``; "" for one of which it is not known.

    None where it is known of none. It is known where the source has the truth ``light`` as one integer.

    Raises:
        FaceReconError: a source's truth names no condition.
    """
    if not manifest.truth:
        return None
    lights = tuple(_light(manifest, face) for face in faces)
    return lights if any(lights) else None


def _light(manifest: Manifest, face: str) -> str:
    store, names = manifest.aligned_faces, list(Lighting)
    if not store.has_truth(face, LIGHT):
        return ""
    told = store.truth(face, LIGHT)
    if told.shape or told.dtype.kind not in "iu":
        return ""  # of another meaning, such as a direction
    if not 0 <= int(told) < len(names):
        raise FaceReconError(f"truth '{LIGHT}' of face {face} is {told}: its source must give 0 to {len(names) - 1}")
    return names[int(told)].value
