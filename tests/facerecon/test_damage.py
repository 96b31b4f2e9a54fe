"""Damage that a decoder passes over is told, and nothing that is intact is taken for damaged."""

import io
import os
import threading
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facerecon.damage import damage_in, decode_jpeg
from facerecon.images import DamagedImageError, UnreadableImageError, read_rgb


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Soft shapes and some noise, as a photograph has."""
    rng = np.random.default_rng(0)
    soft = cv2.resize(rng.integers(0, 256, (8, 10, 3)).astype(np.float32), (160, 128), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft + rng.normal(0, 6, soft.shape), 0, 255).astype(np.uint8)


def encoded(picture: NDArray[np.uint8], encoding: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, encoding, **options)
    return stream.getvalue()


VARIANTS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"quality": 100, "subsampling": 0}),
    ("JPEG", {"restart_marker_blocks": 4}),
    ("PNG", {}),
    ("PNG", {"compress_level": 0}),
    ("WEBP", {"quality": 80}),
    ("WEBP", {"quality": 100, "method": 0}),
    ("WEBP", {"quality": 10, "method": 6}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {278: 7}}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", {"compression": "jpeg"}),
    ("TIFF", {"compression": "packbits"}),
    ("TIFF", {}),
    ("BMP", {}),
    ("GIF", {}),
    ("AVIF", {}),
    ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ("AVIF", {"quality": 20, "speed": 10}),
    ("HEIF", {}),
]


@pytest.mark.parametrize(("encoding", "options"), VARIANTS)
@pytest.mark.parametrize("kind", ["photo", "flat", "tiny", "gray", "noise"])
def test_what_is_intact_is_read(
    picture: NDArray[np.uint8], kind: str, encoding: str, options: dict[str, object]
) -> None:
    shown = {
        "photo": picture,
        "flat": np.full((64, 90, 3), 200, np.uint8),
        "tiny": picture[:16, :17],
        "gray": picture[..., 0],
        "noise": np.random.default_rng(1).integers(0, 256, (90, 64, 3)).astype(np.uint8),
    }[kind]
    assert read_rgb(encoded(np.ascontiguousarray(shown), encoding, **options)).shape[:2] == shown.shape[:2]


@pytest.mark.parametrize(
    ("encoding", "options", "bits", "blocks"),
    [
        ("JPEG", {}, 0.1, 0.8),
        ("JPEG", {"progressive": True}, 0.2, 0.7),
        ("PNG", {}, 1, 1),
        ("PNG", {"compress_level": 0}, 1, 1),
        ("WEBP", {"quality": 80}, 0.85, 0.8),
        ("AVIF", {}, 0.9, 0.9),
        ("TIFF", {"compression": "tiff_lzw"}, 0.2, 0.9),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 1, 1),
    ],
)
def test_so_much_of_flipped_bits_and_of_rotten_blocks_is_told(
    picture: NDArray[np.uint8], encoding: str, options: dict[str, object], bits: float, blocks: float
) -> None:
    rng, whole = np.random.default_rng(3), encoded(picture, encoding, **options)
    start = {"JPEG": 700, "PNG": 41, "WEBP": 40, "TIFF": 200, "AVIF": 500}[encoding]
    for length, least in ((1, bits), (256, blocks)):
        told = 0
        for position in rng.integers(start, len(whole) * 9 // 10 - length, 60):
            broken = bytearray(whole)
            if length == 1:
                broken[position] ^= 1 << int(rng.integers(8))
            else:
                broken[position : position + length] = rng.bytes(length)
            try:
                read_rgb(bytes(broken))
            except DamagedImageError:
                told += 1
            except UnreadableImageError:
                told += encoding != "PNG"  # what lies in its header, and where
        assert told >= least * 60, (length, told)


def scan_of(jpeg: bytes) -> int:
    """Where the packed pixels of a JPEG begin."""
    at = jpeg.rfind(b"\xff\xda")
    return at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])


def test_a_jpeg_with_bytes_gone_says_what_is_wrong_with_it(picture: NDArray[np.uint8]) -> None:
    jpeg = encoded(picture, "JPEG")
    at = scan_of(jpeg) + 1000
    with pytest.raises(DamagedImageError, match=r"^damaged: premature end of data segment$"):
        read_rgb(jpeg[:at] + jpeg[at + 600 :])
    with pytest.raises(DamagedImageError, match=r"^damaged: \d+ extraneous bytes before marker 0xd9$"):
        read_rgb(jpeg[:-2] + b"\x12\x34" * 40 + jpeg[-2:])


def test_padding_is_no_damage(picture: NDArray[np.uint8]) -> None:
    jpeg = encoded(picture, "JPEG")
    start = jpeg.index(b"\xff\xdb")
    for photo in (jpeg[:-2] + bytes(40) + jpeg[-2:], jpeg[:start] + bytes(7) + jpeg[start:], jpeg + b"a trailer"):
        np.testing.assert_array_equal(read_rgb(photo), read_rgb(jpeg))


def test_restarts_out_of_order_are_told(picture: NDArray[np.uint8]) -> None:
    jpeg = encoded(picture, "JPEG", restart_marker_blocks=4)
    assert b"\xff\xd3" in jpeg
    with pytest.raises(DamagedImageError, match=r"^damaged: "):
        read_rgb(jpeg.replace(b"\xff\xd3", b"\xff\xd6", 1))


def test_a_jpeg_of_cmyk_is_checked_too(picture: NDArray[np.uint8]) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture).convert("CMYK").save(stream, "JPEG")
    whole = stream.getvalue()
    assert read_rgb(whole).shape == picture.shape
    at = scan_of(whole) + 1000
    with pytest.raises(DamagedImageError):
        read_rgb(whole[:at] + whole[at + 600 :])


def test_what_others_write_to_stderr_is_kept(picture: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]) -> None:
    jpeg = encoded(picture, "JPEG")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            os.write(2, b"a line of another thread\n")
            stop.wait(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(200):
        assert decode_jpeg(jpeg)[1] == ""
    stop.set()
    writer.join()
    said = capfd.readouterr().err
    assert said.count("a line of another thread") > 3
    broken = jpeg[: scan_of(jpeg) + 1000] + jpeg[scan_of(jpeg) + 1600 :]
    assert decode_jpeg(broken)[1]
    assert capfd.readouterr().err == ""


def test_without_stderr_a_jpeg_is_decoded_all_the_same(
    picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor(descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("os.dup", no_descriptor)
    pixels, damage = decode_jpeg(encoded(picture, "JPEG"))
    assert pixels is not None
    assert not damage


def test_a_png_is_judged_by_its_checksums(picture: NDArray[np.uint8]) -> None:
    png = encoded(picture, "PNG")
    at = png.index(b"IDAT")
    length = int.from_bytes(png[at - 4 : at])
    wrong = bytearray(png)
    wrong[at + 4 + length] ^= 1  # its checksum
    with pytest.raises(DamagedImageError, match=r"^damaged: wrong checksum of IDAT$"):
        read_rgb(bytes(wrong))


def test_a_tiff_of_tiles_is_judged_by_tiles() -> None:
    """Made by hand: one tile of 16x16, of which the picture shows 10x10."""
    tile = zlib.compress(bytes(range(256)))
    tags = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: 16, 323: 16, 324: 8, 325: len(tile)}
    directory = len(tags).to_bytes(2, "little")
    for tag, value in tags.items():
        directory += tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
    at = 8 + len(tile) + len(tile) % 2
    tiff = b"II*\0" + at.to_bytes(4, "little") + tile.ljust(at - 8, b"\0") + directory + bytes(4)
    with Image.open(io.BytesIO(tiff)) as image:
        assert damage_in(image, tiff) == ""
        shorter = zlib.compress(bytes(99)).ljust(len(tile), b"\0")
        assert damage_in(image, tiff.replace(tile, shorter)) == "a strip that does not unpack to its size"
