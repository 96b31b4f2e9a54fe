"""What a file is, is told by its first bytes."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from PIL import Image

from facerecon.formats import HEAD_BYTES, Kind, format_of
from facerecon.images import _FORMATS


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("JPEG", "JPEG"),
        ("MPO", "JPEG"),
        ("PNG", "PNG"),
        ("GIF", "GIF"),
        ("WEBP", "WebP"),
        ("BMP", "BMP"),
        ("TIFF", "TIFF"),
        ("JPEG2000", "JPEG 2000"),
        ("AVIF", "AVIF"),
        ("HEIF", "HEIF"),
        ("PPM", "PNM"),
        ("ICO", "icon"),
    ],
)
def test_pictures_are_told_and_those_that_are_read(encoding: str, name: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, encoding)
    found = format_of(stream.getvalue()[:HEAD_BYTES])
    assert found is not None
    assert (found.name, found.kind) == (name, Kind.PICTURE)
    assert found.read == (encoding in (*_FORMATS, "MPO"))


def test_archives_are_told() -> None:
    tar, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.jpg", b"a")
    contents = {
        "tar": tar.getvalue(),
        "zip": packed.getvalue(),
        "gzip": gzip.compress(b"a"),
        "bzip2": bz2.compress(b"a"),
        "xz": lzma.compress(b"a"),
    }
    for name, content in contents.items():
        found = format_of(content[:HEAD_BYTES])
        assert found is not None
        assert (found.name, found.kind, found.read) == (name, Kind.ARCHIVE, True)


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIF", Kind.PICTURE),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF", Kind.PICTURE),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "MP4", Kind.CLIP),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "Matroska", Kind.CLIP),
        ((b"\x47" + bytes(187)) * 3, "MPEG transport stream", Kind.CLIP),
        (b"OggS" + bytes(20), "Ogg", Kind.CLIP),
        (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7z", Kind.ARCHIVE),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "Zstandard", Kind.ARCHIVE),
        (b"\xff\x0a" + bytes(20), "JPEG XL", Kind.PICTURE),
    ],
)
def test_others_are_told(head: bytes, name: str, kind: Kind) -> None:
    found = format_of(head)
    assert found is not None
    assert (found.name, found.kind) == (name, kind)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 300, b"Ada,Bob\n" * 50, b"{}", b"%PDF-1.7\n", b"<svg/>", b"\xef\xbb\xbfa"]
)
def test_what_is_none_of_them_is_none(content: bytes) -> None:
    assert format_of(content) is None
