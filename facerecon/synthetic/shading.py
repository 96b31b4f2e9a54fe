"""Light on skin, cloth and hair: a soft key light and a rim light with shadows, and light from all around."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.synthetic.hair import Strands
from facerecon.synthetic.mesh import parallel_view
from facerecon.synthetic.people import Light, Scene
from facerecon.synthetic.pose import View
from facerecon.synthetic.raster import Floats, Integers, blur, dot, rasterise, sample, unit, vector

_MAP = 176
"""Side of a shadow map in pixels; it shows 40 cm."""
_WRAP = np.array([0.3, 0.14, 0.09], dtype=np.float32)
"""How far light of each colour creeps round an edge of skin."""


@dataclass(frozen=True, eq=False)
class Surface:
    """What is seen at N pixels.

    ``place`` and ``normal`` [N, 3] in world space, ``rest`` [N, 3] the place on the head at rest, ``part`` [N],
    ``colour`` [N, 3] linear reflectance, ``relief`` [N] cm, ``gloss`` [N] about 1, ``openness`` [N] in [0, 1],
    ``pixel`` [N] flat indices; ``eye`` [3] the camera's place.
    """

    place: Floats
    normal: Floats
    rest: Floats
    part: NDArray[np.uint8]
    colour: Floats
    relief: Floats
    gloss: Floats
    openness: Floats
    pixel: Integers
    eye: Floats


class Shadows:
    """Shadow maps of the key and the rim light, with the hair."""

    def __init__(self, world: Floats, triangles: Integers, hair: Floats, light: Light) -> None:
        self.maps: dict[tuple[float, float, float], Floats] = {}
        thin = hair[::3].reshape(-1, 3)
        for direction in (light.key, light.rim):
            toward = np.array(direction)
            points, depth = parallel_view(world, toward, _MAP)
            fragments = rasterise(points, depth, triangles, _MAP)
            buffer = np.full(_MAP * _MAP, 1e3, dtype=np.float32)
            buffer[fragments.pixel] = fragments.depth
            points, depth = parallel_view(thin, toward, _MAP)
            inside = (points.min(axis=1) >= 0) & (points.max(axis=1) < _MAP)
            cell = points[inside].astype(np.int64)
            strands = np.full(_MAP * _MAP, 1e3, dtype=np.float32)
            np.minimum.at(strands, cell[:, 1] * _MAP + cell[:, 0], depth[inside])
            thick = cv2.erode(strands.reshape(_MAP, _MAP), np.ones((3, 3), dtype=np.uint8))
            self.maps[direction] = np.minimum(buffer.reshape(_MAP, _MAP), np.asarray(thick, dtype=np.float32))

    def light_at(self, place: Floats, direction: tuple[float, float, float], softness: float, bias: float) -> Floats:
        """Share of the light that reaches places [N, 3], in [0, 1]."""
        points, depth = parallel_view(place, np.array(direction), _MAP)
        reach = 1.6 * softness
        total = np.zeros(len(place), dtype=np.float32)
        for dx, dy in ((-0.9, -0.3), (0.3, -0.9), (0.9, 0.3), (-0.3, 0.9), (0.0, 0.0)):
            at = points + np.array([dx * reach - 0.5, dy * reach - 0.5], dtype=np.float32)
            found = sample(self.maps[direction], at, nearest=True, outside=1e3)
            total += np.clip((found + bias - depth) / (0.25 * softness) + 1, 0, 1)
        return total / 5


def shade(surface: Surface, light: Light, shadows: Shadows, density: float, size: int) -> Floats:
    """Linear radiance [N, 3] of a surface. ``density``: pixels per cm; ``size``: the image's side in pixels."""
    normal = _bumpy(surface, size, density)
    key, rim = vector(light.key), vector(light.rim)
    open_key = shadows.light_at(surface.place, light.key, light.softness, 0.45)
    open_rim = shadows.light_at(surface.place, light.rim, light.softness, 0.45)
    facing = normal @ key
    wrapped = np.clip((facing[:, None] + _WRAP) / (1 + _WRAP), 0, None)
    sky, ground, front = (vector(colour) for colour in light.ambient)
    up = (0.5 + 0.5 * normal[:, 1])[:, None]
    # what light there is in a crevice has met skin on its way and is red
    crevice = np.clip(surface.openness, 0.05, 1)[:, None]
    crevice = crevice * (1 + vector((0.18, -0.05, -0.1)) * (1 - crevice))
    irradiance: Floats = vector(light.key_colour) * wrapped * open_key[:, None]
    irradiance += vector(light.rim_colour) * (np.clip(normal @ rim, 0, None) * open_rim)[:, None]
    irradiance += (sky * up + ground * (1 - up) + front * np.clip(normal[:, 2:], 0, None)) * crevice
    irradiance = _scatter(irradiance, surface.pixel, size, density)
    view = unit(surface.eye - surface.place)
    shine = _shine(normal, view, key, open_key)[:, None] * vector(light.key_colour)
    shine += 0.4 * _shine(normal, view, rim, open_rim)[:, None] * vector(light.rim_colour)
    grazing = np.square(np.square(1 - np.clip(dot(normal, view), 0, 1)))
    sheen = (0.02 + 0.2 * grazing)[:, None] * (sky * up + ground * (1 - up)) * crevice
    return surface.colour * irradiance + surface.gloss[:, None] * (shine + sheen)


def _shine(normal: Floats, view: Floats, light: Floats, reach: Floats) -> Floats:
    """Mirror-like light from skin [N]: a broad and a narrow lobe, stronger at grazing angles."""
    half = unit(view + light)
    cosine = np.clip(dot(normal, half), 0, 1)
    fresnel = 0.03 + 0.6 * np.square(np.square(1 - np.clip(dot(view, half), 0, 1)))
    fourth = np.square(np.square(cosine))  # by squaring: a general power takes ten times as long
    eighth = np.square(fourth)
    lobes = 1.2 * fourth * eighth + 2.4 * eighth * np.square(np.square(eighth))
    return fresnel * lobes * reach * np.clip((normal @ light) * 4, 0, 1)


def _bumpy(surface: Surface, size: int, density: float) -> Floats:
    """Normals tilted by the slope of the relief as seen in the image [N, 3]."""
    height, known = np.zeros((2, size, size), dtype=np.float32)
    height.ravel()[surface.pixel], known.ravel()[surface.pixel] = surface.relief, 1
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=density / 8).ravel()[surface.pixel]
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=density / 8).ravel()[surface.pixel]
    inner = cv2.erode(known, np.ones((3, 3), dtype=np.uint8)).ravel()[surface.pixel]
    tilted = surface.normal.copy()
    tilted[:, 0] -= np.clip(slope_x, -0.6, 0.6) * inner
    tilted[:, 1] += np.clip(slope_y, -0.6, 0.6) * inner
    return unit(tilted)


def _scatter(irradiance: Floats, pixel: Integers, size: int, density: float) -> Floats:
    """Light that enters skin leaves it nearby, red the farthest: blur per colour within the body."""
    planes, inside = np.zeros((3, size, size), dtype=np.float32), np.zeros((size, size), dtype=np.float32)
    planes.reshape(3, -1)[:, pixel] = irradiance.T
    inside.ravel()[pixel] = 1
    for plane, reach in zip(planes, (0.16, 0.07, 0.045), strict=True):
        sigma = max(reach * density, 0.3)
        plane[:] = blur(plane, sigma) / np.maximum(blur(inside, sigma), 1e-3)
    return planes.reshape(3, -1)[:, pixel].T


def shade_hair(strands: Strands, world: Floats, scene: Scene, view: View, shadows: Shadows) -> Floats:
    """Linear radiance [S * S, 3] of hair wherever a strand may be drawn, from smooth fields of direction and place."""
    side = 112
    world = world[::2]  # neighbours differ little
    tangent = unit(np.diff(world, axis=1, append=2 * world[:, -1:] - world[:, -2:-1]))
    pixels, depth = view.project(world)
    cell = (pixels * (side / view.size)).astype(np.int64).reshape(-1, 2)
    inside = ((cell >= 0) & (cell < side)).all(axis=1)
    flat = cell[:, 1] * side + cell[:, 0]
    order = np.flatnonzero(inside)
    order = order[np.argsort(-depth.ravel()[order], kind="stable")]
    cells = np.zeros((side * side, 7), dtype=np.float32)
    cells[flat[order], :3] = tangent.reshape(-1, 3)[order]
    cells[flat[order], 3:6] = world.reshape(-1, 3)[order]
    cells[flat[order], 6] = 1
    grid = cells.reshape(side, side, 7)
    # where strands are sparse, their wider neighbourhood speaks for them
    grid = blur(grid, 1.2) + 0.02 * blur(grid, 4.0)
    field = (grid / np.maximum(grid[..., 6:], 1e-6)).reshape(-1, 7)
    lit = _hair_light(field, scene, view.eye, shadows).reshape(side, side, 3)
    return np.asarray(cv2.resize(lit, (view.size, view.size)), dtype=np.float32).reshape(-1, 3)


def _hair_light(field: Floats, scene: Scene, eye: Floats, shadows: Shadows) -> Floats:
    """Strands' radiance [N, 3] from their direction and place [N, 6]: brightest where they lie across the light."""
    light = scene.light
    colour = vector(scene.hair.colour)
    tangent = unit(field[:, :3])
    place = field[:, 3:6]
    # round the skull, and round the neck where hair hangs below it
    middle = np.zeros_like(place)
    middle[:, 1], middle[:, 2] = np.minimum(3, place[:, 1] + 1), -5
    outward, view = unit(place - middle), unit(eye - place)
    result = np.zeros((len(field), 3), dtype=np.float32)
    for direction, strength in ((light.key, light.key_colour), (light.rim, light.rim_colour)):
        toward = vector(direction)
        # much of the light passes between the strands
        reach = 0.3 + 0.7 * shadows.light_at(place, direction, 2.2 * light.softness, 1.3)[:, None]
        facing = np.clip((outward @ toward + 0.25) / 1.25, 0, 1)[:, None] * reach
        across = np.sqrt(np.clip(1 - (tangent @ toward) ** 2, 0, 1))[:, None]
        half = unit(view + toward)
        skew = dot(tangent, half)
        shine = np.clip(1 - (skew - 0.08) ** 2, 0, 1)[:, None] ** 45
        glow = np.clip(1 - (skew + 0.12) ** 2, 0, 1)[:, None] ** 12
        result += vector(strength) * facing * (colour * across + 0.045 * shine + 0.5 * colour * glow)
    sky, ground, front = (vector(c) for c in light.ambient)
    up = (0.5 + 0.5 * outward[:, 1])[:, None]
    around = sky * up + ground * (1 - up) * 0.6 + front * np.clip(outward[:, 2:], 0, None)
    return result + around * (colour * 1.25 + 0.006)
