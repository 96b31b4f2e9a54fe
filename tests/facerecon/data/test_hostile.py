"""Photographs that are broken, lie or vanish are quarantined with a reason; what they tell of places is not passed on.

All cases lie in one folder beside one good photo, which is read and aligned as if they were not there.
"""

import os
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.quarantine import Code
from facerecon.data.settings import DataSettings
from facerecon.images import encode_png


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds next to nothing."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture(scope="module")
def good(sample_faces: Path) -> Path:
    """A photograph of one face. Do not write to it."""
    return min(path for path in sample_faces.rglob("*") if path.suffix in (".png", ".jpg"))


NOT_AN_IMAGE, NO_FACE = (Code.UNDECODABLE, "cannot be decoded: not an image"), (Code.NO_FACE, "no face found")
HOSTILE = {
    "truncated.jpg": (Code.DAMAGED, "damaged: "),
    "truncated.png": (Code.DAMAGED, "damaged: "),
    "zero bytes.png": NOT_AN_IMAGE,
    "zeros.png": NOT_AN_IMAGE,
    "text.jpg": NOT_AN_IMAGE,
    "pdf.jpg": NOT_AN_IMAGE,
    "decompression bomb.png": (Code.TOO_LARGE, "too large"),
    "30000x30000.png": (Code.TOO_LARGE, "too large"),
    "30000x1.png": NO_FACE,
    "1x30000.png": NO_FACE,
    "1 pixel.png": NO_FACE,
    "pipe.jpg": (Code.NOT_A_FILE, "not a file"),
    "endless device.jpg": (Code.NOT_A_FILE, "not a file"),
    "link to nothing.jpg": (Code.UNREADABLE, "cannot be read: No such file or directory"),
    "link to itself.jpg": (Code.UNREADABLE, "cannot be read: Too many levels of symbolic links"),
    "  spaces  .png": NOT_AN_IMAGE,
    "line\nbreak.png": NOT_AN_IMAGE,
    "Ωλ 写真 🙂.png": NOT_AN_IMAGE,
    "'; DROP TABLE faces; --.png": NOT_AN_IMAGE,
    "=cmd|' !A0.png": NOT_AN_IMAGE,
    "copy of the good one.png": (Code.DUPLICATE, "duplicate of a good one.png"),
}


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory, good: Path, landmark_model: Path) -> Manifest:
    """What is left of a folder with all of HOSTILE and a good photo."""
    root = tmp_path_factory.mktemp("hostile")
    for name in ("zero bytes.png", "  spaces  .png", "line\nbreak.png", "Ωλ 写真 🙂.png"):
        (root / name).touch()
    for name in ("text.jpg", "'; DROP TABLE faces; --.png", "=cmd|' !A0.png"):
        (root / name).write_text("These are my holidays.")
    for name in ("a good one.png", "copy of the good one.png"):
        shutil.copy(good, root / name)
    for suffix in (".jpg", ".png"):
        Image.effect_noise((64, 64), 90).save(root / f"truncated{suffix}")
        (root / f"truncated{suffix}").write_bytes((root / f"truncated{suffix}").read_bytes()[:900])
    (root / "zeros.png").write_bytes(bytes(4096))
    (root / "pdf.jpg").write_bytes(b"%PDF-1.7\n%\xe2\xe3\n")
    (root / "decompression bomb.png").write_bytes(png_header(11_000, 11_000))
    (root / "30000x30000.png").write_bytes(png_header(30_000, 30_000))
    for width, height in ((30_000, 1), (1, 30_000)):
        Image.new("RGB", (width, height)).save(root / f"{width}x{height}.png")
    Image.new("RGB", (1, 1)).save(root / "1 pixel.png")
    os.mkfifo(root / "pipe.jpg")
    (root / "endless device.jpg").symlink_to("/dev/zero")
    (root / "link to nothing.jpg").symlink_to(root / "nothing.jpg")
    (root / "link to itself.jpg").symlink_to(root / "link to itself.jpg")
    photos = ingest(DataSettings(path=str(root)), root, tmp_path_factory.mktemp("frames"))
    return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))


def test_the_good_photo_is_all_that_is_left(survived: Manifest) -> None:
    assert survived.faces["uri"].tolist() == ["a good one.png"]
    assert set(survived.quarantine["uri"]) == set(HOSTILE)
    assert len(survived.digest) == 64


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_photo_is_quarantined_with_its_code_and_reason(survived: Manifest, name: str) -> None:
    [(code, reason)] = survived.quarantine.set_index("uri").loc[[name], ["code", "reason"]].to_numpy().tolist()
    expected, pattern = HOSTILE[name]
    assert code == expected
    assert re.match(pattern, reason)
    assert "\n" not in reason
    assert survived.sources["folder"].root not in reason


def test_a_folder_that_changes_while_it_is_read(
    tmp_path: Path, sample_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    photos = sorted(path for path in sample_faces.rglob("*") if path.suffix in (".png", ".jpg"))[:5]
    for name, path in zip(("stays", "vanishes", "changes", "becomes a folder"), photos[:4], strict=True):
        shutil.copy(path, tmp_path / f"{name}.png")
    listed = ingest(DataSettings(path=str(tmp_path)), tmp_path, tmp_path_factory.mktemp("frames"))
    (tmp_path / "vanishes.png").unlink()
    shutil.copy(photos[4], tmp_path / "changes.png")
    shutil.copy(photos[4], tmp_path / "comes.png")
    (tmp_path / "becomes a folder.png").unlink()
    (tmp_path / "becomes a folder.png").mkdir()
    store = tmp_path_factory.mktemp("store")
    settings = AlignmentSettings(size=64, workers=1)
    aligned = align(listed, settings, landmark_model, store)
    assert aligned.faces["uri"].tolist() == ["stays.png"]
    assert dict(zip(aligned.quarantine["uri"], aligned.quarantine["reason"], strict=True)) == {
        "vanishes.png": "cannot be read: No such file or directory",
        "changes.png": "changed since it was listed",
        "becomes a folder.png": "not a file",
    }
    # nothing of it is remembered: what is there the next time counts
    shutil.rmtree(tmp_path / "becomes a folder.png")
    shutil.copy(photos[1], tmp_path / "vanishes.png")
    again = align(listed, settings, landmark_model, store)
    assert again.faces["uri"].tolist() == ["stays.png", "vanishes.png"]


PLACE = "48.8584N 2.2945E"
"""What no derived file may hold."""


def test_where_a_photo_was_taken_is_in_nothing_that_is_made_of_it(
    tmp_path: Path, good: Path, landmark_model: Path
) -> None:
    root, made = tmp_path / "photos", tmp_path / "made"
    root.mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = PLACE
    exif[ExifTags.Base.GPSInfo] = {1: "N", 2: (48.0, 51.0, 30.0), 29: PLACE, 27: PLACE.encode()}
    text = PngImagePlugin.PngInfo()
    text.add_text("Location", PLACE)
    image = Image.open(good).convert("RGB")
    image.save(root / "1.jpg", exif=exif, comment=PLACE, quality=95)
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "2.png", exif=exif, pnginfo=text)
    image.resize((240, 240)).save(root / "3.webp", exif=exif, xmp=PLACE.encode())
    image.resize((230, 230)).save(root / "4.tiff", exif=exif.tobytes())
    assert all(PLACE.encode() in path.read_bytes() for path in root.iterdir()), "the photos do hold it"
    photos = ingest(DataSettings(path=str(root)), root, made / "frames")
    aligned = align(photos, AlignmentSettings(size=64, workers=1), landmark_model, made / "store")
    assert len(aligned.faces) == 4
    aligned.faces.to_parquet(made / "faces.parquet", compression=None)
    for index, face in enumerate(aligned.faces["face"]):
        (made / f"{index}.png").write_bytes(encode_png(aligned.aligned_faces.crop(face)))
        with Image.open(made / f"{index}.png") as crop:
            assert not crop.getexif()
            assert not crop.info
    contents = [path.read_bytes() for path in made.rglob("*") if path.is_file()]
    assert len(contents) >= 6
    numbers = np.float32([48, 51, 30]).tobytes()
    for content in contents:
        assert not any(trace in content for trace in (PLACE.encode(), PLACE.encode("utf-16-le"), b"Exif", numbers))
