"""A clip becomes an archive of its best faces: whole or absent, made once, the same each time."""

import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from facerecon.data import provenance
from facerecon.data.footage import extraction
from facerecon.data.footage.decode import Frame, Tally, clip_digest
from facerecon.data.footage.detection import Found
from facerecon.data.footage.extraction import RECORD, Extracted, archive_key, extract_all, read_record
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.settings import FootageSettings
from facerecon.perception.landmarks import FaceLandmarker, five_points

Image = NDArray[np.uint8]
Film = Callable[..., Path]
SETTINGS = FootageSettings(workers=1)


def extract(clip: Path, folder: Path, settings: FootageSettings = SETTINGS) -> Extracted:
    (found,) = extract_all([clip], folder, settings)
    return found


@pytest.fixture(scope="module")
def archives(footage_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the archive of the film in which two people cross."""
    folder = tmp_path_factory.mktemp("archives")
    assert extract(footage_root / "crossing.mp4", folder).refused is None
    return folder


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be decoded any more, and no detector started."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(extraction, "_start_worker", refuse)


def record_in(folder: Path) -> dict[str, object]:
    (archive,) = folder.glob("*.zip")
    record = read_record(archive)
    assert record is not None
    return record


def test_two_people_who_cross_and_one_who_comes_back(archives: Path) -> None:
    record = record_in(archives)
    assert (record["decoded"], record["sampled"], record["broken"]) == (39, 39, 0)
    one, two, back = record["tracks"]
    # the first two change sides and stay themselves; whoever comes back after more than two seconds is a new track
    assert one["last"] == pytest.approx(7.6)
    assert two["last"] < 3
    assert back["first"] > 6.5
    embeddings = np.array([track["embedding"] for track in (one, two, back)])
    alike = embeddings @ embeddings.T
    assert alike[1, 2] > 0.6
    assert max(alike[0, 1], alike[0, 2]) < alike[1, 2] - 0.2


def test_the_best_frames_are_kept_apart_in_time(archives: Path) -> None:
    for track in record_in(archives)["tracks"]:
        spans = [int(face["time"] / SETTINGS.seconds_apart) for face in track["faces"]]
        assert len(set(spans)) == len(spans) <= SETTINGS.best_per_track
        assert len(spans) == min(SETTINGS.best_per_track, len(spans))
        assert all(face["frame"] == round(face["time"] * 5) for face in track["faces"])
    assert len(record_in(archives)["tracks"][0]["faces"]) == SETTINGS.best_per_track


def test_what_is_kept_is_the_frame_itself_and_the_anchor_lies_between_the_eyes(
    archives: Path, scenes: dict[str, list[Image]], landmark_model: Path
) -> None:
    (archive,) = archives.glob("*.zip")
    with zipfile.ZipFile(archive) as members, FaceLandmarker(landmark_model) as landmarker:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in members.infolist())
        for track in record_in(archives)["tracks"]:
            for face in track["faces"]:
                region = np.asarray(PillowImage.open(io.BytesIO(members.read(face["member"]))))
                left, top = face["corner"]
                drawn = scenes["crossing"][face["frame"]][top : top + region.shape[0], left : left + region.shape[1]]
                assert np.abs(region.astype(int) - drawn).mean() < 6  # the film's own loss
                eyes = [five_points(points)[:2].mean(0) for points, _ in landmarker.detect(region)]
                assert min(np.hypot(*(eye - face["anchor"])) for eye in eyes) < 3


def test_a_clip_that_is_done_is_not_decoded_again_whatever_it_is_called(
    archives: Path, footage_root: Path, tmp_path: Path, blind: None
) -> None:
    renamed = tmp_path / "other name.mkv"
    renamed.write_bytes((footage_root / "crossing.mp4").read_bytes())
    assert extract(renamed, archives).record == record_in(archives)


def test_settings_that_say_who_is_who_decode_nothing_anew(archives: Path, footage_root: Path, blind: None) -> None:
    for settings in ({"similarity": 0.9}, {"same_person": "clip"}):
        found = extract(footage_root / "crossing.mp4", archives, FootageSettings(workers=1, **settings))
        assert found.record == record_in(archives)


def test_a_clip_that_lies_there_twice_is_read_once(
    footage_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, times = extraction.read_frames, []

    def count(*arguments: Any) -> Iterator[Frame]:
        times.append(1)
        return read(*arguments)

    monkeypatch.setattr(extraction, "read_frames", count)
    one, other = extract_all([footage_root / "door" / "alone.avi"] * 2, tmp_path, SETTINGS)
    assert one == other
    assert len(times) == 1


def test_whatever_decides_what_is_taken_out_is_in_an_archives_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [archive_key(FootageSettings(**change)) for change in ({}, {"min_face": 40}, {"max_gap": 1})]
    assert archive_key(FootageSettings(workers=7, similarity=0.1)) == keys[0]
    installed = provenance.version
    for package in ("av", "mediapipe", "torch", "onnxruntime", "scipy", "pillow", "numpy"):
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "version", lambda name, new=package: "9" if name == new else installed(name))
            keys.append(archive_key(FootageSettings()))
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "__version__", "9")
        keys.append(archive_key(FootageSettings()))
    with monkeypatch.context() as patch:
        patch.setattr(av, "library_versions", {"libavcodec": (99, 0, 0)})
        keys.append(archive_key(FootageSettings()))
    read = provenance.sha256_file
    code = ("decode", "colour", "detection", "extraction", "selection", "tracking")
    for module in (*code, "images", "landmarks", "mtcnn", "sface"):
        with monkeypatch.context() as patch:
            changed = f"{module}.py"
            patch.setattr(
                provenance, "sha256_file", lambda path, new=changed: "0" * 64 if path.name == new else read(path)
            )
            keys.append(archive_key(FootageSettings()))
    assert len(set(keys)) == len(keys)


def test_after_an_upgrade_clips_are_read_again(
    footage_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = footage_root / "door" / "alone.avi"
    before = extract(clip, tmp_path)
    (tmp_path / before.archive).write_bytes(b"what another version made")
    whole = (tmp_path / before.archive).read_bytes()
    monkeypatch.setattr(av, "library_versions", {"libavcodec": (99, 0, 0)})
    after = extract(clip, tmp_path)
    assert after.archive != before.archive
    assert after.record == before.record
    assert (tmp_path / before.archive).read_bytes() == whole


def test_the_same_clip_gives_the_same_archive(footage_root: Path, tmp_path: Path) -> None:
    clip = footage_root / "door" / "alone.avi"
    found = [extract(clip, tmp_path / name) for name in "ab"]
    assert found[0].archive == found[1].archive
    assert (tmp_path / "a" / found[0].archive).read_bytes() == (tmp_path / "b" / found[0].archive).read_bytes()


def test_damage_to_an_archive_is_mended(archives: Path, footage_root: Path, tmp_path: Path) -> None:
    clip = footage_root / "door" / "alone.avi"
    archive = tmp_path / extract(clip, tmp_path).archive
    whole = archive.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no archive"):
        archive.write_bytes(damaged)
        assert extract(clip, tmp_path).refused is None
        assert archive.read_bytes() == whole


def test_a_clip_without_a_face_and_one_that_is_no_clip_leave_their_reason(
    tmp_path: Path, film: Film, request: pytest.FixtureRequest
) -> None:
    clips = [film(tmp_path / "empty.mkv", [np.full((90, 120, 3), 90, np.uint8)] * 3), tmp_path / "text.mp4"]
    clips[1].write_text("Dear diary")
    folder = tmp_path / "archives"
    reasons = [found.refused for found in extract_all(clips, folder, SETTINGS)]
    assert reasons[0] == Refusal(Code.NO_FACE, "no face found")
    assert reasons[1]
    assert reasons[1].code == Code.BAD_CLIP
    assert reasons[1].reason.startswith("cannot be decoded: ")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(found.archive for found in extract_all(clips, folder, SETTINGS))
    request.getfixturevalue("blind")
    assert [found.refused for found in extract_all(clips, folder, SETTINGS)] == reasons


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "faces too small: about H px high, at least 24 are read (data.footage.min_face)"),
        ({"detector": "mtcnn"}, "faces too small: about H px high, at least 24 are read (data.footage.min_face)"),
        (
            {"detector": "mediapipe", "min_face": 12},
            "faces too small: about H px high, MediaPipe does not see them (data.footage.detector: auto)",
        ),
        (
            {"detector": "mediapipe"},
            "faces too small: about H px high, MediaPipe does not see them, and at least 24 are read "
            "(data.footage.detector: auto, data.footage.min_face)",
        ),
    ],
)
def test_faces_that_are_too_small_are_told_from_none(
    people: list[list[Image]], tmp_path: Path, film: Film, settings: dict[str, Any], reason: str
) -> None:
    small = cv2.resize(people[0][0], (34, 34), interpolation=cv2.INTER_AREA)
    frame = np.full((200, 360, 3), 110, np.uint8)
    frame[80:114, 200:234] = small
    empty = np.full((200, 360, 3), 110, np.uint8)
    clip = film(tmp_path / "far.mkv", [empty] * 12 + [frame] * 12)
    found = extract(clip, tmp_path / "archives", FootageSettings(workers=1, **settings))
    assert found.refused
    assert found.refused.code == Code.TOO_SMALL
    height = int(re.findall(r"about (\d+) px", found.refused.reason)[0])
    assert 14 <= height <= 23
    assert found.refused.reason == reason.replace("H", str(height))
    # the same clip is read with the setting that the reason names
    remedy = {"detector": "mtcnn", "min_face": 12}
    assert extract(clip, tmp_path / "archives", FootageSettings(workers=1, **remedy)).refused is None


def test_few_frames_of_a_long_clip_without_faces_are_kept_and_from_all_of_it() -> None:
    unseen, image = extraction._Unseen(SETTINGS), np.zeros((8, 8, 3), np.uint8)
    for number in range(1000):
        unseen.add(np.full_like(image, number // 4), [])
    shown = [int(extraction._of_jpeg(each).mean()) * 4 for each in unseen._kept]
    assert 12 <= len(shown) < 24
    assert shown[0] == 0
    assert shown[-1] > 700
    face = Found(np.array([0, 0, 9, 9], np.float32), np.zeros((5, 2), np.float32), 1.0)
    unseen.add(image, [face])
    assert unseen._kept == []


def test_a_clip_that_cannot_be_read_leaves_nothing_for_it_may_be_mended(
    tmp_path: Path, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "fails.mp4").write_bytes(b"0")

    def fail(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(extraction, "refuse_marked", fail)
    clips = [tmp_path / f"{name}.mp4" for name in ("link", "pipe", "fails")]
    found = extract_all(clips, tmp_path / "archives", SETTINGS)
    assert [each.refused for each in found] == [
        Refusal(Code.UNREADABLE, "cannot be read: No such file or directory"),
        Refusal(Code.BAD_CLIP, "not a file"),
        Refusal(Code.UNREADABLE, "cannot be read: Permission denied"),
    ]
    assert list((tmp_path / "archives").glob("*")) == []


@pytest.mark.slow
def test_a_clip_that_ends_the_process_that_reads_it_is_refused_and_the_others_go_on(
    footage_root: Path, tmp_path: Path
) -> None:
    clips = [footage_root / name for name in ("crossing.mp4", "door/alone.avi", "third.mkv")]
    deadly, folder, over = clip_digest(clips[1]), tmp_path / "archives", threading.Event()
    ended = []

    def kill() -> None:
        """End whoever reads the second clip."""
        while not over.wait(0.02):
            for unfinished in folder.glob(f".unfinished-{deadly}*"):
                for child in psutil.Process().children():
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.kill()
                        ended.append(child.pid)
                unfinished.unlink(missing_ok=True)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = extract_all(clips, folder, FootageSettings(workers=2))
    finally:
        over.set()
        killer.join()
    assert len(ended) >= 2  # beside others, and then alone
    assert found[1].refused == Refusal(Code.BAD_CLIP, "ended the process that read it (out of memory?)")
    assert found[0].record
    assert found[2].record
    assert not (folder / found[1].archive).exists()


def test_a_clip_that_changes_while_it_is_read(tmp_path: Path, film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = film(tmp_path / "clip.mkv", [np.full((90, 120, 3), 90, np.uint8)] * 3)
    read = extraction.read_frames

    def while_it_grows(path: Path, settings: FootageSettings, tally: Tally) -> Iterator[Frame]:
        yield from read(path, settings, tally)
        with path.open("ab") as stream:
            stream.write(b"more")

    monkeypatch.setattr(extraction, "read_frames", while_it_grows)
    assert extract(clip, tmp_path / "archives").refused == Refusal(Code.CHANGED, "changed while it was read")
    assert list((tmp_path / "archives").glob("*")) == []


def test_no_track_spans_a_step_back_in_time(scenes: dict[str, list[Image]], tmp_path: Path, film: Film) -> None:
    parts = [film(tmp_path / f"{name}.ts", scenes[name]) for name in ("alone", "alone", "third")]
    clip = tmp_path / "clip.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    record = extract(clip, tmp_path / "archives").record
    assert record is not None
    assert (record["decoded"], record["sampled"], record["jumps"]) == (18, 18, 2)
    spans = [(track["first"], track["last"]) for track in record["tracks"]]
    assert spans == [pytest.approx(span, abs=0.01) for span in ((0, 1.0), (1.2, 2.2), (2.4, 3.4))]
    embeddings = np.array([track["embedding"] for track in record["tracks"]])
    assert embeddings[0] @ embeddings[1] > 0.9
    assert embeddings[1] @ embeddings[2] < 0.5


def test_interlaced_frames_are_kept_only_where_there_are_no_others(
    footage_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = extraction.read_frames

    def every_other_combed(path: Path, settings: FootageSettings, tally: Tally) -> Iterator[Frame]:
        for frame in read(path, settings, tally):
            rough = frame.image.copy()
            rough[::2] = (rough[::2].astype(int) + 8).clip(0, 255)  # sharper than any other
            yield Frame(frame.number, frame.time, rough if frame.number % 2 else frame.image, 0, frame.number % 2 == 1)

    monkeypatch.setattr(extraction, "read_frames", every_other_combed)
    settings = FootageSettings(workers=1, seconds_apart=0.4)
    record = extract(footage_root / "door" / "alone.avi", tmp_path / "one", settings).record
    assert record is not None
    assert [face["frame"] for face in record["tracks"][0]["faces"]] == [0, 2, 4]
    settings = FootageSettings(workers=1, seconds_apart=0.2)
    record = extract(footage_root / "door" / "alone.avi", tmp_path / "two", settings).record
    assert record is not None
    kept = record["tracks"][0]["faces"]
    assert [face["score"] < 0 for face in kept] == [face["frame"] % 2 == 1 for face in kept]
    assert {0, 2, 4} < {face["frame"] for face in kept}


def test_the_record_is_strict_json(archives: Path) -> None:
    (archive,) = archives.glob("*.zip")
    with zipfile.ZipFile(archive) as members:
        assert members.namelist()[-1] == RECORD
        json.loads(members.read(RECORD), parse_constant=pytest.fail)
