"""CelebA's layout: aligned photos in a folder or a zip, lists of people, of the partition and of the eyes."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from facerecon.data.manifest import Manifest
from facerecon.data.sources import Photo, SourceContext
from facerecon.data.sources.celeba import celeba
from facerecon.errors import FaceReconError

NAMES = [f"{number:06d}.jpg" for number in range(1, 6)]


def write_lists(root: Path, own_folders: bool = False) -> None:
    """CelebA's lists of five photos of three people, two in training, one in validation, two in test."""
    anno, evaluation = (root / "Anno", root / "Eval") if own_folders else (root, root)
    anno.mkdir(exist_ok=True)
    evaluation.mkdir(exist_ok=True)
    people, parts = ("2880", "2880", "14", "8", "8"), "00122"
    (anno / "identity_CelebA.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(NAMES, people, strict=True)))
    rows = "".join(f"{n} {p}\n" for n, p in zip(NAMES, parts, strict=True))
    (evaluation / "list_eval_partition.txt").write_text(rows)


def write_eyes(root: Path, name: str = "list_landmarks_align_celeba.txt") -> None:
    points = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    heading = " ".join(f"{point}_{axis}" for point in points for axis in "xy")
    rows = "".join(f"{photo}    69  109  106  113   77  142   73  152  108  154\n" for photo in NAMES)
    (root / name).write_text(f"{len(NAMES)}\n{heading}\n{rows}")


def test_people_and_the_official_partition(tmp_path: Path, context: SourceContext) -> None:
    write_lists(tmp_path)
    (tmp_path / "img_align_celeba").mkdir()
    assert list(celeba(tmp_path, context)) == [
        Photo("img_align_celeba/000001.jpg", "celeba-2880", ("train",)),
        Photo("img_align_celeba/000002.jpg", "celeba-2880", ("train",)),
        Photo("img_align_celeba/000003.jpg", "celeba-14", ("val", "gate")),
        Photo("img_align_celeba/000004.jpg", "celeba-8", ("test",)),
        Photo("img_align_celeba/000005.jpg", "celeba-8", ("test",)),
    ]


def test_celebas_own_folders(tmp_path: Path, context: SourceContext) -> None:
    write_lists(tmp_path, own_folders=True)
    write_eyes(tmp_path / "Anno")
    (tmp_path / "Img" / "img_align_celeba").mkdir(parents=True)
    first = next(celeba(tmp_path, context))
    assert first == Photo("Img/img_align_celeba/000001.jpg", "celeba-2880", ("train",), anchor=(87.5, 111.0))


def test_eyes_of_the_photos_before_they_were_aligned_are_not_used(tmp_path: Path, context: SourceContext) -> None:
    write_lists(tmp_path)
    write_eyes(tmp_path, "list_landmarks_celeba.txt")
    (tmp_path / "img_align_celeba").mkdir()
    assert next(celeba(tmp_path, context)).anchor is None


@pytest.mark.parametrize("inside", ["img_align_celeba/", ""])
@pytest.mark.parametrize("place", [".", "Img"])
def test_the_zip_is_read_in_place(
    tmp_path: Path,
    photographs: list[Path],
    ingested: Callable[..., Manifest],
    cut_out: Callable[[Manifest], Manifest],
    reasons: Callable[[Manifest], dict[str, str]],
    inside: str,
    place: str,
) -> None:
    write_lists(tmp_path, own_folders=place == "Img")
    (tmp_path / place).mkdir(exist_ok=True)
    with zipfile.ZipFile(tmp_path / place / "img_align_celeba.zip", "w") as archive:
        for name, path in zip(NAMES[:4], photographs, strict=False):  # the fifth is listed and not there
            Image.open(path).save(tmp_path / "photo.jpg", quality=95)
            archive.write(tmp_path / "photo.jpg", f"{inside}{name}")
    (tmp_path / "photo.jpg").unlink()
    before = sorted(tmp_path.rglob("*"))
    photos = ingested("celeba")
    start = "" if place == "." else "Img/"
    fifth = f"{start}img_align_celeba.zip!/{inside}000005.jpg"
    assert list(reasons(photos)) == [fifth]
    assert reasons(photos)[fifth].startswith("cannot be read from its archive")
    faces = cut_out(photos).faces
    assert faces["identity"].tolist() == ["celeba-2880", "celeba-2880", "celeba-14", "celeba-8"]
    assert faces["split"].tolist()[:2] == ["train", "train"]
    assert faces["split"].tolist()[2] in ("val", "gate")
    assert faces["split"].tolist()[3] == "test"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_truncated_zip_is_an_error(tmp_path: Path, context: SourceContext) -> None:
    write_lists(tmp_path)
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
        archive.writestr("img_align_celeba/000001.jpg", b"x" * 1000)
    (tmp_path / "img_align_celeba.zip").write_bytes((tmp_path / "img_align_celeba.zip").read_bytes()[:600])
    with pytest.raises(FaceReconError, match=r"img_align_celeba\.zip: no zip archive, or a truncated one.*download"):
        list(celeba(tmp_path, context))


@pytest.mark.parametrize("missing", ["identity_CelebA.txt", "list_eval_partition.txt"])
def test_a_missing_list_is_an_error(tmp_path: Path, context: SourceContext, missing: str) -> None:
    write_lists(tmp_path)
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / missing).unlink()
    with pytest.raises(FaceReconError, match="are not both there"):
        list(celeba(tmp_path, context))


def test_missing_photos_are_an_error(tmp_path: Path, context: SourceContext) -> None:
    write_lists(tmp_path)
    with pytest.raises(FaceReconError, match=r"neither img_align_celeba nor img_align_celeba\.zip there"):
        list(celeba(tmp_path, context))


@pytest.mark.parametrize(
    ("name", "row", "problem"),
    [
        ("list_eval_partition.txt", "000001.jpg 3", "in the partition '3', not in 0, 1 or 2"),
        ("list_eval_partition.txt", "000001.jpg", "no line is a photo and 1 values"),
        ("list_eval_partition.txt", "../../secret.jpg 0", "line 1: not a photo"),
        ("identity_CelebA.txt", "<html> <head> <title>", "no line is a photo"),
        ("identity_CelebA.txt", "000009.jpg 5", "does not name 000001.jpg"),
        ("list_landmarks_align_celeba.txt", "5\nlefteye_x\n000001.jpg 1 2 3", "no line is a photo and 10 values"),
        ("list_landmarks_align_celeba.txt", "5\nx\n000001.jpg a b c d e f g h i j", "000001.jpg are no numbers"),
    ],
)
def test_a_list_in_another_format_is_an_error_that_says_where(
    tmp_path: Path, context: SourceContext, name: str, row: str, problem: str
) -> None:
    write_lists(tmp_path)
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / name).write_text(f"{row}\n")
    with pytest.raises(FaceReconError, match=problem) as caught:
        list(celeba(tmp_path, context))
    assert name in caught.value.message


@pytest.mark.parametrize("start", ["\ufeff", "image_id,value\n", "3\n", ""])
@pytest.mark.parametrize(("suffix", "between"), [(".txt", " "), (".csv", ",")])
@pytest.mark.parametrize("padded", [True, False])
def test_lists_come_with_marks_headers_commas_and_numbers_of_any_width(
    tmp_path: Path, context: SourceContext, start: str, suffix: str, between: str, padded: bool
) -> None:
    (tmp_path / "img_align_celeba").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "img_align_celeba" / f"{number:06d}.jpg").touch()
    for name, values in (("identity_CelebA", "778"), ("list_eval_partition", "012")):
        rows = (f"{number:06d}.jpg{between}{values[number - 1]}\n" for number in (1, 2, 3))
        text = "".join(rows) if padded else "".join(row.lstrip("0") for row in rows)
        (tmp_path / f"{name}{suffix}").write_text(start + text, encoding="utf-8")
    photos = list(celeba(tmp_path, context))
    assert [(photo.uri, photo.identity, photo.splits[0]) for photo in photos] == [
        ("img_align_celeba/000001.jpg", "celeba-7", "train"),
        ("img_align_celeba/000002.jpg", "celeba-7", "val"),
        ("img_align_celeba/000003.jpg", "celeba-8", "test"),
    ]


def test_a_photo_on_no_list_is_quarantined(
    tmp_path: Path, ingested: Callable[..., Manifest], codes: Callable[[Manifest], dict[str, str]]
) -> None:
    for name in ("identity_CelebA", "list_eval_partition"):
        (tmp_path / f"{name}.txt").write_text("000001.jpg 1\n")
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as packed:
        for shade, number in enumerate((1, 2)):
            stream = io.BytesIO()
            Image.new("RGB", (8, 8), (shade, 0, 0)).save(stream, "PNG")
            packed.writestr(f"img_align_celeba/00000{number}.jpg", stream.getvalue())
    assert codes(ingested("celeba")) == {"img_align_celeba.zip!/img_align_celeba/000002.jpg": "not_listed"}
