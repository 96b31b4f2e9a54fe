"""What a user gets: pictures in which nothing but the hole was changed, whole results, and a record of each."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from facerecon.custody.audit import audit_log
from facerecon.errors import FaceReconError
from facerecon.files import sha256_file
from facerecon.images import read_rgb
from facerecon.inference import media, pictures
from facerecon.inference.making import Model, Request
from facerecon.inference.reconstruct import Result, reconstruct
from facerecon.marks import is_marked_clip, is_marked_picture
from tests.clips import write_clip


def run(paths: list[Path], request: Request, out: Path, mask: Path | None = None) -> list[Result]:
    """All results."""
    return list(reconstruct(tuple(paths), request, out, mask))


def only(paths: list[Path], request: Request, out: Path, mask: Path | None = None) -> Result:
    """The one result, which must be none of an error."""
    (result,) = run(paths, request, out, mask)
    assert not result.error
    return result


def names(folder: Path) -> list[str]:
    """What lies there."""
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture
def plain(inpainting_model: Model) -> Request:
    """Nothing special."""
    return Request(inpainting_model)


@pytest.fixture
def clip(tmp_path: Path, photo: Path) -> Path:
    """Six frames in which a face moves to the right, one a fifth of a second, the fourth without it."""
    image = read_rgb(photo)
    empty = np.full_like(image, 90)
    moved = (np.roll(image, 3 * number, axis=1) if number != 3 else empty for number in range(6))
    return write_clip(tmp_path / "walk.mkv", moved)


def test_outside_the_mask_every_pixel_is_the_photographs_own(
    photo: Path, mask: Path, plain: Request, tmp_path: Path
) -> None:
    result = only([photo], plain, tmp_path / "out", mask)
    assert result.path == tmp_path / "out" / f"{photo.stem}.png"
    made, original = read_rgb(result.path), read_rgb(photo)
    hidden = media.read_mask(mask).hidden
    assert hidden.sum() == 51 * 60  # the edge of 128 is in it, that of 127 is not
    assert (made == original)[~hidden].all()
    assert (made != original)[hidden].any(axis=-1).mean() > 0.9
    confidence = np.asarray(Image.open(tmp_path / "out" / f"{photo.stem}.confidence.png"))
    assert (confidence == 255)[~hidden].all()
    assert confidence[hidden].max() < 255


def test_what_stands_in_the_hole_changes_nothing(photo: Path, mask: Path, plain: Request, tmp_path: Path) -> None:
    image = read_rgb(photo)
    image[media.read_mask(mask).hidden] = [255, 0, 255]
    Image.fromarray(image).save(tmp_path / "painted.png")
    points = ((100.0, 120.0), (155.0, 120.0), (128.0, 150.0), (108.0, 180.0), (148.0, 180.0))
    made = [
        read_rgb(only([path], replace(plain, points=points), tmp_path / "out", mask).path)
        for path in (photo, tmp_path / "painted.png")
    ]
    assert (made[0] == made[1]).all()


def test_a_regions_hole_is_where_the_face_is(photo: Path, inpainting_model: Model, tmp_path: Path) -> None:
    result = only([photo], Request(inpainting_model, regions=("lower-face",)), tmp_path)
    assert result.record
    (face,) = result.record.frames[0].faces
    assert face.enlarged
    assert 0.05 < result.record.frames[0].hidden < 0.4
    assert face.enlarged * 64 == pytest.approx(np.hypot(*face.square[1]), rel=1e-3)
    changed = (read_rgb(result.path) != read_rgb(photo)).any(-1)
    left_eye, right_eye, _, *mouth = (tuple(map(round, point)) for point in face.five)
    assert not any(changed[y, x] for x, y in (left_eye, right_eye))
    assert all(changed[y - 1 : y + 2, x - 1 : x + 2].any() for x, y in mouth)


def test_every_picture_is_marked_and_holds_the_record(photo: Path, mask: Path, plain: Request, tmp_path: Path) -> None:
    result = only([photo], replace(plain, case="2026/17"), tmp_path / "out", mask)
    texts = set()
    for path in (tmp_path / "out").glob("*.png"):
        assert is_marked_picture(path.read_bytes())
        texts.add(pictures.decode(path.read_bytes(), "")[1])
    assert len(texts) == 1
    assert '"case":"2026/17"' in texts.pop()
    assert names(tmp_path / "out") == [
        f"{photo.stem}{end}" for end in (".confidence.png", ".json", ".png", ".sheet.png")
    ]
    (line,) = audit_log().lines()
    assert result.record
    assert line.facts["id"] == result.record.id


def test_nothing_of_the_originals_metadata_comes_out(photo: Path, mask: Path, plain: Request, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "taken by Ada Lovelace", 3
    Image.fromarray(read_rgb(photo)).transpose(Image.Transpose.ROTATE_180).save(tmp_path / "turned.png", exif=exif)
    result = only([tmp_path / "turned.png"], plain, tmp_path / "out", mask)
    assert (read_rgb(result.path)[0] == read_rgb(photo)[0]).all()  # as it is shown
    for path in (tmp_path / "out").iterdir():
        assert b"Lovelace" not in path.read_bytes()


def test_a_folder_is_done_on_though_some_of_it_cannot_be(photo: Path, inpainting_model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(read_rgb(photo)).save(folder / "a.png")
    Image.fromarray(read_rgb(photo)[:, ::-1].copy()).save(folder / "sub" / "a.png")
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "nobody.png")
    (folder / "cut.png").write_bytes(photo.read_bytes()[:3000])
    Image.fromarray(np.full((1, 1, 3), 90, np.uint8)).save(folder / "dot.png")
    found = {
        str(r.given.relative_to(folder)): r
        for r in run([folder], Request(inpainting_model, regions=("nose",)), tmp_path / "out")
    }
    assert {name for name, result in found.items() if not result.error} == {"a.png", "sub/a.png"}
    assert found["sub/a.png"].path == tmp_path / "out" / "sub" / "a.png"
    assert "no face was found" in found["nobody.png"].error
    assert all("\n" not in result.error for result in found.values())


def test_equal_names_do_not_collide_and_nothing_is_overwritten(
    photo: Path, mask: Path, plain: Request, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    image = read_rgb(photo)
    Image.fromarray(image).save(folder / "a.png")
    Image.fromarray(image[:, ::-1].copy()).save(folder / "a.bmp")
    (folder / "a-2.json").write_text("mine")
    before = {path: sha256_file(path) for path in folder.iterdir()}
    made = run([folder / "a.png", folder / "a.bmp"], plain, folder, mask)
    assert [result.path for result in made] == [folder / "a-3.png", folder / "a-4.png"]
    assert {path: sha256_file(path) for path in before} == before


def test_the_same_request_is_not_done_twice(photo: Path, mask: Path, plain: Request, tmp_path: Path) -> None:
    first = only([photo], plain, tmp_path / "out", mask)
    before = names(tmp_path / "out")
    again = only([photo], plain, tmp_path / "out", mask)
    assert again.already
    assert again.path == first.path
    assert names(tmp_path / "out") == before
    assert not only([photo], replace(plain, case="other"), tmp_path / "out", mask).already


def test_what_a_killed_run_left_is_replaced(photo: Path, mask: Path, plain: Request, tmp_path: Path) -> None:
    result = only([photo], plain, tmp_path / "out", mask)
    assert result.path
    result.path.with_suffix(".json").unlink()
    (tmp_path / "out" / ".unfinished-x.png").write_bytes(b"half")
    assert only([photo], plain, tmp_path / "out", mask).path == result.path
    assert len(names(tmp_path / "out")) == 4


def test_a_clip_comes_out_whole_with_a_line_for_each_frame(clip: Path, inpainting_model: Model, tmp_path: Path) -> None:
    request = Request(inpainting_model, regions=("mouth",), lossless=True)
    result = only([clip], request, tmp_path / "out")
    assert result.record
    assert result.path
    assert [round(frame.time, 3) for frame in result.record.frames] == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert [bool(frame.faces) for frame in result.record.frames] == [True, True, True, False, True, True]
    assert result.record.frames[3].result == result.record.frames[3].original
    assert any("1 of 6 frames" in warning for warning in result.record.warnings)
    with av.open(str(result.path)) as container:
        assert is_marked_clip(container)
    kept = [frame.image for frame in media.read_clip(result.path, media.Tally())]
    shown = [frame.image for frame in media.read_clip(clip, media.Tally())]
    assert (kept[3] == shown[3]).all()
    changed = [(one != other).any(-1).mean() for one, other in zip(kept, shown, strict=True)]
    assert all((0.001 < share < 0.1) == (number != 3) for number, share in enumerate(changed))


def test_a_clip_to_show_is_marked_and_nearly_the_same(clip: Path, inpainting_model: Model, tmp_path: Path) -> None:
    result = only([clip], Request(inpainting_model, regions=("mouth",)), tmp_path / "out")
    assert result.path == tmp_path / "out" / "walk.mp4"
    with av.open(str(result.path)) as container:
        assert is_marked_clip(container)
    kept = [frame.image for frame in media.read_clip(result.path, media.Tally())]
    assert np.abs(kept[3].astype(int) - 90).max() <= 3
    assert len(kept) == 6


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"faces": 2}, "no face 2: 1 found"),
        ({"points": ((0, 0),) * 5}, "expected five within it"),
        ({"points": ((155, 120), (100, 120), (128, 150), (148, 180), (108, 180))}, "left eye, right eye"),
        ({"regions": ("ear",)}, "region 'ear' is not known"),
        ({"regions": ("nose",), "points": ((100, 120), (155, 120), (128, 150), (108, 180), (148, 180))}, "landmarks68"),
    ],
)
def test_an_impossible_request_is_one_line(
    given: dict, said: str, photo: Path, mask: Path, plain: Request, tmp_path: Path
) -> None:
    try:
        (result,) = run([photo], replace(plain, **given), tmp_path / "out", mask)
        error = result.error
    except FaceReconError as raised:
        error = raised.message
    assert said in error
    assert not [name for name in names(tmp_path / "out") if not name.startswith(".")]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((256, 256), np.uint8), "is empty, its brightest pixel is 0"),
        (np.full((256, 256), 255, np.uint8), "hides the whole picture"),
        (np.eye(200, dtype=np.uint8) * 255, "200 x 200 pixels; expected those of the picture as it is shown"),
    ],
)
def test_a_mask_that_does_not_fit_is_one_line(
    values: np.ndarray, said: str, photo: Path, plain: Request, tmp_path: Path
) -> None:
    Image.fromarray(values).save(tmp_path / "wrong.png")
    (result,) = run([photo], plain, tmp_path / "out", tmp_path / "wrong.png")
    assert said in result.error


def test_something_must_be_hidden(photo: Path, plain: Request, tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match="nothing is to be hidden"):
        run([photo], plain, tmp_path / "out")


def test_a_mask_painted_on_a_clear_ground_hides_what_was_painted(tmp_path: Path) -> None:
    values = np.zeros((20, 30, 4), np.uint8)
    values[5:9, 6:16] = 255
    Image.fromarray(values).save(tmp_path / "painted.png")
    hidden = media.read_mask(tmp_path / "painted.png").hidden
    assert hidden.sum() == 40
    assert hidden[5:9, 6:16].all()


def test_what_of_the_mask_lies_beside_the_face_is_left_and_told(photo: Path, plain: Request, tmp_path: Path) -> None:
    values = np.zeros((256, 256), np.uint8)
    values[:, 118:138] = 255
    values[:6] = 255
    Image.fromarray(values).save(tmp_path / "wide.png")
    result = only([photo], plain, tmp_path / "out", tmp_path / "wide.png")
    assert result.record
    assert any(
        "lies outside the squares of the faces taken: left as it is" in said for said in result.record.frames[0].remarks
    )
    assert (read_rgb(result.path)[0] == read_rgb(photo)[0]).all()


def test_the_chain_runs_without_torch(photo: Path, mask: Path, inpainting_model: Model, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(inpainting_model.content)
    program = (
        "import sys; from pathlib import Path\n"
        "from facerecon.inference.making import Model, Request\n"
        "from facerecon.inference.reconstruct import reconstruct\n"
        "model, photo, mask, out = map(Path, sys.argv[1:])\n"
        "(r,) = reconstruct((photo,), Request(Model(model.read_bytes(), 'tiny')), out, mask)\n"
        "assert not r.error, r.error\n"
        "print(sorted({'torch', 'zenml', 'mlflow', 'sklearn'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, *map(str, (tmp_path / "tiny.onnx", photo, mask, tmp_path / "out"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
