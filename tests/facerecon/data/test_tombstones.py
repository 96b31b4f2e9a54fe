"""Tombstones: what they hold, what they refuse, and that they name nobody."""

import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.containers import write_zip
from facerecon.data.tombstones import FILE, Tombstones, clip_fact, photo_fact, remove_kept, track_fact
from facerecon.errors import FaceReconError

PHOTO = photo_fact("a" * 64)


@given(st.sets(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=5), st.binary(max_size=9))
def test_what_is_buried_is_held_and_nothing_else(sha256s, other):
    stones = Tombstones().bury(map(photo_fact, sha256s), "2026-11-21", "asked")
    assert all(stones.hold(photo_fact(sha256)) for sha256 in sha256s)
    assert not stones.hold(photo_fact(other.hex()))
    assert not stones.hold(clip_fact(next(iter(sha256s), "")))


def test_the_file_holds_no_digest_and_comes_back_the_same(tmp_path):
    stones = Tombstones.read(tmp_path).bury([PHOTO], "2026-11-21", "asked")
    stones.write(tmp_path)
    text = (tmp_path / FILE).read_text()
    assert "a" * 64 not in text
    assert Tombstones.read(tmp_path) == stones
    assert stones.ids_of([PHOTO]) == [json.loads(text)["groups"][0]["id"]]


def test_burying_twice_changes_nothing_and_the_key_stays():
    stones = Tombstones().bury([PHOTO], "2026-11-21", "asked")
    assert stones.bury([PHOTO], "2026-11-22", "again") is stones
    more = stones.bury([PHOTO, photo_fact("b" * 64)], "2026-11-22", "more")
    assert more.key == stones.key
    assert [len(group["hashes"]) for group in more.groups] == [1, 1]
    assert more.digest != stones.digest != Tombstones().digest == ""


def test_two_projects_have_different_hashes_of_one_photo():
    first, second = (Tombstones().bury([PHOTO], "2026-11-21", "asked") for _ in range(2))
    assert first.groups[0]["hashes"] != second.groups[0]["hashes"]


def test_a_track_is_known_whatever_its_clip_is_called():
    stones = Tombstones().bury([track_fact("c" * 64, "a/one.mp4", "a/one.mp4#3")], "2026-11-21", "asked")
    assert stones.hold(track_fact("c" * 64, "two.mp4", "two.mp4#3"))
    assert not stones.hold(track_fact("c" * 64, "two.mp4", "two.mp4#4"))


@pytest.mark.parametrize("content", ["", "<<<<<<< HEAD", '{"key": "", "groups": []}', '{"key": "zz"}', "[]"])
def test_a_damaged_file_stops_everything(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(FaceReconError, match=r"forgotten\.json: it cannot be read .* `git checkout"):
        Tombstones.read(tmp_path)


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_frames_of_a_track_go_with_its_embedding_and_the_others_stay(tmp_path):
    faces = [{"member": "1/0.png"}, {"member": "1/5.png"}]
    tracks = [{"number": 1, "embedding": [0.5], "faces": faces}, {"number": 2, "faces": [{"member": "2/3.png"}]}]
    record = {"refused": "", "tracks": tracks}
    names = ("1/0.png", "1/5.png", "2/3.png")
    write_zip(tmp_path / "clip.zip", [*((n, n.encode()) for n in names), ("clip.json", json.dumps(record).encode())])
    remove_kept(tmp_path, ["clip.zip!/1/0.png", "clip.zip!/1/5.png", "gone.zip!/x"])
    left = members(tmp_path / "clip.zip")
    assert set(left) == {"2/3.png", "clip.json"}
    assert left["2/3.png"] == b"2/3.png"
    assert json.loads(left["clip.json"]) == record | {"tracks": tracks[1:]}


def test_a_photo_repacked_from_a_tar_archive_stays_named_as_forgotten(tmp_path):
    index = [["Ada/1.jpg", "000001", ""], ["Bob/1.jpg", "000002", ""]]
    write_zip(tmp_path / "t.zip", [("000001", b"a"), ("000002", b"b"), ("index.json", json.dumps(index).encode())])
    for _ in range(2):
        remove_kept(tmp_path, ["t.zip!/000001"])
        left = members(tmp_path / "t.zip")
        assert set(left) == {"000002", "index.json"}
        assert json.loads(left["index.json"]) == [["Ada/1.jpg", "", "forgotten"], index[1]]
