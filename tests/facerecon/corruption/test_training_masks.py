"""The masks of a training run: as the settings say, along the curriculum."""

import numpy as np
import pytest

from facerecon.corruption.curriculum import NO_CURRICULUM
from facerecon.corruption.masks import (
    FEATURE_PARTS,
    LEVELS,
    PART_GROUPS,
    TRAINING_FAMILIES,
    draw_feature_mask,
    draw_part_mask,
)
from facerecon.corruption.settings import MaskSettings
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.parts import PART_LABELS

SIZE = 64


@pytest.fixture
def points68() -> np.ndarray:
    """Points that are spread over the middle of the image, in no order of a face."""
    return np.random.default_rng(0).uniform(16, 48, (68, 2)).astype(np.float32)


def draw(settings: MaskSettings, points: np.ndarray, progress: float = 0.9, count: int = 60) -> list[np.ndarray]:
    masks = TrainingMasks(settings, SIZE)
    return [masks(progress, np.random.default_rng(seed), points) for seed in range(count)]


def is_feature(mask: np.ndarray, points: np.ndarray) -> bool:
    return any(np.array_equal(mask, draw_feature_mask(part, points, SIZE)) for part in FEATURE_PARTS)


def test_a_mask_is_holes_of_1_and_depends_on_its_generator_alone(points68: np.ndarray) -> None:
    first, second = (draw(MaskSettings(), points68, count=20) for _ in range(2))
    for mask, again in zip(first, second, strict=True):
        assert mask.shape == (SIZE, SIZE)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1}
        assert np.array_equal(mask, again)
    assert len({mask.tobytes() for mask in first}) > 15


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_face_parts_is_the_one_asked_for(share: float, points68: np.ndarray) -> None:
    masks = draw(MaskSettings(feature_share=share), points68, count=200)
    found = np.mean([is_feature(mask, points68) for mask in masks])
    assert found == pytest.approx(share, abs=0 if share in (0, 1) else 0.1)


def test_every_part_of_the_face_is_hidden_now_and_then(points68: np.ndarray) -> None:
    masks = {mask.tobytes() for mask in draw(MaskSettings(feature_share=1), points68, count=150)}
    assert masks == {draw_feature_mask(part, points68, SIZE).tobytes() for part in FEATURE_PARTS}


def test_a_part_outside_the_image_gives_way_to_another_mask(points68: np.ndarray) -> None:
    outside = points68 + 3 * SIZE
    masks = draw(MaskSettings(feature_share=1), outside)
    assert all(mask.any() for mask in masks)
    assert len({mask.tobytes() for mask in masks}) == len(masks)


def test_labelled_parts_are_hidden_now_and_then_too(points68: np.ndarray) -> None:
    parts = np.zeros((SIZE, SIZE), np.uint8)
    parts[:20] = PART_LABELS.index("hair") + 1
    parts[20:40] = PART_LABELS.index("skin") + 1
    masks = TrainingMasks(MaskSettings(feature_share=1), SIZE)
    drawn = {masks(0.9, np.random.default_rng(seed), points68, parts).tobytes() for seed in range(300)}
    shown = {draw_part_mask(group, parts).tobytes() for group in ("hair", "skin")}
    assert shown < drawn
    assert {draw_feature_mask(part, points68, SIZE).tobytes() for part in FEATURE_PARTS} < drawn
    others = len(drawn) - len(shown) - len(FEATURE_PARTS)
    assert others > len(PART_GROUPS), "eyes, nose and mouth are not labelled: something else is hidden"


def test_a_face_without_labels_is_hidden_as_ever(points68: np.ndarray) -> None:
    masks = TrainingMasks(MaskSettings(feature_share=0.5), SIZE)
    for seed in range(20):
        one, other = np.random.default_rng(seed), np.random.default_rng(seed)
        assert np.array_equal(masks(0.5, one, points68), masks(0.5, other, points68, None))


def test_holes_grow_along_the_curriculum(points68: np.ndarray) -> None:
    settings = MaskSettings(feature_share=0)
    early, late = ([mask.mean() for mask in draw(settings, points68, progress)] for progress in (0.0, 1.0))
    low, high = LEVELS[1]
    assert all(low - 0.01 <= ratio <= high + 0.01 for ratio in early)
    assert max(late) > LEVELS[3][0]


def test_without_a_curriculum_progress_changes_nothing(points68: np.ndarray) -> None:
    settings = MaskSettings(curriculum=NO_CURRICULUM)
    assert np.array_equal(draw(settings, points68, 0.0), draw(settings, points68, 1.0))


@pytest.mark.parametrize("family", TRAINING_FAMILIES)
def test_only_the_families_asked_for_are_drawn(family: str, points68: np.ndarray) -> None:
    one = draw(MaskSettings(training_families=(family,), feature_share=0), points68, count=10)
    every = draw(MaskSettings(feature_share=0), points68, count=10)
    assert all(0.05 < mask.mean() < 0.75 for mask in one)
    assert not np.array_equal(one, every)
