"""Where a face is cut, and what of a mask gets into the crop."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.geometry import LEAST_KNOWN, Square, cut, cut_known, face_square, square_around

HEIGHT, WIDTH = 60, 80


@st.composite
def squares(draw: st.DrawFn) -> Square:
    """A square of any turn in or partly beyond a picture of 80 x 60 pixels, smaller or larger than its crop."""
    side, turn = draw(st.floats(6, 150)), draw(st.floats(-math.pi, math.pi))
    origin = np.array([draw(st.floats(-20, WIDTH)), draw(st.floats(-20, HEIGHT))])
    return Square(origin, side * np.array([math.cos(turn), math.sin(turn)]))


def holes(hidden: np.ndarray, square: Square, size: int) -> np.ndarray:
    """The holes of a crop, whatever the photo shows."""
    return cut_known(np.zeros((*hidden.shape, 3), np.uint8), hidden, square, size)[1]


@given(square=squares(), size=st.sampled_from([16, 32, 48]), seed=st.integers(0, 2**32 - 1))
def test_what_is_hidden_reaches_no_pixel_that_counts_as_known(square: Square, size: int, seed: int) -> None:
    """Nor does the black that stands in its place: a photo of one colour has that colour wherever it is known."""
    rng = np.random.default_rng(seed)
    hidden = rng.random((HEIGHT // 10, WIDTH // 10)).repeat(10, 0).repeat(10, 1) < rng.choice([0.1, 0.3])
    hidden |= rng.random((HEIGHT, WIDTH)) < 0.01
    shown = np.where(hidden[..., None], 0, np.array([200, 100, 30])).astype(np.uint8)
    crop, hole, padding = cut_known(shown, hidden, square, size)
    assert np.abs(crop[hole == 0] - np.array([200.0, 100.0, 30.0])).max(initial=0) <= 1 / LEAST_KNOWN, "rounded twice"
    assert padding == cut(shown, square, size)[1]


@given(square=squares(), size=st.sampled_from([16, 32]), seed=st.integers(0, 2**32 - 1))
def test_without_a_hole_it_is_the_crop_of_training(square: Square, size: int, seed: int) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    crop, hole, _ = cut_known(photo, np.zeros((HEIGHT, WIDTH), bool), square, size)
    assert np.array_equal(crop, cut(photo, square, size)[0])
    assert not hole.any()


@given(square=squares(), size=st.sampled_from([16, 32]), seed=st.integers(0, 2**32 - 1))
def test_a_single_hidden_pixel_is_a_hole_no_larger_than_the_pixels_around_it(
    square: Square, size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
    hidden[y, x] = True
    rows, columns = np.nonzero(holes(hidden, square, size))
    centres = np.column_stack([columns, rows, np.ones(len(rows))]) @ square.matrix(size).T
    # a crop's pixel averages photo pixels as far as half its own width, and the next one beyond
    reach = math.hypot(1, 1) * (square.side / size / 2 + 1) + 1
    inside = (centres >= 0).all(1) & (centres <= [WIDTH - 1, HEIGHT - 1]).all(1)
    assert (np.hypot(*(centres - [x, y]).T) <= reach)[inside].all()
    to_crop = square.to_crop(np.array([[x + 0.5, y + 0.5]], np.float32), size)[0]
    assert len(rows) or not ((to_crop > 1) & (to_crop < size - 1)).all(), "however little of a pixel it is"


def test_the_rim_of_a_hole_is_known_from_what_is_known_of_it() -> None:
    """A crop's pixel is 4 x 4 of the photo's; the hole begins 1, 2, ... photo pixels into one."""
    square = Square(np.zeros(2), np.array([64.0, 0.0]))
    photo = np.full((64, 64, 3), 80, np.uint8)
    for into, first in ((0, 4), (1, 5), (2, 5), (3, 5)):
        hidden = np.zeros((64, 64), bool)
        hidden[:, 16 + into : 40] = True
        crop, hole, _ = cut_known(np.where(hidden[..., None], 0, photo).astype(np.uint8), hidden, square, 16)
        assert np.flatnonzero(hole[8])[0] == first
        assert np.abs(crop[hole == 0].astype(int) - 80).max() <= 2


def test_a_square_around_eyes_and_mouth_is_that_of_the_landmarks(aligned: object) -> None:
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48], points[48], points[54] = (40, 50), (80, 52), (45, 90), (75, 92)
    square, same = face_square(points), square_around(*np.float32([[40, 50], [80, 52], [60, 91]]))
    assert square.side == pytest.approx(same.side)
    np.testing.assert_allclose(square.origin, same.origin, rtol=1e-5)
