"""Photos that are aligned crops of a named template are kept whole; other ones are an error in one line."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.geometry import cut, face_square
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.data.templates import TEMPLATES, misfit
from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.perception.landmarks import FaceLandmarker, Points, five_points, sixty_eight
from facerecon.perception.mtcnn import Mtcnn

Maker = Callable[[NDArray[np.uint8], Points, int], NDArray[np.uint8]]


def arcface(image: NDArray[np.uint8], points: Points, size: int) -> NDArray[np.uint8]:
    target = np.array(TEMPLATES["arcface"].points, np.float32) * size
    matrix, _ = cv2.estimateAffinePartial2D(five_points(points)[:, :2].astype(np.float32), target)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_AREA)


def ffhq(image: NDArray[np.uint8], points: Points, size: int) -> NDArray[np.uint8]:
    return cut(image, face_square(sixty_eight(points)), size)[0]


def facenet(image: NDArray[np.uint8], points: Points, size: int) -> NDArray[np.uint8]:
    left, top, right, bottom = (max(0, int(value)) for value in Mtcnn(threads=1).detect(image, 60).boxes[0])
    return cv2.resize(image[top:bottom, left:right], (size, size), interpolation=cv2.INTER_AREA)


MAKERS: dict[str, tuple[Maker, int]] = {"arcface": (arcface, 112), "ffhq": (ffhq, 128), "facenet": (facenet, 160)}


@pytest.fixture(scope="module")
def found(sample_faces: Path, landmark_model: Path) -> list[tuple[NDArray[np.uint8], Points]]:
    """Six drawn photographs with the points of the face in each."""
    paths = (sorted(sample_faces.rglob("*.png")) + sorted(sample_faces.rglob("*.jpg")))[:6]
    with FaceLandmarker(landmark_model) as detector:
        images = [read_rgb(path) for path in paths]
        return [(image, detector.detect(image)[0][0]) for image in images]


def write(root: Path, found: list[tuple[NDArray[np.uint8], Points]], make: Maker, size: int, start: int = 0) -> None:
    for number, (image, points) in enumerate(found, start):
        (root / f"p{number}").mkdir(parents=True)
        cv2.imwrite(str(root / f"p{number}" / "1.png"), make(image, points, size)[..., ::-1])


@pytest.fixture
def cut_out(tmp_path: Path, landmark_model: Path) -> Callable[..., Manifest]:
    def run(**options: object) -> Manifest:
        photos = ingest(DataSettings(path=str(tmp_path / "crops"), **options), tmp_path, tmp_path / "frames")
        return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path / "store")

    return run


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_crops_are_kept_whole(
    name: str, found: list[tuple[NDArray[np.uint8], Points]], tmp_path: Path, cut_out: Callable[..., Manifest]
) -> None:
    make, size = MAKERS[name]
    write(tmp_path / "crops", found, make, size)
    manifest = cut_out(aligned=name)
    assert len(manifest.faces) == len(found), manifest.quarantine["reason"].tolist()
    assert set(manifest.faces["quad"]) == {float(size)}
    for face, uri in zip(manifest.faces["face"], manifest.faces["uri"], strict=True):
        whole = cv2.resize(read_rgb(tmp_path / "crops" / uri), (64, 64), interpolation=cv2.INTER_AREA)
        crop = manifest.aligned_faces.crop(face)
        assert np.abs(crop.astype(int) - whole).mean() < 4
        eyes = manifest.aligned_faces.points(face).five[:2] / 64
        assert np.abs(eyes - np.array(TEMPLATES[name].points[:2])).max() < 0.15


def test_another_template_is_named(
    found: list[tuple[NDArray[np.uint8], Points]], tmp_path: Path, cut_out: Callable[..., Manifest]
) -> None:
    write(tmp_path / "crops", found, arcface, 112)
    with pytest.raises(FaceReconError, match=r"^data\.aligned: the eyes lie at .* by 'ffhq' .* look like 'arcface'"):
        cut_out(aligned="ffhq")


def test_mixed_sizes_are_an_error(
    found: list[tuple[NDArray[np.uint8], Points]], tmp_path: Path, cut_out: Callable[..., Manifest]
) -> None:
    write(tmp_path / "crops", found[:3], ffhq, 128)
    write(tmp_path / "crops", found[3:], ffhq, 100, start=3)
    with pytest.raises(FaceReconError, match=r"^data\.aligned: crops of 100, 128 px .* a source of its own"):
        cut_out(aligned="ffhq")


def test_what_is_no_square_or_too_small_is_quarantined(
    found: list[tuple[NDArray[np.uint8], Points]], tmp_path: Path, cut_out: Callable[..., Manifest]
) -> None:
    write(tmp_path / "crops", found[:3], ffhq, 128)
    for name, shape in (("wide", (100, 128, 3)), ("small", (32, 32, 3))):
        (tmp_path / "crops" / name).mkdir()
        cv2.imwrite(str(tmp_path / "crops" / name / "1.png"), np.full(shape, 9, np.uint8))
    manifest = cut_out(aligned="ffhq")
    codes = dict(zip(manifest.quarantine["uri"], manifest.quarantine["code"], strict=True))
    assert codes == {"wide/1.png": "not_aligned", "small/1.png": "too_small"}
    assert len(manifest.faces) == 3


def test_crops_and_whole_photos_have_stores_of_their_own(
    found: list[tuple[NDArray[np.uint8], Points]], tmp_path: Path, cut_out: Callable[..., Manifest]
) -> None:
    write(tmp_path / "crops", found, ffhq, 160)
    whole, cut_again = cut_out(aligned="ffhq"), cut_out()
    assert whole.store != cut_again.store
    assert not set(whole.faces["crop_sha256"]) & set(cut_again.faces["crop_sha256"])


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_template_fits_itself_alone(name: str) -> None:
    five = np.array([TEMPLATES[name].points], np.float32)
    assert [other for other in sorted(TEMPLATES) if not misfit(other, five)] == [name]
    assert "no template fits" in misfit(name, five + 0.3)
