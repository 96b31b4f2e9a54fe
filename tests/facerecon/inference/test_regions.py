"""A region that is named lies where the face is, and covers what people wear there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facerecon.data.geometry import face_square
from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.inference.regions import REGIONS, hide_region
from facerecon.inference.stage import make_stage
from facerecon.perception.landmarks import FaceLandmarker, Points, sixty_eight
from facerecon.synthetic.accessories import ACCESSORIES, paste

SIZE = (256, 256)


@pytest.fixture(scope="module")
def detector(landmark_model: Path) -> Iterator[FaceLandmarker]:
    """The landmarker."""
    with FaceLandmarker(landmark_model) as detector:
        yield detector


def found(image: np.ndarray, detector: FaceLandmarker) -> Points:
    """The 68 points of the face in an image."""
    faces = [sixty_eight(points)[:, :2] for points, _ in detector.detect(image)]
    return max(faces, key=lambda points: face_square(points).side)


@pytest.fixture(scope="module")
def points(photo: Path, detector: FaceLandmarker) -> Points:
    """Those of the drawn photograph."""
    return found(read_rgb(photo), detector)


def inside(region: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which of the places [K, 2] lie in a region."""
    rows, columns = places[:, 1].astype(int), places[:, 0].astype(int)
    return region[rows, columns]


@pytest.mark.parametrize(
    ("name", "hidden", "shown"),
    [
        ("glasses", slice(36, 48), slice(48, 68)),
        ("eyes", slice(36, 48), slice(27, 36)),
        ("nose", slice(27, 36), slice(36, 48)),
        ("mouth", slice(48, 68), slice(36, 48)),
        ("lower-face", slice(48, 68), slice(36, 48)),
        ("upper-face", slice(17, 27), slice(48, 68)),
        ("forehead", slice(0, 0), slice(36, 68)),
        ("left-half", slice(36, 42), slice(42, 48)),
        ("right-half", slice(42, 48), slice(36, 42)),
        ("face", slice(17, 68), slice(0, 0)),
    ],
)
def test_a_region_hides_its_part_and_not_others(name: str, hidden: slice, shown: slice, points: Points) -> None:
    region = hide_region(name, points, SIZE, dilation=0)
    assert inside(region, points[hidden]).all()
    assert not inside(region, points[shown]).any()
    assert 0.002 < region.mean() < 0.5


def test_halves_are_the_images_and_make_up_the_face(points: Points) -> None:
    left, right, face = (hide_region(name, points, SIZE, dilation=0) for name in ("left-half", "right-half", "face"))
    assert np.nonzero(left)[1].mean() < np.nonzero(right)[1].mean()
    assert ((left | right) ^ face).sum() < 0.03 * face.sum()
    assert (left & right).sum() < 0.03 * face.sum()


@pytest.mark.parametrize("name", REGIONS)
def test_dilation_adds_and_takes_nothing_away(name: str, points: Points) -> None:
    small, large = (hide_region(name, points, SIZE, dilation) for dilation in (0, 0.2))
    assert not (small & ~large).any()
    assert large.sum() > small.sum()


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("shift", [(-200, 0), (0, 230), (-30_000, 90_000)])
def test_a_face_partly_or_wholly_outside_hides_what_is_inside(
    name: str, shift: tuple[int, int], points: Points
) -> None:
    region = hide_region(name, points + np.array(shift, np.float32), SIZE)
    whole = hide_region(name, points + np.array([400, 400], np.float32), (1056, 1056))
    top, left = 400 - shift[1], 400 - shift[0]
    expected = np.zeros(SIZE, bool)
    if top < 900 and -900 < left < 900:
        expected = np.pad(whole, 1000)[1000 + top : 1256 + top, 1000 + left : 1256 + left]
    assert (region ^ expected).mean() < 0.002


def test_an_unknown_region_is_one_line() -> None:
    with pytest.raises(FaceReconError, match=r"region 'ear' is not known; expected one of glasses, eyes"):
        make_stage("hide", {"regions": ["ear"]})


def test_what_people_wear_is_covered(sample_faces: Path, detector: FaceLandmarker) -> None:
    for name in ACCESSORIES:
        covered, area = [], []
        for path in sorted(sample_faces.rglob("*.jpg")):
            image = read_rgb(path)
            worn, truth = paste(name, image, found(image, detector))
            try:
                again = found(worn, detector)
            except ValueError:
                continue  # not found with it on
            region = hide_region("glasses" if "glasses" in name else "lower-face", again, image.shape[:2])
            covered.append((region & truth).sum() / truth.sum())
            area.append(region.sum() / truth.sum())
        assert len(covered) >= 8, name
        assert np.mean(covered) >= 0.95, name
        assert np.mean(area) <= 2.5, name
