"""What is known of a face's points and depth, in the photograph and in a crop of it.

z is (mean depth - depth) * focal / mean depth: in pixels like x and y, towards the camera, from the mean of the points.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.geometry import Square, outlined
from facerecon.data.manifest import Manifest
from facerecon.data.store import GIVEN_POINTS, FaceStore
from facerecon.drawn import DEPTH_UNIT
from facerecon.models.landmarks import POINTS
from facerecon.perception.landmarks import Points, sixty_eight, towards_camera
from facerecon.synthetic.surface import sixty_eight_surface
from facerecon.tasks.landmarks.details import Truth

NOSE_TIP, JAW_ENDS = 30, (0, 16)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """The ``points`` [68, 3] of a face in its photograph's pixels, and the ``truth`` that they are.

    ``read_depth`` gives z float32 [h, w] over the photograph at half its size, NaN behind the person; None where it is
    not known. Between points that are GIVEN it is a canonical face's: pseudo-depth, to learn from and not to measure
    by.
    ``millimetres`` is how many are as large as a pixel of the photograph at the face, NaN where that is not known.
    """

    points: Points
    truth: Truth
    millimetres: float
    read_depth: Callable[[], Floats] | None


def known_of(store: FaceStore, face: str) -> Known | None:
    """What is known of a face; None where its points are no numbers or not POINTS."""
    if store.has_truth(face, GIVEN_POINTS):
        return _given(store.truth(face, GIVEN_POINTS))
    if not store.has_truth(face, "landmarks"):
        points = sixty_eight(store.points(face).all478)
        if not points.any() or not np.isfinite(points).all():
            return None
        points = sixty_eight(towards_camera(store.points(face).all478)).astype(np.float32)
        return Known(points, Truth.MEDIAPIPE, float("nan"), None)
    told = store.truth(face, "landmarks").astype(np.float64)
    if told.shape != (POINTS, 3) or not np.isfinite(told).all():
        return None
    focal, mean = float(store.truth(face, "focal")), float(told[:, 2].mean())
    pixels = focal / mean  # a centimetre at the face

    def depth() -> Floats:
        counted = store.truth(face, "depth")
        return np.where(counted == 0, np.nan, (mean - counted * DEPTH_UNIT) * pixels).astype(np.float32)

    points = np.column_stack([told[:, :2], (mean - told[:, 2]) * pixels])
    return Known(points.astype(np.float32), Truth.EXACT, 10 / pixels, depth)


def _given(told: NDArray[np.floating]) -> Known | None:
    """What a data set's own points [68, 3] say: data sets differ in where z grows to, but the nose's tip is before the
    ears. None where they are no numbers, not POINTS, or all in one place."""
    if told.shape != (POINTS, 3) or not np.isfinite(told).all() or not np.ptp(told, axis=0)[:2].any():
        return None
    z = told[:, 2].astype(np.float64) - told[:, 2].mean()
    z = -z if z[NOSE_TIP] < z[list(JAW_ENDS)].mean() else z
    points = np.column_stack([told[:, :2], z]).astype(np.float32)
    return Known(points, Truth.GIVEN, float("nan"), lambda: _pseudo_depth(points))


def _pseudo_depth(points: Points) -> Floats:
    """z float32 [side, side] of a face through the points, at half the photograph's size, as far as they reach; NaN
    beside it."""
    return sixty_eight_surface(points * np.array([0.5, 0.5, 1], np.float32), int(points[:, :2].max() / 2) + 2)


@dataclass(frozen=True)
class Target:
    """A crop's ``points`` float32 [68, 3] in its pixels; ``depth`` float32 [S, S], 0 where it is not known, and where
    it is, ``inside`` bool [S, S]: within the outline of the points. ``box``: the square root of the box's area in
    pixels; ``millimetres`` are as large as a pixel."""

    points: Points
    depth: Floats
    inside: NDArray[np.bool_]
    box: float
    millimetres: float


def target_of(known: Known, where: Square, size: int, box: float) -> Target:
    """What is known of a face in the crop of a square; ``box`` is that of its box in the photograph."""
    scale = size / where.side
    points = np.column_stack([where.to_crop(known.points, size), known.points[:, 2] * scale]).astype(np.float32)
    depth, inside = np.zeros((size, size), np.float32), np.zeros((size, size), bool)
    if known.read_depth is not None:
        whole = known.read_depth()
        half = where.scaled(0.5).matrix(size)
        seen = np.isfinite(whole)
        z, share = (
            cv2.warpAffine(
                np.asarray(plane, np.float32),
                half,
                (size, size),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for plane in (np.where(seen, whole, 0), seen)
        )
        inside = (share > 0.999) & outlined(points, size)
        depth = np.where(inside, z * scale, 0).astype(np.float32)
    return Target(points, depth, inside, box * scale, known.millimetres / scale)


def chosen_faces(manifest: Manifest, name: str, most: int) -> EvaluationFaces:
    """At most ``most`` faces of each source in a split or a named set.

    Sources have truths of their own, and a large one must not crowd out a small one.
    """
    parts = [
        evaluation_faces(replace(manifest, faces=faces), name, most)
        for _, faces in manifest.faces.groupby("source", sort=True)
    ]
    return EvaluationFaces(
        pd.concat([part.rows for part in parts], ignore_index=True),
        np.concatenate([part.images for part in parts]),
        [points for part in parts for points in part.points],
        [each for part in parts for each in part.parts],
    )


def known_faces(manifest: Manifest, faces: list[str]) -> dict[str, Known]:
    """What is known of the ``faces`` of which anything is."""
    store = manifest.aligned_faces
    found = {face: known_of(store, face) for face in faces}
    return {face: known for face, known in found.items() if known is not None}
