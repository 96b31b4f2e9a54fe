"""A cut is where another scene begins, not where something moves, or nothing is seen for a while."""

import numpy as np
import pytest

from facerecon.data.footage.cuts import Cuts
from facerecon.synthetic.raster import blur


def scene(seed: int) -> np.ndarray:
    """A smooth picture like no other."""
    image = blur(np.random.default_rng(seed).normal(0, 1, (180, 240, 3)), 15)
    return (128 + 60 * image / image.std()).clip(0, 255).astype(np.uint8)


def found(*frames: np.ndarray) -> list[bool]:
    cuts = Cuts()
    return [cuts.is_cut(frame) for frame in frames]


def test_another_scene_is_a_cut_and_its_next_frame_is_none() -> None:
    assert found(scene(0), scene(0), scene(1), scene(1), scene(0)) == [False, False, True, False, True]


@pytest.mark.parametrize("light", [1.0, 0.12])
def test_what_moves_in_a_scene_is_none_in_poor_light_either(light: float) -> None:
    rng, frames = np.random.default_rng(0), []
    for number in range(6):
        image = scene(0)
        image[60:120, 20 + 8 * number : 60 + 8 * number] = 220
        frames.append((light * image + rng.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8))
    assert not any(found(*frames))


def test_frames_that_show_nothing_are_passed_over() -> None:
    black = np.zeros((180, 240, 3), np.uint8)
    assert found(black, scene(0), black, scene(0)) == [False] * 4
    assert found(scene(0), black, black, scene(1)) == [False, False, False, True]
