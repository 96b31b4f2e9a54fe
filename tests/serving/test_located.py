"""Depth is drawn where it lies, in colours that keep their meaning from frame to frame."""

import numpy as np
import pytest

from facerecon.data.geometry import Square
from facerecon.inference.frames import Depth
from serving.located import draw_depths, reach_of


def depth_at(left: float, top: float, side: float, values: np.ndarray) -> Depth:
    return Depth(Square(np.array([left, top], np.float32), np.array([side, 0], np.float32)), values.astype(np.float32))


def test_depth_lies_in_its_square_and_nothing_elsewhere_is_coloured() -> None:
    values = np.full((64, 64), np.nan)
    values[16:48, 16:48] = np.linspace(-10, 10, 32)
    image = np.full((100, 200, 3), (200, 100, 50), np.uint8)
    before = image.copy()
    drawn, empty = draw_depths(image, [[depth_at(100, 20, 64, values)], []], 10)
    assert (image == before).all()
    assert (np.ptp(empty.astype(int), axis=-1) == 0).all()
    coloured = np.ptp(drawn.astype(int), axis=-1) > 0
    rows, columns = np.nonzero(coloured)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((36, 67, 116, 147), abs=1)
    # from dark, away, to bright, towards the camera
    light = drawn[50, 118:146].astype(int).sum(-1)
    assert light[-1] > light[0] + 200
    assert (drawn[~coloured] == empty[~coloured]).all()


def test_a_face_that_hangs_over_the_edge_or_lies_beyond_is_no_error_and_the_first_lies_on_top() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    near, far = (np.full((8, 8), z) for z in (9.0, -9.0))
    drawn, over = draw_depths(
        image,
        [
            [depth_at(-20, -10, 30, near), depth_at(500, 0, 30, near), depth_at(0, 0, 30, np.full((8, 8), np.nan))],
            [depth_at(0, 0, 40, far), depth_at(0, 0, 40, near)],
        ],
        10,
    )
    assert drawn[5, 5].sum() > 300
    assert drawn[30:, 40:].sum() == 0
    alone, _ = draw_depths(image, [[depth_at(0, 0, 40, far)], []], 10)
    assert (over == alone).all()


def test_colours_end_at_a_round_number_that_stays_while_it_serves() -> None:
    reaches = []
    reach = 0.0
    for most in (13.0, 14.9, 9.0, 7.0, 40.0, 55.0, 21.0, 0.0):
        reach = reach_of([depth_at(0, 0, 9, np.array([[0, -most], [np.nan, most / 2]]))], reach)
        reaches.append(reach)
    assert reaches == [15, 15, 15, 8, 40, 60, 30, 1]
    assert reach_of([], 40) == 40
    assert reach_of([depth_at(0, 0, 9, np.full((4, 4), np.nan))], 15) == 15
