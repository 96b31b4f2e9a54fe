"""Eyes, lashes and the inside of the mouth: what lies behind the openings of the canonical face."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.randomness import generator
from facerecon.synthetic.mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, LOWER_LIDS, UPPER_LIDS, CanonicalMesh, Part
from facerecon.synthetic.people import Identity, Scene
from facerecon.synthetic.pose import PIVOT, Body, View
from facerecon.synthetic.raster import Floats, unit, vector
from facerecon.synthetic.shading import Shadows, Surface

BALL, IRIS = 1.3, 0.6
"""Radii of the eyeball and the iris, cm (the ball a little large: it must fill the canonical opening)."""
_TOOTH_EDGES = np.array([-2.9, -2.2, -1.5, -0.83, 0.0, 0.83, 1.5, 2.2, 2.9], dtype=np.float32)


def draw(
    lit: Floats,
    surface: Surface,
    mesh: CanonicalMesh,
    identity: Identity,
    scene: Scene,
    body: Body,
    view: View,
    shadows: Shadows,
) -> Floats:
    """The radiance ``lit`` [N, 3] of a surface with eyes and mouth put into their openings."""
    lit = lit.copy()
    rng = generator(identity.skin.pattern, "iris")
    for part, upper, lower in zip((Part.LEFT_EYE, Part.RIGHT_EYE), UPPER_LIDS, LOWER_LIDS, strict=True):
        here = np.flatnonzero(surface.part == part)
        streaks = rng.standard_normal(96)
        if len(here):
            lit[here] = _eye(here, surface, mesh, identity, scene, body, view, shadows, (upper, lower), streaks)
    here = np.flatnonzero(surface.part == Part.MOUTH)
    if len(here):
        lit[here] = _mouth(here, surface, mesh, scene, body)
    return lit


def eyeball(
    mesh: CanonicalMesh, identity: Identity, body: Body, lids: tuple[tuple[int, ...], tuple[int, ...]]
) -> Floats:
    """The centre [3] of an eyeball in world space; it does not move with the lids."""
    rim = [*lids[0], *lids[1]]
    still = mesh.rest[rim] + np.tensordot(vector(identity.shape), mesh.shapes[:, rim], 1)
    still += np.tensordot(vector(identity.field), mesh.field[:, rim], 1)
    middle = np.array([still[:, 0].mean(), still[:, 1].mean(), np.sort(still[:, 2])[-6:].mean() - BALL - 0.06])
    return ((middle - PIVOT) @ body.turn.T + PIVOT).astype(np.float32)


def _eye(
    here: NDArray[np.int64],
    surface: Surface,
    mesh: CanonicalMesh,
    identity: Identity,
    scene: Scene,
    body: Body,
    view: View,
    shadows: Shadows,
    lids: tuple[tuple[int, ...], tuple[int, ...]],
    streaks: NDArray[np.float64],
) -> Floats:
    """Radiance [M, 3] of one eye's pixels: a ball with iris and pupil, shaded by the lids, with a glint."""
    centre = eyeball(mesh, identity, body, lids)
    ray = view.rays(surface.pixel[here])
    ray = unit(ray)
    offset = surface.eye - centre
    along = (ray * offset).sum(axis=1)
    inside = along**2 - (offset @ offset - BALL**2)
    place = surface.eye + ray * (-along - np.sqrt(np.maximum(inside, 0)))[:, None]
    normal = (place - centre) / BALL
    gaze = _gaze(scene, surface.eye - centre, body)
    colour = _ball_colour(normal, gaze, identity, streaks)
    colour[inside <= 0] = (0.3, 0.12, 0.1)

    rest = surface.rest[here]
    above, below = (np.interp(rest[:, 0], *_sorted(mesh.rest[list(lid), :2])) for lid in lids)
    height = (rest[:, 1] - below) / np.maximum(above - below, 0.02)
    width = np.abs(np.abs(rest[:, 0]) - 3.16) / 1.3
    shade = np.interp(height, [0.0, 0.12, 0.5, 0.8, 1.0], [0.7, 0.95, 0.95, 0.66, 0.36])
    shade *= np.interp(width, [0.0, 0.55, 1.0], [1.0, 0.95, 0.5])
    pink = np.interp(width, [0.5, 1.0], [0, 0.55])[:, None]
    colour = colour * (1 - pink * np.array([0.1, 0.5, 0.5]))

    light = scene.light
    key = vector(light.key)
    reach = shadows.light_at(place, light.key, light.softness, 0.9)[:, None]
    sky, ground, front = (vector(c) for c in light.ambient)
    up = (0.5 + 0.5 * normal[:, 1])[:, None]
    glow = vector(light.key_colour) * (np.clip((normal @ key)[:, None] * 0.7 + 0.3, 0, 1) * reach)
    glow += sky * up + ground * (1 - up) + front * np.clip(normal[:, 2:], 0, 1)
    return (colour * glow * (0.88 * shade)[:, None] + _glints(normal, gaze, ray, scene, reach)).astype(np.float32)


def _sorted(points: Floats) -> tuple[Floats, Floats]:
    """x and y of points [N, 2] by rising x."""
    order = np.argsort(points[:, 0])
    return points[order, 0], points[order, 1]


def _gaze(scene: Scene, to_camera: Floats, body: Body) -> NDArray[np.float64]:
    """The unit direction an eye looks in: mostly at the camera, drawn a little to where the head points."""
    camera = to_camera / np.linalg.norm(to_camera)
    toward = 0.75 * camera + 0.25 * body.turn[:, 2]
    side, up = np.tan(np.deg2rad(scene.gaze))
    toward = toward + side * body.turn[:, 0] + up * body.turn[:, 1]
    return toward / np.linalg.norm(toward)


def _ball_colour(
    normal: Floats, gaze: NDArray[np.float64], identity: Identity, streaks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Reflectance [M, 3] of an eyeball: sclera, iris with a dark ring and streaks, pupil."""
    cosine = np.clip(normal @ gaze, -1, 1)
    radius = BALL * np.sqrt(1 - cosine**2) + 3 * (cosine < 0)
    side = np.cross([0, 1, 0], gaze)
    angle = np.arctan2(normal @ np.cross(gaze, side), normal @ side)
    rays = np.interp(angle, np.linspace(-np.pi, np.pi, len(streaks)), streaks, period=2 * np.pi)
    iris = np.array(identity.skin.iris)[None] * (1 + 0.22 * rays)[:, None]
    inner = np.interp(radius, [0.22, 0.36, 0.5], [1.35, 1.1, 0.95])[:, None]
    ring = np.interp(radius, [0.44, 0.57, 0.62], [1.0, 0.35, 0.3])[:, None]
    colour = np.clip(iris * inner * ring, 0.004, 1)
    pupil = np.interp(radius, [0.21, 0.25], [0, 1])[:, None]
    colour = colour * pupil + 0.006 * (1 - pupil)
    sclera = np.interp(radius, [IRIS - 0.05, IRIS + 0.04], [0, 1])[:, None]
    return colour * (1 - sclera) + np.array([0.66, 0.6, 0.56]) * sclera


def _glints(normal: Floats, gaze: NDArray[np.float64], ray: Floats, scene: Scene, reach: Floats) -> NDArray[np.float64]:
    """Mirror images of the lights on the cornea [M, 3], which bulges more than the ball."""
    cosine = np.clip(normal @ gaze, 0, 1)[:, None]
    bulged = unit(normal + 0.9 * (normal - gaze * cosine) * (cosine > 0.88))
    mirrored = ray - 2 * (ray * bulged).sum(axis=1, keepdims=True) * bulged
    key = np.array(scene.light.key) * np.array([0.75, 0.75, 1.0])
    key /= np.linalg.norm(key)
    spot = np.clip((mirrored @ key - 0.955) / 0.03, 0, 1)[:, None]
    window = np.array([-0.42 * np.sign(scene.light.key[0]), 0.38, 0.82])
    second = np.clip((mirrored @ window - 0.97) / 0.02, 0, 1)[:, None]
    wet = 0.05 * np.clip(mirrored[:, 1:2], 0, 1) * vector(scene.light.ambient[0])
    strength = vector(scene.light.key_colour) * 0.9 + 0.12
    return spot * strength * (0.35 + 0.65 * reach) + second * 0.25 * vector(scene.light.ambient[0]) + wet


def _mouth(here: NDArray[np.int64], surface: Surface, mesh: CanonicalMesh, scene: Scene, body: Body) -> Floats:
    """Radiance [M, 3] between the lips: teeth that stay with skull and jaw, tongue, darkness."""
    local = (surface.place[here] - PIVOT) @ body.turn + PIVOT
    upper, lower = body.head[list(INNER_UPPER_LIP)], body.head[list(INNER_LOWER_LIP)]
    centre = float(upper[5, 0])
    x, y = local[:, 0] - centre, local[:, 1]
    lip_top, lip_bottom = np.interp(local[:, 0], *_sorted(upper[:, :2])), np.interp(local[:, 0], *_sorted(lower[:, :2]))
    edge = float(upper[5, 1]) - 0.42 + 0.035 * x**2
    lower_edge = float(lower[5, 1]) + 0.3 - 0.04 * x**2
    tooth = np.abs(x[:, None] - _TOOTH_EDGES).min(axis=1)
    gap = np.interp(tooth, [0.0, 0.05, 0.14], [0.35, 0.86, 1.0])
    number = np.searchsorted(_TOOTH_EDGES, x)
    edge = edge + np.array([0, 0, 0, -0.02, 0.07, 0, 0, 0.07, -0.02, 0])[np.clip(number, 0, 9)]
    teeth = np.interp(y - edge, [-0.03, 0.03], [0, 1])
    below = np.interp(lower_edge - y, [-0.03, 0.03], [0, 1]) * 0.75
    ivory = np.array([0.66, 0.6, 0.5]) * (gap * np.interp(np.abs(x), [0, 1.4, 2.4], [1, 0.7, 0.2]))[:, None]
    opening = np.maximum(lip_top - lip_bottom, 0.05)
    depth = np.clip((y - lip_bottom) / opening, 0, 1)
    tongue = np.interp(depth, [0.1, 0.5, 0.7], [0.9, 0.5, 0.0]) * np.exp(-((x / 1.3) ** 2)) * (opening > 0.5)
    dark = np.array([0.035, 0.008, 0.007]) + tongue[:, None] * np.array([0.2, 0.06, 0.055])
    colour = dark * (1 - below[:, None]) + ivory * 0.7 * below[:, None]
    colour = colour * (1 - teeth[:, None]) + ivory * teeth[:, None]
    shade = np.interp(lip_top - y, [0, 0.12, 0.3], [0.35, 0.75, 1.0]) * np.interp(opening, [0.05, 0.25], [0.4, 1.0])
    light = scene.light
    key = max(0.25, light.key[2]) * vector(light.key_colour)
    around = vector(light.ambient[0]) * 0.4 + vector(light.ambient[1]) * 0.4 + vector(light.ambient[2])
    return (colour * shade[:, None] * (0.75 * key + around * 0.85)).astype(np.float32)


def lashes(canvas: Floats, body: Body, view: View, scene: Scene) -> Floats:
    """``canvas`` [S, S, 3] with the upper lids' rims and lashes drawn over it."""
    cover = np.zeros(canvas.shape[:2], dtype=np.uint8)
    rng = generator(scene.hair.pattern, "lashes")
    for side, lid in zip((-1, 1), UPPER_LIDS, strict=True):
        rim = body.head[list(lid)]
        at = np.linspace(0.3, len(rim) - 1.4, 30)
        root = np.stack([np.interp(at, np.arange(len(rim)), rim[:, axis]) for axis in range(3)], axis=1)
        outward = np.interp(at, [0, 4, 8], [1.0, 0.35, -0.25]) * side + rng.normal(0, 0.1, len(at))
        reach = np.interp(at, [0, 2, 8], [0.42, 0.36, 0.2])[:, None] * rng.uniform(0.8, 1.1, (len(at), 1))
        bend = np.stack([outward * 0.5, np.full(len(at), -0.05), np.full(len(at), 0.7)], axis=1) * reach
        tip = np.stack([outward, np.full(len(at), 0.62), np.full(len(at), 0.85)], axis=1) * reach
        lines = np.stack([root, root + bend, root + tip], axis=1)
        world = (lines - PIVOT) @ body.turn.T + PIVOT
        pixels, _ = view.project(world.astype(np.float32))
        cv2.polylines(cover, list(np.rint(pixels * 16).astype(np.int32)), False, 170, 1, cv2.LINE_AA, 4)
        world = (rim - PIVOT) @ body.turn.T + PIVOT
        line, _ = view.project(world.astype(np.float32))
        width = max(1, round(0.09 * view.focal / scene.camera.distance))
        cv2.polylines(cover, [np.rint(line * 16).astype(np.int32)], False, 215, width, cv2.LINE_AA, 4)
    amount = (cover.astype(np.float32) / 255)[..., None] * 0.85
    return canvas * (1 - amount) + vector([0.012, 0.008, 0.007]) * amount
