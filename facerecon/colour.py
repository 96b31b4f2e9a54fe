"""Colours of any space that a photo states, as sRGB, by littleCMS.

A space is stated by an ICC profile, or else by code points (PNG's cICP, the colour box of AVIF and HEIF), or else by
PNG's gAMA and cHRM. What states none, or sRGB, keeps its pixels as they are.
"""

import struct
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SRGB_XY = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""White, red, green and blue of sRGB: x and y of each."""

_PRIMARIES = {
    1: _SRGB_XY,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""ITU-T H.273's code points of colour primaries."""

_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""H.273's transfer characteristics that are a power; the others of standard range are shown with sRGB's curve."""

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""H.273's transfer characteristics of high dynamic range."""

_SAME = 2
"""A profile that moves no colour by more levels is sRGB: there are many of that name, none equal to the last digit."""

_SRGB_GAMMA, _NO_MATTER = 2.2, 0.05
"""gAMA within 5 % of this stands for sRGB's own curve, as libpng has it."""


def space_of(image: Image.Image, content: bytes) -> bytes:
    """The ICC profile of the space that an opened photo states, ``content`` being its file; none: no bytes."""
    if profile := image.info.get("icc_profile"):
        return bytes(profile)
    if codes := code_points(image.format or "", content):
        primaries, transfer = codes
        return matrix_profile(_PRIMARIES.get(primaries, _SRGB_XY), _GAMMAS.get(transfer, 0))
    if image.format == "PNG" and "srgb" not in image.info and {"gamma", "chromaticity"} & set(image.info):
        exponent = 1 / max(float(image.info.get("gamma", 1 / _SRGB_GAMMA)), 1e-3)
        chromaticity = tuple(image.info.get("chromaticity", _SRGB_XY))
        as_srgb = np.allclose(chromaticity, _SRGB_XY, atol=0.005) and abs(exponent / _SRGB_GAMMA - 1) < _NO_MATTER
        return b"" if as_srgb else matrix_profile(chromaticity, exponent)
    return b""


def code_points(name: str, content: bytes) -> tuple[int, int] | None:
    """H.273's code points of primaries and transfer that a PNG, AVIF or HEIF states."""
    if name == "PNG":
        head = content[: max(content.find(b"IDAT"), 0)]
        at = head.find(b"\0\0\0\x04cICP")
        return (content[at + 8], content[at + 9]) if at > 0 else None
    if name in ("AVIF", "HEIF") and (at := content.find(b"colrnclx")) > 0:
        primaries, transfer = struct.unpack_from(">HH", content, at + 8)
        return primaries, transfer
    return None


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """An image of mode L, RGB or CMYK in the space of ``profile`` as RGB in sRGB; as it is where nothing changes.

    A profile that is broken, or of another kind than the image, is passed over: the pixels count as sRGB.
    """
    if not profile:
        return image
    mode, transform = _transform(profile, image.mode)
    if transform is None:
        return image
    converted = ImageCms.applyTransform(image.convert(mode), transform)
    return image if converted is None else converted


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """What turns pixels of ``mode`` into sRGB, and the mode that it takes; None where there is nothing to do."""
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        takes = {("RGB", "RGB"): "RGB", ("RGB", "L"): "RGB", ("GRAY", "L"): "L", ("CMYK", "CMYK"): "CMYK"}[space, mode]
        # relative colorimetric: white stays white, and what both spaces hold keeps its colour
        transform = ImageCms.buildTransform(
            opened, ImageCms.createProfile("sRGB"), takes, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        if takes == "CMYK":
            return takes, transform
        probe = _probe(takes)
        moved = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int) - np.asarray(probe.convert("RGB"))
        return takes, None if np.abs(moved).max() <= _SAME else transform
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError, AttributeError):
        return mode, None


def _probe(mode: str) -> Image.Image:
    """All shades of gray, and of RGB a grid of colours."""
    gray = np.arange(256, dtype=np.uint8)[None]
    if mode == "L":
        return Image.fromarray(gray)
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    return Image.fromarray(np.concatenate([grid, np.repeat(gray[..., None], 3, axis=2)], axis=1))


@lru_cache(maxsize=32)
def matrix_profile(chromaticity: tuple[float, ...], exponent: float) -> bytes:
    """An ICC profile of an RGB space: x and y of white, red, green and blue, the curve's exponent or 0 for sRGB's.

    No bytes for colours that make no space.
    """
    pairs = zip(chromaticity[::2], chromaticity[1::2], strict=True)
    white, *primaries = (np.array([x / y, 1, (1 - x - y) / y]) if y > 0 else np.zeros(3) for x, y in pairs)
    columns = np.stack(primaries, axis=1)
    if len(primaries) != 3 or abs(np.linalg.det(columns)) < 1e-6 or not white.any():
        return b""
    d50 = np.array([0.9642, 1, 0.8249])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    adapt = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ white)) @ bradford
    red, green, blue = (adapt @ columns @ np.diag(np.linalg.solve(columns, white))).T
    curve = _curve(0, exponent) if exponent else _curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {b"wtpt": _xyz(d50), b"rXYZ": _xyz(red), b"gXYZ": _xyz(green), b"bXYZ": _xyz(blue)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(d50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _curve(function: int, *values: float) -> bytes:
    fixed = b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    return b"para\0\0\0\0" + struct.pack(">HH", function, 0) + fixed


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)
