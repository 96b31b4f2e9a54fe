"""What is answered when a photo's faces are measured: what the command writes, and nothing without a model."""

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.custody.signed import loads
from facerecon.images import read_rgb
from facerecon.inference.making import Model
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.reconstruct import measure
from facerecon.inference.verification import Given, verify
from facerecon.marks import is_marked_picture
from serving.measurements import Measurement
from serving.settings import ServeSettings
from tests.serving.client import Running, serving
from tests.serving.conftest import png

PATH = "/v1/landmarks"


def test_points_depth_and_shape_come_in_pixels_of_the_photo_as_the_command_says_them(
    service: Running, photo: bytes, measuring_model: Model, tmp_path: Path
) -> None:
    answer = service.post(PATH, photo=photo, case="17", reason="a test")
    assert answer.status == 200
    found = Measurement.model_validate(answer.json)
    assert (found.model.name, found.model.digest) == ("mean.onnx", measuring_model.digest)
    assert answer.headers["facerecon-model-digest"] == measuring_model.digest
    assert answer.headers["facerecon-record"] == found.id == found.record.id == found.values.record
    assert (found.record.operator, found.record.case, found.record.reason) == ("ada", "17", "a test")
    assert (found.values.photo.width, found.values.photo.height) == (256, 256)
    (face,) = found.values.faces
    assert (face.face, face.found_by, face.refused) == (1, "MediaPipe", None)
    points, (left, top, right, bottom) = np.array(face.points), face.box
    assert points.shape == (68, 3)
    assert ((points[:, :2] > [left - 20, top - 20]) & (points[:, :2] < [right + 20, bottom + 20])).all()
    assert face.confidence is not None
    assert len(face.confidence) == 68
    assert face.depth is not None
    with Image.open(BytesIO(base64.b64decode(found.files[face.depth.file]))) as picture:
        counts = np.array(picture)
    assert counts.dtype == np.uint16
    z = face.depth.offset + face.depth.scale * counts[counts > 0]
    assert 1 < np.ptp(z) < right - left
    # the same photo by the command
    (tmp_path / "photo.png").write_bytes(photo)
    (result,) = measure((tmp_path / "photo.png",), MeasurementRequest(measuring_model), tmp_path / "out")
    written = json.loads((tmp_path / "out/photo.landmarks.json").read_text())
    assert not result.error
    assert written.keys() == answer.json["values"].keys()
    for mine, other in zip(answer.json["values"]["faces"], written["faces"], strict=True):
        assert mine.keys() == other.keys()
        assert [mine[key] for key in ("box", "points", "confidence")] == [
            other[key] for key in ("box", "points", "confidence")
        ]


def test_what_is_saved_as_it_is_verifies(
    service: Running, photo: bytes, measuring_model: Model, tmp_path: Path
) -> None:
    found = service.post(PATH, photo=photo).json
    for name, content in found["files"].items():
        (tmp_path / name).write_bytes(base64.b64decode(content))
    (tmp_path / found["record_name"]).write_text(found["record_file"])
    (tmp_path / "photo.png").write_bytes(photo)
    assert set(loads(found["record_file"])["document"]["files"]) == set(found["files"])
    overlay = tmp_path / found["values"]["overlay"]["file"]
    verdict = verify(Given(overlay, tmp_path / "photo.png", None, None, lambda _: [measuring_model.content]))
    assert verdict.status == 0, verdict


def test_the_overlay_alone_is_marked_and_holds_its_record(service: Running, photo: bytes) -> None:
    answer = service.post(PATH, photo=photo, accept="image/png")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert is_marked_picture(answer.content)
    with Image.open(BytesIO(answer.content)) as picture:
        assert picture.text["facerecon-record"]
        assert picture.size == (512, 512)
        same = np.array(picture.convert("RGB").resize((256, 256), Image.Resampling.BOX)).astype(int)
    apart = np.abs(same - read_rgb(photo)).max(-1)
    assert 0.01 < (apart > 60).mean() < 0.2


def test_of_several_faces_all_are_measured_or_the_one_that_is_asked_for(service: Running, photo: bytes) -> None:
    image = read_rgb(photo)
    two = np.full((256, 436, 3), 255, np.uint8)
    two[:, :256], two[:180, 256:] = image, np.asarray(Image.fromarray(image).resize((180, 180)))
    for faces, expected in ((None, [1, 2]), ("largest", [1]), ("2", [2])):
        answer = service.post(PATH, photo=png(two), **({} if faces is None else {"faces": faces}))
        assert [face["face"] for face in answer.json["values"]["faces"]] == expected


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"no picture", 422, "photo: cannot be decoded"),
        (png(np.full((90, 120, 3), 128, np.uint8)), 422, "photo: nothing was measured: no face was found"),
        (png(np.zeros((1100, 1000, 3), np.uint8)), 413, "photo: too large: 1000x1100 pixels"),
    ],
    ids=["no picture", "no face", "too large"],
)
def test_what_cannot_be_measured_is_told(service: Running, content: bytes, status: int, said: str) -> None:
    answer = service.post(PATH, photo=content)
    assert (answer.status, said in answer.detail) == (status, True)


def test_a_face_that_the_network_takes_for_none_is_refused(service: Running) -> None:
    blank = png(np.full((128, 128, 3), 128, np.uint8))
    answer = service.post(PATH, photo=blank, points="45,50 83,50 64,72 50,92 78,92")
    assert answer.status == 422
    assert "no face by the network's confidence" in answer.detail


def test_without_a_token_or_with_another_sites_origin_nothing_is_measured(service: Running, photo: bytes) -> None:
    for headers, status in (({}, 401), ({"authorization": "Bearer other"}, 401)):
        assert service.ask("POST", PATH, photo, headers).status == status


def test_a_file_of_landmarks_alone_is_served_without_a_registry(
    settings: ServeSettings, token: str, photo: bytes
) -> None:
    with serving(settings.model_copy(update={"model": None, "restore_model": None}), token) as service:
        assert service.post(PATH, photo=photo).status == 200
        assert [model["task"] for model in service.get("/v1/models").json["models"]] == ["landmarks"]
        answer = service.post("/v1/reconstructions", photo=photo, regions="nose")
        assert (answer.status, "start `facerecon serve` with --model" in answer.detail) == (409, True)
        assert service.get("/").status == 200
        assert service.get("/readyz").status == 200


def test_a_service_without_a_model_of_landmarks_says_what_helps(
    settings: ServeSettings, token: str, photo: bytes
) -> None:
    with serving(settings.model_copy(update={"landmarks_model": None}), token) as service:
        answer = service.post(PATH, photo=photo)
        assert (answer.status, "start `facerecon serve` with --landmarks-model" in answer.detail) == (409, True)
