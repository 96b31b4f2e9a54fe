"""The head that sample faces are drawn from: MediaPipe's canonical face, completed by a skull, ears, neck and torso.

Lengths are centimetres in the head's own frame: x to the image's right, y up, z out of the face.
"""

import zipfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from facerecon.errors import FaceReconError
from facerecon.synthetic.modes import EXPRESSIONS, SHAPES, field_basis
from facerecon.synthetic.raster import Floats, Integers, rasterise

FACE_POINTS = 468
MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"
CENTRE = np.array([0.0, 4.0, -4.2], dtype=np.float32)
"""The skull's centre; every point of the head without its ears is seen from it once."""
SKULL_RADII = np.array([7.85, 9.5, 9.0], dtype=np.float32)

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The canonical face's rim, from the forehead over the image's right, the chin and the left back up."""
UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
LOWER_LIDS = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))
UPPER_BROWS = ((70, 63, 105, 66, 107), (300, 293, 334, 296, 336))
LOWER_BROWS = ((46, 53, 52, 65, 55), (276, 283, 282, 295, 285))
INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)


class Part(IntEnum):
    """What a triangle belongs to."""

    FACE = 0
    SKULL = 1
    EAR = 2
    NECK = 3
    LEFT_EYE = 4
    RIGHT_EYE = 5
    MOUTH = 6


@dataclass(frozen=True, eq=False)
class CanonicalMesh:
    """The whole head at rest, and how it may change.

    ``rest`` [V, 3] float32, cm, the canonical face's 468 points first; ``triangles`` [F, 3]; ``part`` [F] of ``Part``;
    ``shapes``, ``field`` and ``expressions`` [M, V, 3]: displacements for one unit of each coefficient, in the order
    of ``modes.SHAPES``, of the random field and of ``modes.EXPRESSIONS``; ``openness`` [V] in [0, 1]: how much
    of the sky each vertex sees; ``rigid`` [V] in [0, 1]: 1 moves with the head, 0 stays with the torso;
    ``direction_vertices`` and ``direction_weights`` [rows, columns, 3]: the head's surface by direction from CENTRE.
    """

    rest: Floats
    triangles: Integers
    part: NDArray[np.uint8]
    shapes: Floats
    field: Floats
    expressions: Floats
    openness: Floats
    rigid: Floats
    direction_vertices: Integers
    direction_weights: Floats

    @staticmethod
    def load(model: Path) -> "CanonicalMesh":
        """The mesh from a ``face_landmarker.task`` bundle. Raises FaceReconError if there is none in it."""
        face, triangles = read_canonical(Path(model))
        return _complete(face, triangles)


def read_canonical(model: Path) -> tuple[Floats, Integers]:
    """Points [468, 3] and triangles [898, 3] of the canonical face inside a FaceLandmarker bundle.

    The bundle is a zip archive; the mesh is field 1 of a protobuf message, its vertex buffer (xyz in cm, uv) field 3
    and its triangles field 4 of that. Raises FaceReconError if the file is missing or is no such bundle.
    """
    try:
        with zipfile.ZipFile(model) as bundle:
            content = bundle.read(MEMBER)
        mesh = next(value for number, value in _fields(content) if number == 1 and isinstance(value, bytes))
        fields = _fields(mesh)
        coordinates = [value for number, value in fields if number == 3 and isinstance(value, bytes)]
        vertices = np.frombuffer(b"".join(coordinates), dtype="<f4")
        triangles = np.array([value for number, value in fields if number == 4], dtype=np.int64)
        return vertices.reshape(FACE_POINTS, 5)[:, :3].astype(np.float32), triangles.reshape(898, 3)
    except OSError as error:
        raise FaceReconError(f"cannot read {model}: {error}; fetch the pretrained weights again") from error
    except (zipfile.BadZipFile, KeyError, StopIteration, IndexError, ValueError, TypeError) as error:
        raise FaceReconError(f"{model} holds no canonical face mesh; fetch the pretrained weights again") from error


def _fields(message: bytes) -> list[tuple[int, bytes | int]]:
    """The fields of a protobuf message in their order: number and value (bytes, or int for a varint)."""
    fields: list[tuple[int, bytes | int]] = []
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            fields.append((key >> 3, value))
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}[kind]
        fields.append((key >> 3, message[at : at + length]))
        at += length
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The varint that starts at ``at``, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _complete(face: Floats, triangles: Integers) -> CanonicalMesh:
    """The canonical face with everything around it."""
    points, faces, parts = [face], [triangles], [_openings(triangles)]
    skull_points, skull_triangles = _skull(face)
    points.append(skull_points)
    faces.append(skull_triangles)
    parts.append(np.full(len(skull_triangles), Part.SKULL, dtype=np.uint8))
    for build, part in ((_ear, Part.EAR), (_mirrored_ear, Part.EAR), (_torso, Part.NECK)):
        new_points, new_triangles = build()
        faces.append(new_triangles + sum(len(p) for p in points))
        points.append(new_points)
        parts.append(np.full(len(new_triangles), part, dtype=np.uint8))
    rest = np.concatenate(points).astype(np.float32)
    everything = np.concatenate(faces)
    torso = len(rest) - len(points[-1])
    rigid = np.ones(len(rest), dtype=np.float32)
    rigid[torso:] = np.clip((rest[torso:, 1] + 17.0) / 12.0, 0, 1)
    vertices, weights = _directions(rest[: FACE_POINTS + len(skull_points)])
    return CanonicalMesh(
        rest=rest,
        triangles=everything,
        part=np.concatenate(parts),
        shapes=np.stack([mode(rest) for mode in SHAPES.values()]).astype(np.float32),
        field=field_basis(rest),
        expressions=np.stack([mode(rest) for mode in EXPRESSIONS.values()]).astype(np.float32),
        openness=_openness(rest, everything),
        rigid=rigid,
        direction_vertices=vertices,
        direction_weights=weights,
    )


def _openings(triangles: Integers) -> NDArray[np.uint8]:
    """Part of each triangle of the canonical face, which spans the eyes and the mouth with skin."""
    part = np.full(len(triangles), Part.FACE, dtype=np.uint8)
    rims = (
        ({*UPPER_LIDS[0], *LOWER_LIDS[0]}, Part.LEFT_EYE),
        ({*UPPER_LIDS[1], *LOWER_LIDS[1]}, Part.RIGHT_EYE),
        ({*INNER_UPPER_LIP, *INNER_LOWER_LIP}, Part.MOUTH),
    )
    for rim, name in rims:
        part[np.isin(triangles, list(rim)).all(axis=1)] = name
    return part


def _skull(face: Floats, rings: int = 16) -> tuple[Floats, Integers]:
    """Rings of points from the face's rim to the back of an ellipsoid; the first ring is the rim itself."""
    rim = face[list(OVAL)] - CENTRE
    length = np.linalg.norm(rim, axis=1, keepdims=True)
    start, pole = rim / length, np.array([0.0, -0.08, -1.0]) / np.hypot(0.08, 1.0)
    angle = np.arccos(np.clip(start @ pole, -1, 1))[:, None]
    points = []
    for t in (np.arange(1, rings + 1) / (rings + 1)) ** 1.15:
        way = (np.sin((1 - t) * angle) * start + np.sin(t * angle) * pole) / np.sin(angle)
        radius = 1 / np.linalg.norm(way / SKULL_RADII, axis=1, keepdims=True)
        blend = np.clip(t / 0.38, 0, 1)
        blend = blend * blend * (3 - 2 * blend)
        points.append(CENTRE + way * (length * (1 - blend) + radius * blend))
    points.append((CENTRE + pole * SKULL_RADII[2])[None])
    first = FACE_POINTS + np.arange(rings)[:, None] * len(OVAL) + np.arange(len(OVAL))
    loops = np.concatenate([np.array(OVAL)[None], first])
    quads = _quads(loops)
    last, following = loops[-1], np.roll(loops[-1], -1)
    tip = np.full_like(last, FACE_POINTS + rings * len(OVAL))
    triangles = np.concatenate([quads, np.stack([last, tip, following], axis=1)])
    return np.concatenate(points), triangles


def _quads(loops: Integers) -> Integers:
    """Triangles between neighbouring closed loops of vertices [R, C]."""
    a, b = loops[:-1], loops[1:]
    c, d = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
    pairs = np.stack([np.stack([a, b, c], axis=-1), np.stack([c, b, d], axis=-1)])
    return pairs.reshape(-1, 3)


def _ear() -> tuple[Floats, Integers]:
    """The ear at the image's right: rings round the ear's hole, with the folds as height above its plane."""
    ring = np.array([0.0, 0.16, 0.3, 0.44, 0.56, 0.68, 0.78, 0.87, 0.95, 1.0, 0.97, 0.8, 0.55])
    height = np.array([-0.42, -0.4, -0.3, -0.02, 0.16, 0.1, 0.02, 0.16, 0.3, 0.18, -0.12, -0.7, -1.25])
    phi = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    back, up = np.cos(phi), np.sin(phi)
    # broad above, narrow at the lobe, flat where it joins the cheek
    breadth = np.where(back > 0, 1.75 + 0.3 * up, 1.1 + 0.12 * up)
    across = ring[:, None] * (back * breadth)
    along = ring[:, None] * (up * 3.0)
    lobe = np.clip((-up - 0.55) / 0.45, 0, 1)
    front = np.clip((-back - 0.2) / 0.8, 0, 1)
    folds = height[:, None] * (1 - 0.8 * lobe) * (1 - 0.75 * front * (ring[:, None] > 0.4))
    folds = folds + np.where(ring[:, None] > 0.96, 0, 0.12 * lobe)
    folds[-2:] = height[-2:, None]
    turn, lean = np.deg2rad(33), np.deg2rad(12)
    along, across = along * np.cos(lean) - across * np.sin(lean), across * np.cos(lean) + along * np.sin(lean)
    x = 7.55 + (across + 0.9) * np.sin(turn) + folds * np.cos(turn)
    z = -4.3 - across * np.cos(turn) + folds * np.sin(turn)
    points = np.stack([x, 1.0 + along, z], axis=-1)
    loops = np.arange(points.shape[0] * points.shape[1]).reshape(points.shape[:2])
    return points.reshape(-1, 3), _quads(loops)


def _mirrored_ear() -> tuple[Floats, Integers]:
    """The ear at the image's left."""
    points, triangles = _ear()
    return points * np.array([-1, 1, 1]), triangles[:, ::-1]


def _torso(columns: int = 32, rings: int = 28) -> tuple[Floats, Integers]:
    """Neck and shoulders as one tube, from inside the skull to below the image."""
    level = np.array([-1.0, -5, -8, -10.5, -13, -15, -16.5, -18, -20, -23, -27, -34])
    width = PchipInterpolator(-level, [4.0, 4.3, 4.6, 5.1, 6.6, 9.6, 13.0, 16.3, 19.0, 20.8, 21.5, 22.0])
    depth = PchipInterpolator(-level, [4.6, 4.9, 5.0, 5.1, 5.3, 5.7, 6.3, 7.2, 8.4, 9.6, 10.5, 11.0])
    middle = PchipInterpolator(-level, [-5.8, -5.8, -5.7, -5.7, -5.9, -6.2, -6.5, -6.8, -7.0, -7.0, -7.0, -7.0])
    y = np.linspace(-1, -34, rings)[:, None]
    phi = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    side, front = np.sin(phi), np.cos(phi)
    # the two muscles that run from behind the ears to the breastbone, and the hollow between them
    muscle = np.interp(-y, [4, 16], [1.25, 0.18])
    away = np.abs(np.angle(np.exp(1j * phi)))
    relief = 0.32 * np.exp(-(((away - muscle) / 0.22) ** 2)) - 0.3 * np.exp(
        -((away / 0.3) ** 2) - ((y + 15.6) / 1.3) ** 2
    )
    relief = relief * np.clip((y + 18.5) / 2, 0, 1) + 0.3 * np.exp(-((away / 0.2) ** 2) - ((y + 11.8) / 0.9) ** 2)
    x = np.sign(side) * np.abs(side) ** 0.92 * (width(-y) + relief)
    z = middle(-y) + np.sign(front) * np.abs(front) ** 0.92 * (depth(-y) + relief)
    points = np.stack([x, np.broadcast_to(y, x.shape), z], axis=-1)
    loops = np.arange(rings * columns).reshape(rings, columns)
    return points.reshape(-1, 3), _quads(loops)


def _openness(rest: Floats, triangles: Integers, views: int = 56, size: int = 112) -> Floats:
    """Share of the outer half-sphere that each vertex sees [V], by looking at the head from ``views`` directions."""
    normals = vertex_normals(rest, triangles)
    index = np.arange(views) + 0.5
    polar, azimuth = np.arccos(1 - 2 * index / views), np.pi * (1 + 5**0.5) * index
    directions = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    seen, total = np.zeros(len(rest)), np.zeros(len(rest))
    for direction in directions:
        points, depth = parallel_view(rest, direction, size)
        fragments = rasterise(points, depth, triangles, size)
        buffer = np.full(size * size, np.inf, dtype=np.float32)
        buffer[fragments.pixel] = fragments.depth
        cell = np.clip(points.astype(np.int64), 0, size - 1)
        inside = ((points >= 0) & (points < size)).all(axis=1)
        visible = (depth <= buffer[cell[:, 1] * size + cell[:, 0]] + 0.45) | ~inside
        weight = np.maximum(normals @ direction, 0)
        seen += weight * visible
        total += weight
    return (seen / np.maximum(total, 1e-6)).astype(np.float32)


def parallel_view(
    points: Floats, direction: NDArray[np.float64], size: int, span: float = 40.0
) -> tuple[Floats, Floats]:
    """Parallel projection towards ``-direction``: pixels [V, 2] of a square of ``span`` cm, depth [V] > 0."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    up = np.cross(direction, right)
    centred = points - np.array([0.0, 0.0, -4.0], dtype=np.float32)
    flat = np.stack([centred @ right, -(centred @ up)], axis=1)
    return (flat * (size / span) + size / 2).astype(np.float32), (200.0 - centred @ direction).astype(np.float32)


def vertex_normals(points: Floats, triangles: Integers) -> Floats:
    """Unit normals [V, 3], the mean of the adjoining triangles' normals weighted by area."""
    corners = points[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = triangles.ravel()
    normals = np.stack(
        [np.bincount(flat, weights=np.repeat(faces[:, axis], 3), minlength=len(points)) for axis in range(3)], axis=1
    )
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _directions(head: Floats, rows: int = 40, columns: int = 80) -> tuple[Integers, Floats]:
    """For a grid of directions from CENTRE the three nearest vertices of the head and their weights."""
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    azimuth = (np.arange(columns) + 0.5) / columns * 2 * np.pi - np.pi
    theta, phi = np.meshgrid(polar, azimuth, indexing="ij")
    grid = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], axis=-1)
    spokes = head - CENTRE
    tree = cKDTree(spokes / np.linalg.norm(spokes, axis=1, keepdims=True))
    distance, index = tree.query(grid, k=3)
    weights = 1 / np.maximum(distance, 1e-4)
    return index.astype(np.int64), (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)
