"""Masks: their exact area, their shape and where they lie."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from facerecon.corruption.masks import (
    EVALUATION_FAMILIES,
    FAMILIES,
    FEATURE_PARTS,
    FOCUSES,
    LEVELS,
    PART_GROUPS,
    PART_LABELS,
    TOLERANCE,
    TRAINING_FAMILIES,
    Focus,
    draw_feature_mask,
    draw_mask,
    draw_part_mask,
    draw_ratio,
    register_family,
)
from facerecon.errors import FaceReconError

RATIOS = st.floats(0.10, 0.70)
SEEDS = st.integers(0, 2**32 - 1)


def check(mask: np.ndarray, size: int, ratio: float) -> None:
    assert mask.dtype == np.uint8
    assert mask.shape == (size, size)
    assert set(np.unique(mask)) == {0, 1}
    assert abs(mask.mean() - ratio) <= TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=80, deadline=None)
@given(size=st.integers(32, 160), ratio=RATIOS, seed=SEEDS, focus=st.sampled_from(FOCUSES))
def test_area_is_met(family: str, size: int, ratio: float, seed: int, focus: Focus) -> None:
    focus = focus if FAMILIES[family].trained else "anywhere"
    check(draw_mask(family, size, ratio, np.random.default_rng(seed), focus), size, ratio)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=4, deadline=None)
@given(size=st.sampled_from([256, 511, 512]), ratio=RATIOS, seed=SEEDS)
def test_area_is_met_at_large_sizes(family: str, size: int, ratio: float, seed: int) -> None:
    check(draw_mask(family, size, ratio, np.random.default_rng(seed)), size, ratio)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("size", "ratio"), [(32, 0.05), (32, 0.95), (1024, 0.05), (1024, 0.95)])
def test_area_is_met_at_the_limits(family: str, size: int, ratio: float) -> None:
    check(draw_mask(family, size, ratio, np.random.default_rng(0)), size, ratio)


@pytest.mark.parametrize("focus", FOCUSES)
@pytest.mark.parametrize("family", TRAINING_FAMILIES)
def test_smallest_size_many_times(family: str, focus: Focus) -> None:
    """One pixel counts most where the image is smallest."""
    rng = np.random.default_rng(1)
    for _ in range(150):
        ratio = rng.uniform(0.1, 0.7)
        check(draw_mask(family, 32, ratio, rng, focus), 32, ratio)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_generator_alone_decides(family: str) -> None:
    def draw(seed: int) -> np.ndarray:
        return draw_mask(family, 64, 0.4, np.random.default_rng(seed))

    assert np.array_equal(draw(3), draw(3))
    assert len({draw(seed).tobytes() for seed in range(20)}) == 20


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("family", TRAINING_FAMILIES)
def test_focus_moves_the_holes(family: str, level: int) -> None:
    distance = np.hypot(*(np.mgrid[:64, :64] - 31.5))

    def mean_distance(focus: Focus) -> float:
        rngs = (np.random.default_rng(seed) for seed in range(40))
        return float(
            np.mean([distance[draw_mask(family, 64, draw_ratio(level, r), r, focus) == 1].mean() for r in rngs])
        )

    centre, anywhere, edges = mean_distance("centre"), mean_distance("anywhere"), mean_distance("edges")
    assert centre + 1 < anywhere < edges - 1


def test_every_pixel_can_be_hidden() -> None:
    for family in FAMILIES:
        total = np.sum(
            [draw_mask(family, 32, 0.3, np.random.default_rng(seed)) for seed in range(300)], axis=0, dtype=int
        )
        assert total.min() > 20, family
        assert total.max() < 200, family


@pytest.mark.parametrize("family", ["brush", "boxes"])
def test_holes_are_contiguous(family: str) -> None:
    """No speckles, nor slivers left by cutting the last shape: nearly every hole pixel lies in a 3x3 block of hole."""
    for seed in range(60):
        mask = draw_mask(family, 64, 0.1 + seed / 100, np.random.default_rng(seed))
        opened = cv2.morphologyEx(np.pad(mask, 1, constant_values=1), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        assert (mask > opened[1:-1, 1:-1]).mean() < 0.012
        assert ndimage.label(mask, np.ones((3, 3)))[1] <= 8


def test_scattered_holes_are_small_and_many() -> None:
    for seed in range(20):
        mask = draw_mask("scatter", 64, 0.1, np.random.default_rng(seed))
        assert ndimage.label(mask)[1] > 25
        # a square of two or three pixels, or a few that touch: nothing of a stroke's width
        assert not cv2.erode(mask, np.ones((7, 7), np.uint8), borderValue=0).any()


def test_held_out_draws_half_planes_and_grids() -> None:
    """A half-plane and what is left of it are one piece each; a grid is in many."""
    pieces = [
        ndimage.label(mask)[1] + ndimage.label(1 - mask)[1]
        for mask in (draw_mask("held_out", 64, 0.4, np.random.default_rng(seed)) for seed in range(60))
    ]
    assert 15 < sum(number == 2 for number in pieces) < 45
    assert sum(number > 4 for number in pieces) > 15


def test_held_out_is_never_trained_on() -> None:
    assert "held_out" in EVALUATION_FAMILIES
    assert "held_out" not in TRAINING_FAMILIES
    assert set(TRAINING_FAMILIES) < set(EVALUATION_FAMILIES)
    with pytest.raises(ValueError, match="no meaning"):
        draw_mask("held_out", 64, 0.4, np.random.default_rng(0), "edges")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        register_family("brush")(lambda size, count, rng, focus: np.zeros((size, size), np.uint8))


@pytest.mark.parametrize("level", LEVELS)
def test_ratios_fill_their_level(level: int) -> None:
    rng = np.random.default_rng(0)
    ratios = [draw_ratio(level, rng) for _ in range(2000)]
    low, high = LEVELS[level]
    assert low <= min(ratios) < low + 0.01
    assert high - 0.01 < max(ratios) <= high


def test_wrong_arguments_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(FaceReconError, match="brush"):
        draw_mask("spray", 64, 0.4, rng)
    with pytest.raises(FaceReconError, match="draw_feature_mask"):
        draw_mask("features", 64, 0.4, rng)
    with pytest.raises(FaceReconError, match="level 4"):
        draw_ratio(4, rng)
    for size, ratio, focus in [(31, 0.4, "edges"), (1025, 0.4, "edges"), (64, 0.0, "edges"), (64, 0.4, "corner")]:
        with pytest.raises(ValueError, match="is"):
            draw_mask("brush", size, ratio, rng, focus)  # type: ignore[arg-type]


def face_points(size: int) -> np.ndarray:
    """Landmarks of a plain frontal face, as shares of the side where a face detector would put them."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 + 0.36 * np.cos(turn), 0.45 + 0.45 * np.sin(turn)], axis=1)
    brows = [(x, 0.33) for x in (*np.linspace(0.2, 0.42, 5), *np.linspace(0.58, 0.8, 5))]
    nose = [(0.5, 0.42), (0.5, 0.48), (0.5, 0.54), (0.5, 0.6), *((x, 0.64) for x in np.linspace(0.43, 0.57, 5))]
    ring = [(-1, 0), (-0.4, -0.4), (0.4, -0.4), (1, 0), (0.4, 0.4), (-0.4, 0.4)]
    eyes = [(middle + 0.07 * x, 0.42 + 0.07 * y) for middle in (0.32, 0.68) for x, y in ring]
    around = np.linspace(0, 2 * np.pi, 21)[:20]
    mouth = [(0.5 + 0.13 * np.cos(a), 0.76 + 0.05 * np.sin(a)) for a in around]
    return np.concatenate([jaw, np.array(brows + nose + eyes + mouth)]) * size


@pytest.mark.parametrize("size", [32, 64, 256])
@pytest.mark.parametrize("part", FEATURE_PARTS)
def test_features_cover_their_points(part: str, size: int) -> None:
    points = face_points(size)
    mask = draw_feature_mask(part, points, size)
    assert mask.shape == (size, size)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}
    assert 0.004 < mask.mean() < 0.4
    owned = {
        "left_eye": range(36, 42),
        "right_eye": range(42, 48),
        "nose": (27, 28, 29, 30, 33),
        "mouth": range(48, 68),
    }
    for name, indices in owned.items():
        inside = [mask[int(y), int(x)] for x, y in points[list(indices)]]
        assert all(inside) if part in (name, "all") else part == "jaw" or not any(inside)


def test_features_are_disjoint_on_left_and_right() -> None:
    points = face_points(64)
    left, right = draw_feature_mask("left_eye", points, 64), draw_feature_mask("right_eye", points, 64)
    assert not (left & right).any()
    assert np.nonzero(left)[1].max() < np.nonzero(right)[1].min()


@settings(max_examples=60, deadline=None)
@given(
    part=st.sampled_from(FEATURE_PARTS),
    shift=st.tuples(st.floats(-2e5, 2e5) | st.floats(-80, 80), st.floats(-80, 80)),
)
def test_features_are_cut_at_the_border(part: str, shift: tuple[float, float]) -> None:
    points = face_points(64) + np.array(shift)
    try:
        mask = draw_feature_mask(part, points, 64)
    except ValueError as error:
        assert "outside" in str(error)  # noqa: PT017 - which of the two happens depends on the shift
        return
    assert mask.shape == (64, 64)
    assert mask.any()


def test_wrong_features_are_refused() -> None:
    with pytest.raises(FaceReconError, match="nose"):
        draw_feature_mask("ear", face_points(64), 64)
    with pytest.raises(ValueError, match="68"):
        draw_feature_mask("nose", face_points(64)[:5], 64)
    with pytest.raises(ValueError, match="finite"):
        draw_feature_mask("nose", np.full((68, 2), np.nan), 64)


@pytest.mark.parametrize("group", PART_GROUPS)
@pytest.mark.parametrize("size", [64, 256])
def test_a_labelled_part_is_hidden_a_little_beyond_its_edge(group: str, size: int) -> None:
    for name in PART_GROUPS[group]:
        labels = np.full((size, size), PART_LABELS.index("cloth") + 1, np.uint8)
        part = np.s_[size // 4 : size // 2, size // 4 : size // 2]
        labels[part] = PART_LABELS.index(name) + 1
        mask = draw_part_mask(group, labels)
        assert mask.shape == (size, size)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1}
        assert mask[part].all()
        reach = size // 64
        wider = np.zeros_like(mask)
        wider[size // 4 - reach : size // 2 + reach, size // 4 - reach : size // 2 + reach] = 1
        assert (mask <= wider).all()
        assert mask[size // 4 - reach, size // 3] == 1


def test_a_face_that_does_not_show_the_part_has_no_such_mask() -> None:
    labels = np.full((64, 64), PART_LABELS.index("skin") + 1, np.uint8)
    with pytest.raises(ValueError, match="shows no hair"):
        draw_part_mask("hair", labels)
    with pytest.raises(FaceReconError, match="'ears' are not one of hair, eyes"):
        draw_part_mask("ears", labels)
