"""The commands that use a model: what they say, and how they end."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli.main import cli
from facerecon.images import read_rgb
from facerecon.inference.making import Model

POINTS = ("--points", "100,120", "155,120", "128,150", "108,180", "148,180")


@pytest.fixture
def model(inpainting_model: Model, tmp_path: Path) -> Path:
    """The small network's file."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(inpainting_model.content)
    return path


def run(*arguments: object) -> Result:
    """A command's end."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_a_photo_is_filled_and_verified_by_a_file_without_any_registry(
    photo: Path, mask: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = run("reconstruct", photo, "--mask", mask, "--model", model, "--out", out, "--case", "7", *POINTS)
    assert made.exit_code == 0, made.output
    assert f"{out / photo.stem}.png  1 face filled" in made.stdout
    assert "It is a guess" in made.stderr
    again = run("reconstruct", photo, "--mask", mask, "--model", model, "--out", out, "--case", "7", *POINTS)
    assert "there already" in again.stdout
    picture = out / f"{photo.stem}.png"
    known = run("verify", picture, "--original", photo, "--mask", mask, "--model", model)
    assert known.exit_code == 0, known.output
    assert "run again: the same pixels" in known.stdout
    assert run("verify", picture).exit_code == 2
    assert "its model is the file tiny.onnx" in run("verify", picture, "--original", photo, "--mask", mask).stdout
    pixels = read_rgb(picture)
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(tmp_path / "changed.png")
    changed = run("verify", tmp_path / "changed.png")
    assert changed.exit_code == 1
    assert "holds no record" in changed.output


@pytest.fixture
def restoring(restoration_model: Model, tmp_path: Path) -> Path:
    """The small network that restores, as a file."""
    path = tmp_path / "small.onnx"
    path.write_bytes(restoration_model.content)
    return path


def test_a_photo_is_restored_and_verified_by_a_file_without_any_registry(
    photo: Path, restoring: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked = (photo, "--model", restoring, "--out", out, "--reason", "asked", "--upscale", "2", *POINTS)
    made = run("restore", *asked)
    assert made.exit_code == 0, made.output
    assert f"{out / photo.stem}.png  1 face restored" in made.stdout
    assert "Restored: " in made.stderr
    assert "there already" in run("restore", *asked).stdout
    with Image.open(out / f"{photo.stem}.png") as picture:
        assert picture.size == (512, 512)
    known = run("verify", out / f"{photo.stem}.png", "--original", photo, "--model", restoring)
    assert known.exit_code == 0, known.output
    assert "run again: the same pixels" in known.stdout


def test_a_photo_is_filled_and_then_restored_by_one_command(
    photo: Path, mask: Path, model: Path, restoring: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked = (photo, "--mask", mask, "--model", model, "--restore", restoring, "--out", out, *POINTS)
    made = run("reconstruct", *asked)
    assert made.exit_code == 0, made.output
    assert f"{out / photo.stem}.png  1 face filled and restored" in made.stdout
    assert "Reconstructed and restored: " in made.stderr
    assert "there already" in run("reconstruct", *asked).stdout
    look = ("verify", out / f"{photo.stem}.png", "--original", photo, "--mask", mask)
    known = run(*look, "--model", restoring, "--model", model)
    assert known.exit_code == 0, known.output
    assert "run again: the same pixels" in known.stdout
    one = run(*look, "--model", model)
    assert one.exit_code == 2
    assert "its model is the file small.onnx" in one.stdout
    Path(tmp_path / "other.onnx").write_bytes(model.read_bytes()[:-1])
    other = run(*look, "--model", restoring, "--model", tmp_path / "other.onnx")
    assert other.exit_code == 2
    assert "other.onnx is another model file than the record names" in other.stdout


def test_a_result_is_verified_by_its_own_record_whatever_its_name_looks_like(
    photo: Path, restoring: Path, tmp_path: Path
) -> None:
    out, alike = tmp_path / "out", tmp_path / f"{photo.stem}.landmarks.jpg"
    Image.fromarray(read_rgb(photo)[:, ::-1]).save(alike)
    made = run("restore", photo, alike, "--model", restoring, "--out", out)
    assert made.exit_code == 0, made.output
    known = run("verify", out / f"{photo.stem}.landmarks.png", "--original", alike, "--model", restoring)
    assert known.exit_code == 0, known.output
    assert f"{photo.stem}.landmarks.png: no byte was changed" in known.stdout


@pytest.fixture
def measuring(measuring_model: Model, tmp_path: Path) -> Path:
    """The small network that measures, as a file."""
    path = tmp_path / "mean.onnx"
    path.write_bytes(measuring_model.content)
    return path


def test_faces_are_measured_and_verified_by_a_file_without_any_registry(
    photo: Path, measuring: Path, tmp_path: Path
) -> None:
    out, folder = tmp_path / "out", tmp_path / "in"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(photo.read_bytes())
    (folder / "text.jpg").write_text("no picture")
    Image.new("RGB", (80, 80), (90, 90, 90)).save(folder / "nobody.png")
    made = run("landmarks", folder, "--model", measuring, "--out", out, "--case", "7")
    assert made.exit_code == 1
    assert made.stdout == f"{out / 'one.landmarks.png'}  1 face measured\n"
    errors = [line for line in made.stderr.splitlines() if line.startswith("Error: ")]
    assert [("nobody.png" in line, "text.jpg" in line) for line in errors] == [(True, False), (False, True)]
    assert "Measured: " in made.stderr
    again = run("landmarks", folder / "one.jpg", "--model", measuring, "--out", out, "--case", "7")
    assert (again.exit_code, "there already" in again.stdout) == (0, True)
    known = run("verify", out / "one.face1.obj", "--original", folder / "one.jpg", "--model", measuring)
    assert known.exit_code == 0, known.output
    assert "run again: the same points and depth, the same overlay" in known.stdout
    assert "its model is the file mean.onnx" in run("verify", out / "one.json", "--original", photo).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("restore", "--mask", "x.png"), "--mask: restoration takes no mask"),
        (("restore", "--hide", "nose"), "No such option"),
        (("restore", "--upscale", "5"), "not in the range 1<=x<=4"),
        (("restore", "--model", "tiny.onnx"), "a model of task 'inpainting'; expected one of task 'restoration'"),
        (("restore", "--model", "mean.onnx"), "a model of task 'landmarks'; expected one of task 'restoration'"),
        (("restore", "--model", "mean.onnx"), "`facerecon landmarks` of landmarks"),
        (("landmarks", "--model", "tiny.onnx"), "a model of task 'inpainting'; expected one of task 'landmarks'"),
        (("landmarks", "--mask", "x.png"), "No such option"),
        (
            ("reconstruct", "--hide", "nose", "--model", "small.onnx"),
            "a model of task 'restoration'; expected one of task 'inpainting'",
        ),
        (
            ("reconstruct", "--hide", "nose", "--model", "tiny.onnx", "--restore", "tiny.onnx"),
            "a model of task 'inpainting'; expected one of task 'restoration'",
        ),
    ],
)
def test_what_is_of_the_other_task_is_one_line(
    arguments: tuple[str, ...],
    said: str,
    photo: Path,
    model: Path,
    restoring: Path,
    measuring: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments
    done = run(command, photo, "--out", "out", *([] if "--model" in rest else ["--model", "small.onnx"]), *rest)
    assert done.exit_code != 0
    assert said in done.output
    assert not list((tmp_path / "out").rglob("*"))


def test_what_cannot_be_used_is_a_line_and_status_1(photo: Path, mask: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    both = (tmp_path / "text.jpg", photo)
    done = run("reconstruct", *both, "--mask", mask, "--model", model, "--out", tmp_path / "out", *POINTS)
    assert done.exit_code == 1
    assert "1 face filled" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "text.jpg" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--points", "1,2", "3", "4,5", "6,7", "8,9"), "'3' is no point; expected x,y in pixels"),
        (("--face", "0"), "'0' is none of: largest, all, or a number from 1"),
        (("--hide", "ear"), "region 'ear' is not known; expected one of glasses"),
        ((), "nothing is to be hidden"),
        (("--hide", "nose", "--model", "nowhere.onnx"), "nowhere.onnx: cannot be read"),
    ],
)
def test_a_wrong_option_is_one_line(
    arguments: tuple[str, ...], said: str, photo: Path, model: Path, tmp_path: Path
) -> None:
    done = run("reconstruct", photo, "--model", model, "--out", tmp_path / "out", *arguments)
    assert done.exit_code != 0
    assert said in done.output
    assert not list((tmp_path / "out").rglob("*"))
