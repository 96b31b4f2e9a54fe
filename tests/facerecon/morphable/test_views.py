"""Pictures of a face: it covers its photograph where it is, and is seen from the sides that are asked for."""

import cv2
import numpy as np

from facerecon.morphable.fit import fit
from facerecon.morphable.model import MorphableModel
from facerecon.morphable.views import PAPER, overlaid, three_views
from facerecon.perception.landmarks import sixty_eight
from tests.facerecon.morphable.conftest import SIZE, Drawn


def test_the_face_lies_over_its_points_and_nowhere_else(model: MorphableModel, drawn_faces: list[Drawn]) -> None:
    face = drawn_faces[0]
    found = fit(model, face.points, face.camera)
    photograph = np.zeros((SIZE, SIZE + 60, 3), np.uint8)
    shown = overlaid(photograph, found.projected, found.vertices, model.triangles, opacity=1.0)
    assert not photograph.any(), "the photograph stays as it is"
    covered = shown.any(axis=2)
    inner = cv2.erode(covered.astype(np.uint8), np.ones((3, 3))) == 1
    x, y = sixty_eight(found.projected)[17:].astype(int).T
    assert inner[y, x].all()
    hull = cv2.convexHull(found.projected).round().astype(np.int32)
    outside = cv2.dilate(cv2.fillConvexPoly(np.zeros(covered.shape, np.uint8), hull, 1), np.ones((3, 3))) == 0
    assert not covered[outside].any()
    half = overlaid(photograph, found.projected, found.vertices, model.triangles, opacity=0.5)
    np.testing.assert_allclose(half[covered], shown[covered] / 2, atol=1)


def test_three_views_show_the_front_the_half_and_the_profile(model: MorphableModel) -> None:
    views = three_views(10 * model.mean, model.triangles, 200)
    assert views.shape == (200, 600, 3)
    covered = (views != PAPER).any(axis=2)
    front, half, profile = np.split(covered, 3, axis=1)
    widths = [int(np.ptp(np.flatnonzero(view.any(axis=0)))) for view in (front, half, profile)]
    heights = [int(np.ptp(np.flatnonzero(view.any(axis=1)))) for view in (front, half, profile)]
    assert widths[0] > widths[1] > widths[2]
    assert max(heights) - min(heights) <= 2
    # the face is as it is mirrored from the front; in profile the nose, the farthest point, is at the right
    assert (front == front[:, ::-1]).mean() > 0.99
    tip = np.flatnonzero(profile.any(axis=0))[-1]
    assert 0.4 < np.flatnonzero(profile[:, tip]).mean() / 200 < 0.65


def test_the_profile_shows_the_near_side_alone(model: MorphableModel) -> None:
    mean = 10 * model.mean
    changed = {}
    for side in (-1, 1):
        wide = mean.copy()
        wide[side * mean[:, 0] > 20, 0] *= 1.5
        before, after = (three_views(face, model.triangles, 200)[:, 400:].astype(int) for face in (mean, wide))
        changed[side] = np.abs(after - before).mean()
    # a face that is turned to the image's right shows its left side; at the rim a little of the other is seen
    assert changed[1] < changed[-1] / 4
