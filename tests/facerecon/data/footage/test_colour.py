"""Colours of clips come out as sRGB: of usual ones by their matrix and range, of HDR and wide ones tone-mapped."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.footage.colour import is_wide, to_srgb
from facerecon.data.footage.decode import Tally, UnusableClipError, read_frames
from facerecon.data.quarantine import Code, RefusedError
from facerecon.data.settings import FootageSettings

Floats = NDArray[np.float64]

PQ, HLG, BT709, BT2020, UNTOLD = 16, 18, 1, 9, 2

_GRAYS = [[level] * 3 for level in (0, 30, 118, 200, 230)]
_COLOURS = [[200, 120, 90], [90, 60, 40], [60, 110, 180], [40, 130, 70], [200, 40, 40]]

PATCHES = np.array([*_GRAYS, *_COLOURS], np.float64)
"""sRGB colours, none so bright that it is brought under white."""

TO_XYZ = {
    BT709: np.array([[0.41246, 0.35758, 0.18044], [0.21267, 0.71515, 0.07217], [0.01933, 0.11919, 0.9503]]),
    BT2020: np.array([[0.63696, 0.14462, 0.16888], [0.2627, 0.678, 0.0593], [0.0, 0.02807, 1.06099]]),
}
LUMA = {BT709: (0.2126, 0.0722), 6: (0.299, 0.114), BT2020: (0.2627, 0.0593)}


def linear(srgb: Floats) -> Floats:
    code = srgb / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def pq(light: Floats) -> Floats:
    """The signal of light whose white is 203 nits, as SMPTE ST 2084 encodes it."""
    power = (light * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: Floats) -> Floats:
    """The signal of light whose white is 203 nits on a display of 1,000 nits, as ARIB STD-B67 encodes it."""
    shown = light * 203 / 1000
    luminance = np.maximum(shown @ [0.2627, 0.678, 0.0593], 1e-12)[..., None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-12)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def gamma(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


ENCODE = {PQ: pq, HLG: hlg, UNTOLD: gamma, 14: gamma}


def frame_of(signal: Floats, matrix: int, bits: int = 10, full: bool = False) -> av.VideoFrame:
    """A frame with a patch of 16 by 16 pixels of each R'G'B' signal [N, 3], side by side."""
    red, blue = LUMA[matrix]
    y = signal @ [red, 1 - red - blue, blue]
    parts = y, (signal[:, 2] - y) / 2 / (1 - blue), (signal[:, 0] - y) / 2 / (1 - red)
    one, top = 2 ** (bits - 8), 2**bits - 1
    frame = av.VideoFrame(16 * len(signal), 16, "yuv420p" if bits == 8 else f"yuv420p{bits}le")
    for plane, part, is_luma in zip(frame.planes, parts, (True, False, False), strict=True):
        if full:
            codes = part * top if is_luma else part * top + 128 * one
        else:
            codes = (219 * part + 16) * one if is_luma else (224 * part + 128) * one
        side = 16 if is_luma else 8
        kind = np.uint8 if bits == 8 else np.uint16
        rows = np.zeros((side, plane.line_size // kind().itemsize), kind)
        rows[:, : side * len(signal)] = np.repeat(np.rint(codes), side)
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


def patches(image: NDArray[np.uint8]) -> Floats:
    return image[8, 8::16].astype(np.float64)


def wide(srgb: Floats, transfer: int, primaries: int = BT2020, **options: bool | int) -> av.VideoFrame:
    """sRGB colours as a frame of these primaries and this transfer function."""
    light = linear(srgb) @ (np.linalg.inv(TO_XYZ[primaries]) @ TO_XYZ[BT709]).T
    frame = frame_of(ENCODE[transfer](light.clip(0)), primaries, **options)
    frame.color_trc, frame.color_primaries = transfer, primaries
    return frame


@pytest.mark.parametrize("transfer", [PQ, HLG, 14])
@pytest.mark.parametrize(("bits", "full"), [(10, False), (10, True), (12, False)])
def test_colours_come_out_as_they_were(transfer: int, bits: int, full: bool) -> None:
    frame = wide(PATCHES, transfer, bits=bits, full=full)
    assert is_wide(frame)
    image = to_srgb(frame)
    assert (image.shape, image.dtype) == ((16, 160, 3), np.uint8)
    np.testing.assert_allclose(patches(image), PATCHES, atol=2.5)


def test_the_primaries_need_not_be_those_of_bt2020() -> None:
    np.testing.assert_allclose(patches(to_srgb(wide(PATCHES, PQ, BT709))), PATCHES, atol=2.5)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_is_brighter_than_white_comes_under_it_in_its_order_and_hue(transfer: int) -> None:
    light = np.array([[0.8, 0.8, 0.8], [1, 1, 1], [1.5, 1.5, 1.5], [4, 4, 4], [2, 1, 0.5]])
    frame = frame_of(ENCODE[transfer](light), BT2020)
    frame.color_trc, frame.color_primaries = transfer, BT709
    gray, white, more, most, orange = patches(to_srgb(frame))
    assert gray[1] == pytest.approx(231, abs=2)
    assert gray[1] < 245 < white[1] < more[1] <= most[1] <= 255
    assert linear(orange)[[0, 1]] @ [1, -2] == pytest.approx(0, abs=0.02)


def test_tall_frames_are_converted_row_by_row_alike() -> None:
    frame = av.VideoFrame(16, 600, "yuv420p10le")
    for plane, level in zip(frame.planes, (500, 512, 512), strict=True):
        plane.update(np.full(plane.buffer_size // 2, level, np.uint16).tobytes())
    frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = PQ, BT2020, BT2020, 1
    image = to_srgb(frame)
    assert (image == image[0, 0]).all()


@pytest.mark.parametrize(("matrix", "primaries"), [(14, BT2020), (10, BT2020), (BT2020, 8)])
def test_forms_that_are_not_read_are_named(matrix: int, primaries: int) -> None:
    frame = wide(PATCHES, PQ)
    frame.colorspace, frame.color_primaries = matrix, primaries
    with pytest.raises(RefusedError, match=f"matrix {matrix} and primaries {primaries} of H.273") as raised:
        to_srgb(frame)
    assert raised.value.code == Code.HDR


@pytest.mark.parametrize("matrix", [BT709, 6])
@pytest.mark.parametrize("full", [False, True])
def test_usual_frames_are_converted_by_their_matrix_and_range(matrix: int, full: bool) -> None:
    frame = frame_of(PATCHES / 255, matrix, 8, full)
    assert not is_wide(frame)
    np.testing.assert_allclose(patches(frame.to_ndarray(format="rgb24")), PATCHES, atol=3)


def filmed(path: Path, frame: av.VideoFrame) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        coder = stream.codec_context
        coder.color_trc, coder.color_primaries = frame.color_trc, frame.color_primaries
        coder.colorspace, coder.color_range = frame.colorspace, frame.color_range
        frame.pts, frame.time_base = 0, Fraction(1, 5)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_clip_of_high_dynamic_range(tmp_path: Path, transfer: int) -> None:
    clip = filmed(tmp_path / "clip.mkv", wide(PATCHES, transfer))
    (frame,) = read_frames(clip, FootageSettings(), Tally())
    np.testing.assert_allclose(patches(frame.image), PATCHES, atol=2.5)


def test_a_clip_whose_colours_cannot_be_told_is_no_clip(tmp_path: Path) -> None:
    frame = wide(PATCHES, PQ)
    frame.colorspace = 14
    with pytest.raises(UnusableClipError, match="high dynamic range in a form that is not read") as raised:
        list(read_frames(filmed(tmp_path / "clip.mkv", frame), FootageSettings(), Tally()))
    assert raised.value.code == Code.HDR
