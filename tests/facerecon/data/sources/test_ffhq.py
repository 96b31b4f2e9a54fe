"""FFHQ's layout: the list with licences and landmarks, images in folders of a thousand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facerecon.data.manifest import Manifest
from facerecon.data.sources import SourceContext
from facerecon.data.sources.ffhq import ffhq
from facerecon.errors import FaceReconError

PAGE = "https://www.flickr.com/photos/someone"


def entry(number: int, category: str = "training", page: str | None = None, eye: float = 500.0) -> dict[str, Any]:
    """What the list says about a photo, whose eyes lie around (``eye``, 480) of 1024."""
    points = [[eye + (-90 if 36 <= index < 42 else 90), 480.0] for index in range(68)]
    name = f"{number // 1000 * 1000:05d}/{number:05d}.png"
    return {
        "category": category,
        "metadata": {
            "photo_url": f"{PAGE}/{900 + number}/" if page is None else page,
            "photo_title": "DSCF0899.JPG",
            "author": "Someone",
            "country": "",
            "license": "Attribution-NonCommercial License" if number % 2 else "Public Domain Mark",
            "license_url": "https://creativecommons.org/licenses/by-nc/2.0/",
            "date_uploaded": "2007-08-16",
            "date_crawled": "2018-10-10",
        },
        "image": {
            "file_path": f"../../images1024x1024/{name}",
            "file_size": 1488194,
            "file_md5": "0" * 32,
            "pixel_size": [1024, 1024],
            "face_landmarks": points,
        },
        "thumbnail": {"file_path": f"thumbnails128x128/{name}", "pixel_size": [128, 128]},
        "in_the_wild": {"file_path": f"in-the-wild-images/{name}", "face_landmarks": [[0.0, 0.0]] * 68},
    }


def write_list(root: Path, entries: dict[int, dict[str, Any]]) -> None:
    (root / "ffhq-dataset-v2.json").write_text(json.dumps({str(number): each for number, each in entries.items()}))


def test_licence_category_and_point_between_the_eyes(tmp_path: Path, context: SourceContext) -> None:
    (tmp_path / "images1024x1024").mkdir()
    write_list(tmp_path, {7: entry(7), 60001: entry(60001, "validation", eye=600.0)})
    train, held_out = ffhq(tmp_path, context)
    assert (train.uri, held_out.uri) == ("images1024x1024/00000/00007.png", "images1024x1024/60000/60001.png")
    assert (train.splits, held_out.splits) == (("train",), ("val", "gate", "test"))
    assert train.licence == "Attribution-NonCommercial License"
    assert train.anchor == (500.0, 480.0)
    assert held_out.anchor == (600.0, 480.0)


def test_thumbnails_have_points_of_their_own_scale_and_give_way_to_the_images(
    tmp_path: Path, context: SourceContext
) -> None:
    (tmp_path / "thumbnails128x128").mkdir()
    write_list(tmp_path, {7: entry(7)})
    [photo] = ffhq(tmp_path, context)
    assert photo.uri == "thumbnails128x128/00000/00007.png"
    assert photo.anchor == (62.5, 60.0)
    (tmp_path / "images1024x1024").mkdir()
    assert next(ffhq(tmp_path, context)).uri == "images1024x1024/00000/00007.png"


@pytest.mark.parametrize(("folder", "side", "suffix"), [("images1024x1024", 512, "png"), ("images256x256", 256, "jpg")])
def test_images_of_any_size_have_points_of_their_scale(
    tmp_path: Path, context: SourceContext, folder: str, side: int, suffix: str
) -> None:
    write_list(tmp_path, {7: entry(7)})
    (tmp_path / folder).mkdir()
    Image.new("RGB", (side, side)).save(tmp_path / folder / f"00007.{suffix}")
    [photo] = ffhq(tmp_path, context)
    assert photo.uri == f"{folder}/00007.{suffix}"
    assert photo.anchor == (500.0 * side / 1024, 480.0 * side / 1024)


def test_faces_of_one_photograph_share_an_identity_but_for_the_official_category(
    tmp_path: Path, context: SourceContext
) -> None:
    (tmp_path / "images1024x1024").mkdir()
    one = f"{PAGE}/123/"
    listed = [entry(0, page=one), entry(1, page=one), entry(2), entry(3, "validation", page=one), entry(4, page="")]
    write_list(tmp_path, dict(enumerate(listed)))
    first, second, other, held_out, unknown = (photo.identity for photo in ffhq(tmp_path, context))
    assert first == second
    assert len({first, other, held_out}) == 3
    assert unknown is None


def test_from_the_layout_to_aligned_faces(
    tmp_path: Path,
    photographs: list[Path],
    ingested: Callable[..., Manifest],
    cut_out: Callable[[Manifest], Manifest],
    reasons: Callable[[Manifest], dict[str, str]],
) -> None:
    # two drawn faces side by side, of which the list means the right one
    (tmp_path / "images1024x1024/00000").mkdir(parents=True)
    Image.open(photographs[0]).resize((1024, 1024)).save(tmp_path / "images1024x1024/00000/00000.png")
    left, right = (Image.open(path).resize((512, 512)) for path in photographs[2:5:2])
    both = Image.new("RGB", (1024, 512))
    both.paste(left, (0, 0))
    both.paste(right, (512, 0))
    both.save(tmp_path / "images1024x1024/00000/00001.png")
    absent = entry(2)
    alone = entry(0)
    alone["image"]["face_landmarks"] = [[512.0, 472.0]] * 68
    meant = entry(1, "validation")
    meant["image"]["face_landmarks"] = [[768.0, 236.0]] * 68
    write_list(tmp_path, {0: alone, 1: meant, 2: absent})
    photos = ingested("ffhq")
    assert reasons(photos) == {"images1024x1024/00000/00002.png": "cannot be read: No such file or directory"}
    faces = cut_out(photos).faces
    assert faces["licence"].tolist() == ["Public Domain Mark", "Attribution-NonCommercial License"]
    assert faces["split"].tolist()[0] == "train"
    assert faces["split"].tolist()[1] in ("val", "gate", "test")
    assert (faces["box_x"][1] + faces["box_width"][1] / 2) == pytest.approx(768, abs=80)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"0": {}}', '{"0": 1}', "[" * 100_000, '{"x": {"category": "training"}}', "\xff\xfe"],
    ids=["empty", "cut", "list", "no fields", "number", "deep", "no number", "not text"],
)
def test_another_list_is_an_error(tmp_path: Path, context: SourceContext, text: str) -> None:
    (tmp_path / "images1024x1024").mkdir()
    (tmp_path / "ffhq-dataset-v2.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FaceReconError, match=r"ffhq-dataset-v2.json is not FFHQ's list \(.*\): download it again"):
        list(ffhq(tmp_path, context))


def test_a_photo_in_no_known_category_is_an_error(tmp_path: Path, context: SourceContext) -> None:
    (tmp_path / "images1024x1024").mkdir()
    write_list(tmp_path, {0: entry(0, "other")})
    with pytest.raises(FaceReconError, match="is not FFHQ's list"):
        list(ffhq(tmp_path, context))


def test_a_list_without_images_is_an_error(tmp_path: Path, context: SourceContext) -> None:
    write_list(tmp_path, {0: entry(0)})
    with pytest.raises(FaceReconError, match="no folder images1024x1024, of whatever size, there"):
        list(ffhq(tmp_path, context))
