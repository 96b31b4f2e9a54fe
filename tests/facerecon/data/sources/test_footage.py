"""Footage as a source: who is in a clip, the same in all clips; what cannot be used is refused with its reason."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.manifest import Manifest
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.settings import DataSettings
from facerecon.data.sources import Photo, SourceContext
from facerecon.data.sources.footage import footage
from facerecon.errors import FaceReconError

Image = NDArray[np.uint8]
Film = Callable[..., Path]
SHARED = Path(__file__).parents[5] / "shared" / "data" / "footage"


@pytest.fixture(scope="module")
def archives(footage_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context's folder in which the clips of ``footage_root`` have been read."""
    folder = tmp_path_factory.mktemp("archives")
    list(footage(footage_root, context_at(folder)))
    return folder


def context_at(folder: Path, **options: Any) -> SourceContext:
    return SourceContext(DataSettings(source="footage", footage={"workers": 1, **options}), folder)


def identities(photos: list[Photo]) -> dict[str, str]:
    """Who is in each track."""
    return {photo.track: photo.identity or "" for photo in photos}


def test_people_are_known_again_in_the_same_clip_and_in_another(footage_root: Path, archives: Path) -> None:
    photos = list(footage(footage_root, context_at(archives)))
    assert identities(photos) == {
        "crossing.mp4#1": "crossing.mp4#1",
        "crossing.mp4#2": "crossing.mp4#2",
        "crossing.mp4#3": "crossing.mp4#2",
        "door/alone.avi#1": "crossing.mp4#1",
        "third.mkv#1": "third.mkv#1",
    }


def test_a_photo_says_where_it_comes_from(footage_root: Path, archives: Path) -> None:
    for photo in footage(footage_root, context_at(archives)):
        clip, _, place = photo.uri.partition("#")
        assert clip == photo.clip
        assert place == f"frame={photo.frame}&track={photo.track.rpartition('#')[2]}"
        assert photo.time == pytest.approx(photo.frame / 5)
        assert photo.anchor is not None
        archive, _, member = photo.file.partition("!/")
        assert (archives / archive).is_file()
        assert member.endswith(".png")


@pytest.mark.parametrize(
    ("same_person", "expected"),
    [("clip", {"crossing.mp4", "door/alone.avi", "third.mkv"}), ("camera", {"crossing.mp4", "door", "third.mkv"})],
)
def test_or_a_clip_or_a_camera_is_taken_for_one(
    footage_root: Path, archives: Path, same_person: str, expected: set[str]
) -> None:
    photos = list(footage(footage_root, context_at(archives, same_person=same_person)))
    assert set(identities(photos).values()) == expected
    assert all(photo.clip.startswith(photo.identity or "?") for photo in photos)


def test_a_strict_threshold_joins_nobody(footage_root: Path, archives: Path) -> None:
    photos = list(footage(footage_root, context_at(archives, similarity=1.0)))
    assert all(track == person for track, person in identities(photos).items())


def test_a_clip_that_arrives_later_changes_no_name(
    footage_root: Path, archives: Path, tmp_path: Path, scenes: dict[str, list[Image]], film: Film
) -> None:
    before = identities(list(footage(footage_root, context_at(archives))))
    root, folder = tmp_path / "root", tmp_path / "archives"
    shutil.copytree(footage_root, root)
    shutil.copytree(archives, folder)
    film(root / "until later.mp4", scenes["third"][::-1])
    after = identities(list(footage(root, context_at(folder))))
    assert {track: after[track] for track in before} == before
    assert after["until later.mp4#1"] == "third.mkv#1"


@pytest.mark.parametrize("name", ["front door.avi", "line\nbreak.avi", "玄関 Tür.avi", "a#1&track=2!.avi", "CLIP.AVI"])
def test_any_name_of_a_clip(footage_root: Path, archives: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(footage_root / "door" / "alone.avi", tmp_path / name)
    photos = list(footage(tmp_path, context_at(archives)))
    assert photos
    assert {(photo.clip, photo.identity, photo.track) for photo in photos} == {(name, f"{name}#1", f"{name}#1")}


def test_a_folder_of_frames_is_a_clip(tmp_path: Path, context: SourceContext, scenes: dict[str, list[Image]]) -> None:
    from facerecon.images import encode_png

    clip = tmp_path / "hall" / "cam 2.frames"
    clip.mkdir(parents=True)
    for number, image in enumerate(scenes["alone"]):
        (clip / f"{number}.png").write_bytes(encode_png(image))
    (tmp_path / "hall" / "no frame.png").write_bytes(encode_png(scenes["alone"][0]))
    photos = list(footage(tmp_path, context_at(context.folder, folder_rate=5)))
    assert identities(photos) == {"hall/cam 2.frames#1": "hall/cam 2.frames#1"}
    assert all(photo.time == pytest.approx(photo.frame / 5) for photo in photos)


def test_a_recorder_that_was_restarted_loses_nobody(
    tmp_path: Path,
    context: SourceContext,
    scenes: dict[str, list[Image]],
    film: Film,
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = [film(tmp_path / "parts" / f"{name}.ts", scenes[name]).read_bytes() for name in ("alone", "third")]
    root = tmp_path / "root"
    root.mkdir()
    (root / "clip.ts").write_bytes(b"".join(parts))
    photos = list(footage(root, context_at(context.folder)))
    assert identities(photos) == {"clip.ts#1": "clip.ts#1", "clip.ts#2": "clip.ts#2"}
    assert "clip.ts: 1 jumps back in time" in caplog.text


def test_what_is_a_clip_by_its_content_is_one(
    footage_root: Path, archives: Path, tmp_path: Path, codes: Callable[[Manifest], dict[str, str]]
) -> None:
    content = (footage_root / "door" / "alone.avi").read_bytes()
    for name in ("no suffix", "clip.mpeg4", "clip.001"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "known.rmvb").write_bytes(b".RMF" + bytes(30))
    for name in ("notes.txt", "faces", "empty"):
        (tmp_path / name).write_text("Dear diary" if name == "notes.txt" else "")
    (tmp_path / "photo").write_bytes(bytes.fromhex("0000001c") + b"ftypheic" + bytes(16))
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    photos = list(footage(tmp_path, context_at(archives)))
    assert {photo.clip for photo in photos if photo.file} == {"no suffix", "clip.mpeg4", "clip.001"}
    assert [(photo.uri, photo.refused) for photo in photos if photo.refused] == [
        ("known.rmvb", Refusal(Code.UNSUPPORTED, "RealMedia: a format that is not read"))
    ]


def test_a_file_that_cannot_be_opened_may_be_a_clip(
    tmp_path: Path, context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").write_bytes(b"0")
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert [(photo.uri, photo.refused) for photo in footage(tmp_path, context)] == [
        ("locked", Refusal(Code.UNREADABLE, "cannot be read: Permission denied"))
    ]


@pytest.mark.parametrize("names", [["a.mp4", "b.TS", "c.jpg", "d.png"]])
def test_names_that_say_what_a_file_is_are_believed(
    tmp_path: Path, context: SourceContext, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    from facerecon.data import listing
    from facerecon.data.sources.footage import _clips

    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setattr(listing, "head_of", pytest.fail)
    assert _clips(tmp_path, context) == {"a.mp4", "b.TS"}


def test_a_folder_without_a_clip_is_an_error(tmp_path: Path, context: SourceContext) -> None:
    (tmp_path / "photo.png").touch()
    with pytest.raises(FaceReconError, match=r"holds no clip \(.264, .*.avi, .*, or a folder .* named ….frames\)"):
        list(footage(tmp_path, context))


def test_from_clips_to_aligned_faces(
    footage_root: Path,
    archives: Path,
    tmp_path: Path,
    ingested: Callable[..., Manifest],
    context: SourceContext,
    cut_out: Callable[[Manifest], Manifest],
    reasons: Callable[[Manifest], dict[str, str]],
    codes: Callable[[Manifest], dict[str, str]],
    film: Film,
) -> None:
    shutil.copytree(footage_root, tmp_path, dirs_exist_ok=True)
    shutil.copytree(archives, context.folder, dirs_exist_ok=True)
    (tmp_path / "text.mp4").write_text("Dear diary")
    (tmp_path / "zero.mov").touch()
    (tmp_path / "broken link.mp4").symlink_to(tmp_path / "nothing")
    film(tmp_path / "empty.webm", [np.full((90, 120, 3), 90, np.uint8)] * 3)
    manifest = ingested("footage", footage={"workers": 1})
    assert codes(manifest) == {
        **{"empty.webm": "no_face", "text.mp4": "bad_clip", "zero.mov": "bad_clip", "broken link.mp4": "unreadable"},
    }
    refused = reasons(manifest)
    assert refused.pop("empty.webm") == "no face found"
    assert refused.pop("text.mp4").startswith("cannot be decoded: ")
    assert refused.pop("zero.mov").startswith("cannot be decoded: ")
    assert refused.pop("broken link.mp4") == "cannot be read: No such file or directory"
    assert refused == {}

    aligned = cut_out(manifest)
    assert len(aligned.faces) >= 0.6 * len(manifest.faces)
    assert aligned.faces["identity"].nunique() == 3
    assert (aligned.faces.groupby("identity")["split"].nunique() == 1).all()
    assert (aligned.faces["quad"] >= 64).all()


KILLED = """
import sys
from pathlib import Path
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SourceContext
from facerecon.data.sources.footage import footage
settings = DataSettings(source="footage", footage={"workers": 2})
for photo in footage(Path(sys.argv[1]), SourceContext(settings, Path(sys.argv[2]))):
    print(photo)
"""


def whole(folder: Path) -> dict[str, bytes]:
    """The archives that have been written."""
    return {path.name: path.read_bytes() for path in folder.glob("[0-9a-f]*.zip")}


@pytest.mark.slow
@pytest.mark.parametrize(("unfinished", "done"), [(1, 0), (2, 0), (0, 1), (1, 1), (0, 2)])
def test_killed_at_any_moment_it_ends_as_if_nothing_had_happened(
    footage_root: Path, archives: Path, tmp_path: Path, unfinished: int, done: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(footage_root), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while process.poll() is None:
            if len(list(tmp_path.glob(".unfinished-*"))) >= unfinished and len(whole(tmp_path)) >= done:
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
    assert whole(tmp_path).items() <= whole(archives).items()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert whole(tmp_path) == whole(archives)
    assert not list(tmp_path.glob(".unfinished-*"))


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the clips beside the project are not there")
@pytest.mark.parametrize(
    ("name", "people", "rate"),
    [
        ("face-demographics-walking-and-pause.gif", 3, 5),
        ("head-pose-face-detection-female.gif", 1, 5),
        ("head-pose-face-detection-male.gif", 1, 5),
        ("classroom.gif", None, 2),
        ("one-by-one-person-detection.mp4", None, 0.5),
    ],
)
def test_real_clips(tmp_path: Path, context: SourceContext, name: str, people: int | None, rate: float) -> None:
    (tmp_path / name).symlink_to(SHARED / name)
    photos = list(footage(tmp_path, context_at(context.folder, frames_per_second=rate)))
    assert photos
    if people is not None:
        assert len({photo.identity for photo in photos}) == len({photo.track for photo in photos}) == people
