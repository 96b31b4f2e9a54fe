"""Whatever is changed after it was made is told; what was not comes out again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.custody.audit import audit_log
from facerecon.custody.keys import known_keys, rotate, signing_key
from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.inference import pictures
from facerecon.inference.making import Model, Request
from facerecon.inference.reconstruct import reconstruct
from facerecon.inference.record import Record
from facerecon.inference.verification import Given, Verdict, verify

OK, WRONG, NOT_RUN_AGAIN = 0, 1, 2


@pytest.fixture
def made(photo: Path, mask: Path, inpainting_model: Model, tmp_path: Path) -> Path:
    """A reconstructed photo, with its record and pictures beside it."""
    (result,) = reconstruct((photo,), Request(inpainting_model), tmp_path / "out", mask)
    assert result.path
    return result.path


@pytest.fixture
def later(made: Path, photo: Path, mask: Path, inpainting_model: Model) -> Path:
    """The same again, for another case."""
    (result,) = reconstruct((photo,), Request(inpainting_model, case="later"), made.parent, mask)
    assert result.path
    return result.path


@pytest.fixture
def look(photo: Path, mask: Path, inpainting_model: Model) -> "Look":
    """Verifies with everything at hand."""
    return Look(Given(Path(), photo, mask, None, lambda record: [inpainting_model.content]))


class Look:
    """Verifies a file."""

    def __init__(self, given: Given) -> None:
        self.given = given

    def __call__(self, path: Path, **changed: object) -> Verdict:
        """The verdict, with some of what was given changed."""
        return verify(replace(self.given, path=path, **changed))  # type: ignore[arg-type]


def said(verdict: Verdict, mark: str = "bad") -> str:
    """What was found of one kind."""
    return " | ".join(finding.text for finding in verdict.findings if finding.mark == mark)


def rewritten(path: Path, pixels: np.ndarray | None = None, text: str | None = None) -> None:
    """Save a picture anew with other pixels or another record."""
    old, record = pictures.decode(path.read_bytes(), "")
    path.write_bytes(pictures.encode(old if pixels is None else pixels, record if text is None else text))


@pytest.mark.parametrize("end", [".png", ".confidence.png", ".sheet.png", ".json"])
def test_what_is_as_it_was_made_comes_out_again(made: Path, end: str, look: "Look") -> None:
    verdict = look(made.with_name(made.stem + end))
    assert said(verdict) == said(verdict, "note") == ""
    assert verdict.status == OK
    texts = said(verdict, "ok")
    assert "known (current key of this machine)" in texts
    assert "run again: the same pixels" in texts
    assert "line 1 of this machine's audit log" in texts
    assert ("no pixel was changed" in texts) == (end != ".json")


@pytest.mark.parametrize("absent", ["original", "mask"])
def test_without_original_or_mask_it_is_not_run_again(made: Path, absent: str, look: "Look") -> None:
    verdict = look(made, **{absent: None})
    assert verdict.status == NOT_RUN_AGAIN
    assert f"not run again: name the {absent} by --{absent}" in said(verdict, "note")


def test_one_pixel_of_one_level_is_seen(made: Path, look: "Look") -> None:
    pixels, _ = pictures.decode(made.read_bytes(), "")
    pixels[3, 4, 1] ^= 1
    rewritten(made, pixels)
    verdict = look(made)
    assert verdict.status == WRONG
    assert "its pixels are not those that the record was made for" in said(verdict)
    assert "its bytes were changed after it was made" in said(verdict)


def test_every_single_byte_is_seen(made: Path, look: "Look") -> None:
    content = made.read_bytes()
    rng = np.random.default_rng(0)
    for at in (*range(0, 60, 7), *rng.integers(0, len(content), 20).tolist(), len(content) - 1):
        made.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            status = look(made, original=None).status
        except FaceReconError:
            continue
        assert status == WRONG, at


def test_a_byte_of_the_record_is_seen_in_picture_and_file(made: Path, look: "Look") -> None:
    text = pictures.decode(made.read_bytes(), "")[1]
    rewritten(made, text=text.replace('"case":""', '"case":"x"'))
    with pytest.raises(FaceReconError, match="changed after it was signed"):
        look(made)
    side = made.with_suffix(".json")
    side.write_text(side.read_text().replace('"reason":""', '"reason":"x"'))
    with pytest.raises(FaceReconError, match="changed after it was signed"):
        look(side)


def test_a_record_of_another_picture_is_seen(made: Path, later: Path, look: Look) -> None:
    _, text = pictures.decode(later.read_bytes(), "")
    rewritten(made, text=text)
    assert "the record beside the picture is that of another one" in said(look(made))


def test_a_picture_that_another_program_has_saved_is_told(made: Path, look: "Look") -> None:
    Image.fromarray(read_rgb(made)).save(made)
    with pytest.raises(FaceReconError, match="holds no record"):
        look(made)


def test_without_the_file_beside_it_the_picture_alone_is_verified(made: Path, look: "Look") -> None:
    made.with_suffix(".json").unlink()
    assert look(made).status == OK


def test_a_key_of_another_machine_is_told_and_may_be_trusted(
    made: Path, look: "Look", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = signing_key().public
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "mine"))
    verdict = look(made)
    assert verdict.status == WRONG
    assert "unknown here" in said(verdict)
    assert look(made, trusted=theirs).status == OK
    signing_key()
    assert look(made, trusted=signing_key().public).status == WRONG


def test_a_former_key_stays_known(made: Path, look: "Look") -> None:
    rotate()
    assert known_keys().former
    verdict = look(made)
    assert verdict.status == OK
    assert "known (former key of this machine)" in said(verdict, "ok")


def test_a_log_that_was_cut_off_shows(made: Path, later: Path, look: Look) -> None:
    lines = audit_log().path.read_bytes().splitlines(keepends=True)
    audit_log().path.write_bytes(lines[0])
    assert look(made).status == OK
    assert "lacks its line" in said(look(later))
    audit_log().path.write_bytes(b"")
    assert "lacks line 1" in said(look(later))
    audit_log().path.write_bytes(lines[0].replace(b'"number":1', b'"number":2') + lines[1])
    assert look(later).status == WRONG


def test_another_original_or_mask_is_told(made: Path, look: "Look", tmp_path: Path) -> None:
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(tmp_path / "other.png")
    verdict = look(made, original=tmp_path / "other.png")
    assert verdict.status == WRONG
    assert "not the original that the record names" in said(verdict)
    values = np.zeros((256, 256), np.uint8)
    values[9:99, 9:99] = 255
    Image.fromarray(values).save(tmp_path / "othermask.png")
    assert "not the mask that the record names" in said(look(made, mask=tmp_path / "othermask.png"))


def test_a_model_that_is_gone_is_told(made: Path, look: "Look") -> None:
    def gone(record: Record) -> bytes:
        raise FaceReconError("demo has no version 3")

    verdict = look(made, find_models=gone)
    assert verdict.status == NOT_RUN_AGAIN
    assert "not run again: demo has no version 3" in said(verdict, "note")


def test_a_difference_of_one_level_is_another_processors_and_two_are_not(
    made: Path, look: "Look", photo: Path, mask: Path, inpainting_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facerecon.inference import chain

    composite = chain.composite
    for levels, status in ((1, OK), (2, WRONG)):

        def elsewhere(frame: chain.Frame, levels: int = levels) -> chain.Outcome:
            outcome = composite(frame)
            image = outcome.image.copy()
            image[140, 120, 0] ^= levels
            return replace(outcome, image=image)

        monkeypatch.setattr(chain, "composite", elsewhere)
        verdict = look(made)
        assert verdict.status == status
        assert any(
            f"1 pixels differ, by at most {levels} of 255 levels" in finding.text for finding in verdict.findings
        )


def test_a_stage_of_another_version_is_told(made: Path, look: "Look", monkeypatch: pytest.MonkeyPatch) -> None:
    from facerecon.inference.stages.inpaint import Inpaint

    describe = Inpaint.describe
    monkeypatch.setattr(Inpaint, "describe", lambda stage: describe(stage).model_copy(update={"version": 2}))
    assert "stage inpaint has other version here" in said(look(made), "note")


def test_a_record_of_another_schema_is_refused_in_one_line(made: Path, look: "Look") -> None:
    signed = json.loads(pictures.decode(made.read_bytes(), "")[1])
    from facerecon.custody.signed import dumps, sign

    rewritten(made, text=dumps(sign({**signed["document"], "schema_version": 9}, signing_key())))
    with pytest.raises(FaceReconError, match=r"its record \(schema 9\) is not one that is read here"):
        look(made)
