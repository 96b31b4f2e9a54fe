"""What tests of footage share: clips that are made of drawn faces."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.sources import image_files
from facerecon.images import read_rgb

Image = NDArray[np.uint8]
Film = Callable[..., Path]

_ENCODERS = {
    **{".gif": ("gif", "rgb8"), ".webm": ("libvpx", "yuv420p"), ".avi": ("mjpeg", "yuvj420p")},
    **dict.fromkeys((".mpg", ".mpeg", ".m2v"), ("mpeg2video", "yuv420p")),
    **dict.fromkeys((".h264", ".264"), ("libx264", "yuv420p")),
    **{".h265": ("libx265", "yuv420p"), ".flv": ("flv", "yuv420p"), ".ogv": ("libvpx", "yuv420p")},
    **{".wmv": ("wmv2", "yuv420p"), ".asf": ("wmv2", "yuv420p")},
}


def write_film(
    path: Path,
    images: Sequence[Image],
    rate: int = 5,
    times: Sequence[float] | None = None,
    codec: str | None = None,
    rotation: int = 0,
    pixel: Fraction | None = None,
    matrix: Sequence[int] | None = None,
    interlaced: bool = False,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write a video of RGB images, ``rate`` a second or at ``times`` (seconds), with a codec that fits its suffix."""
    chosen, layout = (codec, "rgb24") if codec else _ENCODERS.get(path.suffix.lower(), ("mpeg4", "yuv420p"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(chosen, rate=rate)
        stream.height, stream.width = images[0].shape[:2] if images else (48, 64)
        stream.pix_fmt, stream.bit_rate = layout, 20_000_000
        if pixel:
            stream.codec_context.sample_aspect_ratio = pixel
        stream.codec_context.options = {"flags": "+ilme+ildct"} if interlaced else codec_options or {}
        if rotation:
            stream.set_display_rotation(rotation)
        if matrix is not None:
            a, b, c, d = (65536 * each for each in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = number if times is None else round(times[number] * 1000)
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def film() -> Film:
    """``film(path, images, ...)`` writes a video, as ``write_film`` does."""
    return write_film


def backdrop() -> Image:
    """A gray wall, uint8 [200, 360, 3]."""
    return np.full((200, 360, 3), 110, np.uint8)


@pytest.fixture(scope="session")
def people(sample_faces: Path) -> list[list[Image]]:
    """Two pictures, 110 px, of each of three people who do not exist and are easily told apart."""
    folders = [sample_faces / f"person_{number:04d}" for number in (0, 1, 3)]
    pictures = [[read_rgb(photo) for photo in image_files(folder)] for folder in folders]
    return [[cv2.resize(picture, (110, 110), interpolation=cv2.INTER_AREA) for picture in each] for each in pictures]


def stage(*cast: tuple[Image, int, int]) -> Image:
    """A frame with pictures at (x, y), the last one in front; what lies outside is cut off."""
    frame = np.pad(backdrop(), ((120, 120), (120, 120), (0, 0)), mode="edge")
    for picture, x, y in cast:
        if -120 < x < 360 and -120 < y < 200:
            height, width = picture.shape[:2]
            frame[y + 120 : y + 120 + height, x + 120 : x + 120 + width] = picture
    return frame[120:-120, 120:-120]


@pytest.fixture(scope="session")
def scenes(people: list[list[Image]]) -> dict[str, list[Image]]:
    """Films at 5 frames a second: "crossing", in which the first two people change sides, one in front of the other,
    and the second leaves and comes back after four seconds; "alone", with the first person's other picture; "third",
    with one more."""
    (one, one_later), (two, _), (three, _) = people
    crossing = [stage((two, 240 - 30 * step, 50), (one, 10 + 30 * step, 40)) for step in range(9)]
    crossing += [stage((two, -30 * step, 50), (one, 250, 40)) for step in range(4)]
    crossing += [stage((one, 250, 40))] * 20
    crossing += [stage((two, 15 * step - 30, 50), (one, 250, 40)) for step in range(6)]
    alone = [stage((one_later, 40 + 8 * step, 60)) for step in range(6)]
    third = [stage((three, 200 - 8 * step, 30)) for step in range(6)]
    return {"crossing": crossing, "alone": alone, "third": third}


@pytest.fixture(scope="session")
def footage_root(scenes: dict[str, list[Image]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the films of ``scenes``. Do not write to it."""
    root = tmp_path_factory.mktemp("footage")
    write_film(root / "crossing.mp4", scenes["crossing"])
    write_film(root / "door" / "alone.avi", scenes["alone"])
    write_film(root / "third.mkv", scenes["third"])
    return root
