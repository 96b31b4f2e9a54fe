"""Faces are measured where they lie, whatever has found them; what is no face is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.geometry import box_of, face_square, turned_square
from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.inference.chain import Chain
from facerecon.inference.frames import DEPTH, POINTS3D, POINTS_CONFIDENCE, SQUARE, Face, Frame
from facerecon.inference.landmarks import Measured
from facerecon.inference.making import Model
from facerecon.inference.stage import Runtime, make_stage
from facerecon.inference.stages.landmarks import measure_faces, square_about
from facerecon.perception.landmarks import FaceLandmarker, sixty_eight

SHAPE = np.random.default_rng(3).uniform(-0.5, 0.5, (68, 3)).astype(np.float32) * [1.0, 1.2, 0.4]
"""A shape whose eyes lie above its mouth."""
SHAPE[36:42, :2], SHAPE[42:48, :2], SHAPE[48:68, :2] = (-0.25, -0.2), (0.25, -0.2), (0.0, 0.3)
SHAPE[:, 2] -= SHAPE[:, 2].mean()


def marked(middle: tuple[float, float], unit: float, angle: float, size: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a red and a green spot where the shape has its eyes, blue below; and its points [68, 3]."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.column_stack([SHAPE[:, :2] @ turn.T * unit + middle, SHAPE[:, 2] * unit])
    rows, columns = np.mgrid[:size, :size] + 0.5
    image = np.zeros((size, size, 3))
    for channel, point in enumerate((points[36], points[42], points[48])):
        apart = (columns - point[0]) ** 2 + (rows - point[1]) ** 2
        image[..., channel] = 255 * np.exp(-apart / (2 * (0.08 * unit) ** 2))
    return image.round().astype(np.uint8), points.astype(np.float32)


def find_marks(images: np.ndarray) -> Measured:
    """The shape of ``marked`` in crops, by its spots; as deep as its place from the left, everywhere sure."""
    size = images.shape[1]
    rows, columns = np.mgrid[:size, :size] + 0.5
    points = []
    for image in images.astype(np.float64):
        light = np.where(image > 8, image, 0)
        left, right, mouth = (
            np.array([(light[..., k] * columns).sum(), (light[..., k] * rows).sum()]) / light[..., k].sum()
            for k in range(3)
        )
        across, down = (right - left) / 0.5, (mouth - (left + right) / 2) / 0.5
        middle = (left + right) / 2 + 0.2 * down
        unit = np.hypot(*across)
        placed = middle + SHAPE[:, :1] * across + SHAPE[:, 1:2] * down
        points.append(np.column_stack([placed, SHAPE[:, 2] * unit]))
    depths = np.broadcast_to(columns - size / 2, (len(images), size, size))
    return Measured(
        np.array(points, np.float32), depths.astype(np.float32), np.full((len(images), 68), 0.9, np.float32)
    )


def at(points: np.ndarray) -> Face:
    """A face whose square is known, as from its five points."""
    return Face(1).told(SQUARE, face_square(points))


@given(
    x=st.floats(150, 250),
    y=st.floats(150, 250),
    unit=st.floats(60, 160),
    angle=st.floats(-3.1, 3.1),
    aside=st.floats(-0.08, 0.08),
    larger=st.floats(0.85, 1.2),
)
def test_points_and_depth_come_back_where_they_lie_in_the_picture(
    x: float, y: float, unit: float, angle: float, aside: float, larger: float
) -> None:
    image, true = marked((x, y), unit, angle)
    square = face_square(true)
    moved = turned_square(square.corners.mean(0) + aside * square.right, larger * square.side, angle + aside)
    (frame,) = measure_faces([Frame(image, faces=(Face(1).told(SQUARE, moved),))], 64, find_marks)
    (face,) = frame.faces
    assert np.abs(face[POINTS3D] - true).max() < 0.02 * unit
    depth = face[DEPTH]
    # wherever the face was said to lie, it is cut out about its own points in the end
    assert np.abs(depth.square.corners - square_about(true).corners).max() < 0.05 * unit
    rows, columns = np.mgrid[:64, :64] + 0.5
    places = depth.square.from_crop(np.column_stack([columns.ravel(), rows.ravel()]), 64)
    along = (places - depth.square.corners.mean(0)) @ depth.square.right / depth.square.side
    within = np.isfinite(depth.values.ravel())
    assert 0.1 < within.mean() < 0.9
    assert np.allclose(depth.values.ravel()[within], along[within], atol=0.01 * unit)


@given(
    st.lists(st.floats(-200, 200), min_size=2, max_size=2),
    st.floats(10, 300),
    st.floats(-3.1, 3.1),
    st.integers(1, 256),
)
def test_what_lies_in_a_crop_lies_in_the_picture_again(
    middle: list[float], side: float, angle: float, size: int
) -> None:
    square = turned_square(np.array(middle), side, angle)
    points = np.random.default_rng(0).uniform(-300, 300, (20, 2)).astype(np.float32)
    assert np.allclose(square.from_crop(square.to_crop(points, size), size), points, atol=0.05)


def test_the_crop_about_points_turns_and_grows_with_them() -> None:
    _, points = marked((200, 180), 100, 0.0)
    upright = square_about(points)
    middle, area = box_of(points)
    assert np.allclose(upright.corners.mean(0), middle, atol=1e-3)
    assert 1.33 < upright.side / area < 1.82  # training's crops
    _, turned = marked((50, 80), 50, 0.7)
    other = square_about(turned)
    assert other.side == pytest.approx(upright.side / 2, rel=1e-4)
    assert np.arctan2(other.right[1], other.right[0]) == pytest.approx(0.7, abs=1e-4)


def measured(model: Model, *images: np.ndarray, **detect: object) -> list[Frame]:
    """The pictures after detection and measuring."""
    stages = [make_stage("detect", detect), make_stage("landmarks", {"model": model.digest})]
    with Runtime(models={model.digest: model.content}) as runtime, Chain(stages, runtime) as chain:
        return [outcome.frame for outcome in chain.run([Frame(image) for image in images])]


def nme(points: np.ndarray, true: np.ndarray) -> float:
    """The mean distance in shares of the root of the box's area."""
    return float(np.linalg.norm(points[:, :2] - true[:, :2], axis=1).mean()) / box_of(true)[1]


@pytest.fixture(scope="module")
def true_points(photo: Path, landmark_model: Path) -> np.ndarray:
    """The points of the photo's face by another method."""
    with FaceLandmarker(landmark_model) as landmarker:
        ((points, _),) = landmarker.detect(read_rgb(photo))
    return sixty_eight(points)


def test_a_drawn_face_is_measured_and_its_points_follow_the_picture(
    photo: Path, measuring_model: Model, true_points: np.ndarray
) -> None:
    image = read_rgb(photo)
    turn = cv2.getRotationMatrix2D((128, 128), 20, 0.6)
    turned = cv2.warpAffine(image, turn, (300, 280), borderMode=cv2.BORDER_REPLICATE)
    one, other = measured(measuring_model, image, turned)
    assert nme(one.faces[0][POINTS3D], true_points) < 0.08
    moved = (true_points[:, :2] + 0.0) @ turn[:, :2].T + turn[:, 2]
    assert nme(other.faces[0][POINTS3D], moved) < 0.08
    # z is in the picture's pixels, too
    depths = [np.ptp(frame.faces[0][POINTS3D][:, 2]) for frame in (one, other)]
    assert depths[1] / depths[0] == pytest.approx(0.6, rel=0.08)


def test_a_face_that_is_pointed_out_by_hand_is_measured_alike(
    photo: Path, measuring_model: Model, true_points: np.ndarray
) -> None:
    eyes = [true_points[36:42, :2].mean(0), true_points[42:48, :2].mean(0)]
    five = [tuple(map(float, point)) for point in (*eyes, *true_points[[30, 48, 54], :2])]
    (frame,) = measured(measuring_model, read_rgb(photo), points=five)
    assert nme(frame.faces[0][POINTS3D], true_points) < 0.08


def test_all_faces_are_measured_and_what_is_none_is_refused(photo: Path, measuring_model: Model) -> None:
    image = np.full((300, 600, 3), 120, np.uint8)
    image[20:276, 20:276] = read_rgb(photo)
    image[100:228, 400:528] = cv2.resize(read_rgb(photo), (128, 128), interpolation=cv2.INTER_AREA)
    (frame,) = measured(measuring_model, image, faces="all")
    assert [POINTS3D in face for face in frame.faces] == [True, True]
    assert [box_of(face[POINTS3D])[0][0] < 300 for face in frame.faces] == [True, False]
    nothing = ((300.0, 20.0), (340.0, 20.0), (320.0, 40.0), (305.0, 60.0), (335.0, 60.0))
    (frame,) = measured(measuring_model, np.full((300, 600, 3), 120, np.uint8), points=nothing)
    assert not {POINTS3D, POINTS_CONFIDENCE, DEPTH} & set(frame.faces[0].values)
    assert frame.remarks == ("face 1: no face by the network's confidence (0.02, at least 0.25 is asked)",)


def test_frames_without_faces_stay_as_they_are_among_others(photo: Path, measuring_model: Model) -> None:
    empty = np.full((256, 256, 3), 90, np.uint8)
    frames = measured(measuring_model, empty, read_rgb(photo), empty)
    assert [len(frame.faces) for frame in frames] == [0, 1, 0]
    assert POINTS3D in frames[1].faces[0]


def test_a_model_of_another_task_names_the_commands(restoration_model: Model, photo: Path) -> None:
    with pytest.raises(FaceReconError, match="`facerecon landmarks` of landmarks"):
        measured(restoration_model, read_rgb(photo))
