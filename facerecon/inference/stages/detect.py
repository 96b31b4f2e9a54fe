"""Finding the faces of a frame, or taking one that was pointed out by hand."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.data.geometry import face_square, square_around
from facerecon.errors import FaceReconError
from facerecon.inference.frames import BOX, FIVE, FOUND_BY, LANDMARKS68, MESH, SQUARE, Face, Frame, Image
from facerecon.inference.stage import Runtime, StageRecord, register_stage
from facerecon.perception.landmarks import FaceLandmarker, Points, five_points, sixty_eight
from facerecon.perception.mtcnn import WEIGHTS, Mtcnn
from facerecon.perception.small_faces import around, detect_in, window_levels
from facerecon.settings import Settings, Share
from facerecon.weights import digest

MOST_FACES = 64
"""So many faces MediaPipe looks for in a frame."""

SMALLEST, SURE = 20, 0.9
"""MTCNN looks for faces from so many pixels on, and takes those of which it is so sure."""

SMOOTHED, BEYOND = 0.01, 0.01
"""Where nobody is found, the frame is looked at again, smoothed by a Gaussian of this share of its shorter side as
standard deviation and stretched: of 40 drawn photographs at 0.12 of their light it finds all where 25 were found, of 40
as poor video 15 where 7 were."""

Point = tuple[float, float]


class DetectSettings(Settings):
    """Which faces are taken. ``points``, if given, is the one face: eyes, nose, mouth's corners in pixels."""

    faces: Literal["largest", "all"] | Annotated[int, Field(ge=1)] = Field(
        "largest", description="the largest, all, or the one of this number, the largest being 1"
    )
    points: tuple[Point, Point, Point, Point, Point] | None = None
    min_confidence: Share = 0.5
    small_faces: Literal["mtcnn", "tiles", "ignore"] = Field(
        "mtcnn", description="who looks for faces that are too small for MediaPipe: MTCNN, or MediaPipe through windows"
    )


@register_stage("detect", DetectSettings)
class Detect:
    """MediaPipe's FaceLandmarker on each frame as it is, what is hidden included.

    Where it finds nobody, and where others than the largest face are wanted, MTCNN looks for smaller ones; of these
    that have no landmarks even when they are looked at closely its own five points are taken. Where nobody is found at
    all, both look again at the frame with more contrast and less noise: so faces in the dark are found.
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, settings: DetectSettings) -> None:
        self.settings = settings
        found: set[str] = {BOX, FIVE, SQUARE, FOUND_BY}
        self.gives = frozenset(found if settings.points else found | {LANDMARKS68})
        self._detector: FaceLandmarker | None = None
        self._mtcnn: Mtcnn | None = None
        self._digests: dict[str, str] = {}

    def open(self, runtime: Runtime) -> None:
        """Get the detectors, unless a face is pointed out by hand."""
        if self.settings.points is None:
            model = runtime.weights("face_landmarker")
            self._digests = {"face_landmarker": digest("face_landmarker")}
            least = self.settings.min_confidence
            make = partial(FaceLandmarker, model, MOST_FACES, least)
            self._detector = runtime.held(("face_landmarker", least), make, FaceLandmarker.close)
            if self.settings.small_faces == "mtcnn":
                self._digests |= {name: digest(name) for name in WEIGHTS}
                self._mtcnn = runtime.held("mtcnn", lambda: Mtcnn(runtime.threads))

    def close(self) -> None:
        """Let go of the detectors."""
        self._detector = self._mtcnn = None

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames with their faces."""
        return [self._found(frame) for frame in frames]

    def describe(self) -> StageRecord:
        """What found the faces."""
        parameters = self.settings.model_dump(mode="json")
        return StageRecord(name="detect", version=2, parameters=parameters, digests=self._digests)

    def _found(self, frame: Frame) -> Frame:
        if self.settings.points is not None:
            return replace(frame, faces=(_by_hand(self.settings.points, frame),))
        assert self._detector is not None
        seen = self._seen(frame.image, self._detector)
        if not seen:
            clearer = self._seen(_clearer(frame.image), self._detector)
            seen = [face.told(FOUND_BY, f"{face[FOUND_BY]}, contrast stretched") for face in clearer]
        seen.sort(key=lambda face: -face[SQUARE].side)
        faces = [replace(face, number=number) for number, face in enumerate(seen, 1)]
        chosen = self.settings.faces
        if chosen == "largest":
            kept = faces[:1]
        elif chosen == "all":
            kept = faces
        else:
            kept = faces[chosen - 1 : chosen]
        said = [] if faces else ["no face was found"]
        if faces and not kept:
            said = [f"no face {chosen}: {len(faces)} found"]
        elif len(kept) < len(faces):
            said = [f"{len(faces)} faces found, {len(kept)} taken"]
        return replace(frame, faces=tuple(kept)).remarked(*said)

    def _seen(self, image: Image, detector: FaceLandmarker) -> list[Face]:
        """The faces that are found in a picture."""
        seen = [_of_landmarks(points, "MediaPipe") for points, _ in detector.detect(image)]
        if not seen and self.settings.small_faces == "tiles":
            levels = (detect_in(image, windows, detector) for windows in window_levels(*image.shape[:2]))
            largest = next((faces for faces in levels if faces), [])
            seen = [_of_landmarks(points, "MediaPipe, through a window") for points, _ in largest]
        if self._mtcnn and (not seen or self.settings.faces != "largest"):
            seen += self._small(image, self._mtcnn, detector, seen)
        return seen

    def _small(self, image: Image, mtcnn: Mtcnn, detector: FaceLandmarker, known: list[Face]) -> list[Face]:
        """The faces that MTCNN finds beside those that are known."""
        faces: list[Face] = []
        for box, five, sure in zip(*mtcnn.detect(image, SMALLEST), strict=True):
            if sure < SURE or any(_centre_in(box, face[BOX]) for face in (*known, *faces)):
                continue
            close = [points for points, _ in detect_in(image, [around(box.astype(np.float64), image.shape)], detector)]
            same = [points for points in close if _centre_in(box, _box_of_points(points))]
            if same:
                faces.append(_of_landmarks(same[0], "MTCNN, then MediaPipe"))
            elif _is_upright(five):
                faces.append(_of_five(box, five, "MTCNN"))
        return faces


def _clearer(image: Image) -> Image:
    """The picture smoothed, and stretched so that all but BEYOND of its levels at either end lie between 0 and 255."""
    smooth = cv2.GaussianBlur(image, (0, 0), max(1.0, SMOOTHED * min(image.shape[:2]))).astype(np.float32)
    low, high = np.percentile(smooth, [100 * BEYOND, 100 * (1 - BEYOND)])
    return ((smooth - low) * (255 / max(high - low, 1.0))).clip(0, 255).astype(np.uint8)


def faces_by_mtcnn(image: Image, mtcnn: Mtcnn) -> list[Face]:
    """The upright faces that MTCNN alone finds in an image uint8 [H, W, 3], of which it is SURE."""
    found = zip(*mtcnn.detect(image, SMALLEST), strict=True)
    return [_of_five(box, five, "MTCNN") for box, five, sure in found if sure >= SURE and _is_upright(five)]


def _centre_in(box: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether the middle of a box lies in another one."""
    middle = (box[:2] + box[2:]) / 2
    return bool((middle >= other[:2]).all() and (middle <= other[2:]).all())


def _box_of_points(points: Points) -> NDArray[np.float32]:
    return np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])


def _of_landmarks(points: Points, found_by: str) -> Face:
    face = Face(0).told(BOX, _box_of_points(points)).told(FIVE, five_points(points)).told(MESH, points)
    points68 = sixty_eight(points)[:, :2]
    return face.told(LANDMARKS68, points68).told(SQUARE, face_square(points68)).told(FOUND_BY, found_by)


def _of_five(box: NDArray[np.float32], five: Points, found_by: str) -> Face:
    face = Face(0).told(BOX, box).told(FIVE, five).told(FOUND_BY, found_by)
    return face.told(SQUARE, square_around(five[0], five[1], five[3:].mean(0)))


def _by_hand(given: tuple[Point, ...], frame: Frame) -> Face:
    five = np.array(given, np.float32)
    height, width = frame.size
    outside = (five < 0).any() or (five > [width, height]).any()
    if outside or not _is_upright(five):
        raise FaceReconError(
            f"points {_shown(five)} in a picture of {width} x {height}: expected five within it: left eye, right eye, "
            "nose, left and right corner of the mouth, left and right as the picture shows them"
        )
    square = square_around(five[0], five[1], five[3:].mean(0))
    box = np.concatenate([square.corners.min(0), square.corners.max(0)])
    return replace(_of_five(box, five, "hand"), number=1)


def _is_upright(five: Points) -> bool:
    """Whether the left eye lies to the left, seen from the mouth, however the head is turned in the picture."""
    across, down = five[1] - five[0], five[3:].mean(0) - five[:2].mean(0)
    return bool(across[0] * down[1] - across[1] * down[0] > 0)


def _shown(five: Points) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in five.tolist())
