"""A clip is written as it was given: lossless bit for bit, for showing nearly so, with its own time."""

from pathlib import Path

import numpy as np
import pytest

from facerecon.inference.clips import clip_writer
from facerecon.inference.media import Tally, read_clip


def smooth(height: int, width: int, number: int) -> np.ndarray:
    """A picture of slow changes in all three colours."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [127 + 100 * np.sin((x * a + y * b) / 25 + number) for a, b in ((1, 0.3), (-0.5, 1), (0.7, 0.7))]
    return np.stack(waves, -1).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
@pytest.mark.parametrize("lossless", [True, False])
def test_frames_and_times_come_back(size: tuple[int, int], lossless: bool, tmp_path: Path) -> None:
    times = [0, 0.04, 0.2, 0.21, 1.5]
    path = tmp_path / ("clip.mkv" if lossless else "clip.mp4")
    frames = [smooth(*size, number) for number in range(len(times))]
    with clip_writer(path, lossless) as writer:
        for image, time in zip(frames, times, strict=True):
            writer.write(image, time)
    back = list(read_clip(path, Tally()))
    assert [frame.time for frame in back] == pytest.approx(times, abs=0.001)
    for frame, image in zip(back, frames, strict=True):
        shown = frame.image[: size[0], : size[1]]
        if lossless:
            assert (frame.image == image).all()
        else:
            assert np.abs(shown.astype(int) - image).mean() < 5
            assert frame.size == (48, 64)


def test_colours_come_back_by_the_matrix_that_the_clip_states(tmp_path: Path) -> None:
    colours = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128), (220, 180, 150))
    with clip_writer(tmp_path / "clip.mp4", lossless=False) as writer:
        for number, colour in enumerate(colours):
            writer.write(np.full((48, 64, 3), colour, np.uint8), number / 5)
    for frame, colour in zip(read_clip(tmp_path / "clip.mp4", Tally()), colours, strict=True):
        assert np.abs(frame.image.astype(int) - colour).max() <= 4
