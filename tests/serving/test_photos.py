"""What comes back for a photo, and what is said of one that cannot be used."""

import base64
import json
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.custody.audit import audit_log
from facerecon.custody.signed import check, loads
from facerecon.images import read_rgb
from facerecon.inference.media import decode_mask
from facerecon.inference.verification import Given, verify
from facerecon.marks import RESTORED
from tests.serving.client import Part, Running, multipart
from tests.serving.conftest import png


def test_a_photo_comes_back_with_its_pictures_and_a_record_that_verifies(
    service: Running, photo: bytes, mask: bytes, model_path: Path, tmp_path: Path
) -> None:
    answer = service.post("/v1/reconstructions", photo=photo, mask=mask, case="2026/17", reason="asked")
    assert answer.status == 200
    made = answer.json
    assert (answer.headers["facerecon-model"], answer.headers["facerecon-record"]) == ("tiny.onnx", made["id"])
    assert {name: made["record"][name] for name in ("case", "reason", "operator")} == {
        "case": "2026/17",
        "reason": "asked",
        "operator": "ada",
    }
    for what, name in made["names"].items():
        content = made["record_file"].encode() if what == "record" else base64.b64decode(made["pictures"][what])
        (tmp_path / name).write_bytes(content)
    check(loads(made["record_file"]))
    (tmp_path / "photo").write_bytes(photo)
    (tmp_path / "mask").write_bytes(mask)
    given = Given(
        tmp_path / made["names"]["picture"],
        tmp_path / "photo",
        tmp_path / "mask",
        None,
        lambda _: [model_path.read_bytes()],
    )
    verdict = verify(given)
    assert verdict.status == 0, verdict.findings
    hidden = decode_mask(mask, "").hidden
    result, original = read_rgb(tmp_path / made["names"]["picture"]), read_rgb(photo)
    assert (result == original)[~hidden].all()
    assert (result != original)[hidden].any()
    assert [line.facts["id"] for line in audit_log().lines() if line.event == "reconstruction"][-1] == made["id"]


def test_the_picture_alone_holds_its_record(service: Running, photo: bytes) -> None:
    answer = service.post("/v1/reconstructions", "image/png", photo=photo, regions="glasses,mouth")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    from facerecon.inference import pictures

    _, record = pictures.decode(answer.content, "")
    document = json.loads(record)["document"]
    assert document["id"] == answer.headers["facerecon-record"]
    hide = next(stage for stage in document["stages"] if stage["name"] == "hide")
    assert hide["parameters"]["regions"] == ["glasses", "mouth"]


@pytest.mark.parametrize("upscale", ["1", "2"])
def test_a_restored_photo_has_a_record_that_verifies_without_a_mask(
    upscale: str, service: Running, photo: bytes, restoring_path: Path, tmp_path: Path
) -> None:
    answer = service.post("/v1/restorations", photo=photo, case="2026/17", upscale=upscale)
    assert answer.status == 200, answer.content
    made = answer.json
    assert (answer.headers["facerecon-model"], made["statement"]) == ("small.onnx", RESTORED.statement)
    assert made["record"]["operator"] == "ada"
    assert made["names"]["picture"] == f"restoration-{made['id'][:12]}.png"
    for what, name in made["names"].items():
        content = made["record_file"].encode() if what == "record" else base64.b64decode(made["pictures"][what])
        (tmp_path / name).write_bytes(content)
    (tmp_path / "photo").write_bytes(photo)
    path = tmp_path / made["names"]["picture"]
    verdict = verify(Given(path, tmp_path / "photo", None, None, lambda _: [restoring_path.read_bytes()]))
    assert verdict.status == 0, verdict.findings
    assert read_rgb(path).shape == (256 * int(upscale), 256 * int(upscale), 3)
    assert [line.facts["id"] for line in audit_log().lines() if line.event == "restoration"][-1] == made["id"]
    picture = service.post("/v1/restorations", "image/png", photo=photo, upscale=upscale)
    assert (picture.status, picture.headers["content-type"]) == (200, "image/png")
    assert (read_rgb(picture.content) == read_rgb(path)).all()


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ({"mask": b"x"}, 400, "Too many files"),
        ({"mask": "x"}, 422, "the field 'mask' is not known; expected: faces, points"),
        ({"regions": "nose"}, 422, "the field 'regions' is not known"),
        ({"upscale": "9"}, 422, "upscale:"),
        ({"upscale": "4"}, 413, "photo: enlarged 4 times it has 1.05 megapixels; at most 1 are made"),
        ({"faces": "2"}, 422, "no face 2: 1 found"),
    ],
    ids=["a mask", "a mask as text", "a region", "too much", "too large", "no such face"],
)
def test_what_restoration_does_not_take_is_one_line(
    parts: dict[str, Part], status: int, said: str, service: Running, photo: bytes
) -> None:
    answer = service.post("/v1/restorations", photo=photo, **parts)
    assert (answer.status, said in answer.detail) == (status, True), answer.detail


def test_the_models_are_listed(service: Running) -> None:
    listed = {model["task"]: model for model in service.get("/v1/models").json["models"]}
    assert {task: model["name"] for task, model in listed.items()} == {
        "inpainting": "tiny.onnx",
        "restoration": "small.onnx",
        "landmarks": "mean.onnx",
    }
    assert listed["restoration"]["scale"] == 1
    assert service.get("/metrics").content.decode().count("\nfacerecon_model{") == 3


def test_a_region_is_seen_before_it_is_used(service: Running, photo: bytes) -> None:
    found = service.post("/v1/regions", photo=photo, regions=["lower-face"], faces="all").json
    assert (found["width"], found["height"], len(found["faces"])) == (256, 256, 1)
    (face,) = found["faces"]
    assert (face["number"], len(face["five"]), len(face["landmarks68"])) == (1, 5, 68)
    picture = service.post("/v1/regions", "image/png", photo=photo, regions=["lower-face"])
    assert picture.content == base64.b64decode(found["mask"])
    seen = decode_mask(picture.content, "").hidden
    assert seen.mean() == pytest.approx(found["hidden"])
    used = service.post("/v1/reconstructions", photo=photo, regions=["lower-face"]).json["record"]
    by_hand = service.post("/v1/reconstructions", photo=photo, mask=picture.content).json["record"]
    assert used["frames"][0]["hidden"] == pytest.approx(seen.mean(), abs=1e-6)
    assert used["frames"][0]["result"] == by_hand["frames"][0]["result"]
    assert service.post("/v1/regions", photo=photo).json["mask"] is None


def test_a_face_by_hand_needs_no_detector(service: Running, mask: bytes) -> None:
    points = "100,120 155,120 128,150 108,180 148,180"
    blank = png(np.full((256, 256, 3), 90, np.uint8))
    assert "no face was found" in service.post("/v1/reconstructions", photo=blank, mask=mask).detail
    answer = service.post("/v1/reconstructions", photo=blank, mask=mask, points=points)
    assert answer.json["record"]["frames"][0]["faces"][0]["found_by"] == "hand"


def bomb() -> bytes:
    return png(np.zeros((1100, 1000), np.uint8))


DOT = png(np.zeros((1, 1, 3), np.uint8))


BAD = {
    "empty": (422, "photo", {"photo": b""}),
    "truncated": (422, "damaged", {"photo": None}),
    "a text": (422, "not an image", {"photo": b"no picture at all"}),
    "one pixel": (
        422,
        "no face was found",
        {"photo": DOT, "mask": "", "regions": "nose"},
    ),
    "too many pixels": (413, "1000x1100 pixels, at most 1 million", {"photo": bomb()}),
    "a mask of too many pixels": (413, "mask: too large", {"mask": bomb()}),
    "an address": (422, "an address is never fetched", {"photo": "http://127.0.0.1:1/a.png"}),
    "a mask of another size": (422, "the mask has 20 x 10 pixels", {"mask": png(np.eye(10, 20, dtype=np.uint8) * 255)}),
    "an empty mask": (422, "the mask is empty", {"mask": png(np.zeros((256, 256), np.uint8))}),
    "a full mask": (422, "hides the whole picture", {"mask": png(np.full((256, 256), 255, np.uint8))}),
    "nothing hidden": (422, "nothing is to be hidden", {"mask": ""}),
    "an unknown region": (422, "region 'ears' is not known", {"regions": "ears"}),
    "an unknown field": (422, "'filter' is not known", {"filter": "x"}),
    "one file more": (400, "Too many files", {"extra": b"x"}),
    "no number": (422, "faces:", {"faces": "zero"}),
    "regions of a face by hand": (422, "has no regions", {"regions": "nose", "points": "1,2 3,2 2,3 1,4 3,4"}),
    "no points": (422, "points: expected five points", {"points": "1,2 3,4"}),
    "too long a case": (422, "case:", {"case": "x" * 600}),
    "a line break": (422, "reason:", {"reason": "a\nb"}),
    "a field twice": (422, "case: given 2 times", {"case": ["a", "b"]}),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_the_service_goes_on(what: str, service: Running, photo: bytes, mask: bytes) -> None:
    status, said, changed = BAD[what]
    parts = {"photo": photo, "mask": mask} | changed
    if parts["photo"] is None:
        parts["photo"] = png(read_rgb(photo))[:9000]
    before = service.service.pool.held
    answer = service.post("/v1/reconstructions", **{name: part for name, part in parts.items() if part != ""})
    assert (answer.status, said in answer.detail) == (status, True), answer.detail
    assert service.service.pool.held == before == 0


def test_a_name_is_never_said_again(service: Running, photo: bytes) -> None:
    for name in ("<script>alert(1)</script>", "../../etc/passwd", "a\\\\b"):
        body, kind = multipart({"photo": b"no picture"}, name)
        answer = service.ask("POST", "/v1/reconstructions", body, service.mine | {"content-type": kind})
        assert answer.status == 422
        assert name not in answer.detail


def test_a_body_that_is_no_form_is_told(service: Running) -> None:
    assert service.ask("POST", "/v1/regions", b"{}", service.mine | {"content-type": "application/json"}).status == 415
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = service.ask("POST", "/v1/regions", b"nonsense", service.mine | {"content-type": kind})
        assert answer.status == 400, answer.content


def test_an_endless_upload_is_cut_off_while_it_streams(service: Running) -> None:
    sent = 0

    def endless():
        nonlocal sent
        yield b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        while sent < 200_000_000:
            sent += 65536
            yield b"x" * 65536

    head = service.mine | {"content-type": "multipart/form-data; boundary=x"}
    try:
        answer = service.ask("POST", "/v1/reconstructions", endless(), head)
        assert answer.status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 50_000_000
    announced = service.ask("POST", "/v1/regions", b"", head | {"content-length": "9999999999"})
    assert (announced.status, announced.headers["connection"]) == (413, "close")
    assert service.get("/v1/models").status == 200


def test_a_mask_without_a_face_is_none(service: Running) -> None:
    blank = png(np.full((64, 64, 3), 90, np.uint8))
    assert "no face was found" in service.post("/v1/regions", "image/png", photo=blank, regions="nose").detail
    assert service.post("/v1/regions", photo=blank, regions="nose").json["remarks"] == ["no face was found"]


def test_a_photo_never_comes_near_the_disk(service: Running, mask: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a file was made")

    noise = png(np.random.default_rng(0).integers(0, 256, (700, 800, 3), np.uint8))
    assert 1_500_000 < len(noise) < 2_000_000
    monkeypatch.setattr(tempfile, "TemporaryFile", never)
    assert "no face was found" in service.post("/v1/reconstructions", photo=noise, regions="nose").detail


def test_a_slow_upload_loses_its_place(service: Running) -> None:
    head = f"POST /v1/regions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {service.token}\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        kind = "multipart/form-data; boundary=x"
        connection.sendall(f"{head}content-type: {kind}\r\ncontent-length: 1000\r\n\r\n--x".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
    assert service.service.pool.held == 0


def test_a_crowd_is_answered(service: Running, photo: bytes) -> None:
    face = Image.fromarray(read_rgb(photo)).resize((128, 128))
    crowd = png(np.tile(np.asarray(face), (3, 4, 1)))
    answer = service.post("/v1/reconstructions", photo=crowd, regions="nose", faces="all")
    assert answer.status == 200
    assert len(answer.json["record"]["frames"][0]["faces"]) > 1
