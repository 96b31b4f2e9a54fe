"""Pictures in a report: faces as tiles, maps of fixed colours, all within one budget."""

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGE_BUDGET = 2_000_000
"""Bytes that all pictures of faces together may take. Base64 adds a third, text and tables the rest of 3 MB."""

SHOWN_SIDES = (512, 256, 192, 160, 128, 96, 64)
"""Sides in pixels that are tried until the pictures fit into the budget."""

QUALITY = 90
"""Of lossy WebP, 0 to 100."""

Arrays = dict[str, NDArray[Any]]
Picture = NDArray[np.uint8]


Made = TypeVar("Made")


@dataclass(frozen=True)
class Tile:
    """One picture: ``src`` a data URI of ``width`` x ``height`` pixels, ``alt`` for who cannot see it."""

    src: str
    width: int
    height: int
    alt: str
    caption: str = ""
    figure: str = ""


@dataclass(frozen=True)
class Detail:
    """A part of a face, zoomed: ``hidden`` is the share of it that was; ``ratio`` is its width over its height."""

    name: str
    hidden: str
    ratio: float
    original: Tile
    reconstruction: Tile


@dataclass(frozen=True)
class Face:
    """One face's pictures under one mask."""

    title: str
    tiles: tuple[Tile, ...]
    details: tuple[Detail, ...]
    attention: tuple[Tile, ...]


@dataclass(frozen=True)
class Look:
    """How pictures are stored: faces ``side`` pixels wide, the photographs among them with or without loss."""

    side: int
    lossless: bool


class _FullError(Exception):
    """The budget is spent."""


class Album:
    """Encodes pictures in one look and counts their bytes up to ``budget``, beyond which it raises _FullError."""

    def __init__(self, look: Look, budget: float) -> None:
        self.look = look
        self._left = budget

    def photo(self, image: Picture, alt: str, caption: str = "", figure: str = "", zoom: int = 1) -> Tile:
        """uint8 [H, W, 3] as WebP, at most ``zoom`` times the look's side wide."""
        shown = reduced(image, self.look.side * zoom, Image.Resampling.BOX)
        return self._tile("webp", webp(shown, self.look.lossless), shown.shape, alt, caption, figure)

    def map(self, values: Picture, colours: Picture, alt: str, caption: str, figure: str) -> Tile:
        """uint8 [H, W] of places in ``colours`` [256, 3] as a PNG with a palette, a third of what RGB would take."""
        return self._tile("png", png(values, colours), values.shape, alt, caption, figure)

    def _tile(self, kind: str, content: bytes, shape: tuple[int, ...], alt: str, caption: str, figure: str) -> Tile:
        self._left -= len(content)
        if self._left < 0:
            raise _FullError
        return Tile(data_uri(kind, content), shape[1], shape[0], alt, caption, figure)


def in_budget(size: int, make: Callable[[Album], Made]) -> Made:
    """What ``make`` makes of faces of ``size`` pixels in the best look whose files fit into IMAGE_BUDGET.

    Faces are stored as they are if all fit, else with loss, else smaller, in the order of SHOWN_SIDES; in the last
    look they are taken as they come.
    """
    looks = [Look(size, True), Look(size, False), *(Look(side, False) for side in SHOWN_SIDES if side < size)]
    for look in looks[:-1]:
        try:
            return make(Album(look, IMAGE_BUDGET))
        except _FullError:
            continue
    return make(Album(looks[-1], math.inf))


def webp(image: Picture, lossless: bool) -> bytes:
    """uint8 [H, W, 3] as WebP without metadata: equal pixels, equal bytes."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "WEBP", lossless=lossless, quality=80 if lossless else QUALITY, method=4)
    return stream.getvalue()


def png(values: Picture, colours: Picture) -> bytes:
    """uint8 [H, W] of places in ``colours`` [n, 3], n <= 256, as a PNG with a palette and without metadata."""
    image = Image.fromarray(values, mode="P")
    image.putpalette(colours.tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=9)
    return stream.getvalue()


def data_uri(kind: str, content: bytes) -> str:
    """The content of a picture of a kind (``webp``, ``png``) as a ``src``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def reduced(image: Picture, width: int, how: Image.Resampling) -> Picture:
    """The image at most ``width`` pixels wide, in its own proportions."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize((width, height), how))


def places(values: Picture, top: int, last: int = 255) -> Picture:
    """Values 0 to ``top`` and beyond as places 0 to ``last`` in a palette."""
    return np.round(np.clip(values.astype(np.float64) / top, 0, 1) * last).astype(np.uint8)
