"""The pictures of inpainting's report: faces as tiles, zoomed parts, maps of fixed colours, all within one budget."""

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
from facerecon.report.album import (
    Album,
    Arrays,
    Detail,
    Face,
    Look,
    Picture,
    Tile,
    data_uri,
    in_budget,
    places,
    png,
    reduced,
)
from facerecon.report.formats import decibel_text, palette
from facerecon.tasks.inpainting.details import InpaintingDetails

HOLE_COLOUR = (38, 132, 255)
"""A hole in the corrupted image: a blue that no face has."""

KNOWN_GRAY = 96
"""Known pixels in a confidence map, where confidence says nothing."""

ERROR_SCALE = 64
"""The error, of 255, at which the error map's colours end. The same for every face, so that maps compare."""

ERROR_COLOURS, CONFIDENCE_COLOURS, ATTENTION_COLOURS = "inferno", "viridis", "bone"

ATTENTION_SIDE = 96
"""Attention maps are stored at this side at most: most of them are of a coarser scale than the picture anyway."""

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


def gallery(samples: Arrays, comparison: Arrays, details: InpaintingDetails, champion: str) -> Gallery:
    """All pictures of faces; the numbers beside them are of the full arrays. ``champion`` is what the champion is
    called."""
    size = samples["original"].shape[1]
    return in_budget(size, lambda album: _gallery(album, samples, comparison, details, champion))


def _gallery(album: Album, samples: Arrays, comparison: Arrays, details: InpaintingDetails, champion: str) -> Gallery:
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


def _face(album: Album, samples: Arrays, index: int, who: str, details: InpaintingDetails) -> Face:
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
            reduced(places(samples["error"][index], ERROR_SCALE), album.look.side, Image.Resampling.NEAREST),
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


def _known(album: Album, original: Picture, mask: Picture, who: str, level: int) -> tuple[Tile, Tile]:
    """The original, and what the network sees of it."""
    share = f"{float(mask.mean(dtype=np.float64)) * 100:.0f} %"
    hidden = np.where(mask[..., None] == 1, np.array(HOLE_COLOUR, np.uint8), original)
    return (
        album.photo(original, f"{who}, original photograph", "original"),
        album.photo(hidden, f"{who} with {share} hidden, level {level}", "hidden", share),
    )


def _confidence(album: Album, confidence: Picture, mask: Picture, who: str) -> Tile:
    """The map of confidence uint8 [H, W] in the holes; known pixels are gray."""
    mean = float(confidence[mask == 1].mean()) / 255
    # 255 colours for confidence, so that the palette has one place left for known pixels
    shown = np.where(mask == 1, places(confidence, 255, last=254), np.uint8(255))
    colours = np.vstack([palette(CONFIDENCE_COLOURS, 255), np.full((1, 3), KNOWN_GRAY, np.uint8)])
    alt = f"{who}, map of the model's confidence, {mean:.2f} on average in the holes"
    shown = reduced(shown, album.look.side, Image.Resampling.NEAREST)
    return album.map(shown, colours, alt, "confidence", f"{mean:.2f}")


def _attention(album: Album, values: Picture, name: str, who: str) -> Tile:
    mean = float(values.mean(dtype=np.float64)) / 255
    shown = reduced(values, min(album.look.side, ATTENTION_SIDE), Image.Resampling.BOX)
    alt = f"{who}, attention at scale {name}, {mean:.2f} on average"
    return album.map(shown, palette(ATTENTION_COLOURS), alt, name, f"{mean:.2f}")


def _details(
    album: Album, original: Picture, reconstructed: Picture, hole: NDArray[np.bool_], boxes: NDArray[Any], who: str
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
            album.photo(reduced(image[part], width, Image.Resampling.BOX), f"{who}, {name}, {alt}", zoom=2)
            for image, alt in (
                (original, "original photograph"),
                (reconstructed, f"by the model, {hidden} of it hidden"),
            )
        )
        yield Detail(name, hidden, round((right - left) / (bottom - top), 3), first, second)


def _compared(album: Album, comparison: Arrays, index: int, champion: str) -> Face:
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
            content = data_uri("png", png(mask.astype(np.uint8), black_white))
            tiles.append(Tile(content, 64, 64, alt, f"level {group.level}", f"{ratio * 100:.0f} %"))
        looks = MASK_LOOKS.get(block.case, "")
        rows.append({"family": block.case, "title": block.title, "about": looks, "tiles": tiles})
    return rows
