"""What comes out of a measurement: an overlay, values, depth and a mesh, all signed for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from facerecon.custody.audit import audit_log
from facerecon.data.footage.decode import UnusableClipError, refuse_marked
from facerecon.data.geometry import Square, box_of
from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY, sha256_file
from facerecon.images import read_rgb
from facerecon.inference import media, pictures
from facerecon.inference.chain import Chain
from facerecon.inference.frames import DEPTH, POINTS3D, POINTS_CONFIDENCE, Frame
from facerecon.inference.making import Model, RestorationRequest, stages_of
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.pictures import depth_picture
from facerecon.inference.reconstruct import Result, measure, restore
from facerecon.inference.stage import Runtime
from facerecon.inference.verification import Given, Verdict, verify
from facerecon.marks import MEASURED, is_marked_clip, is_marked_picture, is_marked_text
from facerecon.morphable.fit import Camera
from tests.clips import write_clip

OK, WRONG, NOT_RUN_AGAIN = 0, 1, 2

PART = (".landmarks.png", ".face1.depth.png", ".landmarks.json", ".face1.obj")
"""How the names of what comes out of a photo with one face end."""


def only(path: Path, request: MeasurementRequest, out: Path) -> Result:
    """The one result, which must be none of an error."""
    (result,) = measure((path,), request, out)
    assert not result.error
    return result


def values(path: Path, out: Path) -> dict[str, Any]:
    """The values of a photo's result."""
    return dict(json.loads((out / f"{path.stem}.landmarks.json").read_text()))


def frame_of(path: Path, request: MeasurementRequest) -> Frame:
    """A photo after the stages."""
    models = {request.model.digest: request.model.content}
    with Runtime(models=models) as runtime, Chain(stages_of(request.steps()), runtime) as chain:
        (outcome,) = chain.run([Frame(read_rgb(path))])
    return outcome.frame


@pytest.fixture
def request_(measuring_model: Model) -> MeasurementRequest:
    """All faces, by the small network."""
    return MeasurementRequest(measuring_model, case="7")


@pytest.fixture
def several(photo: Path, tmp_path: Path) -> Path:
    """A picture of two faces, one half as large, and one so faint that the network is not sure of it."""
    image, face = np.full((300, 800, 3), 120, np.uint8), read_rgb(photo)
    faint = (120 + 0.2 * (face.astype(float) - face.mean())).round().astype(np.uint8)
    image[20:276, 20:276], image[20:276, 520:776] = face, faint
    image[100:228, 340:468] = cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA)
    path = tmp_path / "several.png"
    Image.fromarray(image).save(path)
    return path


def test_the_values_of_a_photo_are_those_that_were_found(
    photo: Path, request_: MeasurementRequest, tmp_path: Path
) -> None:
    only(photo, request_, tmp_path / "out")
    told, (face,) = values(photo, tmp_path / "out"), frame_of(photo, request_).faces
    (found,) = told["faces"]
    assert np.allclose(found["points"], face[POINTS3D], atol=1e-4)
    assert np.allclose(found["confidence"], face[POINTS_CONFIDENCE], atol=1e-4)
    assert (found["face"], found["refused"], told["schema_version"]) == (1, None, 1)
    assert told["photo"] == {"sha256": sha256_file(photo), "width": 256, "height": 256}
    with Image.open(tmp_path / "out" / told["overlay"]["file"]) as overlay:
        assert overlay.size == (256 * told["overlay"]["scale"],) * 2


def test_depth_comes_back_within_half_a_step(photo: Path, request_: MeasurementRequest, tmp_path: Path) -> None:
    only(photo, request_, tmp_path / "out")
    depth = values(photo, tmp_path / "out")["faces"][0]["depth"]
    with Image.open(tmp_path / "out" / depth["file"]) as picture:
        counts = np.array(picture)
    assert counts.dtype == np.uint16
    found = frame_of(photo, request_).faces[0][DEPTH]
    inside = np.isfinite(found.values)
    assert ((counts > 0) == inside).all()
    z = depth["offset"] + depth["scale"] * counts.astype(np.float64)
    assert np.abs(z - found.values)[inside].max() <= 0.5 * depth["scale"] + 1e-5
    square = Square(np.array(depth["square"]["corner"]), np.array(depth["square"]["edge"]))
    assert np.allclose(square.corners, found.square.corners, atol=1e-3)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        elements=st.one_of(st.just(float("nan")), st.floats(-1e4, 1e4, width=32)),
    )
)
def test_any_depth_comes_back_within_half_a_step(depth: np.ndarray) -> None:
    counts, offset, scale = depth_picture(depth)
    inside = np.isfinite(depth)
    assert counts.dtype == np.uint16
    assert ((counts > 0) == inside).all()
    z = offset + scale * counts.astype(np.float64)
    assert (np.abs(z - depth)[inside] <= 0.5 * scale * (1 + 1e-6)).all()


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The vertices [V, 3] and triangles [F, 3] of an OBJ file."""
    rows = [line.split() for line in path.read_text().splitlines()]
    vertices = np.array([row[1:] for row in rows if row[0] == "v"], float)
    return vertices, np.array([row[1:] for row in rows if row[0] == "f"], int) - 1


def test_the_mesh_is_in_millimetres_and_lies_over_the_face(
    photo: Path, request_: MeasurementRequest, tmp_path: Path
) -> None:
    only(photo, request_, tmp_path / "out")
    told = values(photo, tmp_path / "out")
    (face,), camera = told["faces"], Camera(told["camera"]["focal"], tuple(told["camera"]["centre"]))
    vertices, triangles = read_obj(tmp_path / "out" / face["mesh"]["file"])
    assert (vertices.shape, triangles.shape) == ((468, 3), (898, 3))
    assert sorted(np.unique(triangles)) == list(range(468))
    assert 120 < np.ptp(vertices[:, 0]) < 200
    seen, points = camera.project(vertices), np.array(face["points"])
    middle, side = box_of(points)
    assert np.abs(seen.mean(0) - middle).max() < 0.2 * side
    assert 0 < face["mesh"]["reprojection"] < 0.1 * side


def test_every_face_has_its_files_and_one_that_is_none_says_why(
    several: Path, request_: MeasurementRequest, tmp_path: Path
) -> None:
    result = only(several, request_, tmp_path / "out")
    assert result.record
    faces = values(several, tmp_path / "out")["faces"]
    measured = [face for face in faces if face["refused"] is None]
    assert len(faces) == 3
    middles = sorted(float(np.mean(face["points"], axis=0)[0]) for face in measured)
    assert middles == pytest.approx([148, 404], abs=30)
    (refused,) = [face for face in faces if face["refused"] is not None]
    assert (refused["points"], refused["depth"], refused["mesh"]) == (None, None, None)
    assert refused["refused"].startswith("no face by the network's confidence (0.")
    assert f"face {refused['face']}: {refused['refused']}" in result.record.frames[0].remarks
    made = {path.name for path in (tmp_path / "out").iterdir()}
    expected = {f"several{end}" for end in (".json", ".landmarks.json", ".landmarks.png")}
    for face in measured:
        expected |= {f"several.face{face['face']}.depth.png", f"several.face{face['face']}.obj"}
    assert made == expected
    assert [face.measured is None for face in result.record.frames[0].faces] == [
        bool(face["refused"]) for face in faces
    ]


def test_a_small_face_is_drawn_large_enough_and_on_the_photo_itself(
    photo: Path, request_: MeasurementRequest, tmp_path: Path
) -> None:
    small = tmp_path / "small.png"
    Image.fromarray(cv2.resize(read_rgb(photo), (64, 64), interpolation=cv2.INTER_AREA)).save(small)
    only(small, request_, tmp_path / "out")
    told = values(small, tmp_path / "out")
    scale = told["overlay"]["scale"]
    overlay = read_rgb(tmp_path / "out" / told["overlay"]["file"])
    assert overlay.shape == (64 * scale, 64 * scale, 3)
    assert box_of(np.array(told["faces"][0]["points"]))[1] * scale >= 200
    plain = cv2.resize(read_rgb(small), (64 * scale, 64 * scale), interpolation=cv2.INTER_CUBIC)
    changed = (overlay != plain).any(-1)
    points = np.array(told["faces"][0]["points"])[:, :2] * scale
    assert changed[tuple(points.astype(int).T[::-1])].all()
    assert 0.005 < changed.mean() < 0.2


def test_a_photo_of_no_face_is_one_line(request_: MeasurementRequest, photo: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(tmp_path / "nobody.png")
    (result,) = measure((tmp_path / "nobody.png",), request_, tmp_path / "out")
    assert result.error.endswith("nothing was measured: no face was found: point a face out by five points")
    points = ((100.0, 60.0), (140.0, 60.0), (120.0, 80.0), (105.0, 100.0), (135.0, 100.0))
    (result,) = measure((tmp_path / "nobody.png",), replace(request_, points=points), tmp_path / "out")
    assert "nothing was measured: face 1: no face by the network's confidence (0.02, at least 0.25" in result.error
    assert not list((tmp_path / "out").iterdir())


def test_all_is_marked_and_signed_for_and_told_to_the_log(
    photo: Path, request_: MeasurementRequest, tmp_path: Path
) -> None:
    result = only(photo, request_, tmp_path / "out")
    assert result.record
    assert result.path == tmp_path / "out" / f"{photo.stem}.landmarks.png"
    assert result.record.statement == MEASURED.statement
    side = json.loads((tmp_path / "out" / f"{photo.stem}.json").read_text())["document"]
    assert set(side["files"]) == {f"{photo.stem}{end}" for end in PART}
    for name, digest in side["files"].items():
        content = (tmp_path / "out" / name).read_bytes()
        assert sha256_file(tmp_path / "out" / name) == digest
        assert (is_marked_picture if name.endswith(".png") else is_marked_text)(content)
    (line,) = audit_log().lines()
    assert (line.event, line.facts["id"], line.facts["model"]) == (
        "measurement",
        result.record.id,
        request_.model.digest,
    )


def test_a_measurement_is_not_done_twice_and_goes_beside_what_is_there(
    photo: Path, request_: MeasurementRequest, restoration_model: Model, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (restored,) = restore((photo,), RestorationRequest(restoration_model), out)
    first = only(photo, request_, out)
    assert first.path == out / f"{photo.stem}-2.landmarks.png"
    assert json.loads((out / f"{photo.stem}-2.landmarks.json").read_text())["faces"][0]["mesh"]["file"] == (
        f"{photo.stem}-2.face1.obj"
    )
    again = only(photo, request_, out)
    assert (again.already, again.path) == (True, first.path)
    assert not only(photo, replace(request_, faces="largest"), out).already
    assert restored.path == out / f"{photo.stem}.png"


def test_what_a_killed_run_left_is_replaced(photo: Path, request_: MeasurementRequest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = only(photo, request_, out)
    (out / f"{photo.stem}.json").unlink()
    (out / f"{TEMPORARY}half.landmarks.jsonl").write_text("{")
    again = only(photo, request_, out)
    assert (again.already, again.path) == (False, first.path)
    assert {path.name for path in out.iterdir()} == {f"{photo.stem}{end}" for end in (*PART, ".json")}
    (out / f"{photo.stem}.json").unlink()
    (out / f"{photo.stem}.face1.obj").write_text("somebody's own\n")
    assert only(photo, request_, out).path == out / f"{photo.stem}-2.landmarks.png"


@pytest.fixture
def clip(photo: Path, tmp_path: Path) -> Path:
    """Two faces that walk towards each other; in the third of five frames is nobody."""
    face, frames = cv2.resize(read_rgb(photo), (160, 160), interpolation=cv2.INTER_AREA), []
    for number in range(5):
        image = np.full((180, 500, 3), 120, np.uint8)
        if number != 2:
            image[10:170, 10 + 8 * number : 170 + 8 * number] = face
            image[10:170, 330 - 8 * number : 490 - 8 * number] = face
        frames.append(image)
    return write_clip(tmp_path / "walk.mkv", frames)


def test_after_a_cut_a_face_in_the_same_place_has_another_track(
    photo: Path, request_: MeasurementRequest, tmp_path: Path
) -> None:
    image = cv2.resize(read_rgb(photo), (200, 200), interpolation=cv2.INTER_AREA)
    other = np.full((200, 200, 3), (40, 60, 200), np.uint8)
    other[25:175, 25:175] = cv2.resize(image, (150, 150), interpolation=cv2.INTER_AREA)
    clip = write_clip(tmp_path / "cut.mkv", [image, image, other, other])
    only(clip, request_, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "cut.landmarks.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["track"]) for line in lines] == [(0, 1), (1, 1), (2, 2), (3, 2)]


@pytest.mark.parametrize("lossless", [False, True])
def test_a_clip_has_a_line_for_each_face_and_faces_are_followed(
    clip: Path, request_: MeasurementRequest, lossless: bool, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = only(clip, replace(request_, lossless=lossless), out)
    end = "mkv" if lossless else "mp4"
    assert {path.name for path in out.iterdir()} == {
        "walk.json",
        f"walk.landmarks.{end}",
        "walk.landmarks.jsonl",
    }
    lines = [json.loads(line) for line in (out / "walk.landmarks.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["time"]) for line in lines] == [
        (number, pytest.approx(number / 5)) for number in (0, 1, 3, 4) for _ in range(2)
    ]
    left = {line["track"] for line in lines if np.mean(line["points"], axis=0)[0] < 250}
    right = {line["track"] for line in lines if np.mean(line["points"], axis=0)[0] > 250}
    assert sorted([left, right], key=min) == [{1}, {2}]
    moved = [np.mean(line["points"], axis=0)[0] for line in lines if line["track"] == min(left)]
    assert np.diff(moved).tolist() == pytest.approx([8, 16, 8], abs=1.5)
    assert result.record
    assert (result.record.original.width, result.record.original.height) == (500, 180)
    assert any("1 of 5 frames are as they were" in warning for warning in result.record.warnings)
    assert result.path == out / f"walk.landmarks.{end}"
    with av.open(str(result.path)) as container:
        assert is_marked_clip(container)
    with pytest.raises(UnusableClipError, match="made by a network"):
        refuse_marked(result.path)
    shown = [frame.image.shape for frame in media.read_clip(result.path, media.Tally())]
    assert shown == [(360, 1000, 3)] * 5
    verdict = verify(Given(result.path, clip, None, None, lambda record: [request_.model.content]))
    assert verdict.status == OK, verdict.findings
    assert any("run again: the same points and depth, the same overlay" in each.text for each in verdict.findings)


@pytest.fixture
def made(photo: Path, request_: MeasurementRequest, tmp_path: Path) -> Path:
    """A photo's overlay, with all that belongs to it beside it."""
    path = only(photo, request_, tmp_path / "out").path
    assert path
    return path


@pytest.fixture
def look(photo: Path, request_: MeasurementRequest) -> Callable[[Path], Verdict]:
    """Verifies with everything at hand."""
    return lambda path: verify(Given(path, photo, None, None, lambda record: [request_.model.content]))


def said(verdict: Verdict, mark: str = "bad") -> str:
    """What was found of one kind."""
    return " | ".join(finding.text for finding in verdict.findings if finding.mark == mark)


@pytest.mark.parametrize("end", [*PART, ".json"])
def test_what_is_as_it_was_made_comes_out_again(
    made: Path, photo: Path, end: str, look: Callable[[Path], Verdict]
) -> None:
    verdict = look(made.with_name(f"{photo.stem}{end}"))
    assert said(verdict) == said(verdict, "note") == ""
    assert verdict.status == OK
    assert "run again: the same points and depth, the same overlay" in said(verdict, "ok")


@pytest.mark.parametrize("end", PART)
def test_a_byte_that_is_changed_is_told(made: Path, photo: Path, end: str, look: Callable[[Path], Verdict]) -> None:
    path = made.with_name(f"{photo.stem}{end}")
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    verdict = look(made.with_name(f"{photo.stem}.json"))
    assert verdict.status == WRONG
    assert said(verdict) == f"{path.name}: its bytes were changed after it was made"


@pytest.mark.parametrize("end", [".landmarks.png", ".face1.depth.png"])
def test_a_pixel_that_is_changed_is_told(made: Path, photo: Path, end: str, look: Callable[[Path], Verdict]) -> None:
    path = made.with_name(f"{photo.stem}{end}")
    pixels, record = pictures.decode(path.read_bytes(), "")
    pixels[20, 20] += 1
    path.write_bytes(pictures.encode(pixels, record))
    assert f"{path.name}: its pixels are not those that the record was made for" in said(look(path))


@pytest.mark.parametrize("what", ["points", "depths"])
@pytest.mark.parametrize(("by", "status"), [(0.0005, OK), (0.5, WRONG)])
def test_another_processor_may_find_a_little_else(
    made: Path, look: Callable[[Path], Verdict], what: str, by: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facerecon.inference.stages import landmarks

    find = landmarks.measure

    def elsewhere(*given: Any) -> Any:
        found = find(*given)
        return found._replace(**{what: getattr(found, what) + np.float32(by)})

    monkeypatch.setattr(landmarks, "measure", elsewhere)
    verdict = look(made)
    assert verdict.status == status, verdict.findings
    assert "run again: points lie elsewhere, by at most " in said(verdict, "ok" if status == OK else "bad")


def test_a_face_that_is_refused_now_is_told(
    made: Path, look: Callable[[Path], Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    from facerecon.inference.stages import landmarks

    monkeypatch.setattr(landmarks, "LEAST", 1.1)
    assert said(look(made)) == "run again: other points or another depth come out"
    made.with_name(made.name.replace(".png", ".json")).unlink()
    assert "other points or another depth come out" in said(look(made))


def test_another_model_is_named(made: Path, photo: Path, request_: MeasurementRequest) -> None:
    def gone(record: object) -> list[bytes]:
        raise FaceReconError("mean.onnx is gone")

    verdict = verify(Given(made, photo, None, None, gone))
    assert (verdict.status, said(verdict, "note")) == (NOT_RUN_AGAIN, "not run again: mean.onnx is gone")


def test_faces_are_measured_without_torch(photo: Path, measuring_model: Model, tmp_path: Path) -> None:
    import subprocess
    import sys

    model = tmp_path / "mean.onnx"
    model.write_bytes(measuring_model.content)
    program = (
        "import sys; from pathlib import Path; from facerecon.inference.making import Model;"
        "from facerecon.inference.measuring import MeasurementRequest;"
        "from facerecon.inference.reconstruct import measure;"
        "model, photo, out = map(Path, sys.argv[1:]);"
        "(result,) = measure((photo,), MeasurementRequest(Model(model.read_bytes(), 'mean')), out);"
        "assert not result.error, result.error; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(model), str(photo), str(tmp_path / "out")], check=True)
