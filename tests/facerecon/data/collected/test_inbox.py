"""The inbox tells whole clips from growing ones, and reads none that is known."""

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from facerecon.data import listing
from facerecon.data.collected.inbox import Inbox, InboxSettings, KnownClips, clip_state, inbox_root, look
from facerecon.data.known import forget_known
from facerecon.data.quarantine import Code
from facerecon.errors import FaceReconError

Look = Callable[..., Inbox]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def look_at(root: Path, tmp_path: Path) -> Look:
    """Looks at the inbox so many seconds from now, each time as a process of its own."""

    def at(later: float = 0, **options: object) -> Inbox:
        known = KnownClips(tmp_path / "state", root)
        return look(root, InboxSettings.model_validate(options), known, time.time() + later)

    return at


def uris(inbox: Inbox) -> list[str]:
    return [clip.uri for clip in inbox.new]


def codes(inbox: Inbox) -> dict[str, Code]:
    return {uri: refusal.code for uri, refusal in inbox.refused}


def test_a_clip_is_whole_when_it_has_not_changed_for_a_while(root: Path, look_at: Look) -> None:
    (root / "door").mkdir()
    (root / "door" / "a.mkv").write_bytes(b"clip")
    young = look_at()
    assert not young.new
    assert young.young == ("door/a.mkv",)
    whole = look_at(61)
    assert uris(whole) == ["door/a.mkv"]
    assert not whole.young
    assert whole.new[0].path == root / "door" / "a.mkv"
    assert whole.new[0].state == clip_state(root / "door" / "a.mkv")


def test_a_clip_that_grows_is_young_until_it_has_settled(root: Path, look_at: Look) -> None:
    path = root / "a.mkv"
    path.write_bytes(b"clip")
    look_at(300)
    path.write_bytes(b"clip that grew")
    assert look_at(301).young == ("a.mkv",)  # its times say 300 s ago: the share's clock is behind
    assert look_at(360).young == ("a.mkv",)
    assert uris(look_at(362)) == ["a.mkv"]


def test_a_clip_seen_young_yesterday_and_whole_since_is_taken_today(root: Path, look_at: Look) -> None:
    path = root / "a.mkv"
    path.write_bytes(b"clip")
    assert look_at(-86_400).young == ("a.mkv",)
    path.write_bytes(b"clip that grew")
    assert uris(look_at(61)) == ["a.mkv"]


def test_a_copy_with_the_times_of_its_original_is_young_all_the_same(root: Path, look_at: Look) -> None:
    path = root / "a.mkv"
    path.write_bytes(b"clip")
    os.utime(path, (1e9, 1e9))
    assert look_at().young == ("a.mkv",)


def test_a_clock_ahead_is_not_believed(root: Path, look_at: Look) -> None:
    path = root / "a.mkv"
    path.write_bytes(b"clip")
    os.utime(path, (time.time() + 7200, time.time() + 7200))
    assert look_at(120).young == ("a.mkv",)
    assert look_at(179).young == ("a.mkv",)
    assert uris(look_at(181)) == ["a.mkv"]


def test_with_a_marker_a_clip_waits_for_it(root: Path, look_at: Look) -> None:
    (root / "a.mkv").write_bytes(b"clip")
    (root / "b.frames").mkdir()
    (root / "b.frames" / "1.png").write_bytes(b"frame")
    assert look_at(1e6, complete="marker").young == ("a.mkv", "b.frames")
    (root / "a.mkv.done").touch()
    (root / "b.frames.done").touch()
    assert uris(look_at(complete="marker")) == ["a.mkv", "b.frames"]


def test_hidden_and_unfinished_files_are_no_clips(root: Path, look_at: Look) -> None:
    for name in (".a.mkv", ".a.mkv.Xy12", "b.mkv.part", "c.MP4.crdownload", "d.tmp", "e.txt", "f.mkv.filepart"):
        (root / name).write_bytes(b"\x1a\x45\xdf\xa3" * 300)
    (root / "e.txt").write_text("text")
    inbox = look_at(100)
    assert not inbox.new
    assert inbox.young == ("b.mkv.part", "c.MP4.crdownload", "f.mkv.filepart")
    assert not inbox.refused


def test_a_clip_is_known_by_its_first_bytes(root: Path, look_at: Look) -> None:
    (root / "camera1").write_bytes(b"\x1a\x45\xdf\xa3" * 300)
    (root / "notes").write_text("text")
    assert uris(look_at(100)) == ["camera1"]


def test_a_folder_of_frames_is_one_clip_that_changes_with_each_frame(root: Path, look_at: Look) -> None:
    folder = root / "door" / "walk.frames" / "inner"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.png").write_bytes(b"frame")
    (clip,) = look_at(100).new
    assert clip.uri == "door/walk.frames"
    assert clip.path == root / "door" / "walk.frames"
    assert clip_state(clip.path) == clip.state
    (folder / "1.png").unlink()
    assert clip_state(clip.path) != clip.state
    shutil.rmtree(clip.path)
    assert clip_state(clip.path) is None


def test_what_cannot_be_read_is_refused_and_the_others_go_on(root: Path, look_at: Look) -> None:
    (root / "a.mkv").write_bytes(b"clip")
    os.mkfifo(root / "pipe.mkv")
    (root / "loop.mkv").symlink_to("loop.mkv")
    (root / "nowhere.mkv").symlink_to("nothing")
    (root / "round").symlink_to(root)
    (root / os.fsdecode(b"caf\xe9.mkv")).write_bytes(b"clip")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
        inbox = look_at(100)
    assert uris(inbox) == ["a.mkv"]
    assert codes(inbox) == {
        "caf\\udce9.mkv": Code.BAD_NAME,
        "loop.mkv": Code.UNREADABLE,
        "nowhere.mkv": Code.UNREADABLE,
        "pipe.mkv": Code.NOT_A_FILE,
        "round": Code.DUPLICATE,
        "socket": Code.NOT_A_FILE,
    }
    assert all("\n" not in refusal.reason and str(root) not in refusal.reason for _, refusal in inbox.refused)


def test_folders_and_files_without_permission_are_refused(
    root: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mkv", "closed/b.mkv", "c.mkv", "d.frames/inner/1.png"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_bytes(b"clip")
    closed, scandir, access = {"closed", "inner"}, os.scandir, os.access

    def deny(folder: Path):
        if Path(folder).name in closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(listing.os, "scandir", deny)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "c.mkv" and access(path, mode))
    inbox = look_at(100)
    assert uris(inbox) == ["a.mkv"]
    assert codes(inbox) == dict.fromkeys(("c.mkv", "closed", "d.frames"), Code.UNREADABLE)


def test_a_known_clip_is_not_opened(root: Path, look_at: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "camera1").write_bytes(b"\x1a\x45\xdf\xa3" * 300)
    (root / "a.mkv").write_bytes(b"clip")
    (root / "b.frames").mkdir()
    (root / "b.frames" / "1.png").write_bytes(b"frame")
    look_at(-100)  # seen some time ago, so that what is read now will not change unseen
    known = KnownClips(tmp_path / "state", root)
    for clip in look(root, InboxSettings(settle=0), known).new:
        known.add(clip.state, clip.uri.ljust(64, "0"))
    known.write()

    def opened(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a clip was opened")

    monkeypatch.setattr(listing, "head_of", opened)
    inbox = look_at(100)
    assert (inbox.new, inbox.young, inbox.known) == ((), (), 3)
    (root / "a.mkv").rename(root / "renamed.mkv")  # its time of change is another
    assert uris(look_at(100)) == ["renamed.mkv"]


def test_what_a_clip_is_known_by_names_nobody_and_can_be_forgotten(root: Path, tmp_path: Path) -> None:
    path = root / "ada.mkv"
    path.write_bytes(b"clip")
    os.utime(path, (1e9, 1e9))
    known = KnownClips(tmp_path / "state", root)
    look(root, InboxSettings(), known, time.time() - 100)
    state = clip_state(path)
    known.add(state, "0" * 64)
    known.write()
    assert KnownClips(tmp_path / "state", root).find(state) == "0" * 64
    assert all(b"ada" not in file.read_bytes() for file in (tmp_path / "state").iterdir())
    forget_known(tmp_path / "state")
    assert not KnownClips(tmp_path / "state", root).find(state)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "does not exist"),
        ("file", "is not a folder"),
        ("data/clips", "overlaps"),
        ("collected", "overlaps"),
        (".", "overlaps"),
        ("link", "overlaps"),
    ],
)
def test_an_inbox_that_cannot_be_one_is_one_line(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "data" / "clips").mkdir(parents=True)
    (tmp_path / "collected").mkdir()
    (tmp_path / "link").symlink_to("data/clips")
    with pytest.raises(FaceReconError, match=f"inbox.path: .*{said}") as caught:
        inbox_root(InboxSettings(path=path), tmp_path)
    assert "\n" not in caught.value.message


def test_an_inbox_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inbox").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FaceReconError, match="cannot be read: mend its permissions"):
        inbox_root(InboxSettings(), tmp_path)


def test_an_inbox_beside_the_data_is_taken(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    assert inbox_root(InboxSettings(), tmp_path) == tmp_path / "inbox"
