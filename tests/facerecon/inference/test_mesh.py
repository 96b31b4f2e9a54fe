"""MediaPipe's mesh is told as a network's points and depth are."""

from pathlib import Path

import numpy as np

from facerecon.images import read_rgb
from facerecon.inference.chain import Chain
from facerecon.inference.frames import LANDMARKS68, MESH, Face, Frame
from facerecon.inference.mesh import mesh_depth, mesh_points
from facerecon.inference.stage import Runtime, make_stage


def test_points_and_depth_of_a_face_that_mediapipe_has_found_agree(photo: Path) -> None:
    with Runtime() as runtime, Chain([make_stage("detect", {})], runtime) as chain:
        (outcome,) = chain.run([Frame(read_rgb(photo))])
    (face,) = outcome.frame.faces
    points, depth = mesh_points(face), mesh_depth(face)
    assert points is not None
    assert depth is not None
    np.testing.assert_array_equal(points[:, :2], face[LANDMARKS68])
    assert abs(points[:, 2].mean()) < 1e-3
    # where a point lies the depth is its z, and the nose is nearest
    column, row = depth.square.to_crop(points[30:31], len(depth.values))[0].astype(int)
    assert abs(depth.values[row, column] - points[30, 2]) < 0.05 * depth.square.side
    assert np.nanmax(depth.values) < points[30, 2] + 0.05 * depth.square.side
    assert 0.5 < np.isfinite(depth.values).mean() < 0.95
    low, high = face[MESH][:, :2].min(0), face[MESH][:, :2].max(0)
    assert (depth.square.corners.min(0) <= low + 1e-3).all()
    assert (depth.square.corners.max(0) >= high - 1e-3).all()


def test_a_face_that_mediapipe_has_not_found_has_neither() -> None:
    assert mesh_points(Face(1)) is None
    assert mesh_depth(Face(1)) is None
