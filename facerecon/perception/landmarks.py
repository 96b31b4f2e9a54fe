"""Face landmarks: the MediaPipe FaceLandmarker and the point sets that are read from its 478 points.

All points are in pixels of the image that was given, x to the right and y down, pixel centres at integers plus 0.5
not assumed: (0, 0) is the corner of the image. "Left" and "right" are those of the image, not of the person.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

LEFT_IRIS, RIGHT_IRIS, NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH = 468, 473, 1, 61, 291
"""Indices among the 478 points of the iris centres, the nose's tip and the mouth's corners."""

SIXTY_EIGHT = (
    # jaw line, from the image's left to its right
    *(127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356),
    # brows
    *(70, 63, 105, 66, 107),
    *(336, 296, 334, 293, 300),
    # nose: bridge, then base
    *(168, 197, 5, 4),
    *(98, 97, 2, 326, 327),
    # eyes
    *(33, 160, 158, 133, 153, 144),
    *(362, 385, 387, 263, 373, 380),
    # mouth: outer, then inner
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)
"""The vertices of the canonical mesh that stand where the 68 iBUG 300-W points are annotated, in their order."""


LINES = {
    "jaw": (range(17),),
    "brows": (range(17, 22), range(22, 27)),
    "nose": (range(27, 31), range(31, 36)),
    "eyes": ((*range(36, 42), 36), (*range(42, 48), 42)),
    "lips": ((*range(48, 60), 48), (*range(60, 68), 60)),
}
"""The lines through the 68 points, by the parts of the face."""


def five_points(landmarks: Points) -> Points:
    """Eyes, nose and mouth corners [5, 2] from the 478 points [478, >=2]: left eye, right eye, nose, left, right."""
    return landmarks[[LEFT_IRIS, RIGHT_IRIS, NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH], :2].astype(np.float32)


def sixty_eight(landmarks: Points) -> Points:
    """The 68 points of the iBUG 300-W scheme [68, D] from 468 or 478 points [>=468, D]."""
    return landmarks[list(SIXTY_EIGHT)]


def towards_camera(landmarks: Points) -> Points:
    """The points [>=468, 3] with z towards the camera, from the mean of the 68; MediaPipe's own grows away from it."""
    turned = landmarks.copy()
    turned[:, 2] = sixty_eight(landmarks)[:, 2].mean() - landmarks[:, 2]
    return turned


@contextmanager
def _quiet_native_logs() -> Iterator[None]:
    """Silence what MediaPipe's native code writes to file descriptor 2, which no setting of its own does."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


class FaceLandmarker:
    """MediaPipe's FaceLandmarker on still images.

    ``model`` is the path of a ``face_landmarker.task`` bundle; ``most`` the number of faces looked for.
    Use it as a context manager or call ``close``; one instance serves one thread.
    """

    def __init__(self, model: Path, most: int = 4, min_confidence: float = 0.5) -> None:
        import mediapipe as mp

        vision = mp.tasks.vision
        self._image = lambda pixels: mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels)
        options = vision.FaceLandmarkerOptions(
            base_options=mp.tasks.BaseOptions(model_asset_buffer=Path(model).read_bytes()),
            running_mode=vision.RunningMode.IMAGE,
            num_faces=most,
            min_face_detection_confidence=min_confidence,
            min_face_presence_confidence=min_confidence,
            output_facial_transformation_matrixes=True,
        )
        with _quiet_native_logs():
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
            # the native code still warns at the first image
            self.detect(np.zeros((64, 64, 3), dtype=np.uint8))

    def detect(self, image: NDArray[np.uint8]) -> list[tuple[Points, NDArray[np.float64]]]:
        """Faces in an RGB image (uint8 [H, W, 3]): for each its points [478, 3] and its pose matrix [4, 4].

        Points are in pixels; z is relative depth in the same unit. The pose matrix maps the canonical face to the
        camera's space. No face: an empty list.
        """
        height, width = image.shape[:2]
        result = self._landmarker.detect(self._image(np.ascontiguousarray(image)))
        scale = np.array([width, height, width], dtype=np.float32)
        return [
            (np.array([[p.x, p.y, p.z] for p in face], dtype=np.float32) * scale, np.asarray(matrix, dtype=np.float64))
            for face, matrix in zip(result.face_landmarks, result.facial_transformation_matrixes, strict=True)
        ]

    def close(self) -> None:
        """Free the graph and its threads."""
        self._landmarker.close()

    def __enter__(self) -> "FaceLandmarker":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def head_angles(matrix: NDArray[np.float64]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from a pose matrix [4, 4] (rotation, y up, camera looking along -z).

    Positive yaw turns the face towards the image's right, positive pitch upwards, positive roll clockwise.
    """
    pitch, yaw, roll = cv2.RQDecomp3x3(np.ascontiguousarray(matrix[:3, :3]))[0]
    return float(yaw), float(-pitch), float(-roll)
