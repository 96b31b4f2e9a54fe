"""Photos that were read are not read again while the file system says that they are the same."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.data import ingest as module
from facerecon.data import known
from facerecon.data.forget import Target, remove_frames
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number in range(4):
        path = folder / f"p{number}" / "1.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that were read since it was cleared last; files count as settled at once."""
    monkeypatch.setattr(known, "SETTLED_NS", -10_000_000_000)
    names: list[str] = []
    true = module.read_bytes

    def noted(root: Path, uri: str) -> bytes:
        names.append(uri)
        return true(root, uri)

    monkeypatch.setattr(module, "read_bytes", noted)
    return names


def run(photos: Path) -> Manifest:
    return ingest(DataSettings(path=str(photos)), photos, photos.parent / "frames")


def test_only_new_photos_are_read(photos: Path, read: list[str]) -> None:
    first = run(photos)
    assert len(read) == 4
    read.clear()
    Image.fromarray(np.full((8, 8, 3), 99, dtype=np.uint8)).save(photos / "p0" / "2.png")
    second = run(photos)
    assert read == ["p0/2.png"]
    assert set(second.faces["sha256"]) > set(first.faces["sha256"])
    (photos / "p0" / "2.png").unlink()
    assert run(photos).digest == first.digest


def test_a_photo_that_changed_is_read_whatever_its_times_claim(photos: Path, read: list[str]) -> None:
    path = photos / "p1" / "1.png"
    before, times = run(photos), path.stat()
    read.clear()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of equal size
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = run(photos)
    assert read == ["p1/1.png"]
    assert after.digest != before.digest


def test_a_file_that_may_still_change_unseen_is_read_again(
    photos: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "SETTLED_NS", 60_000_000_000)
    run(photos)
    read.clear()
    run(photos)
    assert len(read) == 4


def test_what_cannot_be_used_is_read_again_and_keeps_its_reason(photos: Path, read: list[str]) -> None:
    (photos / "text.jpg").write_text("text")
    first = run(photos)
    read.clear()
    second = run(photos)
    assert read == ["text.jpg"]
    assert second.quarantine.equals(first.quarantine)


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00", "other columns"])
def test_a_damaged_list_is_made_anew(photos: Path, read: list[str], content: bytes | str) -> None:
    before = run(photos)
    (kept,) = (photos.parent / "frames").glob("known-*.npy")
    if isinstance(content, str):
        np.save(kept, np.arange(5))
    else:
        kept.write_bytes(content)
    read.clear()
    assert run(photos).digest == before.digest
    assert len(read) == 4
    read.clear()
    run(photos)
    assert not read


def test_roots_have_lists_of_their_own(photos: Path, read: list[str]) -> None:
    run(photos)
    ingest(DataSettings(path=str(photos / "p0")), photos, photos.parent / "frames")
    read.clear()
    run(photos)
    assert not read


def test_the_list_names_nobody(photos: Path, read: list[str]) -> None:
    run(photos)
    (kept,) = (photos.parent / "frames").glob("known-*.npy")
    assert b"p0" not in kept.read_bytes()
    assert "photos" not in kept.name


def test_forgetting_anybody_removes_the_lists(photos: Path, read: list[str]) -> None:
    run(photos)
    frames = photos.parent / "frames"
    remove_frames([], Target("identity", "p0"), frames)
    assert not list(frames.glob("known-*"))
    read.clear()
    run(photos)
    assert len(read) == 4
