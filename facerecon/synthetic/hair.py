"""Hair as strands: guides that grow from the scalp round the head, each with a tuft of neighbours."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.randomness import generator
from facerecon.synthetic.mesh import CENTRE, CanonicalMesh, Part
from facerecon.synthetic.people import Hair, HairStyle
from facerecon.synthetic.raster import Floats, Integers, sample, unit

LONG = {HairStyle.BOB, HairStyle.LONG, HairStyle.WAVY}
_GUIDES, _TUFT, _POINTS = 850, 8, 20
EAR = np.array([0.94, -0.33, -0.03])
"""Direction of the ear at the image's right from CENTRE."""


@dataclass(frozen=True, eq=False)
class Strands:
    """``points`` [N, K, 3] in the head's frame, cm; ``ends`` [N] the last point of each that is drawn; ``tone`` [N]
    random brightness about 1; ``layer`` [N] in [0, 1], 0 next to the skin."""

    points: Floats
    ends: Integers
    tone: Floats
    layer: Floats


def hairline(rest: Floats, hair: Hair) -> Floats:
    """How far inside the hair points at rest [N, 3] lie [N]: cm above the hairline, negative on bare skin."""
    depth = [-14, -9, -7.2, -6.3, -5.2, -3.6, -2.6, -1.4, 0, 1.6, 2.8, 4.0, 4.6]
    level = [-5.5, -5.0, -3.5, 1.5, 3.6, 1.2, 1.0, 3.3, 5.2, 6.7, 7.4, 7.75, 7.95]
    line = np.interp(rest[:, 2], depth, level)
    line = line - 0.35 * np.exp(-((rest[:, 0] / 1.6) ** 2)) * (rest[:, 2] > 0)
    phase = np.array([1.0, 2.3, 4.1]) * (hair.pattern % 1000)
    for wave, shift in zip((0.9, 1.7, 3.1), phase, strict=True):
        line = line + 0.12 * np.sin(wave * rest[:, 0] + shift)
    corner = np.exp(-(((np.abs(rest[:, 0]) - 4.5) / 1.8) ** 2)) * (rest[:, 2] > -3)
    line = line + hair.recede * (1.3 * corner * (hair.recede > 0) + 0.6 * np.clip((rest[:, 2] + 1) / 3, 0, 1))
    return (rest[:, 1] - line).astype(np.float32)


def grow(mesh: CanonicalMesh, head: Floats, hair: Hair) -> Strands:
    """The strands of ``hair`` on a head whose points [V, 3] are ``head``."""
    rng = generator(hair.pattern, "hair")
    root, layer = _roots(mesh, head, hair, rng)
    outward = unit(root - CENTRE)
    comb, lift, fall, length = _combing(root, hair, rng)
    surface = _surface(mesh, head, hair)
    points = np.empty((_GUIDES, _POINTS, 3))
    points[:, 0] = root
    step = (length / (_POINTS - 1))[:, None]
    direction = unit(comb + outward * lift)
    for k in range(1, _POINTS):
        here = points[:, k - 1]
        radial = unit(here - CENTRE)
        flow = comb - (comb * radial).sum(axis=1, keepdims=True) * radial
        # beside and below the ears nothing but weight acts
        free = np.clip((3.5 - here[:, 1:2]) / 3, 0, 1)
        pull = flow * (1 - free) * 0.5 + np.array([0, -1.0, 0]) * fall * (0.35 + free)
        direction = unit(direction + pull * (0.9 / np.maximum(lift, 0.5)))
        points[:, k] = _push_out(here + direction * step, surface, layer, hair)
        direction = unit(points[:, k] - here)
    points = _curl(points, hair, length, rng)
    return _tufts(points, layer, hair, rng)


def _roots(
    mesh: CanonicalMesh, head: Floats, hair: Hair, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places on the scalp [G, 3], spread by area, and each guide's layer [G]."""
    skull = mesh.triangles[(mesh.part == Part.SKULL) | (mesh.part == Part.FACE)]
    corners = mesh.rest[skull]
    depth = hairline(corners.reshape(-1, 3), hair).reshape(-1, 3)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    inside = (depth > 0).all(axis=1) * np.clip(depth.mean(axis=1) / 1.2, 0.25, 1)
    # what the camera sees matters most: front, top and sides
    front = np.clip((corners[:, :, 2].mean(axis=1) + 13) / 9, 0.25, 1.3)
    odds = area * inside * front
    chosen = rng.choice(len(skull), size=_GUIDES, p=odds / odds.sum())
    u, v = rng.uniform(0, 1, (2, _GUIDES, 1))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    a, b, c = (head[skull[chosen, k]].astype(np.float64) for k in range(3))
    return a + u * (b - a) + v * (c - a), rng.uniform(0, 1, _GUIDES)


def _combing(
    root: NDArray[np.float64], hair: Hair, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, NDArray[np.float64]]:
    """For each guide: where it is combed [G, 3], how far it stands off [G, 1]; its weight; lengths [G]."""
    x, y, z = root.T
    side = np.tanh((x - hair.parting * 5) / 0.7)
    count = len(root)
    comb, lift, fall = np.zeros((count, 3)), np.full((count, 1), 0.3), 0.6
    length = np.full(count, hair.length)
    crown = np.clip((y - 4.5) / 5, 0, 1)
    match hair.style:
        case HairStyle.BUZZ:
            comb[:] = (0, -0.4, 0.4)
            lift, fall = np.full((count, 1), 0.8), 0.1
        case HairStyle.SHORT:
            comb = np.stack([0.75 * side, -0.2 + 0 * x, np.where(hair.fringe, 0.8, -0.2) + 0 * x], axis=1)
            lift, fall = (0.3 + 0.5 * crown * hair.volume)[:, None], 0.25
            length = length * (0.3 + 0.7 * crown)
        case HairStyle.QUIFF:
            comb = np.stack([0.5 * side, 0.25 * crown, -0.7 + 0 * x], axis=1)
            lift, fall = (0.15 + 1.1 * crown * np.clip((z + 5) / 8, 0, 1))[:, None], 0.12
            length = length * (0.2 + 0.8 * crown)
        case HairStyle.CURLY:
            comb[:] = (0, -0.1, 0)
            lift, fall = np.full((count, 1), 1.6), 0.12
            length = length * (0.45 + 0.55 * crown)
        case HairStyle.TIED:
            comb = np.array([0.0, 5.5, -14.0]) - root
            comb /= np.linalg.norm(comb, axis=1, keepdims=True)
            lift, fall = np.full((count, 1), 0.1), 0.0
        case _:
            comb = np.stack([1.0 * side, 0 * x, -0.5 + 0.25 * np.clip(-z / 6, 0, 1)], axis=1)
            lift = (0.12 + 0.5 * hair.volume * crown)[:, None]
            fall = 0.75
    if hair.fringe and hair.style in LONG:
        front = (z > 1.2) & (np.abs(x) < 5.2)
        comb[front] = np.stack([0.12 * x + 0.25 * side, -0.3 + 0 * x, 1 + 0 * x], axis=1)[front]
        length = np.where(front, 4.0 + 1.6 * hair.fringe, length)
    return comb + rng.normal(0, 0.12, comb.shape), lift, fall, length * rng.uniform(0.82, 1.08, count)


def _surface(mesh: CanonicalMesh, head: Floats, hair: Hair) -> Floats:
    """The head's radius by direction from CENTRE [rows, columns], cm; the ears count where hair lies over them."""
    spokes = np.linalg.norm(head - CENTRE, axis=1)
    radius = (spokes[mesh.direction_vertices] * mesh.direction_weights).sum(axis=-1)
    if hair.style in LONG:
        rows, columns = radius.shape
        polar = (np.arange(rows)[:, None] + 0.5) / rows * np.pi
        azimuth = (np.arange(columns)[None] + 0.5) / columns * 2 * np.pi - np.pi
        x, y, z = np.sin(polar) * np.sin(azimuth), np.cos(polar) + 0 * azimuth, np.sin(polar) * np.cos(azimuth)
        near = np.abs(x) * EAR[0] + y * EAR[1] + z * EAR[2]
        radius = radius + 0.8 * np.exp((near - 1) / 0.06)
    return radius.astype(np.float32)


def _push_out(
    points: NDArray[np.float64], surface: Floats, layer: NDArray[np.float64], hair: Hair
) -> NDArray[np.float64]:
    """Points [G, 3] moved out of the head and off the face."""
    rows, columns = surface.shape
    spoke = points - CENTRE
    length = np.linalg.norm(spoke, axis=1)
    row = np.arccos(np.clip(spoke[:, 1] / length, -1, 1)) / np.pi * rows - 0.5
    column = (np.arctan2(spoke[:, 0], spoke[:, 2]) + np.pi) / (2 * np.pi) * columns - 0.5
    lookup = np.stack([column, row], axis=1).astype(np.float32)
    floor = sample(surface, lookup)
    least = floor + 0.08 + (0.15 + 0.75 * hair.volume) * layer * (hair.style is not HairStyle.BUZZ)
    # above the ears no strand stands far off, unless the style is made of such
    most = floor + (1.2 + 2.2 * hair.volume if hair.style in LONG else 9)
    most = np.where(points[:, 1] > 4, np.maximum(most, least), np.inf)
    points = CENTRE + spoke * (np.clip(length, least, most) / length)[:, None]
    # long hair frames the face: it stays outside the cheeks and round the neck
    if hair.style in LONG:
        below = np.clip((4.5 - points[:, 1]) / 3, 0, 1)
        clear = (6.9 + 1.3 * layer) * below
        aside = np.where(points[:, 2] > -6, np.maximum(np.abs(points[:, 0]), clear), np.abs(points[:, 0]))
        aside = np.where(points[:, 1] < 4, np.minimum(aside, 9.2 + 1.4 * layer), aside)
        points[:, 0] = np.copysign(aside, points[:, 0])
        points[:, 2] -= np.where(below > 0.3, np.clip(points[:, 2] + 1.8, 0, None) * 0.35, 0)
    return points


def _curl(
    points: NDArray[np.float64], hair: Hair, length: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Waves and curls: a helix round each guide that opens from the root on."""
    if hair.style is HairStyle.BUZZ:
        return points
    pitch = {HairStyle.CURLY: 2.0, HairStyle.WAVY: 6.0}.get(hair.style, 5.0)
    count = len(points)
    along = np.linspace(0, 1, _POINTS)[None] * length[:, None]
    common = 0.0 if hair.style is HairStyle.CURLY else 1.0
    phase = rng.uniform(0, 2 * np.pi, (count, 1)) * (1 - 0.6 * common) + along * (2 * np.pi / pitch)
    # flat on the crown, or single curls stand up from it like wires
    size = hair.curl * np.clip(along / 3, 0, 1)
    if hair.style is not HairStyle.CURLY:
        size = size * np.clip((10 - points[..., 1]) / 6, 0.2, 1)
    spoke = unit(points - CENTRE)
    aside = np.stack([spoke[..., 2], np.zeros_like(phase), -spoke[..., 0]], axis=-1)
    return points + (size * np.sin(phase))[..., None] * aside + (0.6 * size * np.cos(phase))[..., None] * spoke


def _tufts(points: NDArray[np.float64], layer: NDArray[np.float64], hair: Hair, rng: np.random.Generator) -> Strands:
    """Each guide with its neighbours, which run close to it and spread or meet towards the tip."""
    count = len(points)
    spread = 0.28 if hair.style is not HairStyle.CURLY else 0.4
    points = points.astype(np.float32)
    way = np.linspace(0, 1, _POINTS, dtype=np.float32)[None, None, :, None]
    offset = spread * rng.standard_normal((count, _TUFT, 1, 3), dtype=np.float32) * (1 - 0.45 * way)
    wander = 0.2 * rng.standard_normal((count, _TUFT, 1, 3), dtype=np.float32) * way**2
    if hair.style is HairStyle.BUZZ:
        offset, wander = offset * 1.2, wander * 0
    turns, start = rng.uniform(0.6, 1.6, (2, count, _TUFT, 1, 1)).astype(np.float32)
    sway = 0.22 * np.sin(2 * np.pi * (way * turns + start)) * way
    wander += sway * rng.standard_normal((count, _TUFT, 1, 3), dtype=np.float32)
    strands = points[:, None] + offset + wander
    tone = np.exp(rng.normal(0, 0.16, (count, 1)) + rng.normal(0, 0.2, (count, _TUFT)))
    return Strands(
        points=strands.reshape(-1, _POINTS, 3),
        # tips at different places, or every tuft would end in a blunt cut
        ends=rng.integers(int(0.7 * _POINTS), _POINTS, count * _TUFT),
        tone=tone.ravel().astype(np.float32),
        layer=np.repeat(layer, _TUFT).astype(np.float32),
    )


def draw_runs(
    pixels: Floats, visible: NDArray[np.bool_], depth: Floats, tone: NDArray[np.uint8], size: int
) -> NDArray[np.uint8]:
    """The visible parts of strands as lines of their tone [size, size], 0 where there is none; near over far.

    ``pixels`` [N, K, 2], ``visible`` [N, K], ``depth`` [N, K], ``tone`` [N] in 1..255.
    """
    image = np.zeros((size, size), dtype=np.uint8)
    first, last = _runs(visible)
    if not len(first):
        return image
    points = visible.shape[1]
    flat = np.rint(pixels.reshape(-1, 2) * 16).astype(np.int32)
    strand = first // points
    middle = depth.ravel()[(first + last) // 2]
    bins = 14
    layer = np.floor((middle.max() - middle) / max(float(np.ptp(middle)), 1e-6) * (bins - 1e-3)).astype(np.int64)
    key = layer * 256 + tone[strand]
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
        group = order[begin:end]
        lines = [flat[first[i] : last[i] + 1] for i in group]
        cv2.polylines(image, lines, False, int(key[group[0]] % 256), 1, cv2.LINE_8, 4)
    # close the gaps of a pixel or two that thin parallel lines leave between them
    closed = cv2.morphologyEx(image, cv2.MORPH_CLOSE, np.ones((1, 3), dtype=np.uint8))
    return np.where(image == 0, closed, image).astype(np.uint8)


def _runs(visible: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """First and last flat index of each run of at least two visible points within a strand [N, K]."""
    padded = np.zeros((visible.shape[0], visible.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = visible
    change = np.diff(padded, axis=1)
    rows, begin = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    first, last = rows * visible.shape[1] + begin, rows * visible.shape[1] + end - 1
    long = last > first
    return first[long], last[long]
