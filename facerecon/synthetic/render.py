"""One photograph of a sample face, with the exact truth about it."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.errors import FaceReconError
from facerecon.perception.landmarks import sixty_eight
from facerecon.randomness import generator
from facerecon.synthetic import eyes, shading
from facerecon.synthetic.hair import Strands, draw_runs, grow, hairline
from facerecon.synthetic.mesh import FACE_POINTS, CanonicalMesh, Part, vertex_normals
from facerecon.synthetic.people import Identity, Light, Scene
from facerecon.synthetic.pose import PIVOT, Body, View, pose, view_of
from facerecon.synthetic.raster import Floats, Fragments, blur, rasterise, sample, unit, vector
from facerecon.synthetic.skin import SkinTexture, noise, paint_skin, texture_position

OVERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class Rendered:
    """A photograph and its truth.

    ``image`` uint8 RGB [size, size, 3]; ``landmarks`` float32 [468, 3]: x, y in pixels of the image ((0, 0) is its
    corner) and depth in cm from the camera; ``landmarks68`` [68, 3]: those at the 68 iBUG 300-W points;
    ``depth`` float32 [size, size]: cm from the camera of skin and clothes at the pixel's centre, hair left out, eyes
    and mouth spanned as in the canonical mesh, infinite for the background; ``yaw``, ``pitch``, ``roll`` in degrees,
    signs as in ``landmarks.head_angles``.
    """

    image: NDArray[np.uint8]
    landmarks: Floats
    landmarks68: Floats
    depth: Floats
    light: Light
    yaw: float
    pitch: float
    roll: float


def render(mesh: CanonicalMesh, identity: Identity, scene: Scene, size: int = 256) -> Rendered:
    """Photograph ``identity`` as ``scene`` says, in ``size`` x ``size`` pixels (64 to 1024).

    The same arguments give the same bytes. Raises FaceReconError for another size.
    """
    if not 64 <= size <= 1024:
        raise FaceReconError(f"size is {size}: sample faces are drawn at 64 to 1024 pixels")
    body = pose(mesh, identity, scene)
    view = view_of(scene, size * OVERSAMPLING)
    points, depth = view.project(body.world)
    fragments = rasterise(points, depth, mesh.triangles, view.size)
    strands = grow(mesh, body.head, scene.hair)
    image = _picture(mesh, identity, scene, body, view, fragments, strands)
    landmarks = np.concatenate([points[:FACE_POINTS] / OVERSAMPLING, depth[:FACE_POINTS, None]], axis=1)
    return Rendered(
        image=_record(image, scene, size),
        landmarks=landmarks.astype(np.float32),
        landmarks68=sixty_eight(landmarks.astype(np.float32)),
        depth=_distance(fragments, size),
        light=scene.light,
        yaw=scene.yaw,
        pitch=scene.pitch,
        roll=scene.roll,
    )


def _distance(fragments: Fragments, size: int) -> Floats:
    """Depth at the pixels' centres [size, size]: the mean of the samples round each, the nearest one at an edge."""
    fine = np.full((size * OVERSAMPLING) ** 2, np.inf, dtype=np.float32)
    fine[fragments.pixel] = fragments.depth
    samples = fine.reshape(size, OVERSAMPLING, size, OVERSAMPLING).transpose(0, 2, 1, 3).reshape(size, size, -1)
    nearest, farthest = samples.min(axis=-1), samples.max(axis=-1)
    known = np.where(np.isfinite(samples), samples, 0).mean(axis=-1)
    return np.where(farthest < nearest + 0.5, known, nearest)


@lru_cache(maxsize=4)
def _painted(mesh: CanonicalMesh, identity: Identity) -> SkinTexture:
    """The photographs of a person follow one another: the skin is painted once."""
    return paint_skin(mesh.rest, identity.skin)


def _picture(
    mesh: CanonicalMesh,
    identity: Identity,
    scene: Scene,
    body: Body,
    view: View,
    fragments: Fragments,
    strands: Strands,
) -> Floats:
    """Linear radiance [S, S, 3] of everything."""
    size = view.size
    hair_world = (strands.points - PIVOT) @ body.turn.T + PIVOT
    shadows = shading.Shadows(body.world, mesh.triangles, hair_world, scene.light)
    surface = _surface(mesh, identity, scene, body, view, fragments)
    lit = shading.shade(surface, scene.light, shadows, view.focal / scene.camera.distance, size)
    lit = eyes.draw(lit, surface, mesh, identity, scene, body, view, shadows)
    canvas = backdrop(scene, size).reshape(-1, 3)
    body_depth = np.full(size * size, np.inf, dtype=np.float32)
    body_depth[fragments.pixel] = fragments.depth
    front, behind = _hair_lines(strands, hair_world, view, body_depth)
    colour = shading.shade_hair(strands, hair_world, scene, view, shadows)
    _paint_hair(canvas, behind, colour)
    canvas[fragments.pixel] = lit
    canvas = eyes.lashes(canvas.reshape(size, size, 3), body, view, scene).reshape(-1, 3)
    _paint_hair(canvas, front, colour)
    return canvas.reshape(size, size, 3)


def _hair_lines(
    strands: Strands, world: Floats, view: View, body_depth: Floats
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Tones of the strands in front of the body, and of those behind it, each [S, S]."""
    pixels, depth = view.project(world)
    cell = np.clip(pixels.astype(np.int64), 0, view.size - 1)
    # hair lies on the shoulders that it would run into
    slack = np.clip(-4 - world[..., 1], 0.25, 4)
    seen = depth < body_depth[cell[..., 1] * view.size + cell[..., 0]] + slack
    tone = np.clip(strands.tone * (0.75 + 0.25 * strands.layer) * 96, 24, 248)
    tone = (tone / 12).astype(np.uint8) * 12
    everything = np.arange(world.shape[1]) <= strands.ends[:, None]
    seen &= everything
    hidden = everything & ~seen
    hidden[:, 1:] |= hidden[:, :-1]
    hidden[:, :-1] |= hidden[:, 1:]
    hidden &= everything
    return draw_runs(pixels, seen, depth, tone, view.size), draw_runs(pixels, hidden, depth, tone, view.size)


def _paint_hair(canvas: Floats, tones: NDArray[np.uint8], colour: Floats) -> None:
    """Lay lines of hair onto ``canvas`` [S * S, 3] in place."""
    where = np.flatnonzero(tones)
    canvas[where] = colour[where] * (tones.ravel()[where, None].astype(np.float32) / 96)


def _surface(
    mesh: CanonicalMesh, identity: Identity, scene: Scene, body: Body, view: View, fragments: Fragments
) -> shading.Surface:
    """What the light falls on: place, normal, reflectance, relief and gloss of every fragment."""
    normals = vertex_normals(body.world, mesh.triangles)
    values = np.concatenate([normals, mesh.rest, mesh.openness[:, None]], axis=1)
    mixed = fragments.interpolate(values, mesh.triangles)
    rest, part = mixed[:, 3:6], mesh.part[fragments.triangle]
    texture = _painted(mesh, identity)
    at = texture_position(rest)
    colour = sample(texture.colour, at)
    detail = sample(np.dstack([texture.relief, texture.gloss]), at)
    relief, gloss = detail[:, 0], detail[:, 1] * identity.skin.gloss
    colour = _nostrils(colour, rest)
    grain = noise(generator(scene.hair.pattern, "scalp"), (view.size, view.size), 3).ravel()[fragments.pixel]
    inside = hairline(rest, scene.hair) + 0.22 * grain
    cover = 0.92 * np.clip(inside / 1.7 + 0.1, 0, 1) * ((part == Part.SKULL) | (part == Part.FACE))
    colour = colour * (1 - cover[:, None]) + vector(scene.hair.colour) * (0.55 * cover[:, None])
    gloss = gloss * (1 - cover)
    colour, relief, gloss = _clothe(colour, relief, gloss, rest, part, scene)
    return shading.Surface(
        place=view.eye + view.rays(fragments.pixel) * fragments.depth[:, None],
        normal=unit(mixed[:, :3]),
        rest=rest,
        part=part,
        colour=colour,
        relief=relief,
        gloss=gloss,
        openness=mixed[:, 6],
        pixel=fragments.pixel,
        eye=view.eye,
    )


def _nostrils(colour: Floats, rest: Floats) -> Floats:
    """Darken the two openings under the nose."""
    dark = np.zeros(len(rest), dtype=np.float32)
    near = (rest[:, 2] > 4.6) & (rest[:, 1] < -0.9) & (rest[:, 1] > -2.6)
    for side in (-1, 1):
        offset = (rest[near] - np.array([0.68 * side, -1.82, 5.95], dtype=np.float32)) / np.array([0.36, 0.2, 0.4])
        dark[near] += np.exp(-((offset**2).sum(axis=1) ** 1.5))
    return colour * (1 - 0.9 * np.clip(dark, 0, 1)[:, None] * np.array([0.9, 1, 1], dtype=np.float32))


def _clothe(
    colour: Floats, relief: Floats, gloss: Floats, rest: Floats, part: NDArray[np.uint8], scene: Scene
) -> tuple[Floats, Floats, Floats]:
    """Cloth below the neckline, with folds and a hem."""
    line = scene.neckline - 2.2 * np.exp(-((rest[:, 0] / 4.0) ** 2)) * (rest[:, 2] > -6)
    inside = (line - rest[:, 1]) * (part == Part.NECK)
    cover = np.clip(inside / 0.12, 0, 1)
    hem = np.exp(-(((inside - 0.5) / 0.12) ** 2)) * 0.3
    folds = 0.25 * np.sin(rest[:, 0] * 0.8 + 0.6 * np.sin(rest[:, 1] * 0.7)) * np.clip(inside / 4, 0, 1)
    cloth = vector(scene.cloth) * (1 - hem)[:, None]
    relief = relief * (1 - cover) + (folds + 0.12 * np.clip(inside / 0.3, 0, 1)) * cover
    return colour * (1 - cover[:, None]) + cloth * cover[:, None], relief, gloss * (1 - 0.9 * cover)


def backdrop(scene: Scene, size: int) -> Floats:
    """A blurred room or street behind the person, linear radiance [S, S, 3]."""
    rng = generator(scene.backdrop, "backdrop")
    side = 96
    base = np.exp(rng.normal(np.log(0.22), 0.6)) * np.exp(rng.normal(0, 0.12, 3))
    slope = rng.normal(0, 0.35, 2)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = (base * np.exp(slope[0] * x + slope[1] * y)[..., None]).astype(np.float32)
    for _ in range(int(rng.integers(0, 9))):
        tone = tuple(float(v) for v in base * np.exp(rng.normal(0, 0.7)) * np.exp(rng.normal(0, 0.18, 3)))
        a, b = rng.integers(-20, side + 20, 2), rng.integers(-20, side + 20, 2)
        if rng.uniform() < 0.6:
            cv2.rectangle(image, a.tolist(), (a + rng.integers(8, 60, 2)).tolist(), tone, -1)
        else:
            cv2.circle(image, b.tolist(), int(rng.integers(3, 18)), tone, -1)
    image = blur(image, float(rng.uniform(2.0, 6.0)))
    if scene.light.backdrop is None:
        level = {"back": 1.9, "dim": 0.7, "frontal": 1.2}.get(scene.light.name.value, 1.0)
    else:
        level = scene.light.backdrop / float(image.mean())
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(image * level, 0.004, 1.5)


def _record(radiance: Floats, scene: Scene, size: int) -> NDArray[np.uint8]:
    """What the camera makes of linear radiance [S, S, 3]: optics, noise, tone curve, 8 bits [size, size, 3]."""
    camera = scene.camera
    rng = generator(scene.seed, scene.identity_number, scene.photo_number, "sensor")
    small = cv2.resize(radiance, (size, size), interpolation=cv2.INTER_AREA)
    image = blur(np.asarray(small, dtype=np.float32), max(camera.blur * size / 256, 0.2)) * (
        vector(camera.white_balance) * camera.exposure
    )
    spread = np.sqrt(camera.shot**2 * np.maximum(image, 0) + camera.read**2)
    image = np.maximum(image + spread * rng.standard_normal(image.shape, dtype=np.float32), 0)
    # linear in the dark, a soft shoulder instead of clipped highlights
    image = np.where(image < 0.6, image, 0.6 + 0.4 * (1 - np.exp(-(image - 0.6) / 0.4)))
    encoded = np.where(image <= 0.0031308, 12.92 * image, 1.055 * np.maximum(image, 1e-8) ** (1 / 2.4) - 0.055)
    return np.clip(np.rint(encoded * 255), 0, 255).astype(np.uint8)
