"""Finding the faces of a frame, or taking one that was pointed out by hand."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.data.geometry import Square, face_square, square_around
from facerecon.errors import FaceReconError
from facerecon.inference.frames import BOX, FIVE, FOUND_BY, LANDMARKS68, SQUARE, Face, Frame
from facerecon.inference.stage import Runtime, StageRecord, register_stage
from facerecon.perception.landmarks import FaceLandmarker, Points, five_points, sixty_eight
from facerecon.perception.small_faces import detect_in, window_levels
from facerecon.settings import Settings, Share
from facerecon.weights import digest

MOST_FACES = 64
"""So many faces are looked for in a frame."""

Point = tuple[float, float]


class DetectSettings(Settings):
    """Which faces are taken. ``points``, if given, is the one face: eyes, nose, mouth's corners in pixels."""

    faces: Literal["largest", "all"] | Annotated[int, Field(ge=1)] = Field(
        "largest", description="the largest, all, or the one of this number, the largest being 1"
    )
    points: tuple[Point, Point, Point, Point, Point] | None = None
    min_confidence: Share = 0.5
    tiles: bool = Field(True, description="look again, through windows, where no face is found at once")


@register_stage("detect", DetectSettings)
class Detect:
    """MediaPipe's FaceLandmarker on each frame as it is, what is hidden included."""

    needs: frozenset[str] = frozenset()

    def __init__(self, settings: DetectSettings) -> None:
        self.settings = settings
        found: set[str] = {BOX, FIVE, SQUARE, FOUND_BY}
        self.gives = frozenset(found if settings.points else found | {LANDMARKS68})
        self._detector: FaceLandmarker | None = None
        self._digests: dict[str, str] = {}

    def open(self, runtime: Runtime) -> None:
        """Get the landmarker, unless a face is pointed out by hand."""
        if self.settings.points is None:
            model = runtime.weights("face_landmarker")
            self._digests = {"face_landmarker": digest("face_landmarker")}
            least = self.settings.min_confidence
            make = partial(FaceLandmarker, model, MOST_FACES, least)
            self._detector = runtime.held(("face_landmarker", least), make, FaceLandmarker.close)

    def close(self) -> None:
        """Let go of the landmarker."""
        self._detector = None

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames with their faces."""
        return [self._found(frame) for frame in frames]

    def describe(self) -> StageRecord:
        """What found the faces."""
        return StageRecord("detect", 1, self.settings.model_dump(mode="json"), self._digests)

    def _found(self, frame: Frame) -> Frame:
        if self.settings.points is not None:
            return replace(frame, faces=(_by_hand(self.settings.points, frame),))
        assert self._detector is not None
        seen = [points for points, _ in self._detector.detect(frame.image)]
        if not seen and self.settings.tiles:
            levels = (detect_in(frame.image, windows, self._detector) for windows in window_levels(*frame.size))
            seen = [points for points, _ in next((faces for faces in levels if faces), [])]
        seen.sort(key=lambda points: -face_square(sixty_eight(points)).side)
        faces = [_of_landmarks(number, points) for number, points in enumerate(seen, 1)]
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


def _of_landmarks(number: int, points: Points) -> Face:
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    face = Face(number).told(BOX, np.concatenate([low, high])).told(FIVE, five_points(points))
    points68 = sixty_eight(points)[:, :2]
    return (
        face.told(LANDMARKS68, points68).told(SQUARE, face_square(points68)).told(FOUND_BY, "MediaPipe FaceLandmarker")
    )


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
    box = _box_of(square)
    return Face(1).told(BOX, box).told(FIVE, five).told(SQUARE, square).told(FOUND_BY, "hand")


def _is_upright(five: Points) -> bool:
    """Whether the left eye lies to the left, seen from the mouth, however the head is turned in the picture."""
    across, down = five[1] - five[0], five[3:].mean(0) - five[:2].mean(0)
    return bool(across[0] * down[1] - across[1] * down[0] > 0)


def _box_of(square: Square) -> NDArray[np.float32]:
    right = square.right
    down = np.array([-right[1], right[0]])
    corners = np.stack([square.origin, square.origin + right, square.origin + down, square.origin + right + down])
    return np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)


def _shown(five: Points) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in five.tolist())
