"""Augmentation: the points go where the pixels go, and everything follows from the generator."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facerecon.data.augmentation import AugmentationSettings, augment
from facerecon.randomness import generator

SIZE = 64
FIVE = np.array([[22, 26], [42, 26], [32, 36], [24, 46], [40, 46]], dtype=np.float32)
NOTHING = {"flip": 0.0, "rotation": 0.0, "brightness": 0.0, "contrast": 0.0, "colour": 0.0, "blur": 0.0}
SEEDS = st.integers(0, 2**32)


def points68(seed: int = 0) -> NDArray[np.float32]:
    """Points so far from the border that no mirrored copy of what is there comes near them."""
    return np.random.default_rng(seed).uniform(22, 42, (68, 2)).astype(np.float32)


def only(**values: float) -> AugmentationSettings:
    """All changes off but these."""
    return AugmentationSettings(**{**NOTHING, **values})


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(60, 190, (SIZE, SIZE, 3), dtype=np.uint8)


def dot_at(point: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Black, but for a soft bright dot around ``point`` (counted from the image's corner)."""
    row, column = np.mgrid[:SIZE, :SIZE] + 0.5
    bright = np.exp(-((column - point[0]) ** 2 + (row - point[1]) ** 2) / 8)
    return np.repeat((bright * 250).round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The centre of what is bright, counted from the image's corner."""
    row, column = np.mgrid[:SIZE, :SIZE] + 0.5
    weight = image[..., 0].astype(np.float64)
    return np.array([(column * weight).sum(), (row * weight).sum()]) / weight.sum()


@given(SEEDS, st.floats(0, 1), st.floats(0, 45), st.integers(0, 67))
def test_points_follow_the_pixels(seed: int, flip: float, rotation: float, index: int) -> None:
    points = points68(seed)
    changes = only(flip=flip, rotation=rotation)
    image, _, moved, _ = augment(dot_at(points[index]), FIVE, points, changes, generator(seed))
    np.testing.assert_allclose(centre_of(image), moved[index], atol=0.15)


@given(SEEDS, st.floats(0, 1), st.floats(0, 45))
def test_the_five_points_are_the_same_places_in_their_order(seed: int, flip: float, rotation: float) -> None:
    spread = np.concatenate([FIVE, points68()[5:]])
    _, five, moved, _ = augment(picture(), FIVE, spread, only(flip=flip, rotation=rotation), generator(seed))
    assert five.shape == (5, 2)
    assert five.dtype == moved.dtype == np.float32
    assert sorted(five.tolist()) == sorted(moved[:5].tolist())
    left_eye, right_eye, nose, left_mouth, right_mouth = five
    assert left_eye[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert np.cross([*(right_eye - left_eye), 0], [*(nose - left_eye), 0])[2] > 0  # the nose is below the eyes


@pytest.mark.parametrize("index", range(5))
def test_after_a_flip_each_of_the_five_points_is_the_other_sides(index: int) -> None:
    image, five, _, _ = augment(dot_at(FIVE[index]), FIVE, points68(), only(flip=1), generator(0))
    mirrored = [1, 0, 2, 4, 3][index]
    np.testing.assert_allclose(centre_of(image), five[mirrored], atol=0.1)


def test_a_flip_is_exact() -> None:
    points = points68()
    image, five, moved, _ = augment(picture(), FIVE, points, only(flip=1), generator(0))
    np.testing.assert_array_equal(image, picture()[:, ::-1])
    np.testing.assert_allclose(moved, [SIZE, 0] + points * [-1, 1], atol=1e-5)
    np.testing.assert_allclose(five, ([SIZE, 0] + FIVE * [-1, 1])[[1, 0, 2, 4, 3]], atol=1e-5)


def test_with_everything_off_nothing_changes() -> None:
    image, five, moved, _ = augment(picture(), FIVE, points68(), only(), generator(3))
    np.testing.assert_allclose(image, picture(), atol=1e-3)
    assert image.dtype == np.float32
    np.testing.assert_allclose(five, FIVE, atol=1e-5)
    np.testing.assert_allclose(moved, points68(), atol=1e-5)


def test_what_is_given_stays_as_it_is() -> None:
    image, five, points = picture(), FIVE.copy(), points68()
    augment(image, five, points, AugmentationSettings(flip=1), generator(0))
    np.testing.assert_array_equal(image, picture())
    np.testing.assert_array_equal(five, FIVE)
    np.testing.assert_array_equal(points, points68())


@given(SEEDS)
@settings(max_examples=25)
def test_the_same_generator_gives_the_same_face(seed: int) -> None:
    one = augment(picture(), FIVE, points68(), AugmentationSettings(), generator(seed))
    np.random.default_rng().random()
    two = augment(picture(), FIVE, points68(), AugmentationSettings(), generator(seed))
    for first, second in zip(one[:3], two[:3], strict=True):
        np.testing.assert_array_equal(first, second)


@given(SEEDS)
@settings(max_examples=25)
def test_labelled_parts_stay_on_what_they_label(seed: int) -> None:
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    labels = np.zeros((SIZE, SIZE), np.uint8)
    red[16:40, 30:44, 0] = 255
    labels[16:40, 30:44] = 7
    image, _, _, moved = augment(red, FIVE, points68(), only(flip=0.5, rotation=15), generator(seed), labels)
    assert moved is not None
    assert set(np.unique(moved)) == {0, 7}
    assert ((moved == 7) == (image[..., 0] > 127)).mean() > 0.99
    plain, *_, none = augment(red, FIVE, points68(), only(flip=0.5, rotation=15), generator(seed))
    assert none is None
    np.testing.assert_array_equal(image, plain)


def test_another_generator_gives_another_face() -> None:
    faces = [augment(picture(), FIVE, points68(), AugmentationSettings(), generator(seed))[0] for seed in range(5)]
    assert len({face.tobytes() for face in faces}) == 5


@pytest.mark.parametrize("off", list(NOTHING))
def test_switching_one_change_off_leaves_the_others_as_they_were(off: str) -> None:
    def draws(options: dict[str, Any]) -> tuple[float, Any]:
        rng = generator(11)
        result = augment(picture(), FIVE, points68(), AugmentationSettings(**options), rng)
        return rng.random(), result

    after_all, (_, five, moved, _) = draws({})
    after_less, (_, five_less, moved_less, _) = draws({off: 0.0})
    assert after_all == after_less
    if off not in ("flip", "rotation"):
        np.testing.assert_array_equal(five, five_less)
        np.testing.assert_array_equal(moved, moved_less)


@given(SEEDS)
@settings(max_examples=25)
def test_values_stay_in_range(seed: int) -> None:
    strongest = AugmentationSettings(rotation=45, brightness=1, contrast=1, colour=1, blur=1)
    extreme = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), (SIZE, SIZE, 3))
    image, _, _, _ = augment(extreme, FIVE, points68(), strongest, generator(seed))
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 255


@given(SEEDS)
@settings(max_examples=50)
def test_each_change_is_within_its_bound(seed: int) -> None:
    _, _, moved, _ = augment(picture(), FIVE, points68(), only(rotation=15), generator(seed))
    before, after = points68() - SIZE / 2, moved - SIZE / 2
    angles = np.degrees(np.angle((after @ [1, 1j]) / (before @ [1, 1j])))
    assert np.ptp(angles) < 0.01
    assert abs(angles.mean()) <= 15.01
    gray = np.full((SIZE, SIZE, 3), 100, dtype=np.uint8)
    bright, *_ = augment(gray, FIVE, points68(), only(brightness=0.2), generator(seed))
    assert 80 - 1e-3 <= bright.min() == bright.max() <= 120 + 1e-3
    tinted, *_ = augment(gray, FIVE, points68(), only(colour=0.2), generator(seed))
    assert 90 - 1e-3 <= tinted.min() <= tinted.max() <= 110 + 1e-3
    contrast, *_ = augment(picture(), FIVE, points68(), only(contrast=0.2), generator(seed))
    assert 0.8 - 1e-3 <= contrast.std() / picture().std() <= 1.2 + 1e-3
    luma = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY).mean()
    assert (contrast @ np.array([0.299, 0.587, 0.114])).mean() == pytest.approx(luma, abs=0.6)


def test_chances_are_those_of_the_settings() -> None:
    flips = blurs = 0
    for seed in range(400):
        image, *_ = augment(picture(), FIVE, points68(), only(flip=0.5), generator("flip", seed))
        flips += bool(np.abs(image - picture()).max() > 1)
        image, *_ = augment(picture(), FIVE, points68(), only(blur=0.1), generator("blur", seed))
        blurs += bool(image.std() < picture().std() * 0.99)
    assert 160 <= flips <= 240
    assert 18 <= blurs <= 62
