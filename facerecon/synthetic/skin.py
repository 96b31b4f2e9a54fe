"""Skin of one person as a texture round the head: colour, relief and gloss.

The texture is a cylinder round the head's axis (x = 0, z = AXIS): columns are angles, rows heights of the head at
rest, so it does not depend on the person's shape and moves with the expression.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.randomness import generator
from facerecon.synthetic import mesh as parts
from facerecon.synthetic.people import Skin
from facerecon.synthetic.raster import Floats, blur

AXIS, RADIUS = -4.0, 8.0
WIDTH, HEIGHT, SCALE = 1024, 832, 28.0
"""Texture's size, and its pixels per cm at RADIUS."""
MIDDLE = 0.0
BARE = np.array([0.84, 0.66, 0.53], dtype=np.float32)
"""Linear RGB reflectance of skin without melanin and blood."""
MELANIN = np.array([0.66, 0.86, 1.0], dtype=np.float32)
BLOOD = np.array([0.07, 0.44, 0.34], dtype=np.float32)
"""How strongly each absorbs red, green and blue."""


@dataclass(frozen=True, eq=False)
class SkinTexture:
    """``colour`` [H, W, 3] linear reflectance; ``relief`` [H, W] height in cm; ``gloss`` [H, W] about 1."""

    colour: Floats
    relief: Floats
    gloss: Floats


def texture_position(rest: Floats) -> Floats:
    """Texture pixels [N, 2] (column, row) of points at rest [N, 3]."""
    angle = np.arctan2(rest[:, 0], rest[:, 2] - AXIS)
    column = angle * (RADIUS * SCALE) + WIDTH / 2
    row = (MIDDLE - rest[:, 1]) * SCALE + HEIGHT / 2
    return np.stack([column, row], axis=1).astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Floats:
    """Smooth noise [H, W], mean 0 and deviation about 1, whose features are ``cell`` pixels wide."""
    rows, columns = int(np.ceil(shape[0] / cell)) + 3, int(np.ceil(shape[1] / cell)) + 3
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    fine = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)[: shape[0], : shape[1]]
    return fine * np.float32(1.35)


class _Canvas:
    """Drawing on the texture in the places of the canonical face's points."""

    def __init__(self, rest: Floats) -> None:
        self.rest = rest
        self.flat = texture_position(rest)

    def blob(self, centre: tuple[float, float, float], width: float, height: float) -> Floats:
        """A Gaussian spot [H, W] at a place on the head, deviations in cm."""
        x, y = texture_position(np.array([centre], dtype=np.float32))[0]
        columns = np.exp(-0.5 * ((np.arange(WIDTH, dtype=np.float32) - x) / (width * SCALE)) ** 2)
        rows = np.exp(-0.5 * ((np.arange(HEIGHT, dtype=np.float32) - y) / (height * SCALE)) ** 2)
        return np.outer(rows, columns).astype(np.float32)

    def pair(self, centre: tuple[float, float, float], width: float, height: float) -> Floats:
        """The same at both sides."""
        return self.blob(centre, width, height) + self.blob((-centre[0], *centre[1:]), width, height)

    def curve(self, points: Floats, width: float, soft: float) -> Floats:
        """A line [H, W] in [0, 1] through points in texture pixels, ``width`` and softness in cm."""
        layer = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        line = np.rint(points * 16).astype(np.int32)
        cv2.polylines(layer, [line], False, 255, max(1, round(width * SCALE)), cv2.LINE_AA, 4)
        return _soften(layer, soft)

    def area(self, points: Floats, soft: float) -> Floats:
        """A filled outline [H, W] in [0, 1] through points in texture pixels, its edge ``soft`` cm wide."""
        layer = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        cv2.fillPoly(layer, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        return _soften(layer, soft)


def _soften(layer: NDArray[np.uint8], soft: float) -> Floats:
    """An 8-bit layer as [0, 1], blurred by ``soft`` cm."""
    return blur(layer.astype(np.float32) / 255, max(soft * SCALE, 0.4))


def paint_skin(rest: Floats, skin: Skin) -> SkinTexture:
    """The texture of ``skin`` for a head whose points at rest are ``rest`` [V, 3] (the canonical ones first)."""
    rng = generator(skin.pattern, "skin")
    canvas = _Canvas(rest)
    shape = (HEIGHT, WIDTH)
    coarse, medium, fine = noise(rng, shape, 60), noise(rng, shape, 18), noise(rng, shape, 6)
    grain = rng.standard_normal(shape, dtype=np.float32)
    pores = blur(grain, 1.4) * 3.0
    melanin: Floats = np.full(shape, skin.melanin, dtype=np.float32)
    melanin += skin.blotches * (0.05 * coarse + 0.035 * medium + 0.025 * fine) * (0.6 + 0.4 * skin.melanin)
    blood: Floats = skin.blood + skin.blotches * (0.09 * noise(rng, shape, 45) + 0.06 * noise(rng, shape, 12))
    melanin += 0.015 * pores
    melanin, blood = _regions(canvas, skin, melanin, blood)
    melanin = _spots(canvas, skin, melanin, rng)
    relief = 0.004 * pores + 0.004 * fine + _creases(canvas, skin, rng)
    gloss = (
        1 + 0.25 * fine + 0.2 * medium + 0.7 * canvas.blob((0, 0, 7), 1.0, 1.4) + 0.5 * canvas.blob((0, 6.5, 5), 3, 1.2)
    )

    lips = _lips(canvas)
    streaks = blur(rng.standard_normal(shape, dtype=np.float32), 1.6, 7) * 6
    melanin += lips * (skin.lip_melanin + 0.05 * streaks)
    blood += lips * (skin.lip_blood * (1 + 0.08 * streaks))
    relief += lips * (0.01 * streaks - 0.004 * pores)
    gloss += 0.9 * lips
    colour = BARE * np.exp(
        -melanin[..., None] * MELANIN - (np.maximum(blood, 0) * (1 - 0.2 * melanin))[..., None] * BLOOD
    )
    colour = _beard(canvas, skin, colour, rng)
    colour = _around_eyes(canvas, skin, colour)
    colour, relief = _brows(canvas, skin, colour, relief, rng)
    return SkinTexture(colour.astype(np.float32), relief.astype(np.float32), gloss.astype(np.float32))


def _regions(canvas: _Canvas, skin: Skin, melanin: Floats, blood: Floats) -> tuple[Floats, Floats]:
    """Where skin is redder or darker: cheeks, nose, ears, eyelids."""
    blood = blood + 0.2 * canvas.pair((4.2, -1.0, 3.8), 1.5, 1.3) + 0.25 * canvas.blob((0, -0.8, 7), 0.8, 0.9)
    blood += 0.2 * canvas.pair((8.5, 1.0, -4.5), 1.6, 3.0) + 0.1 * canvas.blob((0, -8.6, 4.4), 1.5, 0.8)
    blood += 0.16 * canvas.pair((3.2, 3.3, 4.0), 1.3, 0.5)
    bags = canvas.pair((3.0, 1.65, 3.8), 0.95, 0.3)
    melanin = melanin + 0.1 * canvas.pair((3.1, 2.6, 3.8), 1.5, 0.8) + skin.shadows_under_eyes * 0.16 * bags
    blood += skin.shadows_under_eyes * 0.2 * bags
    melanin += 0.08 * canvas.pair((5.5, -6.5, 0.5), 2.0, 1.5)
    return melanin, blood


def _spots(canvas: _Canvas, skin: Skin, melanin: Floats, rng: np.random.Generator) -> Floats:
    """Freckles over nose and cheeks, and moles."""
    layer = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for _ in range(int(420 * skin.freckles)):
        x, y = rng.normal(0, 3.4), rng.normal(0.6, 2.6)
        place = texture_position(np.array([[x, y, 4.5]], dtype=np.float32))[0]
        cv2.circle(
            layer,
            _subpixel(place),
            int(rng.uniform(0.035, 0.1) * SCALE * 16),
            float(rng.uniform(0.2, 0.6)),
            -1,
            cv2.LINE_8,
            4,
        )
    for _ in range(skin.moles):
        x, y = rng.uniform(-6, 6), rng.uniform(-8, 7)
        place = texture_position(np.array([[x, y, 4.0]], dtype=np.float32))[0]
        cv2.circle(
            layer,
            _subpixel(place),
            int(rng.uniform(0.07, 0.17) * SCALE * 16),
            float(rng.uniform(0.7, 1.6)),
            -1,
            cv2.LINE_8,
            4,
        )
    return melanin + blur(layer, 1.3)


def _subpixel(place: Floats) -> tuple[int, int]:
    """A texture position in sixteenths of a pixel, as OpenCV's drawing takes it."""
    return int(place[0] * 16), int(place[1] * 16)


def _lips(canvas: _Canvas) -> Floats:
    """1 on the lips, soft at their edge."""
    outline = [*parts.OUTER_UPPER_LIP, *parts.OUTER_LOWER_LIP[-2:0:-1]]
    return canvas.area(_smooth(canvas.flat[outline], closed=True), 0.07)


def _smooth(points: Floats, closed: bool = False, steps: int = 4) -> Floats:
    """A Catmull-Rom curve through points [N, 2]."""
    padded = (
        np.concatenate([points[-1:], points, points[:2]])
        if closed
        else np.concatenate([points[:1], points, points[-1:]])
    )
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    result = curve.transpose(1, 0, 2).reshape(-1, 2)
    return result if closed else np.concatenate([result, points[-1:]])


def _creases(canvas: _Canvas, skin: Skin, rng: np.random.Generator) -> Floats:
    """Folds as negative height: beside the mouth, on the forehead, under and above the eyes."""
    relief = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    age = skin.age
    for side in (-1, 1):
        fold = np.array([[1.75, -1.0, 5.0], [2.35, -2.2, 4.9], [2.9, -3.4, 4.5], [3.25, -4.7, 4.1]], dtype=np.float32)
        fold *= np.array([side, 1, 1], dtype=np.float32)
        line = _smooth(texture_position(fold))
        relief -= (0.012 + 0.05 * age) * canvas.curve(line, 0.12, 0.13)
        bag = np.array([[1.9, 1.9, 4], [2.5, 1.45, 4], [3.3, 1.4, 4], [4.1, 1.7, 3.6]], dtype=np.float32)
        relief -= (0.008 + 0.03 * age) * canvas.curve(
            _smooth(texture_position(bag * np.array([side, 1, 1], dtype=np.float32))), 0.08, 0.1
        )
        for k in range(3):
            start = np.array([4.75, 2.75 - 0.32 * k + 0.2, 3.0], dtype=np.float32)
            end = start + np.array([0.9, 0.5 - 0.5 * k, -0.7], dtype=np.float32)
            foot = texture_position(np.stack([start, end]) * np.array([side, 1, 1], dtype=np.float32))
            relief -= 0.02 * max(0.0, age - 0.3) * canvas.curve(foot, 0.06, 0.06)
    for level in (5.9, 6.6, 7.3):
        across = np.linspace(-3.8, 3.8, 9)
        waves = level + 0.12 * rng.standard_normal(9)
        line = texture_position(np.stack([across, waves, np.full(9, 4.6)], axis=1).astype(np.float32))
        relief -= 0.035 * max(0.0, age - 0.25) * canvas.curve(_smooth(line), 0.07, 0.09)
    return relief


def _beard(canvas: _Canvas, skin: Skin, colour: Floats, rng: np.random.Generator) -> Floats:
    """Stubble or a short beard on jaw, chin and upper lip."""
    if skin.stubble == 0:
        return colour
    shape = (HEIGHT, WIDTH)
    outline = np.array(
        [[7.4, 1.0, -2], [6.6, -2.0, 0.8], [4.9, -4.0, 2.8], [3.3, -4.0, 4.2], [2.6, -2.9, 4.8], [0, -2.4, 6]],
        dtype=np.float32,
    )
    lower = np.array([[0, -10.6, 3], [4, -9.6, 1.5], [7, -6.0, -2]], dtype=np.float32)
    right = np.concatenate([lower, outline])
    whole = np.concatenate([right, right[::-1] * np.array([-1, 1, 1], dtype=np.float32)])
    where = canvas.area(texture_position(whole), 0.35) * (1 - _lips(canvas))
    where = np.clip(where * (1 + 0.25 * noise(rng, shape, 22)), 0, 1)
    hairs = blur((rng.random(shape, dtype=np.float32) > 0.955).astype(np.float32), 0.7, 1.6)
    amount = where * np.clip(
        0.3 * skin.stubble + (1.5 + 3 * skin.stubble) * hairs, 0, 0.85 * min(1, skin.stubble + 0.25)
    )
    tone = np.array(skin.brow_colour, dtype=np.float32) * 0.9 + np.array([0.01, 0.012, 0.015], dtype=np.float32)
    return colour * (1 - amount[..., None]) + tone * amount[..., None]


def _around_eyes(canvas: _Canvas, skin: Skin, colour: Floats) -> Floats:
    """The folds of the upper lids and the dark roots of the lashes."""
    for upper, lower in zip(parts.UPPER_LIDS, parts.LOWER_LIDS, strict=True):
        rim = canvas.flat[list(upper)]
        middle = rim.mean(axis=0)
        fold = middle + (rim - middle) * np.array([1.06, 1.0], dtype=np.float32)
        fold[:, 1] -= np.array([0.1, 0.2, 0.27, 0.31, 0.33, 0.32, 0.28, 0.2, 0.1], dtype=np.float32) * SCALE
        shade = 0.42 * canvas.curve(_smooth(fold), 0.07, 0.06) + 0.75 * canvas.curve(_smooth(rim), 0.1, 0.035)
        shade += 0.3 * canvas.curve(_smooth(canvas.flat[list(lower)]), 0.06, 0.04)
        amount = np.clip(shade, 0, 0.9)[..., None]
        dark = np.minimum(np.array([0.05, 0.028, 0.02], dtype=np.float32), colour * 0.5)
        colour = colour * (1 - amount) + dark * amount
    return colour


def _brows(
    canvas: _Canvas, skin: Skin, colour: Floats, relief: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Brows of single strokes, over a faint shadow."""
    strokes = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    body = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for side, (upper, lower) in enumerate(zip(parts.UPPER_BROWS, parts.LOWER_BROWS, strict=True)):
        spine = (canvas.flat[list(upper)] + canvas.flat[list(lower)]) / 2
        along = np.linspace(0, 1, len(spine), dtype=np.float32)
        # point 0 is the outer end; the arch is highest at a third from there
        spine[:, 1] -= (skin.brow_height + skin.brow_arch * np.exp(-(((along - 0.4) / 0.28) ** 2))) * SCALE
        line = _smooth(spine, steps=10)
        outward = 1.0 if side else -1.0
        count = int(190 * (0.5 + skin.brow_density * 0.8) * (0.6 + skin.brow_thickness))
        at = rng.uniform(0, 1, count)
        half = skin.brow_thickness * np.interp(at, [0, 0.35, 0.85, 1], [0.12, 0.7, 1.0, 0.8]) * SCALE
        root = np.stack([np.interp(at, np.linspace(0, 1, len(line)), line[:, axis]) for axis in (0, 1)], axis=1)
        across = np.clip(rng.normal(0, 0.6, count), -1, 1)
        root[:, 1] += across * half
        # near the nose hairs point up, further out they lie along the brow, from both edges towards its spine
        up = np.interp(at, [0, 0.6, 1], [0.1, 0.3, 1.1]) + 0.55 * across
        direction = np.stack([np.full(count, outward), -up], axis=1) + rng.normal(0, 0.12, (count, 2))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        tip = root + direction * (rng.uniform(0.35, 0.7, count) * SCALE)[:, None]
        for start, end in zip(root, tip, strict=True):
            middle = (start + end) / 2 + np.array([0, -0.03 * SCALE])
            cv2.polylines(
                strokes, [np.rint(np.stack([start, middle, end]) * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4
            )
        widths = np.interp(np.linspace(0, 1, len(line)), [0, 0.35, 0.85, 1], [0.1, 0.7, 0.9, 0.6])
        for (x, y), w in zip(line, widths * skin.brow_thickness * SCALE, strict=True):
            cv2.circle(body, _subpixel(np.array([x, y])), int(max(w * 0.7, 1) * 16), 1.0, -1, cv2.LINE_8, 4)
    soft = blur(body, 0.11 * SCALE)
    hairs = blur(strokes.astype(np.float32) / 255, 0.6)
    amount = np.clip(0.4 * skin.brow_density * soft + 1.0 * hairs, 0, 0.93)[..., None]
    tone = np.minimum(np.array(skin.brow_colour, dtype=np.float32), colour * 0.75)
    return colour * (1 - amount) + tone * amount, relief + 0.02 * hairs
