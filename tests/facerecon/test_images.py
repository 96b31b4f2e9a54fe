"""Every photo that can be read becomes uint8 RGB, upright; every other one gives a reason, and never another error."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facerecon.images import (
    MAX_PIXELS,
    DamagedImageError,
    HdrImageError,
    TooDarkImageError,
    UnreadableImageError,
    UnsupportedFormatError,
    check_header,
    encode_png,
    read_rgb,
)

ORIENTATION = 0x0112


def gradient(height: int = 12, width: int = 20) -> NDArray[np.uint8]:
    """Smooth, so that JPEG keeps it; every corner has a colour of its own."""
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([down * 200, right * 200, 60 + 0 * down], axis=2).round().astype(np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds next to nothing."""
    parts = []
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", b""),
        (b"IEND", b""),
    ):
        parts.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tiff", ".jpg"])
def test_rgb_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(gradient()).save(path, **options)
    image = read_rgb(path)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_allclose(image.astype(int), gradient(), atol=3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = gradient()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(
        path, exif=exif, **({"quality": 100} if suffix == ".jpg" else {})
    )
    image = read_rgb(path)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 6


@pytest.mark.parametrize(("mode", "suffix"), [("L", ".png"), ("L", ".jpg"), ("1", ".png"), ("LA", ".png")])
def test_gray_becomes_three_equal_channels(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"gray{suffix}"
    Image.fromarray(gradient()).convert(mode).save(path)
    image = read_rgb(path)
    assert image.shape == (12, 20, 3)
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    assert image.max() > image.min()


def test_palette_becomes_its_colours(tmp_path: Path) -> None:
    colours = Image.new("P", (8, 4))
    colours.putpalette([255, 0, 0, 0, 128, 255])
    colours.paste(1, (4, 0, 8, 4))
    colours.save(tmp_path / "palette.png")
    image = read_rgb(tmp_path / "palette.png")
    assert image[0, 0].tolist() == [255, 0, 0]
    assert image[0, 7].tolist() == [0, 128, 255]


def test_cmyk_becomes_its_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(read_rgb(tmp_path / "cmyk.jpg").astype(int) - [255, 0, 0]).max() < 12


def test_cmyk_is_inverted_with_and_without_adobes_marker(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=95)
    content = path.read_bytes()
    start = content.index(b"\xff\xee")
    assert content[start + 4 : start + 9] == b"Adobe"
    length = struct.unpack(">H", content[start + 2 : start + 4])[0]
    for photo in (content, content[:start] + content[start + 2 + length :]):
        assert read_rgb(photo)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=12)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_sixteen_bits_are_scaled_to_eight(suffix: str, channels: int) -> None:
    deep = np.full((4, 6, channels), 65535, np.uint16)
    deep[..., :3] = 257 * np.array([10, 128, 250])  # OpenCV's order: blue, green, red
    encoded = cv2.imencode(suffix, deep)[1].tobytes()
    assert (read_rgb(encoded) == [250, 128, 10]).all()


@pytest.mark.parametrize("scale", [1 / 255, 1])
def test_floating_point_is_from_0_to_1_or_else_to_255(tmp_path: Path, scale: float) -> None:
    values = np.linspace(0, 255, 64, dtype=np.float32).reshape(8, 8)
    values[0, 0] = np.nan
    Image.fromarray(values * np.float32(scale)).save(tmp_path / "float.tiff")
    expected = np.nan_to_num(values).round()
    np.testing.assert_allclose(read_rgb(tmp_path / "float.tiff")[..., 1], expected, atol=1)


@pytest.mark.parametrize("mode", ["YCbCr", "LAB", "PA", "RGBX", "I", "CMYK"])
def test_rarer_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    gray = Image.new("RGB", (6, 4), (153, 153, 153))  # one of the colours that Pillow's palettes have
    image = Image.new("LAB", (6, 4), (162, 128, 128)) if mode == "LAB" else gray.convert(mode)
    image.save(tmp_path / "photo.tiff")
    read = read_rgb(tmp_path / "photo.tiff")
    assert read.shape == (4, 6, 3)
    assert np.abs(read.astype(int) - 153).max() <= 6


def test_of_a_jpeg_of_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (16, 16), (10, 200, 30)), Image.new("RGB", (16, 16))
    first.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[second])
    assert read_rgb(tmp_path / "photo.jpg")[0, 0].tolist() == pytest.approx([10, 200, 30], abs=6)


@pytest.mark.parametrize("kind", ["RGBA", "transparent colour", "transparent palette"])
def test_transparent_pixels_lie_on_white(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clear.png"
    if kind == "RGBA":
        image = Image.new("RGBA", (8, 4), (200, 0, 0, 255))
        image.paste((0, 0, 0, 0), (4, 0, 8, 4))
        image.save(path)
    elif kind == "transparent colour":
        image = Image.new("RGB", (8, 4), (200, 0, 0))
        image.paste((0, 0, 0), (4, 0, 8, 4))
        image.save(path, transparency=(0, 0, 0))
    else:
        image = Image.new("P", (8, 4))
        image.putpalette([200, 0, 0, 0, 0, 0])
        image.paste(1, (4, 0, 8, 4))
        image.save(path, transparency=1)
    image = read_rgb(path)
    assert image[0, 0].tolist() == [200, 0, 0]
    assert image[0, 7].tolist() == [255, 255, 255]


def test_half_transparent_is_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert abs(int(read_rgb(tmp_path / "half.png")[0, 0, 0]) - 127) <= 1


def saved(image: Image.Image, encoding: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, encoding, **options)
    return stream.getvalue()


def deep(values: NDArray[np.float64], brightest: int, encoding: str, **options: object) -> bytes:
    """Values from 0 to 1 as 16-bit gray that goes up to ``brightest``."""
    return saved(Image.fromarray((values * brightest).round().astype(np.uint16)), encoding, **options)


RAMP = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.mark.parametrize("encoding", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(encoding: str) -> None:
    np.testing.assert_array_equal(read_rgb(deep(RAMP, 65535, encoding))[..., 0], (RAMP * 255).round())


@pytest.mark.parametrize("encoding", ["PNG", "TIFF"])
@pytest.mark.parametrize(("bits", "brightest"), [(8, 200), (10, 1023), (12, 4000), (14, 16383)])
def test_sixteen_bits_of_which_few_are_used_give_a_reason(encoding: str, bits: int, brightest: int) -> None:
    with pytest.raises(TooDarkImageError, match=rf"^too dark \({bits}-bit data\?\)"):
        read_rgb(deep(RAMP, brightest, encoding))


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """The PNG with a chunk after its header."""
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + chunk + png[33:]


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_range_that_a_file_states_is_used(bits: int) -> None:
    brightest = 2**bits - 1
    expected = (RAMP * 255).round()
    stated = with_chunk(deep(RAMP, brightest, "PNG"), b"sBIT", bytes([bits]))
    np.testing.assert_allclose(read_rgb(stated)[..., 0], expected, atol=1)
    stated = deep(RAMP, brightest, "TIFF", tiffinfo={281: brightest})
    np.testing.assert_allclose(read_rgb(stated)[..., 0], expected, atol=1)
    scaled_already = with_chunk(deep(RAMP, 65535, "PNG"), b"sBIT", bytes([bits]))
    np.testing.assert_array_equal(read_rgb(scaled_already)[..., 0], expected)


def test_a_largest_value_that_is_no_range_moves_nothing() -> None:
    found = deep(RAMP, 40000, "TIFF", tiffinfo={281: 40000})
    np.testing.assert_array_equal(read_rgb(found)[..., 0], (RAMP * 40000 / 257).round())


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("depth", [8, 16])
def test_white_can_be_zero(depth: int, compression: str) -> None:
    top = 2**depth - 1
    values = ((1 - RAMP) * top).round().astype(np.uint8 if depth == 8 else np.uint16)
    photo = bytearray(saved(Image.fromarray(values), "TIFF", compression=compression))
    # Pillow would turn the values round if it were asked for this tag: the tag alone is changed, from 1 to 0
    entry = photo.index(struct.pack("<HHIH", 262, 3, 1, 1))
    photo[entry + 8] = 0
    np.testing.assert_array_equal(read_rgb(bytes(photo))[..., 0], (RAMP * 255).round())


def test_colours_of_sixteen_bits_of_which_few_are_used_give_a_reason() -> None:
    dark = cv2.imencode(".png", np.full((4, 6, 3), 4095, np.uint16))[1].tobytes()
    with pytest.raises(TooDarkImageError, match=r"^too dark \(12-bit data\?\)"):
        read_rgb(dark)


@pytest.mark.parametrize("top", [1.3, 65535])
def test_floating_point_may_overshoot_or_be_of_sixteen_bits(top: float) -> None:
    values = RAMP.astype(np.float32) * np.float32(top)
    scale = 1 if top < 2 else 65535
    np.testing.assert_allclose(
        read_rgb(saved(Image.fromarray(values), "TIFF"))[..., 0], np.clip(values / scale, 0, 1) * 255, atol=1
    )


FORMATS = {"AVIF": 3, "JPEG2000": 0, "GIF": 12, "MPO": 3, "HEIF": 6, "WEBP": 4, "TIFF": 0, "BMP": 0}
"""Each with how far its pixels may be off: not all of them are lossless."""


@pytest.mark.parametrize("encoding", FORMATS)
@pytest.mark.parametrize("name", ["photo.jpg", "photo"])
def test_a_format_is_told_by_its_content(tmp_path: Path, encoding: str, name: str) -> None:
    original = np.asarray(Image.fromarray(gradient()).resize((160, 96)))
    options = {"quality": 100} if encoding in ("AVIF", "MPO", "HEIF", "WEBP") else {}
    path = tmp_path / name
    path.write_bytes(saved(Image.fromarray(original), encoding, **options))
    check_header(path.read_bytes())
    assert np.abs(read_rgb(path).astype(int) - original).mean() <= FORMATS[encoding]


@pytest.mark.parametrize("encoding", ["AVIF", "HEIF"])
def test_avif_and_heif_are_turned_once(encoding: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(gradient(96, 160))))
    read = read_rgb(saved(stored, encoding, exif=exif.tobytes(), quality=95))
    assert read.shape == (96, 160, 3)
    assert np.abs(read.astype(int) - gradient(96, 160)).mean() < 6


@pytest.mark.parametrize("encoding", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_of_several_frames_the_first_is_read(encoding: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    assert read_rgb(saved(frames[0], encoding, save_all=True, append_images=frames[1:]))[8, 8, 0] > 240


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\x0a" + bytes(60), "a format that is not read: JPEG XL"),
        (b"8BPS\0\1" + bytes(60), "a format that is not read: Photoshop"),
        (b"II\x2a\0\x10\0\0\0CR\2\0" + bytes(60), "a format that is not read: camera raw"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(60), "a format that is not read: 7z"),
        (b"\0\0\0\x18ftypisom" + bytes(60), "no photo but MP4"),
        (b"PK\x03\x04" + bytes(60), "no photo but zip"),
    ],
)
def test_a_format_that_is_not_read_is_named(content: bytes, reason: str) -> None:
    for ask in (check_header, read_rgb):
        with pytest.raises(UnsupportedFormatError, match=f"^{reason}$"):
            ask(content)


def test_a_raw_file_is_not_its_preview() -> None:
    preview = Image.fromarray(gradient())
    for tags in ({50706: b"\x01\x04\0\0"}, {254: 1, 330: 8}):
        with pytest.raises(UnsupportedFormatError, match="camera raw"):
            check_header(saved(preview, "TIFF", tiffinfo=tags))


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_gives_a_reason(transfer: int) -> None:
    photo = with_chunk(saved(Image.fromarray(gradient()), "PNG"), b"cICP", bytes([9, transfer, 0, 1]))
    with pytest.raises(HdrImageError, match=r"^high dynamic range"):
        read_rgb(photo)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 40, b"These are my holidays.\n" * 50, b"\xff\xd8\xff", b"GIF89a", b"%PDF-1.7\n", b"<svg/>"],
    ids=["empty", "zeros", "text", "jpeg start", "gif start", "pdf", "svg"],
)
def test_what_is_no_image_gives_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"^cannot be decoded: \S"):
        read_rgb(path)


@pytest.mark.parametrize("encoding", ["JPEG", "PNG", "BMP", "TIFF"])
def test_a_truncated_image_is_damaged(encoding: str) -> None:
    rough = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = saved(rough, encoding)
    with pytest.raises(DamagedImageError, match=r"^damaged: "):
        read_rgb(content[: len(content) // 2])


@pytest.mark.parametrize("encoding", ["WEBP", "AVIF", "HEIF", "JPEG2000", "GIF"])
def test_an_image_truncated_early_gives_a_reason(encoding: str) -> None:
    content = saved(Image.fromarray(gradient(96, 160)), encoding)
    with pytest.raises(UnreadableImageError, match=r"^cannot be decoded: \S|^damaged: "):
        read_rgb(content[: len(content) // 3])


def test_a_missing_file_gives_a_reason(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_rgb(tmp_path / "gone.png")


@pytest.mark.parametrize("name", ["plain.jpg", "line\nbreak 'and' \"quotes\".jpg", "back\\slash.jpg", "Ωλ 写真.jpg"])
def test_no_reason_tells_where_the_file_lies(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (b"text", png_header(2, 2), b""):
        path.write_bytes(content)
        with pytest.raises(UnreadableImageError) as caught:
            read_rgb(path)
        assert tmp_path.name not in str(caught.value)
    path.unlink()
    with pytest.raises(UnreadableImageError) as caught:
        read_rgb(path)
    assert tmp_path.name not in str(caught.value)


@pytest.mark.parametrize("side", [10_001, 20_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    assert side**2 > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(UnreadableImageError, match="too large"):
        read_rgb(path)


def test_no_outside_program_decodes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(gradient()).save(path, "EPS")

    def start(*args: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", "gs")
    with pytest.raises(UnreadableImageError, match="not an image"):
        read_rgb(path)


def _with_right_checksums(png: bytes) -> bytes:
    """The PNG with its chunks' checksums made right, so that what is broken in them reaches the decoder."""
    parts, position = [png[:8]], 8
    while position + 12 <= len(png):
        length = struct.unpack(">I", png[position : position + 4])[0]
        body = png[position + 4 : position + 8 + length]
        parts.append(png[position : position + 4] + body + struct.pack(">I", zlib.crc32(body)))
        position += 12 + length
    return b"".join(parts)


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_damaged_file_is_read_or_gives_a_reason(tmp_path: Path, encoding: str) -> None:
    rng = np.random.default_rng(2)
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = 6, "maker"
    stream = io.BytesIO()
    image = Image.fromarray(gradient()).convert("L" if encoding == "JPEG" else "RGB")
    image.save(stream, encoding, **({} if encoding == "BMP" else {"exif": exif}))
    whole, path, refused = stream.getvalue(), tmp_path / "photo.png", 0
    for _ in range(400):
        damaged = bytearray(whole)
        for position in rng.integers(0, min(len(whole), 160), int(rng.integers(1, 4))):
            damaged[position] = rng.integers(256)
        path.write_bytes(_with_right_checksums(bytes(damaged)) if encoding == "PNG" else bytes(damaged))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert read_rgb(path).shape[2] == 3
            except UnreadableImageError:
                refused += 1
    assert 0 < refused < 400


@pytest.mark.parametrize("tag", [0x0100, 0x011A], ids=["width", "resolution"])
def test_a_photo_with_odd_exif_is_read(tmp_path: Path, tag: int) -> None:
    # a text where a number belongs: Pillow reads such EXIF data but cannot write it
    tags = struct.pack(">HHII", tag, 2, 4, 0x61626300) + struct.pack(">HHIHH", ORIENTATION, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + tags + struct.pack(">I", 0)
    path = tmp_path / "photo.jpg"
    Image.fromarray(gradient()).save(path, exif=exif)
    assert read_rgb(path).shape == (20, 12, 3)


def test_whatever_a_decoder_raises_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image) -> None:
        raise struct.error("unpack requires a buffer of 4 bytes")

    Image.fromarray(gradient()).save(tmp_path / "photo.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(UnreadableImageError, match="cannot be decoded: unpack requires"):
        read_rgb(tmp_path / "photo.png")


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
def test_a_png_written_is_the_image_and_nothing_else(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encode_png(image))
    (tmp_path / "b.png").write_bytes(encode_png(image))
    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), expected)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    content, kinds, position = (tmp_path / "a.png").read_bytes(), [], 8
    while position < len(content):
        kinds.append(content[position + 4 : position + 8])
        position += 12 + struct.unpack(">I", content[position : position + 4])[0]
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
