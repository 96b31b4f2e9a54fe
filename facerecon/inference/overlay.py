"""Pictures with what was measured drawn over them."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.geometry import box_of
from facerecon.inference.chain import Outcome
from facerecon.inference.frames import BOX, POINTS3D, POINTS_CONFIDENCE, Frame, Image
from facerecon.perception.landmarks import LINES

READABLE, MOST_TIMES, LONGEST = 200, 8, 4096
"""A picture is enlarged until its smallest face has so many pixels (the square root of the area of the points' box),
at most so many times, and to so many pixels at most."""

WIDE = 960
"""A clip is enlarged until it has so many pixels along its longer side."""

UNSURE = 0.5
"""A point that is likelier to be wrong than this is drawn in red."""

_COLOURS = {
    "jaw": (255, 196, 0),
    "brows": (0, 200, 255),
    "nose": (120, 255, 120),
    "eyes": (0, 230, 230),
    "lips": (255, 110, 200),
}
_DARK, _SURE_DOT, _UNSURE_DOT, _REFUSED = (20, 20, 20), (255, 255, 255), (255, 40, 40), (150, 150, 150)
_SHIFT = 4


def drawn_over(outcome: Outcome, clip: bool) -> Outcome:
    """The outcome whose picture shows the points of its faces; all pictures of a ``clip`` come out equally large."""
    frame = outcome.frame
    scale = clip_scale(frame) if clip else photo_scale(frame)
    return replace(outcome, image=draw_points(frame, scale))


def photo_scale(frame: Frame) -> int:
    """How many times a photograph is enlarged, so that the smallest face that was measured is readable."""
    sides = [box_of(face[POINTS3D])[1] for face in frame.faces if POINTS3D in face]
    wanted = int(np.ceil(READABLE / max(1.0, min(sides, default=READABLE))))
    return max(1, min(wanted, MOST_TIMES, LONGEST // max(frame.size)))


def clip_scale(frame: Frame) -> int:
    """How many times the frames of a clip are enlarged."""
    return max(1, min(int(np.ceil(WIDE / max(frame.size))), MOST_TIMES))


def draw_points(frame: Frame, scale: int) -> Image:
    """The frame ``scale`` times as large, uint8 [sH, sW, 3], with lines through the points of its faces."""
    height, width = frame.size
    enlarged = cv2.resize(frame.image, (width * scale, height * scale), interpolation=cv2.INTER_CUBIC)
    image: Image = np.array(enlarged, np.uint8)
    for face in frame.faces:
        measured = POINTS3D in face
        if measured:
            _draw_face(image, face[POINTS3D][:, :2] * scale, face[POINTS_CONFIDENCE])
        else:
            left, top, right, bottom = (face[BOX] * scale).round().astype(int).tolist()
            cv2.rectangle(image, (left, top), (right, bottom), _REFUSED, 1, cv2.LINE_AA)
        if len(frame.faces) > 1 or not measured:
            name = str(face.number) if measured else f"{face.number}: no face"
            _write(image, name, face[BOX] * scale)
    return image


def _draw_face(image: Image, points: NDArray[np.float32], confidence: NDArray[np.float32]) -> None:
    """Draw a face's points [68, 2] and the lines through them onto ``image``."""
    unit = box_of(points)[1]
    thick = max(1, round(unit / 110))
    lines = [(_fixed(points[list(line)]), part) for part, each in LINES.items() for line in each]
    if thick > 1:
        for line, _ in lines:
            cv2.polylines(image, [line], False, _DARK, thick + 1, cv2.LINE_AA, _SHIFT)
    for line, part in lines:
        cv2.polylines(image, [line], False, _COLOURS[part], thick, cv2.LINE_AA, _SHIFT)
    if thick > 1:
        radius = round(unit / 90 * 2**_SHIFT)
        for point, sure in zip(_fixed(points).tolist(), confidence.tolist(), strict=True):
            colour = _UNSURE_DOT if sure < UNSURE else _SURE_DOT
            cv2.circle(image, point, radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _fixed(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Points as OpenCV takes them, in parts of a pixel; it counts from a pixel's middle."""
    return np.asarray(((points.clip(-1e5, 1e5) - 0.5) * 2**_SHIFT).round(), np.int32)


def _write(image: Image, text: str, box: NDArray[np.float32]) -> None:
    """Write ``text`` above a face's box."""
    height = max(0.45, float(box[2] - box[0]) / 300)
    at = round(float(box[0])), max(round(24 * height), round(float(box[1])) - 4)
    for colour, thick in ((_DARK, 3), (_SURE_DOT, 1)):
        thick = max(1, round(thick * height))
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, height, colour, thick, cv2.LINE_AA)
