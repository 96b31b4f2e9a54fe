"""Crops lie inside the photograph and say nothing of where the points are; a mirrored face has its points swapped."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facerecon.data.geometry import AROUND, box_of
from facerecon.data.manifest import Manifest
from facerecon.data.photos import read_photo
from facerecon.perception.landmarks import FaceLandmarker, sixty_eight
from facerecon.tasks.landmarks.placement import MIRRORED, MOST_OF_FACE, TRIES, beside, closest, flipped, inside, place
from facerecon.tasks.landmarks.training_settings import PlacementSettings
from facerecon.weights import weights_path

points = arrays(np.float32, (68, 3), elements=st.floats(60, 140, width=32))


@given(points, st.integers(150, 400), st.integers(150, 400), st.integers(0, 2**31))
def test_a_crop_lies_inside_the_photograph(found: np.ndarray, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    where = place(found, (height, width), PlacementSettings(), rng)
    if where is not None:
        assert inside(where, (height, width))
        middle, area = box_of(found)
        low, high = PlacementSettings().scale
        assert low * AROUND * area * 0.999 <= where.side <= high * AROUND * area * 1.001
        off = np.abs(where.corners.mean(axis=0) - middle)
        assert (off <= PlacementSettings().shift * where.side * 1.001).all()
    # what is drawn later does not depend on it
    expected = np.random.default_rng(seed)
    expected.random((TRIES, 4))
    assert rng.random() == expected.random()


@given(points, st.integers(250, 400), st.integers(250, 400), st.integers(0, 2**31))
def test_a_crop_beside_the_face_lies_inside_and_shows_little_of_it(
    found: np.ndarray, height: int, width: int, seed: int
) -> None:
    where = beside(found, (height, width), np.random.default_rng(seed))
    if where is not None:
        assert inside(where, (height, width))
        low, high = found[:, :2].min(axis=0), found[:, :2].max(axis=0)
        box = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
        common, _ = cv2.intersectConvexConvex(where.corners, box.astype(np.float32))
        assert common <= (MOST_OF_FACE + 0.1) * where.side**2


def test_there_is_no_crop_beside_a_face_that_fills_its_photograph() -> None:
    x, y = np.meshgrid(np.linspace(1, 99, 10), np.linspace(1, 99, 7))
    filling = np.column_stack([x.ravel()[:68], y.ravel()[:68], np.zeros(68)]).astype(np.float32)
    assert beside(filling, (100, 100), np.random.default_rng(0)) is None


@given(points, st.integers(150, 400), st.integers(150, 400))
def test_the_closest_crop_lies_inside_too(found: np.ndarray, height: int, width: int) -> None:
    where = closest(found, (height, width))
    assert inside(where, (height + 1, width + 1))
    assert where.side <= AROUND * box_of(found)[1] + 1


def test_a_face_without_room_has_no_crop() -> None:
    wide = np.zeros((68, 3), np.float32)
    wide[:, 0], wide[:, 1] = np.linspace(0, 100, 68), np.linspace(0, 100, 68)
    assert place(wide, (100, 100), PlacementSettings(), np.random.default_rng(0)) is None


def test_mirroring_twice_changes_nothing() -> None:
    assert [MIRRORED[place] for place in MIRRORED] == list(range(68))
    found = np.random.default_rng(0).uniform(0, 64, (68, 3)).astype(np.float32)
    np.testing.assert_allclose(flipped(flipped(found, 64), 64), found, atol=1e-5)


def test_points_of_a_mirrored_photograph_are_the_swapped_ones(faces: Manifest) -> None:
    image = read_photo(faces, faces.faces.iloc[0])
    with FaceLandmarker(weights_path("face_landmarker")) as landmarker:
        (plain, _), (mirrored, _) = (
            landmarker.detect(each)[0] for each in (image, np.ascontiguousarray(cv2.flip(image, 1)))
        )
    expected = flipped(sixty_eight(plain), image.shape[1])
    distance = np.linalg.norm((sixty_eight(mirrored) - expected)[:, :2], axis=1)
    unswapped = sixty_eight(plain).copy()
    unswapped[:, 0] = image.shape[1] - unswapped[:, 0]
    wrong = np.linalg.norm((sixty_eight(mirrored) - unswapped)[:, :2], axis=1)
    area = box_of(expected)[1]
    assert distance.mean() < 0.03 * area
    assert wrong.mean() > 5 * distance.mean()
