"""Clips as a surveillance camera records them, rendered out of photographs, with the truth about them.

A head is cut out of its photograph, turned and foreshortened as an ellipsoid, lit by the camera's lamp, and walks
through a drawn room: in from the side, out under the camera. So it can be measured what is found in footage, and who is
taken for whom.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, write_text
from facerecon.images import UnreadableImageError, read_rgb
from facerecon.perception.landmarks import FaceLandmarker
from facerecon.progress import track
from facerecon.randomness import generator
from facerecon.synthetic.raster import Floats, blur
from facerecon.synthetic.workers import in_workers

LOG = logging.getLogger(__name__)

VERSION = 1
"""Counts up whenever the same seed renders other clips."""

TRUTH = "truth.json"
"""The file beside the clips that holds what is known of them."""

WIDTH, HEIGHT, RATE = 640, 360, 8
"""Of the frames in pixels, and how many there are a second."""

PEOPLE, LANES = 4, 2
"""People in a clip, and how many of them are in the picture at a time."""

FAR, NEAR = 52.0, 160.0
"""Height of a face in pixels, forehead to chin, where its way begins and ends: 60 to 110 while all of it is seen."""

_FACE = 120
"""Height of the face in a cut-out, in pixels."""

Camera = Literal["night", "day"]


@dataclass(frozen=True)
class Look:
    """How a camera sees. Values of pixels are 0 to 255 as shown.

    ``above``: degrees it looks down; ``shutter``: seconds it is open; ``blur``: sigma of its optics in pixels; ``shot``
    and ``read``: standard deviation of noise at white and at black; ``grain``: sigma of the noise's own blur in pixels;
    ``vignette``: the share of light that the corners lose; ``crf``: H.264's constant rate factor.
    """

    above: float
    shutter: float
    blur: float
    shot: float
    read: float
    grain: float
    vignette: float
    crf: int


LOOKS: dict[Camera, Look] = {
    "night": Look(above=13, shutter=1 / 40, blur=0.7, shot=6, read=4, grain=0.6, vignette=0.6, crf=28),
    "day": Look(above=9, shutter=1 / 125, blur=0.5, shot=3, read=1.5, grain=0.4, vignette=0.1, crf=25),
}


def write_clips(
    folder: Path,
    people: Mapping[str, Sequence[Path]],
    model: Path,
    camera: Camera,
    seed: int = 0,
    workers: int = 2,
) -> dict[str, Any]:
    """Render ``people``, each with photographs of theirs, into clips ``night-000.mp4`` (H.264) in ``folder``.

    Four people walk through a clip, two at a time; every photograph of a person is in a clip of its own. Of the faces
    in a photograph the largest near its middle is taken; one in which none is found is left out and logged. ``model``
    is a ``face_landmarker.task`` bundle. The clips depend on it, the photographs, their order and ``seed`` alone.

    Returns the truth, which is in ``truth.json``, too. Under ``clips``, by name: appearances, each with ``person``,
    ``photo`` (its file name), ``first`` and ``last`` (seconds, of frames in which the face's middle is in the picture)
    and ``boxes``, one for each such frame: its number, then left, top, right, bottom in pixels, forehead to chin. Under
    ``left_out``: person and photograph.

    Raises:
        FaceReconError: there is nobody, a photograph cannot be read, or an unknown camera.
    """
    if camera not in LOOKS:
        raise FaceReconError(f"camera {camera!r}: no such camera; there is {', '.join(LOOKS)}")
    casts = plan(people, seed)
    if not casts or workers < 1:
        raise FaceReconError(f"{len(people)} people, workers={workers}: give one person at least, with a photograph")
    names = [f"{camera}-{number:03d}.mp4" for number in range(len(casts))]
    jobs = [(folder / name, cast, Path(model), camera, seed) for name, cast in zip(names, casts, strict=True)]
    made = list(track(in_workers(write_clip, jobs, workers), "rendering clips", total=len(jobs)))
    shown = {(walk["person"], walk["photo"]) for appearances in made for walk in appearances}
    left_out = [[person, photo.name] for cast in casts for person, photo in cast if (person, photo.name) not in shown]
    for person, photo in left_out:
        LOG.warning("%s of %s: no face found, left out of the clips", photo, person)
    truth: dict[str, Any] = {"version": VERSION, "seed": seed, "camera": camera}
    truth |= {"size": [WIDTH, HEIGHT], "frames_per_second": RATE}
    truth |= {"clips": dict(zip(names, made, strict=True)), "left_out": left_out}
    write_text(folder / TRUTH, json.dumps(truth, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n")
    return truth


Cast = list[tuple[str, Path]]


def plan(people: Mapping[str, Sequence[Path]], seed: int) -> list[Cast]:
    """Who is in each clip, with which photograph, in the order in which they come in."""
    casts = []
    for number in range(max(map(len, people.values()), default=0)):
        there = sorted(person for person, photos in people.items() if len(photos) > number)
        order = [there[index] for index in generator(seed, number, "cast").permutation(len(there))]
        rows = [(person, people[person][number]) for person in order]
        casts += [rows[first : first + PEOPLE] for first in range(0, len(rows), PEOPLE)]
    return casts


def write_clip(clip: Path, cast: Cast, model: Path, camera: Camera, seed: int) -> list[dict[str, Any]]:
    """Render one clip; its appearances, as ``write_clips`` tells them."""
    look, rng = LOOKS[camera], generator(seed, clip.name, "clip")
    lamp = _lamp(rng, camera)
    walks: list[_Walk] = []
    for person, photo in cast:
        cutout = _cut_out(photo, model, camera, lamp)
        if cutout is None:
            continue
        walks.append(_Walk(person, photo.name, cutout, *_way(len(walks), rng), look))
    place, noise = _place(rng, camera, lamp), _Noise(rng, look, 1 if camera == "night" else 3)
    frames = round(max((walk.end for walk in walks), default=1.0) * RATE)
    with atomic_path(clip) as temporary, av.open(str(temporary), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # with one thread the same frames give the same bytes
        stream.codec_context.options = {"crf": str(look.crf), "preset": "superfast", "threads": "1", "g": str(4 * RATE)}
        for number in range(frames):
            picture = place.copy()
            for walk in sorted(walks, key=lambda walk: walk.height(number / RATE)):
                walk.paint(picture, number)
            frame = av.VideoFrame.from_ndarray(_recorded(picture, look, noise), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return [walk.told() for walk in walks if walk.boxes]


@lru_cache(maxsize=1)
def _landmarker(model: Path) -> FaceLandmarker:
    return FaceLandmarker(model)


@dataclass(frozen=True, eq=False)
class _Cutout:
    """A person: ``layer`` [H, W, C + 1] with the opacity (0 to 1) last and the rest multiplied by it; ``points``
    [478, 2] and ``middle`` of the face in it, whose height is ``_FACE``."""

    layer: Floats
    points: Floats
    middle: Floats


def _cut_out(photo: Path, model: Path, camera: Camera, lamp: Floats) -> _Cutout | None:
    """The person in a photograph as ``camera`` sees them in its light; None if there is no face."""
    try:
        image = read_rgb(photo)
    except (OSError, UnreadableImageError) as error:
        raise FaceReconError(f"{photo}: {error}: give photographs that can be read") from error
    found = [points[:, :2] for points, _ in _landmarker(model).detect(image)]
    if not found:
        return None
    centre = np.array(image.shape[1::-1]) / 2
    points = max(found, key=lambda each: np.ptp(each[:, 1]) - np.linalg.norm((each.min(0) + each.max(0)) / 2 - centre))
    scale = _FACE / float(np.ptp(points[:, 1]))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
    points = points * scale
    middle = (points.min(0) + points.max(0)) / 2
    # as much around the face for every photograph
    beside, below = 1.2 * _FACE, 1.15 * _FACE
    corner = np.array([beside, 1.2 * _FACE], np.float32) - middle
    shift = np.array([[1, 0, corner[0]], [0, 1, corner[1]]], np.float32)
    size = int(2 * beside), int(1.2 * _FACE + below)
    pixels = np.asarray(cv2.warpAffine(large, shift, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    points, middle = points + corner, middle + corner
    opacity = _silhouette(pixels, points, middle)
    body, opacity = _with_body(pixels.astype(np.float32), opacity, middle)
    shown = _in_light(body, middle, camera, lamp)
    layer = np.dstack([shown * opacity[..., None], opacity]).astype(np.float32)
    return _Cutout(layer, points.astype(np.float32), middle.astype(np.float32))


def _silhouette(image: NDArray[np.uint8], points: Floats, middle: Floats) -> Floats:
    """Opacity [H, W] of the head and shoulders in a picture: GrabCut (Rother et al., 2004) about the face."""
    height, width = image.shape[:2]
    u, v = _about(image, middle)
    shoulders = 0.3 + 0.75 * np.sqrt(np.clip((v - 0.55) / 0.45, 0, 1))
    may = (np.hypot(u / 0.62, (v + 0.12) / 0.86) < 1) | ((v > 0.4) & (np.abs(u) < shoulders + 0.2))
    likely = (np.hypot(u / 0.46, (v + 0.1) / 0.68) < 1) | ((v > 0.45) & (np.abs(u) < shoulders))
    labels = np.where(may, np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD).astype(np.uint8)
    hull = np.rint(cv2.convexHull(points)).astype(np.int32)
    cv2.fillConvexPoly(labels, hull, cv2.GC_FGD)
    labels[(np.hypot(u / 0.4, (v + 0.12) / 0.58) < 1) | ((v > 0.45) & (np.abs(u) < 0.25))] = cv2.GC_FGD
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cut = np.ascontiguousarray(cv2.resize(labels, small.shape[1::-1], interpolation=cv2.INTER_NEAREST))
    cv2.setRNGSeed(0)  # its clusters begin at random
    cv2.grabCut(small, cut, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    kept = ((cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD)).astype(np.uint8)
    kept = cv2.morphologyEx(kept, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, parts = cv2.connectedComponents(kept)
    there = parts == parts[int(middle[1]) // 2, int(middle[0]) // 2]
    there = cv2.morphologyEx(there.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    opacity = cv2.resize(blur(np.asarray(there, np.float32), 1.2), (width, height), interpolation=cv2.INTER_LINEAR)
    beside = np.clip((1.12 - np.abs(u)) / 0.1, 0, 1)
    return np.asarray(np.clip(1.6 * opacity - 0.4, 0, 1) * beside, np.float32)


def _with_body(image: Floats, opacity: Floats, middle: Floats) -> tuple[Floats, Floats]:
    """The picture with a body drawn below the head, of the colour of what clothes there are."""
    image = np.pad(image, ((0, 4 * _FACE), (0, 0), (0, 0)))
    opacity = np.pad(opacity, ((0, 4 * _FACE), (0, 0)))
    u, v = _about(image, middle)
    chest = opacity * ((v > 0.7) & (v < 1))
    colour = ((image * chest[..., None]).sum((0, 1)) + 50) / (chest.sum() + 1)
    folds = 1 + 0.06 * np.sin(9 * u + 2 * np.sin(3 * v)) - 0.35 * np.clip(np.abs(u), 0, 1) ** 3
    cloth = folds[..., None] * colour
    wide = 0.36 + 0.56 * np.sqrt(np.clip((v - 0.56) / 0.4, 0, 1)) - 0.12 * np.clip(v - 1, 0, 3)
    legs = np.clip((np.abs(u) - 0.05 * np.clip(v - 3, 0, 1)) / 0.03, 0, 1)
    body = np.clip((wide - np.abs(u)) / 0.03, 0, 1) * np.clip((v - 0.58) / 0.06, 0, 1) * np.where(v > 3, legs, 1)
    of_photo = opacity * np.clip((1.0 - v) / 0.3, 0, 1)
    shown = image * of_photo[..., None] + cloth * (1 - of_photo)[..., None]
    return shown.astype(np.float32), np.maximum(of_photo, body).astype(np.float32)


def _about(image: NDArray[Any], middle: Floats) -> tuple[Floats, Floats]:
    """Where the pixels of a cut-out lie, from the face's middle, in heights of the face; each [H, W]."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    return (x - middle[0]) / _FACE, (y - middle[1]) / _FACE


def _relief(u: Floats, v: Floats) -> Floats:
    """How far a head comes towards the camera at (u, v) from the face's middle, all in heights of the face."""
    inside = np.clip(1 - (u / 0.5) ** 2 - ((v + 0.1) / 0.72) ** 2, 0, None)
    return np.asarray(0.5 * np.sqrt(inside) * np.clip(inside / 0.15, 0, 1) ** 0.5, np.float32)


def _in_light(image: Floats, middle: Floats, camera: Camera, lamp: Floats) -> Floats:
    """A person in a camera's light [H, W, C]: near infrared at night, when skin is bright and colours are none."""
    if camera == "day":
        return image
    # light has faded the colours of hair and cloth to one another; skin reflects it well
    gray = image @ np.array([0.72, 0.23, 0.05], np.float32)
    gray = 255 * (gray / 255) ** 0.85
    u, v = _about(image, middle)
    # towards the lamp: normals of the ellipsoid, and of a cylinder for the body
    head = np.hypot(u / 0.5, (v + 0.1) / 0.72) < 1
    across = np.where(head, u / 0.55, u / 1.2).clip(-0.95, 0.95)
    along = np.where(head, (v + 0.1) / 0.9, 0).clip(-0.7, 0.7)
    towards = np.sqrt(np.clip(1 - across**2 - along**2, 0.02, None))
    lit = np.clip(across * lamp[0] + along * lamp[1] + towards * lamp[2], 0, None)
    shade = blur(0.33 + 0.85 * lit, 0.05 * _FACE)
    return (gray * shade)[..., None]


def _lamp(rng: np.random.Generator, camera: Camera) -> Floats:
    """Where the light comes from: x to the right, y down, z to the camera, of length 1."""
    side = rng.choice([-1.0, 1.0])
    way = np.array([side * rng.uniform(0.75, 1.0), -rng.uniform(0.2, 0.4), rng.uniform(0.55, 0.8)])
    if camera == "day":
        way = np.array([0.2 * side, -1.0, 0.5])
    return np.asarray(way / np.linalg.norm(way), np.float32)


def _way(number: int, rng: np.random.Generator) -> tuple[float, float, Floats, Floats]:
    """How the person ``number`` of a clip walks: start and end (seconds), the way's three points [3, 2], and what is
    their own in turning [4]."""
    lane, turn = number % LANES, number // LANES
    side = -1 if lane == 0 else 1
    takes = rng.uniform(2.9, 3.3)
    start = turn * 3.1 + 0.5 * lane + rng.uniform(0, 0.2)
    # in from the side, far away; out under the camera
    far = [WIDTH * (0.5 + 0.62 * side), HEIGHT * rng.uniform(0.2, 0.28)]
    bend = [WIDTH * (0.5 + side * rng.uniform(0.14, 0.24)), HEIGHT * rng.uniform(0.28, 0.4)]
    near = [WIDTH * (0.5 + side * rng.uniform(0.14, 0.34)), HEIGHT * 1.2]
    own = np.array([rng.uniform(0, 6), rng.uniform(3, 9), -side * rng.uniform(-2, 8), rng.uniform(-3, 3)], np.float32)
    return start, start + takes, np.array([far, bend, near], np.float32), own


class _Walk:
    """One appearance: a cut-out on its way; ``boxes`` grows while it is painted."""

    def __init__(
        self, person: str, photo: str, cutout: _Cutout, start: float, end: float, way: Floats, own: Floats, look: Look
    ) -> None:
        self.person, self.photo, self.start, self.end = person, photo, start, end
        self._cutout, self._way, self._own, self._look = cutout, way, own, look
        self.boxes: list[list[float]] = []

    def height(self, time: float) -> float:
        """Of the face, in pixels: the nearer the larger."""
        return FAR * NEAR / (NEAR + (FAR - NEAR) * self._done(time))

    def _done(self, time: float) -> float:
        return float(np.clip((time - self.start) / (self.end - self.start), 0, 1))

    def _place(self, time: float) -> Floats:
        """Of the face's middle, with the steps that it takes."""
        u = self._done(time)
        far, bend, near = self._way
        step = np.array([1.2 * np.sin(5.7 * time + self._own[0]), 2.0 * abs(np.sin(5.7 * time + self._own[0]))])
        return np.asarray((1 - u) ** 2 * far + 2 * u * (1 - u) * bend + u * u * near + step, np.float32)

    def paint(self, picture: Floats, number: int) -> None:
        """Lay the person on a picture [H, W, C] in place, as in frame ``number``."""
        time = number / RATE
        if not self.start <= time <= self.end:
            return
        place, scale = self._place(time), self.height(time) / _FACE
        yaw = np.radians(self._own[2] + self._own[1] * np.sin(1.3 * time + self._own[0]))
        pitch = np.radians(self._look.above + 2 * np.sin(0.9 * time + 2 * self._own[0]))
        roll = np.radians(self._own[3] + 2 * np.sin(2.8 * time + self._own[0]))
        lean = np.array([np.sin(yaw), np.sin(pitch)], np.float32)
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        forth = (scale * turn @ np.diag([np.cos(yaw), np.cos(pitch)])).astype(np.float32)
        self._tell(number, self._forth(self._cutout.points, lean, forth) + place)

        middle, (rows, columns) = self._cutout.middle, self._cutout.layer.shape[:2]
        reach = np.array([middle[0], middle[1], columns - middle[0], rows - middle[1]]) * scale * 1.04 + 4
        left, top = np.floor(np.maximum(place - reach[:2], 0)).astype(int)
        right, bottom = np.ceil(np.minimum(place + reach[2:], (WIDTH, HEIGHT))).astype(int)
        if left >= right or top >= bottom:
            return
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        back = np.linalg.inv(forth).astype(np.float32)
        x, y = x + 0.5 - place[0], y + 0.5 - place[1]
        x, y = back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y
        u, v = x, y
        for _ in range(2):  # what is seen here came from where its own relief has moved it
            depth = _FACE * _relief(u / _FACE, v / _FACE)
            u, v = x - depth * lean[0], y - depth * lean[1]
        at = u + (middle[0] - 0.5), v + (middle[1] - 0.5)
        layer = cv2.remap(self._cutout.layer, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        speed = (self._place(time + 0.05) - self._place(time - 0.05)) / 0.1
        layer = cv2.filter2D(layer, -1, _streak(speed * self._look.shutter), borderType=cv2.BORDER_REPLICATE)
        part = picture[top:bottom, left:right]
        part *= 1 - layer[..., -1:]
        part += layer[..., :-1]

    def _forth(self, points: Floats, lean: Floats, forth: Floats) -> Floats:
        """Points of the cut-out [N, 2] where they are seen, about the face's middle."""
        about = points - self._cutout.middle
        depth = _FACE * _relief(about[:, 0] / _FACE, about[:, 1] / _FACE)
        return (about + depth[:, None] * lean) @ forth.T

    def _tell(self, number: int, points: Floats) -> None:
        (left, top), (right, bottom) = points.min(0), points.max(0)
        if 0 <= left + right <= 2 * WIDTH and 0 <= top + bottom <= 2 * HEIGHT:
            self.boxes.append([number, *(round(float(side), 1) for side in (left, top, right, bottom))])

    def told(self) -> dict[str, Any]:
        """The appearance in the truth."""
        first, last = self.boxes[0][0] / RATE, self.boxes[-1][0] / RATE
        return {"person": self.person, "photo": self.photo, "first": first, "last": last, "boxes": self.boxes}


def _streak(way: Floats) -> Floats:
    """The kernel of motion along ``way`` (pixels)."""
    reach = int(np.ceil(np.abs(way).max() / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    for part in np.linspace(-0.5, 0.5, 9):
        kernel += np.clip(1 - np.abs(x - part * way[0]), 0, 1) * np.clip(1 - np.abs(y - part * way[1]), 0, 1)
    return kernel / kernel.sum()


def _place(rng: np.random.Generator, camera: Camera, lamp: Floats) -> Floats:
    """A room or a street without people [HEIGHT, WIDTH, C]: walls, a floor that is tiled, doors, windows, stains."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    tint = np.exp(rng.normal(0, 0.06, 3))
    corner, meet = WIDTH * rng.uniform(0.25, 0.75), HEIGHT * rng.uniform(0.4, 0.55)
    slope = rng.uniform(0.08, 0.2)
    floor = y - meet - slope * np.abs(x - corner)
    wall = rng.uniform(95, 150) * (1 + 0.12 * np.sign(x - corner)) * (1 - 0.12 * y / HEIGHT)
    picture = np.asarray(wall[..., None] * tint, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        wide, high = rng.uniform(30, 90), rng.uniform(50, 130)
        left, foot = rng.uniform(-20, WIDTH), meet - rng.uniform(0, 30)
        points = np.array([[left, foot - high], [left + wide, foot - high], [left + wide, foot], [left, foot]])
        points[:, 1] += slope * np.abs(points[:, 0] - corner)
        tone = rng.uniform(40, 190) * np.exp(rng.normal(0, 0.12, 3))
        shape = np.rint(points).astype(np.int32)
        cv2.fillConvexPoly(picture, shape, tone.tolist(), cv2.LINE_AA)
        cv2.polylines(picture, [shape], True, (0.6 * tone).tolist(), 2, cv2.LINE_AA)
    # tiles run to a point behind the wall
    away = np.maximum(floor + 0.25 * HEIGHT, 1)
    joints = np.minimum(*(np.abs((each + 0.5) % 1 - 0.5) for each in ((x - corner) / away * 2, 60 / away * 4)))
    ground = rng.uniform(70, 120) * np.exp(rng.normal(0, 0.08, 3))
    tiles = np.where(joints < 0.03, 0.8, 1.0) * (0.85 + 0.3 * np.clip(floor / HEIGHT, 0, 1))
    picture = np.where(floor[..., None] > 0, tiles[..., None] * ground, picture).astype(np.float32)
    for size in (4, 15, 60):
        coarse = rng.standard_normal((HEIGHT // size + 2, WIDTH // size + 2)).astype(np.float32)
        stains = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        picture *= (1 + 0.035 * stains)[..., None]
    picture = blur(picture, 0.8)
    if camera == "day":
        return picture
    # light that falls off on its way from the lamp
    off = np.hypot((x - WIDTH * (0.5 + 0.45 * np.sign(lamp[0]))) / WIDTH, (y - 0.75 * HEIGHT) / HEIGHT)
    return picture.mean(-1, keepdims=True) * (1.05 / (1 + 2.2 * off**2))[..., None]


class _Noise:
    """A camera's noise: one field, of which every frame gets another part."""

    def __init__(self, rng: np.random.Generator, look: Look, channels: int) -> None:
        self._rng = rng
        field = rng.standard_normal((HEIGHT + 96, WIDTH + 96, channels), dtype=np.float32)
        field = blur(field, look.grain).reshape(field.shape)
        self._field = field / field.std()

    def next(self) -> Floats:
        """The next frame's [HEIGHT, WIDTH, C], of deviation 1."""
        top, left = self._rng.integers(0, 96, 2)
        part = self._field[top : top + HEIGHT, left : left + WIDTH]
        flips = self._rng.choice([-1, 1], 2)
        return np.asarray(part[:: flips[0], :: flips[1]])


_SHOULDER = np.array(
    [value if value <= 200 else 200 + 55 * np.tanh((value - 200) / 55) for value in range(512)], np.uint8
)


@lru_cache(maxsize=2)
def _vignette(strength: float) -> Floats:
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return np.asarray(1 - strength * np.clip((x**2 + y**2) / 2, 0, 1) ** 1.2, np.float32)[..., None]


def _recorded(picture: Floats, look: Look, noise: _Noise) -> NDArray[np.uint8]:
    """What the sensor makes of a picture [H, W, C]: optics, vignette, noise; uint8 [H, W, 3]."""
    seen = blur(picture, look.blur).reshape(picture.shape)
    seen *= _vignette(look.vignette)
    spread = seen * np.float32(look.shot**2 / 255)
    spread += np.float32(look.read**2)
    np.sqrt(spread, out=spread)
    spread *= noise.next()
    seen += spread
    # bright parts come to their limit softly
    shown = _SHOULDER[np.clip(seen, 0, len(_SHOULDER) - 1).astype(np.uint16)]
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown
