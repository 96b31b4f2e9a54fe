"""Rendered clips: the same for the same seed, true to their truth, and read as footage is."""

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.footage.extraction import extract_all
from facerecon.data.footage.selection import region
from facerecon.data.settings import FootageSettings
from facerecon.data.sources import image_files
from facerecon.errors import FaceReconError
from facerecon.perception.landmarks import FaceLandmarker
from facerecon.synthetic.clips import HEIGHT, LANES, PEOPLE, RATE, WIDTH, plan, write_clips


@pytest.fixture(scope="module")
def cast(sample_faces: Path) -> dict[str, list[Path]]:
    """Two photographs of each of four people."""
    return {folder.name: sorted(image_files(folder)) for folder in sorted(sample_faces.glob("person_*"))[:4]}


@pytest.fixture(scope="module")
def night(cast: dict[str, list[Path]], landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write_clips(folder, cast, landmark_model, "night", seed=3, workers=1)
    return folder


def truth_in(folder: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    return truth


def frames_of(clip: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(clip)) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def test_each_photograph_of_a_person_is_in_a_clip_of_its_own_and_names_tell_nobody(
    night: Path, cast: dict[str, list[Path]]
) -> None:
    clips = truth_in(night)["clips"]
    assert sorted(path.name for path in night.iterdir()) == ["night-000.mp4", "night-001.mp4", "truth.json"]
    assert [len(each) for each in clips.values()] == [PEOPLE, PEOPLE]
    for appearances in clips.values():
        assert {each["person"] for each in appearances} == set(cast)
    assert {(each["person"], each["photo"]) for appearances in clips.values() for each in appearances} == {
        (person, photo.name) for person, photos in cast.items() for photo in photos
    }
    assert truth_in(night)["left_out"] == []


def test_of_many_people_some_have_one_photograph() -> None:
    people = {f"p{number}": [Path(f"{number}-{photo}.jpg") for photo in range(1 + number % 2)] for number in range(9)}
    casts = plan(people, 0)
    assert [len(each) for each in casts] == [4, 4, 1, 4]
    assert sorted(photo for each in casts for _, photo in each) == sorted(
        photo for each in people.values() for photo in each
    )
    assert plan(people, 1) != casts


def test_two_are_in_the_picture_at_a_time_and_faces_grow(night: Path) -> None:
    for name, appearances in truth_in(night)["clips"].items():
        count = len(frames_of(night / name))
        seen = [sum(box[0] == number for each in appearances for box in each["boxes"]) for number in range(count)]
        assert max(seen) == LANES
        for each in appearances:
            heights = [bottom - top for _, _, top, _, bottom in each["boxes"]]
            assert 50 < heights[0] < heights[-1] < 130
            assert each["last"] - each["first"] > 1.5
            assert (each["first"], each["last"]) == (each["boxes"][0][0] / RATE, each["boxes"][-1][0] / RATE)


def test_the_clips_are_h264_and_the_night_camera_sees_no_colour(
    night: Path, cast: dict[str, list[Path]], landmark_model: Path, tmp_path: Path
) -> None:
    with av.open(str(night / "night-000.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", WIDTH, HEIGHT)
        assert (stream.average_rate, stream.pix_fmt) == (RATE, "yuv420p")
    write_clips(tmp_path, {name: photos[:1] for name, photos in cast.items()}, landmark_model, "day", workers=1)
    colour = [
        np.mean([np.ptp(frame.astype(int), axis=2).mean() for frame in frames_of(clip)[::8]])
        for clip in (night / "night-000.mp4", tmp_path / "day-000.mp4")
    ]
    assert colour[0] < 0.5
    assert colour[1] > 4


def test_the_same_seed_gives_the_same_bytes_however_many_draw(
    night: Path, cast: dict[str, list[Path]], landmark_model: Path, tmp_path: Path
) -> None:
    write_clips(tmp_path / "again", cast, landmark_model, "night", seed=3, workers=2)
    for path in night.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    one = {name: photos[:1] for name, photos in cast.items()}
    write_clips(tmp_path / "other", one, landmark_model, "night", seed=4, workers=1)
    assert (tmp_path / "other" / "night-000.mp4").read_bytes() != (night / "night-000.mp4").read_bytes()


def test_the_boxes_reach_from_forehead_to_chin(night: Path, landmark_model: Path) -> None:
    overlaps = []
    with FaceLandmarker(landmark_model) as landmarker:
        for name, appearances in truth_in(night)["clips"].items():
            frames = frames_of(night / name)
            for each in appearances:
                for number, *box in each["boxes"][4:12:3]:
                    left, top, right, bottom = region(frames[number], np.array(box, np.float32))
                    large = cv2.resize(frames[number][top:bottom, left:right], None, fx=2, fy=2)
                    for points, _ in landmarker.detect(np.asarray(large, np.uint8))[:1]:
                        found = points[:, :2] / 2 + [left, top]
                        overlaps.append(overlap(np.concatenate([found.min(0), found.max(0)]), np.array(box)))
    assert len(overlaps) >= 18  # of 24
    assert np.median(overlaps) > 0.85
    assert np.quantile(overlaps, 0.1) > 0.7


def overlap(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> float:
    """The area that two boxes share over that of both together."""
    shared = float(np.prod((np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])).clip(0)))
    return shared / (sum(float(np.prod(box[2:] - box[:2])) for box in (one, other)) - shared)


def test_footage_finds_everybody_and_no_track_goes_over_to_someone_else(night: Path, tmp_path: Path) -> None:
    settings = FootageSettings(workers=1, detector="mtcnn", min_face=48)
    clip, appearances = next(iter(truth_in(night)["clips"].items()))
    (found,) = extract_all([night / clip], tmp_path, settings)
    assert found.record is not None
    shown = set()
    for track in found.record["tracks"]:
        owners = set()
        for face in track["faces"]:
            x, y = np.add(face["corner"], face["anchor"])
            for number, each in enumerate(appearances):
                for frame, left, top, right, bottom in each["boxes"]:
                    if frame == face["frame"] and left < x < right and top < y < bottom:
                        owners.add(number)
        assert len(owners) <= 1
        shown |= owners
    assert shown == set(range(PEOPLE))


def test_a_photograph_without_a_face_is_left_out_and_one_that_is_none_is_a_user_error(
    cast: dict[str, list[Path]], landmark_model: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 120, np.uint8))
    person, photos = next(iter(cast.items()))
    people = {person: photos[:1], "nobody": [tmp_path / "wall.png"]}
    truth = write_clips(tmp_path / "clips", people, landmark_model, "day", workers=1)
    assert [each["person"] for each in truth["clips"]["day-000.mp4"]] == [person]
    assert truth["left_out"] == [["nobody", "wall.png"]]
    (tmp_path / "text.jpg").write_text("Dear diary")
    with pytest.raises(FaceReconError, match=r"text.jpg: cannot be decoded: not an image: give photographs"):
        write_clips(tmp_path / "clips", {"text": [tmp_path / "text.jpg"]}, landmark_model, "day", workers=1)


def test_an_unknown_camera_and_nobody_are_user_errors(landmark_model: Path, tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match=r"camera 'dusk': no such camera; there is night, day"):
        write_clips(tmp_path, {"a": [tmp_path / "a.jpg"]}, landmark_model, "dusk")  # type: ignore[arg-type]
    with pytest.raises(FaceReconError, match="0 people"):
        write_clips(tmp_path, {}, landmark_model, "day")
