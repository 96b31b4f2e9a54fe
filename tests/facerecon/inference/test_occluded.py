"""A face is filled, and then restored as it was filled: two networks in one chain, one result, one record."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.custody.audit import audit_log
from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.inference import media, pictures
from facerecon.inference.chain import Chain, so_far
from facerecon.inference.frames import HIDDEN, SQUARE, Frame
from facerecon.inference.making import Model, Request, RestorationRequest, stages_of
from facerecon.inference.reconstruct import Result, reconstruct, restore
from facerecon.inference.stage import Runtime
from facerecon.inference.verification import Given, verify
from facerecon.marks import BOTH
from tests.small_model import restoration_file

POINTS = ((100.0, 120.0), (155.0, 120.0), (128.0, 150.0), (108.0, 180.0), (148.0, 180.0))


@pytest.fixture(scope="module")
def finer_model() -> Model:
    """A small network that gives faces four times as large."""
    return Model(restoration_file(seed=1, scale=4), "finer.onnx")


@pytest.fixture
def both(inpainting_model: Model, restoration_model: Model) -> Request:
    """Fill, then restore."""
    return Request(inpainting_model, points=POINTS, restorer=restoration_model)


def only(photo: Path, request: Request, out: Path, mask: Path) -> Result:
    """The one result, which must be none of an error."""
    (result,) = reconstruct((photo,), request, out, mask)
    assert not result.error
    return result


def confidence_of(result: Result) -> np.ndarray:
    assert result.path
    return np.asarray(Image.open(result.path.with_suffix(".confidence.png")))


@pytest.mark.parametrize("finer", [False, True], ids=["as_fine", "four_times_as_fine"])
def test_it_is_the_one_applied_after_the_other(
    photo: Path, mask: Path, both: Request, finer_model: Model, finer: bool, tmp_path: Path
) -> None:
    request = replace(both, restorer=finer_model) if finer else both
    at_once = only(photo, request, tmp_path / "out", mask)
    filled = only(photo, replace(request, restorer=None), tmp_path / "filled", mask)
    assert filled.path
    assert request.restorer
    after = RestorationRequest(request.restorer, points=POINTS)
    (restored,) = restore((filled.path,), after, tmp_path / "restored")
    assert np.array_equal(read_rgb(at_once.path), read_rgb(restored.path))
    assert not np.array_equal(read_rgb(at_once.path), read_rgb(filled.path))
    (alone,) = restore((photo,), after, tmp_path / "alone")
    hidden = media.read_mask(mask).hidden
    assert (read_rgb(at_once.path) != read_rgb(alone.path))[hidden].any(axis=-1).mean() > 0.5, "of the original"


def test_what_stands_in_the_hole_reaches_neither_network(photo: Path, both: Request, tmp_path: Path) -> None:
    """Nor what is hidden beyond the face's square, though it stays in the picture."""
    image = read_rgb(photo)
    hidden = np.zeros(image.shape[:2], bool)
    hidden[100:200, 120:] = True
    Image.fromarray(hidden).save(tmp_path / "mask.png")
    image[hidden] = [255, 0, 255]
    Image.fromarray(image).save(tmp_path / "painted.png")
    made = [only(path, both, tmp_path / "out", tmp_path / "mask.png") for path in (photo, tmp_path / "painted.png")]
    first, second = (read_rgb(result.path) for result in made)
    assert made[0].record
    (face,) = made[0].record.frames[0].faces
    x, y, side = *face.square[0], np.hypot(*face.square[1])
    inside = np.zeros(hidden.shape, bool)
    inside[max(0, int(y) + 1) : int(y + side) - 1, max(0, int(x) + 1) : int(x + side) - 1] = True
    assert (hidden & ~inside).any()
    assert np.array_equal(first[inside], second[inside])


def test_what_was_made_up_is_no_surer_for_being_restored(
    photo: Path, mask: Path, both: Request, tmp_path: Path
) -> None:
    twice = confidence_of(only(photo, both, tmp_path / "both", mask)).astype(int)
    once = confidence_of(only(photo, replace(both, restorer=None), tmp_path / "once", mask)).astype(int)
    assert (twice <= once + 1).all()
    assert (twice < once).mean() > 0.1, "and the rest of the face is not the photograph's any more"


def test_record_sheet_and_log_name_both_models(
    photo: Path, mask: Path, both: Request, inpainting_model: Model, restoration_model: Model, tmp_path: Path
) -> None:
    result = only(photo, both, tmp_path / "out", mask)
    record = result.record
    assert record
    assert [stage.name for stage in record.stages] == ["detect", "inpaint", "restore"]
    assert [stage.digests["model"] for stage in record.stages[1:]] == [
        inpainting_model.digest,
        restoration_model.digest,
    ]
    assert record.restorer
    assert (record.model.name, record.restorer.name) == (inpainting_model.name, restoration_model.name)
    assert record.statement == BOTH.statement
    (face,) = record.frames[0].faces
    assert face.hidden == pytest.approx(51 * 60 / np.hypot(*face.square[1]) ** 2, abs=0.03), "of what was filled"
    assert face.filled == pytest.approx(np.hypot(*face.square[1]) ** 2, rel=0.02), "all of it was drawn"
    (line,) = audit_log().lines()
    assert (line.facts["model"], line.facts["restorer"]) == (inpainting_model.digest, restoration_model.digest)
    told = both.told(record.frames[0], [stage.details for stage in record.stages[1:]])
    assert list(told) == ["Filled from", "Then restored from", "Hidden"]
    assert "enlarged" in told["Then restored from"]
    assert "enlarged" not in told["Filled from"]
    plain = only(photo, replace(both, restorer=None), tmp_path / "out", mask)
    assert plain.record
    assert plain.record.restorer is None
    assert not plain.already, "it is another request"
    *_, last = audit_log().lines()
    assert last.facts["model"] == inpainting_model.digest
    assert "restorer" not in last.facts


@pytest.mark.parametrize("end", [".png", ".confidence.png", ".sheet.png", ".json"])
def test_it_comes_out_again_with_both_models(photo: Path, mask: Path, both: Request, end: str, tmp_path: Path) -> None:
    result = only(photo, both, tmp_path / "out", mask)
    assert result.path
    models = [model.content for model in both.models]
    path = tmp_path / "out" / f"{photo.stem}{end}"
    verdict = verify(Given(path, photo, mask, None, lambda record: models))
    assert verdict.status == 0, verdict.findings
    assert any(finding.text == "run again: the same pixels" for finding in verdict.findings)
    missing = verify(Given(path, photo, mask, None, lambda record: models[:1]))
    assert missing.status == 2
    pixels, record = pictures.decode(result.path.read_bytes(), "")
    pixels[128, 128, 0] ^= 1
    result.path.write_bytes(pictures.encode(pixels, record))
    assert verify(Given(path, photo, mask, None, lambda record: models)).status == 1


def test_a_face_that_nothing_hides_is_restored_all_the_same(
    photo: Path, both: Request, restoration_model: Model, tmp_path: Path
) -> None:
    corner = np.zeros((256, 256), bool)
    corner[:4, :4] = True
    Image.fromarray(corner).save(tmp_path / "corner.png")
    result = only(photo, both, tmp_path / "out", tmp_path / "corner.png")
    (alone,) = restore((photo,), RestorationRequest(restoration_model, points=POINTS), tmp_path / "alone")
    assert result.record
    assert result.record.frames[0].faces[0].hidden == 0
    assert any("lies outside the squares" in remark for remark in result.record.frames[0].remarks)
    assert np.array_equal(read_rgb(result.path), read_rgb(alone.path))


def test_models_of_the_wrong_order_are_one_line(
    photo: Path, mask: Path, inpainting_model: Model, restoration_model: Model, tmp_path: Path
) -> None:
    swapped = Request(restoration_model, points=POINTS, restorer=inpainting_model)
    with pytest.raises(FaceReconError, match="a model of task 'restoration'; expected one of task 'inpainting'"):
        list(reconstruct((photo,), swapped, tmp_path / "out", mask))


def test_so_far_only_what_edits_cover_is_known(photo: Path, both: Request) -> None:
    image = read_rgb(photo)
    hidden = np.zeros(image.shape[:2], bool)
    hidden[120:150, 100:256] = True
    runtime = Runtime(1, {model.digest: model.content for model in both.models})
    with runtime, Chain(stages_of(both.steps()[:-1]), runtime, frozenset({HIDDEN})) as chain:
        (outcome,) = chain.run([Frame(image, hidden=hidden)])
    frame = outcome.frame
    edited, confidence = so_far(frame)
    assert np.array_equal(edited.image, outcome.image)
    assert np.array_equal(confidence, outcome.confidence)
    assert edited.edits == ()
    assert edited.hidden is not None
    x, side = frame.faces[0][SQUARE].origin[0], frame.faces[0][SQUARE].side
    columns = np.flatnonzero(edited.hidden.any(axis=0))
    assert columns.min() >= int(x + side) - 1
    assert (edited.hidden <= hidden).all()
