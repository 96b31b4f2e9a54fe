"""Frames of a high dynamic range or a wide gamut, shown as those of other clips are: in sRGB.

ITU-R BT.2100 says what PQ and HLG mean, BT.2408 that white (paper, a shirt) lies at 203 nits: it becomes the white of
sRGB, and what is brighter (lamps, glints) is brought under it. BT.2087 has the matrix between the gamuts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from facerecon.data.quarantine import Code, RefusedError

WHITE, HLG_PEAK = 203.0, 1000.0
"""Nits: of white, and of the brightest that a display shows for which HLG is meant."""

KNEE = 0.9
"""Light up to this share of white stays as it is; what is brighter comes closer and closer to white."""

PQ, HLG, BT2020, UNTOLD = 16, 18, 9, 2
"""Transfer functions, primaries, and what is not stated, as ITU-T H.273 numbers them."""

_FULL = 2
"""PyAV's number of the full range, in which black is 0."""

_LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), BT2020: (0.2627, 0.0593), UNTOLD: (0.2627, 0.0593)}
"""The shares of red and blue in luma, by H.273's number of the matrix. Other matrices have other maths."""

_WIDE = np.array(
    [[1.660491, -0.587641, -0.07285], [-0.12455, 1.1329, -0.00835], [-0.018151, -0.100579, 1.11873]], np.float32
)
_P3 = np.array([[1.22494, -0.22494, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078636, 1.098274]], np.float32)

_TO_BT709 = {1: np.eye(3, dtype=np.float32), BT2020: _WIDE, UNTOLD: _WIDE, 12: _P3}
"""From linear light of these primaries (12 is Display P3) to that of BT.709 and sRGB."""

_ROWS = 256
"""So many rows are converted at a time: as numbers of 32 bits a large frame would take much memory."""

Floats = NDArray[np.floating[Any]]


def is_wide(frame: VideoFrame) -> bool:
    """Whether a frame says that it is in PQ or HLG, or has the primaries of BT.2020."""
    return frame.color_trc in (PQ, HLG) or frame.color_primaries == BT2020


def to_srgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """The pixels of a frame for which ``is_wide`` holds, uint8 [H, W, 3].

    Where it has BT.2020's primaries with a usual transfer function, its gamut is converted and its tones stay.

    Raises:
        RefusedError: its colours are given in a way that is not known here, such as ICtCp.
    """
    told = frame.format.is_rgb or frame.colorspace in _LUMA
    if not told or frame.color_primaries not in _TO_BT709:
        numbers = f"matrix {frame.colorspace} and primaries {frame.color_primaries} of H.273"
        raise RefusedError(Code.HDR, f"high dynamic range in a form that is not read: {numbers}")
    codes = frame.to_ndarray(format="rgb48le" if frame.format.is_rgb else "yuv444p16le")
    to_light, to_bt709 = _TO_LIGHT.get(frame.color_trc, _srgb_light), _TO_BT709[frame.color_primaries]
    shown = np.empty(codes.shape, np.uint8)
    for top in range(0, len(codes), _ROWS):
        band = codes[top : top + _ROWS].astype(np.float32)
        signal = band / 65535 if frame.format.is_rgb else _rgb_of(band, frame)
        light = to_light(signal.clip(0, 1)) @ to_bt709.T
        shown[top : top + _ROWS] = np.rint(255 * _srgb_code(_under_white(light)))
    return shown


def _rgb_of(codes: Floats, frame: VideoFrame) -> Floats:
    """R'G'B' of Y'CbCr [H, W, 3] whose codes stand in the upper of 16 bits."""
    if frame.color_range == _FULL:
        most = float(65536 - (1 << (16 - frame.format.components[0].bits)))
        luma, blue, red = codes[..., 0] / most, (codes[..., 1] - 32768) / most, (codes[..., 2] - 32768) / most
    else:
        eighths = codes / 256
        luma, blue, red = (eighths[..., 0] - 16) / 219, (eighths[..., 1] - 128) / 224, (eighths[..., 2] - 128) / 224
    of_red, of_blue = _LUMA[frame.colorspace]
    r, b = luma + 2 * (1 - of_red) * red, luma + 2 * (1 - of_blue) * blue
    return np.stack([r, (luma - of_red * r - of_blue * b) / (1 - of_red - of_blue), b], axis=-1)


def _pq_light(signal: Floats) -> Floats:
    """Linear light of PQ, white = 1 (SMPTE ST 2084)."""
    root = signal ** np.float32(4096 / (128 * 2523))
    below = np.float32(2413 / 128) - np.float32(2392 / 128) * root
    light = (np.maximum(root - np.float32(3424 / 4096), 0) / below) ** np.float32(16384 / 2610)
    return light * np.float32(10000 / WHITE)


def _hlg_light(signal: Floats) -> Floats:
    """Linear light of HLG as a display of ``HLG_PEAK`` nits shows it, white = 1."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - np.float32(c)) / np.float32(a)) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.678, 0.0593], np.float32)
    shown: Floats = scene * (luminance**0.2 * np.float32(HLG_PEAK / WHITE))[..., None]
    return shown.astype(np.float32, copy=False)


def _srgb_light(code: Floats) -> Floats:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _srgb_code(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def _under_white(light: Floats) -> Floats:
    """Light of 0 to 1: hues stay where the strongest of the three is brought down; what no sRGB has is cut off."""
    strongest = np.maximum(light.max(-1, keepdims=True), np.float32(1e-6))
    above = np.tanh((strongest - KNEE) / (1 - KNEE)) * (1 - KNEE) + KNEE
    return (light * np.where(strongest > KNEE, above / strongest, 1)).clip(0, 1).astype(np.float32)


_TO_LIGHT: dict[int, Callable[[Floats], Floats]] = {PQ: _pq_light, HLG: _hlg_light}
