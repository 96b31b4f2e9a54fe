"""Pictures that go out: marked PNGs that hold their record, and the sheet for people."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from facerecon.errors import FaceReconError
from facerecon.inference.chain import Outcome
from facerecon.inference.frames import SQUARE, Image
from facerecon.marks import PROGRAM, XMP, Words

RECORD = f"{PROGRAM}-record"
"""The keyword of the PNG text that holds the signed record."""

PANEL, MARGIN, LINE = 480, 24, 22
"""Of a sheet in pixels: a picture's longer side, the space around it, a line of text."""

_MOST_COUNTS, _FINEST = 2**16 - 1, 1e-6
"""The largest number in a picture of depth, and the smallest step."""

_INK, _PAPER, _WARNING = (20, 20, 20), (255, 255, 255), (170, 0, 0)


def encode(pixels: NDArray[np.uint8] | NDArray[np.uint16], record: str) -> bytes:
    """A PNG of uint8 [H, W, 3] or [H, W], or of uint16 [H, W], that is marked as made by a network and holds
    the signed ``record``."""
    about = PngInfo()
    about.add_itxt("XML:com.adobe.xmp", XMP)
    about.add_itxt(RECORD, record)
    stream = BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", compress_level=4, pnginfo=about)
    return stream.getvalue()


def decode(content: bytes, name: str) -> tuple[NDArray[Any], str]:
    """The pixels of such a PNG as they were given to ``encode``, and the record in it, "" if there is none.

    Raises:
        FaceReconError: it is no PNG, or a damaged one.
    """
    try:
        with Pillow.open(BytesIO(content), formats=("PNG",)) as image:
            image.load()
            return np.array(image), str(getattr(image, "text", {}).get(RECORD, ""))
    except UnidentifiedImageError as error:
        raise FaceReconError(f"{name}: no PNG: give a picture or a record that this project wrote") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise FaceReconError(f"{name}: damaged, its pixels cannot be read ({error})") from error


def confidence_picture(confidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Confidence [H, W] in [0, 1] as gray uint8 [H, W]: 255 is sure."""
    return (confidence * 255).round().astype(np.uint8)


class DepthPicture(NamedTuple):
    """Depth as gray uint16 [S, S]: 0 is outside the face, else it is ``offset + scale * counts``."""

    counts: NDArray[np.uint16]
    offset: float
    scale: float


def depth_picture(depth: NDArray[np.float32]) -> DepthPicture:
    """Depth [S, S], NaN outside the face, in as fine steps as a picture of 16 bits has."""
    inside = np.isfinite(depth)
    low, high = (float(end) for end in (depth[inside].min(initial=np.inf), depth[inside].max(initial=-np.inf)))
    if not inside.any():
        low = high = 0.0
    scale = max((high - low) / (_MOST_COUNTS - 1), _FINEST)
    counts = np.zeros(depth.shape, np.uint16)
    counts[inside] = (1 + (depth[inside].astype(np.float64) - low) / scale).round()
    return DepthPicture(counts, low - scale, scale)


def draw_sheet(outcome: Outcome, lines: Mapping[str, str], warnings: tuple[str, ...], words: Words) -> Image:
    """A sheet uint8 [H, W, 3]: the original, what was hidden, the result and its confidence, named facts, warnings."""
    frame, made = outcome.frame, words.done.upper()
    heat = colormaps["viridis"](outcome.confidence, bytes=True)[..., :3]
    changed = np.any([outcome.confidence < 1, *_changed(outcome)], axis=0)
    layer = np.where(changed[..., None], heat, (frame.ground * np.float32(0.35)).astype(np.uint8))
    panels = {"Original": _with_squares(outcome, frame.image)}
    if frame.hidden is not None:
        covered = np.where(frame.hidden[..., None], np.array([255, 0, 255], np.uint8), frame.image)
        panels["Hidden (magenta)"] = covered
    panels |= {made: outcome.image, "Confidence: 0 (dark) to 1 (yellow)": layer}
    shown = [_fitted(picture) for picture in panels.values()]
    width = 2 * MARGIN + sum(picture.shape[1] for picture in shown) + MARGIN * (len(shown) - 1)
    width = max(width, 1100)
    text = _wrapped(lines, warnings, width - 2 * MARGIN, words)
    top = MARGIN + 44
    height = top + LINE + 8 + max(picture.shape[0] for picture in shown) + MARGIN + LINE * len(text) + MARGIN
    sheet = Pillow.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), f"{made} - not a photograph", _WARNING, font=_font(30))
    left = MARGIN
    for name, picture in zip(panels, shown, strict=True):
        draw.text((left, top), name, _WARNING if name.isupper() else _INK, font=_font(16))
        sheet.paste(Pillow.fromarray(picture), (left, top + LINE + 8))
        left += picture.shape[1] + MARGIN
    at = top + LINE + 8 + max(picture.shape[0] for picture in shown) + MARGIN
    for line, colour in text:
        draw.text((MARGIN, at), line, colour, font=_font(15))
        at += LINE
    return np.array(sheet)


def draw_pairs(panels: Mapping[str, Image], lines: Mapping[str, str], warnings: tuple[str, ...], words: Words) -> Image:
    """Pictures of one size by name at that size, uint8 [H, W, 3], two in a row, over what is to be said about them."""
    height, width = next(iter(panels.values())).shape[:2]
    across, down = max(2 * width + 3 * MARGIN, 640), MARGIN + LINE + 8 + height
    text = _wrapped(lines, warnings, across - 2 * MARGIN, words)
    below = (len(panels) + 1) // 2 * down + MARGIN
    pairs = Pillow.new("RGB", (across, below + LINE * len(text) + MARGIN), _PAPER)
    draw = ImageDraw.Draw(pairs)
    for index, (name, picture) in enumerate(panels.items()):
        left, top = MARGIN + index % 2 * (width + MARGIN), MARGIN + index // 2 * down
        draw.text((left, top), name, _WARNING if name.isupper() else _INK, font=_font(16))
        pairs.paste(Pillow.fromarray(picture), (left, top + LINE + 8))
    for index, (line, colour) in enumerate(text):
        draw.text((MARGIN, below + LINE * index), line, colour, font=_font(15))
    return np.array(pairs)


def _changed(outcome: Outcome) -> list[NDArray[np.bool_]]:
    layers = []
    for edit in outcome.frame.edits:
        layer = np.zeros(outcome.frame.result_size, bool)
        height, width = edit.alpha.shape
        layer[edit.top : edit.top + height, edit.left : edit.left + width] = edit.alpha > 0
        layers.append(layer)
    return layers


def _with_squares(outcome: Outcome, image: Image) -> Image:
    drawn = image.copy()
    thick = max(1, round(max(drawn.shape[:2]) / PANEL))
    for face in outcome.frame.faces:
        cv2.polylines(drawn, [face[SQUARE].corners.round().astype(np.int32)], True, (0, 200, 0), thick, cv2.LINE_AA)
    return drawn


def _fitted(picture: Image) -> Image:
    """A picture with a longer side of ``PANEL`` pixels."""
    height, width = picture.shape[:2]
    scale = PANEL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cv2.resize(picture, size, interpolation=how).astype(np.uint8, copy=False)


def _wrapped(
    lines: Mapping[str, str], warnings: tuple[str, ...], width: int, words: Words
) -> list[tuple[str, tuple[int, int, int]]]:
    font = _font(15)
    wanted = [(words.statement, _WARNING), *((f"{name}: {value}", _INK) for name, value in lines.items() if value)]
    wanted += [(f"Warning: {warning}", _WARNING) for warning in warnings]
    out = []
    for text, colour in wanted:
        line = ""
        for word in text.split(" "):
            tried = f"{line} {word}".strip()
            if line and font.getlength(tried) > width:
                out.append((line, colour))
                tried = word
            line = tried
        out.append((line, colour))
    return out


def _font(size: int) -> ImageFont.FreeTypeFont:
    # DejaVu comes with matplotlib and has letters of many languages
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)
