"""Where a face is cut, and what of a mask gets into the crop."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.geometry import Square, cut, cut_hole, face_square, square_around

HEIGHT, WIDTH = 60, 80


@st.composite
def squares(draw: st.DrawFn) -> Square:
    """A square of any turn in or partly beyond a picture of 80 x 60 pixels, smaller or larger than its crop."""
    side, turn = draw(st.floats(6, 150)), draw(st.floats(-math.pi, math.pi))
    origin = np.array([draw(st.floats(-20, WIDTH)), draw(st.floats(-20, HEIGHT))])
    return Square(origin, side * np.array([math.cos(turn), math.sin(turn)]))


@given(square=squares(), size=st.sampled_from([16, 32, 48]), seed=st.integers(0, 2**32 - 1))
def test_what_is_hidden_reaches_no_pixel_that_counts_as_known(square: Square, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hidden = rng.random((HEIGHT, WIDTH)) < rng.choice([0.01, 0.2])
    one = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    other = np.where(hidden[..., None], 255 - one, one)
    hole = cut_hole(hidden, square, size)
    crops = [cut(image, square, size)[0] for image in (one, other)]
    assert (crops[0] == crops[1])[hole == 0].all()


@given(square=squares(), size=st.sampled_from([16, 32]), seed=st.integers(0, 2**32 - 1))
def test_the_hole_is_no_larger_than_the_pixels_around_what_is_hidden(square: Square, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
    hidden[y, x] = True
    rows, columns = np.nonzero(cut_hole(hidden, square, size))
    centres = np.column_stack([columns, rows, np.ones(len(rows))]) @ square.matrix(size).T
    # a crop's pixel averages photo pixels as far as half its own width, and the next one beyond
    reach = math.hypot(1, 1) * (square.side / size / 2 + 1) + 1
    inside = (centres >= 0).all(1) & (centres <= [WIDTH - 1, HEIGHT - 1]).all(1)
    assert (np.hypot(*(centres - [x, y]).T) <= reach)[inside].all()


def test_a_square_around_eyes_and_mouth_is_that_of_the_landmarks(aligned: object) -> None:
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48], points[48], points[54] = (40, 50), (80, 52), (45, 90), (75, 92)
    square, same = face_square(points), square_around(*np.float32([[40, 50], [80, 52], [60, 91]]))
    assert square.side == pytest.approx(same.side)
    np.testing.assert_allclose(square.origin, same.origin, rtol=1e-5)
