"""MTCNN without PyTorch finds the same faces as facenet-pytorch with it."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from facerecon.images import read_rgb
from facerecon.perception import mtcnn
from facerecon.perception.mtcnn import Faces, Mtcnn

Image = NDArray[np.uint8]
Reference = Callable[[Image, int], Faces]

ROOT = Path(__file__).parents[3]
FOOTAGE = ROOT.parent / "shared" / "data" / "footage"


@pytest.fixture(scope="module")
def ours() -> Mtcnn:
    return Mtcnn(threads=1)


@pytest.fixture(scope="module")
def reference() -> Reference:
    """facenet-pytorch's ``detect_face``; of equal scores it takes the last, which else depends on the processor."""
    from facenet_pytorch import MTCNN

    module = importlib.import_module("facenet_pytorch.models.utils.detect_face")
    networks = MTCNN(device="cpu")
    numpy = SimpleNamespace(**{**vars(np), "argsort": partial(np.argsort, kind="stable")})

    def detect(image: Image, smallest: int) -> Faces:
        with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
            patch.setattr(module, "np", numpy)
            boxes, points = module.detect_face(
                image,
                smallest,
                *(networks.pnet, networks.rnet, networks.onet),
                *(networks.thresholds, networks.factor, torch.device("cpu")),
            )
        found, places = boxes[0].astype(np.float32), points[0].astype(np.float32)
        order = np.argsort(-found[:, 4], kind="stable")
        return Faces(found[order, :4], places[order], found[order, 4])

    return detect


@pytest.fixture(scope="module")
def drawn(sample_faces: Path) -> list[Image]:
    """Sixteen drawn photographs of 256 px."""
    return [read_rgb(path) for path in sorted(sample_faces.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def crowd(drawn: list[Image]) -> Image:
    """A picture of 720x1080 with 54 faces from 25 to 75 px wide, some of them cut off by its borders."""
    picture = np.full((720, 1080, 3), 118, np.uint8)
    for place in range(54):
        row, column = divmod(place, 9)
        side = 60 + 11 * (place % 6)
        shown = cv2.resize(drawn[place % len(drawn)], (side, side), interpolation=cv2.INTER_AREA)
        top, left = 122 * row - 15, 120 * column - 15
        inside = shown[max(-top, 0) :, max(-left, 0) :]
        part = picture[max(top, 0) :, max(left, 0) :][: inside.shape[0], : inside.shape[1]]
        part[:] = inside[: part.shape[0], : part.shape[1]]
    return picture


def assert_equal(found: Faces, expected: Faces) -> None:
    assert len(found.boxes) == len(expected.boxes)
    for values, others, apart in zip(found, expected, (1e-3, 1e-3, 1e-5), strict=True):
        np.testing.assert_allclose(values, others, atol=apart, rtol=0)


@pytest.mark.parametrize("smallest", [20, 40, 100])
def test_faces_are_those_of_facenet_pytorch(
    ours: Mtcnn, reference: Reference, drawn: list[Image], smallest: int
) -> None:
    for image in drawn[::3]:
        found = ours.detect(image, smallest)
        assert_equal(found, reference(image, smallest))
        assert len(found.boxes) >= 1


def test_many_faces_are_found_surest_first(ours: Mtcnn, reference: Reference, crowd: Image) -> None:
    found = ours.detect(crowd, 20)
    assert len(found.boxes) >= 40
    assert (np.diff(found.confidences) <= 0).all()
    assert_equal(found, reference(crowd, 20))


def test_a_part_of_a_face_that_looks_like_one_is_left_out(
    ours: Mtcnn, reference: Reference, sample_faces: Path
) -> None:
    photo = read_rgb(sample_faces / "person_0003" / "photo_1.jpg")
    large = cv2.resize(photo, (512, 512), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    found = ours.detect(large, 20)
    assert len(found.boxes) == 1
    assert_equal(found, reference(large, 20))


def test_how_many_crops_a_network_takes_at_once_changes_nothing(
    ours: Mtcnn, crowd: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ours.detect(crowd, 40)
    monkeypatch.setattr(mtcnn, "_AT_ONCE", 7)
    assert_equal(ours.detect(crowd, 40), whole)


@pytest.mark.parametrize("smallest", [12, 20])
@pytest.mark.parametrize("name", ["classroom.gif", "head-pose-face-detection-male.gif"])
def test_faces_in_footage_are_those_of_facenet_pytorch(
    ours: Mtcnn, reference: Reference, name: str, smallest: int
) -> None:
    if not FOOTAGE.is_dir():
        pytest.skip("footage is not beside the project (../shared/data/footage)")
    found = 0
    with av.open(str(FOOTAGE / name)) as film:
        for frame in islice(film.decode(video=0), 0, None, 16):
            image = frame.to_ndarray(format="rgb24")
            assert_equal(faces := ours.detect(image, smallest), reference(image, smallest))
            found += len(faces.boxes)
    assert found >= 3


@pytest.mark.parametrize("shape", [(1, 1), (12, 300), (40, 40), (300, 20)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_picture_of_any_shape_shows_no_face(ours: Mtcnn, shape: tuple[int, int], level: int) -> None:
    found = ours.detect(np.full((*shape, 3), level, np.uint8), 20)
    assert [each.shape for each in found] == [(0, 4), (0, 5, 2), (0,)]


def test_a_picture_smaller_than_the_smallest_face_shows_none(ours: Mtcnn, drawn: list[Image]) -> None:
    assert len(ours.detect(drawn[0], 100).boxes) == 1
    assert len(ours.detect(drawn[0], 257).boxes) == 0


@pytest.mark.parametrize(("rows", "columns"), [(24, 24), (48, 48), (7, 91), (200, 13)])
def test_a_window_is_resized_as_pytorch_resizes_areas(rows: int, columns: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype(np.uint8)
    windows = np.array([[0, 0, 70, 90], [3, 5, 64, 6], [69, 89, 70, 90], [10, 0, 40, 33]])
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = [
        F.interpolate(pixels[:, :, top:bottom, left:right], (rows, columns), mode="area")[0]
        for left, top, right, bottom in windows
    ]
    sums = mtcnn._summed(image)
    # in large pictures they are carried over: here by a start near the end of the 32 bits
    for start in (0, 2**32 - 5000):
        found = mtcnn._shrunk(sums + np.uint32(start), windows, rows, columns)
        np.testing.assert_allclose(found * 128 + 127.5, torch.stack(expected), atol=1e-4)


def test_it_needs_no_pytorch(tmp_path: Path, crowd: Image) -> None:
    np.save(tmp_path / "crowd.npy", crowd)
    program = (
        "import sys, numpy; from facerecon.perception.mtcnn import Mtcnn;"
        "print(len(Mtcnn(1).detect(numpy.load(sys.argv[1]), 40).boxes), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "crowd.npy"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    count, loaded = done.stdout.split()
    assert int(count) > 10
    assert loaded == "False"
