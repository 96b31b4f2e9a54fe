"""Colours come out as sRGB whatever space a photo states; what is sRGB, or says nonsense, keeps its pixels."""

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from facerecon.colour import code_points, matrix_profile, to_srgb
from facerecon.images import read_rgb

ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
PROPHOTO = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SPACES = {"Adobe RGB": (ADOBE, 563 / 256), "ProPhoto": (PROPHOTO, 1.8), "Display P3": (P3, 0.0), "linear": (SRGB, 1.0)}


@pytest.fixture(scope="module")
def colours() -> NDArray[np.uint8]:
    """Colours that all these spaces hold, in sRGB: soft ones, smooth enough for JPEG."""
    down, right = np.mgrid[0 : 1 : 64 * 1j, 0 : 1 : 96 * 1j]
    return (60 + np.stack([down * 120, right * 120, (1 - down) * 90], axis=2)).round().astype(np.uint8)


def written_in(colours: NDArray[np.uint8], profile: bytes, mode: str = "RGB") -> Image.Image:
    """The same colours as values of another space."""
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    relative = ImageCms.Intent.RELATIVE_COLORIMETRIC
    converted = ImageCms.profileToProfile(
        Image.fromarray(colours), ImageCms.createProfile("sRGB"), space, relative, mode
    )
    assert converted is not None
    converted.info.clear()  # or else the profile would be written, too
    return converted


def encoded(image: Image.Image, encoding: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, encoding, **options)
    return stream.getvalue()


def with_chunks(png: bytes, **chunks: bytes) -> bytes:
    parts = [
        struct.pack(">I", len(body)) + name.encode() + body + struct.pack(">I", zlib.crc32(name.encode() + body))
        for name, body in chunks.items()
    ]
    return png[:33] + b"".join(parts) + png[33:]


def apart(photo: bytes, colours: NDArray[np.uint8]) -> float:
    return float(np.abs(read_rgb(photo).astype(int) - colours).mean())


@pytest.mark.parametrize("encoding", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("space", SPACES)
def test_a_profile_is_followed(colours: NDArray[np.uint8], space: str, encoding: str) -> None:
    profile = matrix_profile(*SPACES[space])
    image = written_in(colours, profile)
    assert np.abs(np.asarray(image).astype(int) - colours).mean() > 4
    options = {"quality": 97} if encoding in ("JPEG", "WEBP", "AVIF", "HEIF") else {}
    assert apart(encoded(image, encoding, icc_profile=profile, **options), colours) <= 2


def test_chromaticities_and_gamma_of_a_png_are_followed(colours: NDArray[np.uint8]) -> None:
    for chromaticity, gamma in SPACES.values():
        if not gamma:
            continue
        png = encoded(written_in(colours, matrix_profile(chromaticity, gamma)), "PNG")
        gama = struct.pack(">I", round(100000 / gamma))
        chrm = struct.pack(">8I", *(round(value * 100000) for value in chromaticity))
        assert apart(with_chunks(png, gAMA=gama, cHRM=chrm), colours) <= 2
        # what says that it is sRGB is sRGB, whatever else it says
        assert apart(with_chunks(png, sRGB=b"\0", gAMA=gama, cHRM=chrm), np.asarray(Image.open(io.BytesIO(png)))) == 0


def test_code_points_are_followed(colours: NDArray[np.uint8]) -> None:
    png = encoded(written_in(colours, matrix_profile(P3, 0)), "PNG")
    stated = with_chunks(png, cICP=bytes([12, 13, 0, 1]))
    assert code_points("PNG", stated) == (12, 13)
    assert apart(stated, colours) <= 2


def gray_profile(exponent: float) -> bytes:
    """An ICC profile of gray with a curve that is a power."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"wtpt": white, b"kTRC": curve}
    table, body, at = b"", b"", 132 + 24
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", 2) + table + body


@pytest.mark.parametrize("mode", ["L", "LA", "16 bits"])
@pytest.mark.parametrize("made", ["gray profile", "RGB profile", "gAMA"])
def test_gray_is_converted_too(mode: str, made: str) -> None:
    linear = np.linspace(0.05, 1, 64, dtype=np.float32).reshape(8, 8)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    image = Image.fromarray((linear * 255).round().astype(np.uint8))
    if mode == "16 bits":
        image = Image.fromarray((linear * 65535).round().astype(np.uint16))
    elif mode == "LA":
        image.putalpha(255)
    profile = {"gray profile": gray_profile(1), "RGB profile": matrix_profile(SRGB, 1), "gAMA": b""}[made]
    photo = encoded(image, "PNG", icc_profile=profile or None)
    read = read_rgb(photo if profile else with_chunks(photo, gAMA=struct.pack(">I", 100000)))
    assert np.ptp(read, axis=2).max() <= 1
    assert np.abs(read[..., 0] - shown).mean() <= 2


def test_transparent_pixels_lie_on_the_white_of_srgb(colours: NDArray[np.uint8]) -> None:
    profile = matrix_profile(*SPACES["Adobe RGB"])
    image = written_in(colours, profile)
    image.putalpha(Image.fromarray(np.repeat(np.repeat([[255, 0]], 64, axis=0), 48, axis=1).astype(np.uint8)))
    read = read_rgb(encoded(image, "PNG", icc_profile=profile)).astype(int)
    assert np.abs(read[:, :48] - colours[:, :48]).mean() <= 2
    assert (read[:, 48:] == 255).all()


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "profile",
    [srgb_profile(), matrix_profile(SRGB, 0), b"no profile at all", srgb_profile()[:200], gray_profile(1.8)],
    ids=["littleCMS's sRGB", "ours", "nonsense", "truncated", "of gray in an RGB photo"],
)
@pytest.mark.parametrize("encoding", ["PNG", "JPEG"])
def test_what_is_srgb_or_broken_moves_no_pixel(colours: NDArray[np.uint8], profile: bytes, encoding: str) -> None:
    image = Image.fromarray(colours)
    plain, tagged = encoded(image, encoding), encoded(image, encoding, icc_profile=profile)
    np.testing.assert_array_equal(read_rgb(tagged), read_rgb(plain))


@pytest.mark.parametrize("gamma", [45455, 45000, 0])
def test_a_png_that_states_srgbs_gamma_moves_no_pixel(colours: NDArray[np.uint8], gamma: int) -> None:
    chrm = struct.pack(">8I", *(round(value * 100000) for value in SRGB))
    chunks = {"gAMA": struct.pack(">I", gamma), "cHRM": chrm} if gamma else {"cHRM": chrm}
    np.testing.assert_array_equal(read_rgb(with_chunks(encoded(Image.fromarray(colours), "PNG"), **chunks)), colours)


def test_chromaticities_that_make_no_space_are_passed_over(colours: NDArray[np.uint8]) -> None:
    assert matrix_profile((0.3127, 0, 0.64, 0.33, 0.64, 0.33, 0.15, 0.06), 2.2) == b""
    png = with_chunks(encoded(Image.fromarray(colours), "PNG"), cHRM=struct.pack(">8I", *[0] * 8))
    np.testing.assert_array_equal(read_rgb(png), colours)


def test_cmyk_without_a_profile_stays_as_it_was() -> None:
    image = Image.new("CMYK", (16, 16), (0, 128, 128, 20))
    assert to_srgb(image, b"") is image
    assert to_srgb(image, matrix_profile(ADOBE, 2.2)) is image
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_rgb(encoded(image, "TIFF")), expected)


def test_a_cmyk_profile_is_followed() -> None:
    """A profile whose table says that ink of each kind takes away its own light, and black all of it."""
    points = 5
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, points)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    # Lab of 16 bits: nothing but lightness, by the black ink alone
    lab = np.stack([(1 - grid[:, 3]) * 65280, np.full(len(grid), 32768), np.full(len(grid), 32768)], axis=1)
    table = b"mft2\0\0\0\0" + bytes([4, 3, points, 0]) + struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int))
    table += struct.pack(">HH", 2, 2) + struct.pack(">2H", 0, 65535) * 4
    table += lab.round().astype(">u2").tobytes() + struct.pack(">2H", 0, 65535) * 3
    table += bytes(-len(table) % 4)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    at = 132 + 24
    header = struct.pack(">I4sI4s4s4s", at + len(white) + len(table), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white[8:]
    entries = struct.pack(">I4sII4sII", 2, b"wtpt", at, len(white), b"A2B0", at + len(white), len(table))
    profile = header.ljust(128, b"\0") + entries + white + table
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 128))  # cyan counts for nothing in this space
    for encoding in ("JPEG", "TIFF"):
        read = read_rgb(encoded(image, encoding, icc_profile=profile))[8, 8].astype(int)
        assert np.abs(read - 118).max() <= 3  # L* = 50
