"""The pictures of inpainting's report: faces as tiles, zoomed parts, maps of fixed colours, all within one budget."""

import base64
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facerecon.corruption.masks import FAMILIES, LEVELS, draw_mask
from facerecon.randomness import generator
from facerecon.report import tables
from facerecon.report.formats import decibel_text, palette
from facerecon.tasks.inpainting.details import InpaintingDetails

HOLE_COLOUR = (38, 132, 255)
"""A hole in the corrupted image: a blue that no face has."""

KNOWN_GRAY = 96
"""Known pixels in a confidence map, where confidence says nothing."""

ERROR_SCALE = 64
"""The error, of 255, at which the error map's colours end. The same for every face, so that maps compare."""

ERROR_COLOURS, CONFIDENCE_COLOURS, ATTENTION_COLOURS = "inferno", "viridis", "bone"

IMAGE_BUDGET = 2_000_000
"""Bytes that all pictures of faces together may take. Base64 adds a third, text and tables the rest of 3 MB."""

SHOWN_SIDES = (512, 256, 192, 160, 128, 96, 64)
"""Sides in pixels that are tried until the pictures fit into the budget."""

ATTENTION_SIDE = 96
"""Attention maps are stored at this side at most: most of them are of a coarser scale than the picture anyway."""

QUALITY = 90
"""Of lossy WebP, 0 to 100."""

PARTS = ("eyes", "nose", "mouth")
"""What is zoomed, in the order of ``samples["boxes"]``."""

MASK_LOOKS = {
    "brush": "strokes of a broad brush with turns",
    "boxes": "upright boxes",
    "noise": "blobs: smooth noise, cut at a height",
    "scatter": "many small squares, a few pixels wide",
    "held_out": "half-planes at any angle, or grids of bars, mesh or checks",
}
"""What the masks of a family look like, in a few words."""

Arrays = dict[str, NDArray[Any]]
Picture = NDArray[np.uint8]


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


@dataclass(frozen=True)
class Gallery:
    """Typical faces, worst ones (worst first), and gate faces by challenger and champion, all in one ``look``."""

    look: Look
    typical: tuple[Face, ...]
    worst: tuple[Face, ...]
    compared: tuple[Face, ...]


def level_range(level: int) -> str:
    """The hole ratios of a level, for example ``30-50 %``."""
    low, high = LEVELS[level]
    return f"{low * 100:.0f}-{high * 100:.0f} %"


class _FullError(Exception):
    """The budget is spent."""


class _Album:
    """Encodes pictures in one look and counts their bytes up to ``budget``, beyond which it raises _FullError."""

    def __init__(self, look: Look, budget: float) -> None:
        self.look = look
        self._left = budget

    def photo(self, image: Picture, alt: str, caption: str = "", figure: str = "", zoom: int = 1) -> Tile:
        """uint8 [H, W, 3] as WebP, at most ``zoom`` times the look's side wide."""
        shown = _reduced(image, self.look.side * zoom, Image.Resampling.BOX)
        return self._tile("webp", webp(shown, self.look.lossless), shown.shape, alt, caption, figure)

    def map(self, values: Picture, colours: Picture, alt: str, caption: str, figure: str) -> Tile:
        """uint8 [H, W] of places in ``colours`` [256, 3] as a PNG with a palette, a third of what RGB would take."""
        return self._tile("png", png(values, colours), values.shape, alt, caption, figure)

    def _tile(self, kind: str, content: bytes, shape: tuple[int, ...], alt: str, caption: str, figure: str) -> Tile:
        self._left -= len(content)
        if self._left < 0:
            raise _FullError
        return Tile(_uri(kind, content), shape[1], shape[0], alt, caption, figure)


def gallery(samples: Arrays, comparison: Arrays, details: InpaintingDetails, champion: str) -> Gallery:
    """All pictures of faces in the best look whose files fit into IMAGE_BUDGET.

    Faces are stored as they are if all fit, else with loss, else smaller, in the order of SHOWN_SIDES; in the last
    look they are taken as they come. The numbers beside them are of the full arrays. ``champion`` is what the champion
    is called.
    """
    size = samples["original"].shape[1]
    looks = [Look(size, True), Look(size, False), *(Look(side, False) for side in SHOWN_SIDES if side < size)]
    for look in looks[:-1]:
        try:
            return _gallery(_Album(look, IMAGE_BUDGET), samples, comparison, details, champion)
        except _FullError:
            continue
    return _gallery(_Album(looks[-1], math.inf), samples, comparison, details, champion)


def _gallery(album: _Album, samples: Arrays, comparison: Arrays, details: InpaintingDetails, champion: str) -> Gallery:
    kinds = samples["kind"]
    typical, worst = np.flatnonzero(kinds == "typical"), np.flatnonzero(kinds == "worst")
    worst = worst[np.argsort(samples["hole_psnr"][worst], kind="stable")]
    return Gallery(
        look=album.look,
        typical=tuple(
            _face(album, samples, at, f"Face {place + 1}", details) for place, at in enumerate(typical.tolist())
        ),
        worst=tuple(
            _face(album, samples, at, f"Worst {place + 1}", details) for place, at in enumerate(worst.tolist())
        ),
        compared=tuple(_compared(album, comparison, at, champion) for at in range(len(comparison.get("level", ())))),
    )


def _face(album: _Album, samples: Arrays, index: int, who: str, details: InpaintingDetails) -> Face:
    """One face's tiles. Its PSNR is that of the hole's pixels."""
    original, mask, reconstructed, telea = (
        samples[name][index] for name in ("original", "mask", "reconstructed", "telea")
    )
    hole, level = mask == 1, int(samples["level"][index])
    ours, theirs = decibel_text(float(samples["hole_psnr"][index])), _hole_psnr(telea, original, hole)
    error = float(samples["error"][index][hole].mean())
    tiles = [
        *_known(album, original, mask, who, level),
        album.photo(reconstructed, f"{who} reconstructed by the model, {ours} dB in the holes", "model", f"{ours} dB"),
        album.photo(telea, f"{who} filled by Telea inpainting, {theirs} dB in the holes", "Telea", f"{theirs} dB"),
        album.map(
            _reduced(_places(samples["error"][index], ERROR_SCALE), album.look.side, Image.Resampling.NEAREST),
            palette(ERROR_COLOURS),
            f"{who}, map of the model's error, {error:.0f} of 255 on average in the holes",
            "error",
            f"{error:.0f} / 255",
        ),
    ]
    if details.confidence:
        tiles.append(_confidence(album, samples["confidence"][index], mask, who))
    return Face(
        title=f"{who}, level {level} ({level_range(level)} hidden)",
        tiles=tuple(tiles),
        details=tuple(_details(album, original, reconstructed, hole, samples["boxes"][index], who)),
        attention=tuple(
            _attention(album, values, name, who)
            for name, values in zip(details.attention, samples["attention"][index], strict=True)
        ),
    )


def _known(album: _Album, original: Picture, mask: Picture, who: str, level: int) -> tuple[Tile, Tile]:
    """The original, and what the network sees of it."""
    share = f"{float(mask.mean(dtype=np.float64)) * 100:.0f} %"
    hidden = np.where(mask[..., None] == 1, np.array(HOLE_COLOUR, np.uint8), original)
    return (
        album.photo(original, f"{who}, original photograph", "original"),
        album.photo(hidden, f"{who} with {share} hidden, level {level}", "hidden", share),
    )


def _confidence(album: _Album, confidence: Picture, mask: Picture, who: str) -> Tile:
    """The map of confidence uint8 [H, W] in the holes; known pixels are gray."""
    mean = float(confidence[mask == 1].mean()) / 255
    # 255 colours for confidence, so that the palette has one place left for known pixels
    places = np.where(mask == 1, _places(confidence, 255, last=254), np.uint8(255))
    colours = np.vstack([palette(CONFIDENCE_COLOURS, 255), np.full((1, 3), KNOWN_GRAY, np.uint8)])
    alt = f"{who}, map of the model's confidence, {mean:.2f} on average in the holes"
    shown = _reduced(places, album.look.side, Image.Resampling.NEAREST)
    return album.map(shown, colours, alt, "confidence", f"{mean:.2f}")


def _attention(album: _Album, values: Picture, name: str, who: str) -> Tile:
    mean = float(values.mean(dtype=np.float64)) / 255
    shown = _reduced(values, min(album.look.side, ATTENTION_SIDE), Image.Resampling.BOX)
    alt = f"{who}, attention at scale {name}, {mean:.2f} on average"
    return album.map(shown, palette(ATTENTION_COLOURS), alt, name, f"{mean:.2f}")


def _details(
    album: _Album, original: Picture, reconstructed: Picture, hole: NDArray[np.bool_], boxes: NDArray[Any], who: str
) -> Iterator[Detail]:
    """Eyes, nose and mouth at up to twice the resolution of the tiles; none that lies outside the picture."""
    scale = min(1, 2 * album.look.side / original.shape[1])
    for name, (left, top, right, bottom) in zip(PARTS, boxes.tolist(), strict=True):
        if right <= left or bottom <= top:
            continue
        part = slice(top, bottom), slice(left, right)
        share = float(hole[part].mean())
        hidden = f"{share * 100:.0f} %" if share == 0 or share >= 0.005 else "< 1 %"
        width = round((right - left) * scale)
        first, second = (
            album.photo(_reduced(image[part], width, Image.Resampling.BOX), f"{who}, {name}, {alt}", zoom=2)
            for image, alt in (
                (original, "original photograph"),
                (reconstructed, f"by the model, {hidden} of it hidden"),
            )
        )
        yield Detail(name, hidden, round((right - left) / (bottom - top), 3), first, second)


def _compared(album: _Album, comparison: Arrays, index: int, champion: str) -> Face:
    """A gate face as the challenger, which is this model, and the champion put it back."""
    original, mask, *filled = (comparison[name][index] for name in ("original", "mask", "challenger", "champion"))
    level, who = int(comparison["level"][index]), f"Gate face {index + 1}"
    tiles = [*_known(album, original, mask, who, level)]
    for image, name in zip(filled, ("this model", champion), strict=True):
        psnr = _hole_psnr(image, original, mask == 1)
        tiles.append(album.photo(image, f"{who} by {name}, {psnr} dB in the holes", name, f"{psnr} dB"))
    return Face(f"{who}, level {level} ({level_range(level)} hidden)", tuple(tiles), (), ())


def _hole_psnr(image: Picture, truth: Picture, hole: NDArray[np.bool_]) -> str:
    error = float(np.mean((image[hole].astype(np.float64) - truth[hole]) ** 2))
    return decibel_text(math.inf if error == 0 else 10 * math.log10(255**2 / error))


def mask_examples(blocks: Iterable[tables.Block]) -> list[dict[str, Any]]:
    """For every family with levels a mask of each, drawn for the report: white = hole."""
    rows = []
    for block in blocks:
        if block.case not in FAMILIES:
            continue
        tiles = []
        for group in block.groups:
            if group.level < 0:
                continue
            ratio = sum(LEVELS[group.level]) / 2
            mask = draw_mask(block.case, 64, ratio, generator("mask example", block.case, group.level))
            alt = f"one of the {block.title}, level {group.level}, white where the picture is hidden"
            black_white = np.repeat(np.array([[0], [255]], np.uint8), 3, axis=1)
            content = _uri("png", png(mask.astype(np.uint8), black_white))
            tiles.append(Tile(content, 64, 64, alt, f"level {group.level}", f"{ratio * 100:.0f} %"))
        looks = MASK_LOOKS.get(block.case, "")
        rows.append({"family": block.case, "title": block.title, "about": looks, "tiles": tiles})
    return rows


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


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _reduced(image: Picture, width: int, how: Image.Resampling) -> Picture:
    """The image at most ``width`` pixels wide, in its own proportions."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize((width, height), how))


def _places(values: Picture, top: int, last: int = 255) -> Picture:
    """Values 0 to ``top`` and beyond as places 0 to ``last`` in a palette."""
    return np.round(np.clip(values.astype(np.float64) / top, 0, 1) * last).astype(np.uint8)
