"""CelebAMask-HQ's layout: photos, maps of the parts of the face, and the way back to CelebA's lists."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.corruption.masks import PART_LABELS
from facerecon.data.manifest import SPLITS, Manifest
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.sources import Photo, SourceContext
from facerecon.data.sources.celeba_hq import celeba_hq, parts
from facerecon.errors import FaceReconError
from facerecon.images import UnreadableImageError

MAPPING = "idx     orig_idx     orig_file\n0           119613      119614.jpg\n2           2           000003.jpg\n"


def write_layout(root: Path, photos: dict[int, Path | None]) -> Path:
    (root / "CelebA-HQ-img").mkdir(parents=True)
    for number, photo in photos.items():
        target = root / "CelebA-HQ-img" / f"{number}.jpg"
        if photo is None:
            target.touch()
        else:
            shutil.copy(photo, target)
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text(MAPPING)
    return root


def write_part(root: Path, number: int, name: str, box: tuple[int, int, int, int], size: int = 512) -> None:
    """A map as CelebAMask-HQ has it: white where the part is; ``box`` is left, top, right, bottom."""
    folder = root / "CelebAMask-HQ-mask-anno" / str(number // 2000)
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (size, size))
    image.paste((255, 255, 255), box)
    image.save(folder / f"{number:05d}_{name}.png")


def write_lists(root: Path) -> None:
    (root / "identity_CelebA.txt").write_text("119614.jpg 14\n000003.jpg 2880\n")
    (root / "list_eval_partition.txt").write_text("119614.jpg 0\n000003.jpg 2\n")


@pytest.mark.parametrize("top", [".", "CelebAMask-HQ"])
def test_people_and_partition_come_from_celeba(tmp_path: Path, context: SourceContext, top: str) -> None:
    write_layout(tmp_path / top, {0: None, 2: None, 7: None})
    write_lists(tmp_path)
    start = "" if top == "." else "CelebAMask-HQ/"
    assert list(celeba_hq(tmp_path, context)) == [
        Photo(f"{start}CelebA-HQ-img/0.jpg", "celeba-14", ("train",)),
        Photo(f"{start}CelebA-HQ-img/2.jpg", "celeba-2880", ("test",)),
        Photo(f"{start}CelebA-HQ-img/7.jpg", refused=Refusal(Code.NOT_LISTED, "CelebA's lists do not say who it is")),
    ]


@pytest.mark.parametrize(
    "missing", ["identity_CelebA.txt", "list_eval_partition.txt", "CelebA-HQ-to-CelebA-mapping.txt"]
)
def test_without_celebas_lists_nobody_is_known_and_it_says_so(
    tmp_path: Path, context: SourceContext, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_layout(tmp_path, {0: None})
    write_lists(tmp_path)
    (tmp_path / missing).unlink()
    assert list(celeba_hq(tmp_path, context)) == [Photo("CelebA-HQ-img/0.jpg", None, SPLITS)]
    assert "nobody is known" in caplog.text


def test_a_folder_without_its_images_is_an_error(tmp_path: Path, context: SourceContext) -> None:
    with pytest.raises(FaceReconError, match=r"no folder CelebA-HQ-img there: give the folder of CelebAMask-HQ"):
        list(celeba_hq(tmp_path, context))


class TestParts:
    def test_each_part_has_its_label_and_the_later_one_lies_on_top(self, tmp_path: Path) -> None:
        write_layout(tmp_path, {2001: None})
        write_part(tmp_path, 2001, "skin", (100, 100, 400, 400))
        write_part(tmp_path, 2001, "nose", (200, 200, 300, 300))
        write_part(tmp_path, 2001, "cloth", (0, 500, 512, 512))
        labels = parts(tmp_path, "CelebA-HQ-img/2001.jpg")
        assert labels is not None
        assert labels.shape == (512, 512)
        assert labels.dtype == np.uint8
        assert [labels[at] for at in ((0, 0), (150, 150), (250, 250), (505, 9))] == [0, 1, 2, 18]
        assert [PART_LABELS[label - 1] for label in (1, 2, 18)] == ["skin", "nose", "cloth"]

    def test_a_photo_without_maps_has_none(self, tmp_path: Path) -> None:
        write_layout(tmp_path, {3: None})
        assert parts(tmp_path, "CelebA-HQ-img/3.jpg") is None

    @pytest.mark.parametrize("kind", ["broken", "of another size"])
    def test_a_map_that_cannot_be_used_gives_a_reason(self, tmp_path: Path, kind: str) -> None:
        write_layout(tmp_path, {0: None})
        write_part(tmp_path, 0, "skin", (0, 0, 9, 9))
        write_part(tmp_path, 0, "hair", (0, 0, 9, 9), size=256)
        if kind == "broken":
            (tmp_path / "CelebAMask-HQ-mask-anno/0/00000_hair.png").write_text("text")
        with pytest.raises(UnreadableImageError, match=r"cannot be decoded|hair: a map of 256x256 pixels among others"):
            parts(tmp_path, "CelebA-HQ-img/0.jpg")


def test_parts_come_with_the_aligned_face(
    tmp_path: Path,
    photographs: list[Path],
    ingested: Callable[..., Manifest],
    cut_out: Callable[[Manifest], Manifest],
    reasons: Callable[[Manifest], dict[str, str]],
) -> None:
    write_layout(tmp_path, {0: photographs[0], 1: photographs[2], 2: photographs[4]})
    write_part(tmp_path, 0, "hair", (0, 0, 512, 180))  # maps have twice the photo's resolution
    write_part(tmp_path, 2, "hair", (0, 0, 512, 180))
    (tmp_path / "CelebAMask-HQ-mask-anno/0/00002_nose.png").write_text("text")
    manifest = cut_out(ingested("celeba_hq"))
    assert list(reasons(manifest)) == ["CelebA-HQ-img/2.jpg"]
    assert reasons(manifest)["CelebA-HQ-img/2.jpg"].startswith("parts of the face: cannot be decoded")
    with_parts, without = manifest.faces.sort_values("uri")["face"]
    labels = manifest.aligned_faces.parts(with_parts)
    assert labels is not None
    hair = PART_LABELS.index("hair") + 1
    assert set(np.unique(labels)) == {0, hair}
    assert (labels[:8] == hair).mean() > 0.8, "above the face"
    assert not labels[40:].any(), "below the eyes"
    none = manifest.aligned_faces.parts(without)
    assert none is None or not none.any()


def test_numbers_are_compared_as_numbers(tmp_path: Path, context: SourceContext) -> None:
    write_layout(tmp_path, {})
    write_lists(tmp_path)
    for name in ("00000.jpg", "00002.jpg"):
        (tmp_path / "CelebA-HQ-img" / name).touch()
    write_part(tmp_path, 2, "skin", (0, 0, 9, 9))
    photos = [photo for photo in celeba_hq(tmp_path, context) if isinstance(photo, Photo)]
    assert [photo.identity for photo in photos] == ["celeba-14", "celeba-2880"]
    found = parts(tmp_path, photos[1].uri)
    assert found is not None
    assert found.any()
