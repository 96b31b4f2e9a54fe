"""Faces are restored in soft squares, and outside of them nothing is changed."""

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from facerecon.custody.audit import audit_log
from facerecon.data.geometry import Square
from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.inference import media, pictures
from facerecon.inference.making import Model, Request, RestorationRequest
from facerecon.inference.reconstruct import Result, reconstruct, restore
from facerecon.inference.record import FaceFacts
from facerecon.inference.verification import Given, Verdict, verify
from facerecon.marks import RECONSTRUCTED, RESTORED, is_marked_clip, is_marked_picture
from tests.clips import write_clip
from tests.small_model import restoration_file

POINTS = ((100.0, 120.0), (155.0, 120.0), (128.0, 150.0), (108.0, 180.0), (148.0, 180.0))


@pytest.fixture(scope="module")
def finer_model() -> Model:
    """A small network that gives faces four times as large."""
    return Model(restoration_file(seed=1, scale=4), "finer.onnx")


def only(path: Path, request: RestorationRequest, out: Path) -> Result:
    """The one result, which must be none of an error."""
    (result,) = restore((path,), request, out)
    assert not result.error
    return result


def within(square: tuple[tuple[float, ...], tuple[float, ...]], size: tuple[int, int], scale: int = 1) -> np.ndarray:
    """The share of the way from the square's edge to its middle, 0 to 0.5, of each pixel; negative outside."""
    placed = Square(np.array(square[0]) * scale, np.array(square[1]) * scale)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    place = placed.to_crop(np.stack([columns, rows], -1).reshape(-1, 2).astype(np.float32), 1)
    return np.minimum(place, 1 - place).min(1).reshape(size)


def the_face(result: Result) -> FaceFacts:
    """The one face of a photo."""
    assert result.record
    (face,) = result.record.frames[0].faces
    return face


def small(photo: Path, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """The photo with a face far smaller than the network's, with room around it."""
    image = np.full((120, 160, 3), 90, np.uint8)
    image[30:94, 50:114] = cv2.resize(read_rgb(photo), (64, 64), interpolation=cv2.INTER_AREA)
    Image.fromarray(image).save(tmp_path / "small.png")
    return tmp_path / "small.png", image


FEW = ((75.0, 60.0), (88.75, 60.0), (82.0, 67.5), (77.0, 75.0), (87.0, 75.0))


def test_outside_the_square_every_pixel_is_the_photographs_own_and_its_edge_is_soft(
    photo: Path, restoration_model: Model, tmp_path: Path
) -> None:
    path, image = small(photo, tmp_path)
    result = only(path, RestorationRequest(restoration_model, points=FEW), tmp_path / "out")
    inwards = within(the_face(result).square, image.shape[:2])
    made = read_rgb(result.path)
    change = np.abs(made.astype(int) - image).max(-1)
    assert (change[inwards <= 0] == 0).all()
    assert (change[inwards > 0.12] > 0).mean() > 0.9
    assert change[(inwards > 0) & (inwards < 0.015)].max() < 20 < change[inwards > 0.12].mean()
    confidence = np.asarray(Image.open(tmp_path / "out" / "small.confidence.png"))
    assert (confidence[inwards <= 0] == 255).all()
    assert confidence[(inwards > 0) & (inwards < 0.015)].min() > 230
    assert confidence[inwards > 0.12].mean() < 200


def test_the_network_sees_the_original_as_training_cuts_it(
    photo: Path, restoration_model: Model, tmp_path: Path
) -> None:
    from facerecon.data.geometry import cut
    from facerecon.inference.predictor import Predictor
    from facerecon.inference.restoration import restore as run

    result = only(photo, RestorationRequest(restoration_model, points=POINTS), tmp_path / "out")
    square = the_face(result).square
    crop, _ = cut(read_rgb(photo), Square(np.array(square[0]), np.array(square[1])), 64)
    expected = run(Predictor.load(restoration_model.content, 1), crop[None]).confidences
    assert the_face(result).confidence_mean == pytest.approx(expected.mean(), abs=1e-3)


@pytest.mark.parametrize("scale", [1, 4])
def test_enlarged_the_rest_is_bicubic_and_the_face_as_fine_as_the_network_draws_it(
    photo: Path, restoration_model: Model, finer_model: Model, scale: int, tmp_path: Path
) -> None:
    path, image = small(photo, tmp_path)
    model = {1: restoration_model, 4: finer_model}[scale]
    result = only(path, RestorationRequest(model, points=FEW, upscale=4), tmp_path / "out")
    large = cv2.resize(image, (640, 480), interpolation=cv2.INTER_CUBIC)
    face, made = the_face(result), read_rgb(result.path)
    inwards = within(face.square, (480, 640), scale=4)
    assert made.shape == (480, 640, 3)
    assert (made == large)[inwards <= 0].all()
    assert (made != large).any(-1)[inwards > 0.12].mean() > 0.9
    side = np.hypot(*face.square[1])
    assert face.enlarged == pytest.approx(4 * side / (64 * scale), rel=1e-3)
    assert face.filled == pytest.approx((4 * side) ** 2, rel=0.02)
    assert result.record
    assert [stage.name for stage in result.record.stages] == ["detect", "enlarge", "restore"]
    assert result.record.stages[1].parameters == {"factor": 4}
    assert (result.record.original.width, result.record.original.height) == (160, 120)
    assert Image.open(tmp_path / "out" / "small.confidence.png").size == (640, 480)


def test_a_finer_face_is_put_back_at_the_photographs_own_size(photo: Path, finer_model: Model, tmp_path: Path) -> None:
    path, image = small(photo, tmp_path)
    result = only(path, RestorationRequest(finer_model, points=FEW), tmp_path / "out")
    face = the_face(result)
    assert read_rgb(result.path).shape == image.shape
    assert face.enlarged == pytest.approx(np.hypot(*face.square[1]) / 256, rel=1e-2)


def test_a_face_that_is_not_of_the_networks_size_is_told(photo: Path, restoration_model: Model, tmp_path: Path) -> None:
    path, _ = small(photo, tmp_path)
    result = only(path, RestorationRequest(restoration_model, points=FEW), tmp_path / "out")
    assert result.record
    factor = 64 / np.hypot(*the_face(result).square[1])
    assert factor > 1
    told = f"face 1 is smaller than the network's 64 px: enlarged {factor:.2f} times first"
    assert told in result.record.frames[0].remarks
    large = only(photo, RestorationRequest(restoration_model, points=POINTS), tmp_path / "out")
    assert large.record
    assert large.record.frames[0].remarks == ("face 1 is larger than the 64 px that the network draws: detail is lost",)


def test_too_large_a_result_is_one_line(restoration_model: Model, tmp_path: Path) -> None:
    Image.fromarray(np.full((2500, 2100, 3), 90, np.uint8)).save(tmp_path / "large.png")
    request = RestorationRequest(restoration_model, points=POINTS, upscale=4)
    (result,) = restore((tmp_path / "large.png",), request, tmp_path / "out")
    assert "a picture of 2100 x 2500 enlarged 4 times has 84 megapixels; at most 80 are made" in result.error


def test_a_photo_without_a_face_is_one_line(restoration_model: Model, tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "nobody.png")
    (result,) = restore((tmp_path / "nobody.png",), RestorationRequest(restoration_model), tmp_path / "out")
    assert result.error.endswith("nothing was restored: no face was found: point a face out by five points")


def test_results_say_that_they_are_restored(
    photo: Path, mask: Path, restoration_model: Model, inpainting_model: Model, tmp_path: Path
) -> None:
    result = only(photo, RestorationRequest(restoration_model, points=POINTS, case="7"), tmp_path / "out")
    assert result.record
    assert result.record.statement == RESTORED.statement
    (line,) = audit_log().lines()
    assert (line.event, line.facts["id"]) == ("restoration", result.record.id)
    for path in (tmp_path / "out").glob("*.png"):
        assert is_marked_picture(path.read_bytes())
        assert RESTORED.statement[:40] in pictures.decode(path.read_bytes(), "")[1]
    (other,) = reconstruct((photo,), Request(inpainting_model, points=POINTS, case="7"), tmp_path / "out", mask)
    assert other.record
    assert other.record.statement == RECONSTRUCTED.statement
    assert other.path == tmp_path / "out" / f"{photo.stem}-2.png"


def test_the_same_request_is_not_done_twice(
    photo: Path, restoration_model: Model, finer_model: Model, tmp_path: Path
) -> None:
    plain = RestorationRequest(restoration_model, points=POINTS)
    first = only(photo, plain, tmp_path / "out")
    again = only(photo, plain, tmp_path / "out")
    assert (again.already, again.path) == (True, first.path)
    assert not only(photo, replace(plain, upscale=2), tmp_path / "out").already
    assert not only(photo, replace(plain, model=finer_model), tmp_path / "out").already


@pytest.fixture
def clip(tmp_path: Path, photo: Path) -> Path:
    """Four frames in which a face moves to the right; the third is empty."""
    image = read_rgb(photo)
    empty = np.full_like(image, 90)
    moved = (np.roll(image, 3 * number, axis=1) if number != 2 else empty for number in range(4))
    return write_clip(tmp_path / "walk.mkv", moved)


@pytest.mark.parametrize("upscale", [1, 2])
def test_a_clip_comes_out_whole_and_all_of_it_as_large(
    clip: Path, restoration_model: Model, upscale: int, tmp_path: Path
) -> None:
    request = RestorationRequest(restoration_model, lossless=True, upscale=upscale)
    result = only(clip, request, tmp_path / "out")
    assert result.record
    assert [bool(frame.faces) for frame in result.record.frames] == [True, True, False, True]
    assert any("1 of 4 frames are as they were" in warning for warning in result.record.warnings)
    with av.open(str(result.path)) as container:
        assert is_marked_clip(container)
        assert RESTORED.statement in " ".join(container.metadata.values())
    kept = [frame.image for frame in media.read_clip(result.path, media.Tally())]
    assert {image.shape for image in kept} == {(256 * upscale, 256 * upscale, 3)}
    assert (kept[2] == 90).all()
    assert look(result.path, clip, restoration_model).status == 0


def look(path: Path | None, original: Path | None, model: Model) -> Verdict:
    """The verdict over a result."""
    assert path
    return verify(Given(path, original, None, None, lambda record: [model.content]))


@pytest.mark.parametrize("end", [".png", ".confidence.png", ".sheet.png", ".json"])
@pytest.mark.parametrize("upscale", [1, 3])
def test_a_restoration_comes_out_again_without_any_mask(
    photo: Path, restoration_model: Model, upscale: int, end: str, tmp_path: Path
) -> None:
    result = only(photo, RestorationRequest(restoration_model, points=POINTS, upscale=upscale), tmp_path / "out")
    path = tmp_path / "out" / f"{photo.stem}{end}"
    verdict = look(path, photo, restoration_model)
    assert verdict.status == 0, verdict.findings
    assert any(finding.text == "run again: the same pixels" for finding in verdict.findings)
    assert result.path
    pixels, record = pictures.decode(result.path.read_bytes(), "")
    pixels[0, 0, 0] ^= 1
    result.path.write_bytes(pictures.encode(pixels, record))
    assert look(path, photo, restoration_model).status == 1


def test_a_model_of_the_other_task_is_one_line(
    photo: Path, mask: Path, restoration_model: Model, inpainting_model: Model, tmp_path: Path
) -> None:
    with pytest.raises(FaceReconError, match="a model of task 'inpainting'; expected one of task 'restoration'"):
        only(photo, RestorationRequest(inpainting_model), tmp_path / "out")
    with pytest.raises(FaceReconError, match="a model of task 'restoration'; expected one of task 'inpainting'"):
        list(reconstruct((photo,), Request(restoration_model), tmp_path / "out", mask))
