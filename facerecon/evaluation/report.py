"""The report of a run: one HTML file that needs no network, with figures, faces, curves and where all of it is from."""

import base64
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from facerecon.corruption.masks import FAMILIES, LEVELS, draw_mask
from facerecon.evaluation import table
from facerecon.models import build_model
from facerecon.randomness import generator

HOLE_COLOUR = (38, 132, 255)
"""A hole in the corrupted image: a blue that no face has."""

KNOWN_GRAY = 96
"""Known pixels in a confidence map, where confidence says nothing."""

ERROR_SCALE = 64
"""The error, of 255, at which the error map's colours end. The same for every face, so that maps compare."""

IMAGE_BUDGET = 2_000_000
"""Bytes that all PNG files together may take; larger faces are shown smaller. Base64 adds a third."""

SHOWN_SIDES = (512, 256, 192, 160, 128, 96, 64)
"""Sides in pixels that are tried until the images fit into the budget."""

MASK_LOOKS = {
    "brush": "strokes of a broad brush with turns",
    "boxes": "upright boxes",
    "noise": "blobs: smooth noise, cut at a height",
    "scatter": "many small squares, a few pixels wide",
    "held_out": "half-planes at any angle, or grids of bars, mesh or checks",
}
"""What the masks of a family look like, in a few words."""

LIMITS = (
    "A reconstruction is a plausible guess. It is not evidence of who a person is: the network invents what it "
    "cannot see, and paints the same for everyone who looks alike outside the hole.",
    "Identity figures say how alike a network finds two pictures. They are no probability that it is the same person.",
    "The figures hold for these frozen masks on this test split. Real occlusions, other cameras, other "
    "compression, other poses and other people can give others.",
    "± is the spread (standard deviation) over faces, not the uncertainty of the mean. Photographs of one person "
    "are not independent, so the number of people counts more than the number of faces.",
    "PSNR rewards blur: a reconstruction can have the better PSNR and look worse. Read it beside LPIPS.",
    "Confidence is learned on training faces. On pictures unlike those it can be wrong and sure of itself.",
    "Nothing here measures whether the model serves groups of people equally well.",
)
"""What the figures do not say."""


@dataclass(frozen=True)
class Story:
    """All that the report and the model card tell about one run.

    ``name`` and ``settings`` are the config's (``RunSettings.model_dump(mode="json")``), ``figures`` and ``samples``
    an ``Evaluation``'s, ``history`` the training's curves, ``counts`` the manifest's, ``quarantine`` photos by reason,
    ``export`` an ``ExportedModel``'s report, ``weights`` the rows of ``facerecon.weights.table``. ``decision`` has
    champion (bool), version, reason, challenger and champion_before (hole PSNR by ``level_<k>``, the latter or None)
    and champion_version (or None). ``provenance`` is printed as it is.
    """

    name: str
    settings: dict[str, Any]
    figures: dict[str, Any]
    samples: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    counts: dict[str, int]
    quarantine: dict[str, int]
    export: dict[str, Any]
    decision: dict[str, Any]
    provenance: dict[str, str]
    weights: list[dict[str, Any]]

    @property
    def parameters(self) -> int:
        """The model's number of parameters."""
        # the meta device has shapes and no values: nothing is drawn, nothing is allocated
        with torch.device("meta"):
            model = build_model(self.settings["model"]["family"], self.settings["model"]["options"])
        return sum(parameter.numel() for parameter in model.parameters())

    @property
    def used_weights(self) -> list[dict[str, str]]:
        """The pretrained weights this run rests on: name, use, licence, package and sha256, sorted by name."""
        losses, judges = self.settings["training"]["losses"], self.figures["judges"]
        uses: dict[str, list[str]] = {"face_landmarker": ["alignment"]}
        if losses["perceptual"]:
            uses.setdefault("lpips_alex", []).append("perceptual loss")
        if losses["identity"]:
            uses.setdefault(losses["identity_network"], []).append("identity loss")
        for figure, label in (("lpips", "LPIPS"), ("identity", "identity")):
            uses.setdefault(judges[figure]["network"], []).append(f"judge of {label}")
        known = {row["name"]: row for row in self.weights}
        unknown = {"licence": "not recorded: supplied by the user", "package": "–", "sha256": "–"}
        return [
            {"name": name, "use": ", ".join(use)}
            | {key: str(known.get(name, unknown)[key]) for key in ("licence", "package", "sha256")}
            for name, use in sorted(uses.items())
        ]

    @property
    def origins(self) -> dict[str, str]:
        """The provenance, after the figures' own digests where it does not name them already."""
        figures = self.figures
        digests = {
            "weights": figures["model"]["weights"],
            "manifest": figures["data"],
            "evaluation masks": figures["masks"],
        }
        told = set(self.provenance.values())
        return {key: value for key, value in digests.items() if value not in told} | self.provenance

    def never_trained(self, family: str) -> bool:
        """Whether masks of this family took no part in the training."""
        if family.startswith("features/"):
            return not self.settings["masks"]["feature_share"]
        return family not in self.settings["masks"]["training_families"]


@dataclass(frozen=True)
class Tile:
    """One picture of a row: ``src`` a data URI, ``alt`` for who cannot see it, ``figure`` a number or empty."""

    src: str
    alt: str
    caption: str
    figure: str


@dataclass(frozen=True)
class Line:
    """A curve as an SVG path, and where its name stands."""

    name: str
    css: str
    path: str
    end: tuple[float, float]
    label_y: float


@dataclass(frozen=True)
class Chart:
    """A chart of WIDTH x HEIGHT units: ticks are (position, text); ``kept`` is where the best checkpoint stands.

    ``right`` is where the curves' area ends, ``last`` the last value of a single curve.
    """

    title: str
    last: str
    right: float
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    kept: float | None


WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 200, 46, 10, 24
"""A chart's size and the margins around its curves; on the right they end for ``RIGHT_NAMED`` if names follow."""

RIGHT, RIGHT_NAMED = 12, 54


def render_report(story: Story) -> str:
    """The whole report as HTML. The same story gives the same bytes; everything in it is escaped."""
    figures = story.figures
    blocks = table.blocks(figures)
    rows, side = sample_rows(story.samples)
    content = (
        environment()
        .get_template("report.html")
        .render(
            story=story,
            metrics=table.METRICS,
            headline=table.headline(figures),
            cards=_cards(figures),
            shortfalls=table.shortfalls(figures),
            judges=table.judge_notes(figures),
            blocks=[block for block in blocks if not block.is_feature],
            features=[block for block in blocks if block.is_feature],
            rows=rows,
            side=side,
            has_confidence=bool((story.samples["confidence"][story.samples["mask"] == 1] < 255).any()),
            hole_colour="rgb({}, {}, {})".format(*HOLE_COLOUR),
            error_scale=ERROR_SCALE,
            error_bar=_gradient("inferno"),
            confidence_bar=_gradient("viridis"),
            known_colour=f"rgb({KNOWN_GRAY}, {KNOWN_GRAY}, {KNOWN_GRAY})",
            masks=_mask_examples(blocks),
            charts=training_charts(story.history, figures["model"]["step"]),
            chart_size=(WIDTH, HEIGHT, LEFT, TOP, BOTTOM),
            gate=_gate(story.decision),
            settings=json.dumps(story.settings, indent=2, ensure_ascii=False),
            limits=LIMITS,
        )
    )
    return content + "\n"


def environment() -> Environment:
    """Jinja with escaping on, and an error for a name that the template got no value for."""
    made = Environment(
        loader=PackageLoader("facerecon.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": count_text, "bytes": bytes_text, "signed": signed_text}
    return made


def count_text(value: int) -> str:
    """A number as people read it: ``6,312``, from a million on with three digits: ``1.94 M``."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return f"{value:,}"


def bytes_text(value: int) -> str:
    """A file's size: ``7.8 MB``."""
    return f"{value / 1e6:.1f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"


def signed_text(value: float, digits: int = 1) -> str:
    """A difference with its sign; a real minus, and no sign for what rounds to zero."""
    shown = f"{abs(value):.{digits}f}"
    if float(shown) == 0:
        return shown
    return f"{'+' if value > 0 else '−'}{shown}"


# --------------------------------------------------------------------------------------------------------- the verdict


def _cards(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """One card a level: the difference from Telea, the outcome, and all methods as dots on one scale for all cards."""
    levels = table.main_levels(figures)
    methods = ("model", "telea", "mean_fill")
    means = {level: {m: table.main_rows(figures, level)[m]["hole_psnr"]["mean"] for m in methods} for level in levels}
    finite = [mean for row in means.values() for mean in row.values() if mean is not None]
    low, high = (math.floor(min(finite)), math.ceil(max(finite) + 0.01)) if finite else (0, 1)
    cards = []
    for level in levels:
        difference = table.gain(figures, level, "telea")
        rounded = None if difference is None else round(difference, 1)
        dots = [
            {
                "method": method,
                "label": table.method_label(method),
                "text": "∞" if mean is None else f"{mean:.1f}",
                "place": 100 if mean is None else round(100 * (mean - low) / (high - low), 2),
            }
            for method, mean in means[level].items()
        ]
        cards.append(
            {
                "level": level,
                "range": table.level_range(level),
                "outcome": table.outcome(figures, level),
                "difference": "–" if difference is None else signed_text(difference),
                "tone": "even" if not rounded else "better" if rounded > 0 else "worse",
                "dots": dots,
                "low": low,
                "high": high,
            }
        )
    return cards


def _gate(decision: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of the promotion table: hole PSNR on the gate split, and the difference."""
    before = decision["champion_before"] or {}
    rows = []
    for key, ours in sorted(decision["challenger"].items()):
        theirs = before.get(key)
        rows.append(
            {
                "level": key.replace("_", " "),
                "challenger": _decibel(ours),
                "champion": "–" if key not in before else _decibel(theirs),
                "difference": "–" if ours is None or theirs is None else signed_text(ours - theirs, 2),
            }
        )
    return rows


def _decibel(value: float | None) -> str:
    return "∞" if value is None or math.isinf(value) else f"{value:.2f}"


# ----------------------------------------------------------------------------------------------------------- pictures


def png(image: NDArray[np.uint8]) -> bytes:
    """uint8 [H, W, 3] or [H, W] as a PNG without metadata: equal pixels, equal bytes."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def _uri(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def sample_rows(samples: dict[str, NDArray[Any]]) -> tuple[list[dict[str, Any]], int]:
    """A row of tiles for every face, and the side in pixels at which they are stored.

    Faces are stored as they are if all fit into IMAGE_BUDGET, else reduced to the largest of SHOWN_SIDES that does.
    The numbers beside them are of the full arrays.
    """
    faces, size = samples["original"].shape[:2]
    for side in (size, *(side for side in SHOWN_SIDES if side < size)):
        pictures: list[list[bytes]] = []
        taken = 0
        while len(pictures) < faces and (taken <= IMAGE_BUDGET or side == SHOWN_SIDES[-1]):
            pictures.append(_pictures(samples, len(pictures), side))
            taken += sum(map(len, pictures[-1]))
        if taken <= IMAGE_BUDGET:
            break
    return [_tiles(samples, index, row) for index, row in enumerate(pictures)], side


def _pictures(samples: dict[str, NDArray[Any]], index: int, side: int) -> list[bytes]:
    """The six pictures of one face as PNG files, ``side`` pixels wide."""
    hole = _reduced(samples["mask"][index], side, Image.Resampling.NEAREST) == 1
    original, reconstructed, telea, error, confidence = (
        _reduced(samples[name][index], side, Image.Resampling.BOX)
        for name in ("original", "reconstructed", "telea", "error", "confidence")
    )
    corrupted = np.where(hole[..., None], np.array(HOLE_COLOUR, np.uint8), original)
    errors = _coloured(error, "inferno", ERROR_SCALE)
    confidences = np.where(hole[..., None], _coloured(confidence, "viridis", 255), np.uint8(KNOWN_GRAY))
    return [png(image) for image in (original, corrupted, reconstructed, telea, errors, confidences)]


def _reduced(image: NDArray[np.uint8], side: int, how: Image.Resampling) -> NDArray[np.uint8]:
    return image if image.shape[0] <= side else np.asarray(Image.fromarray(image).resize((side, side), how))


def _coloured(values: NDArray[np.uint8], colours: str, top: int) -> NDArray[np.uint8]:
    """uint8 [H, W] as RGB [H, W, 3] by a colour map that ends at ``top``."""
    places = np.clip(values.astype(np.float64) / top, 0, 1)
    return np.asarray(matplotlib.colormaps[colours](places, bytes=True)[..., :3])


def _gradient(colours: str) -> str:
    """A colour map as a CSS gradient from left to right."""
    stops = matplotlib.colormaps[colours](np.linspace(0, 1, 9), bytes=True)[:, :3]
    return f"linear-gradient(to right, {', '.join('rgb({}, {}, {})'.format(*stop) for stop in stops)})"


def _tiles(samples: dict[str, NDArray[Any]], index: int, pictures: list[bytes]) -> dict[str, Any]:
    """One face's row. Its PSNR is that of the hole's pixels."""
    hole = samples["mask"][index] == 1
    level, ratio = int(samples["level"][index]), float(hole.mean())
    original = samples["original"][index]
    ours, theirs = (_hole_psnr(samples[name][index], original, hole) for name in ("reconstructed", "telea"))
    error = float(samples["error"][index][hole].mean())
    confidence = float(samples["confidence"][index][hole].mean()) / 255
    who = f"face {index + 1}"
    told = (
        ("original", "", f"{who}, original photograph"),
        ("hidden", f"{ratio * 100:.0f} %", f"{who} with {ratio * 100:.0f} % hidden, level {level}"),
        ("model", f"{ours} dB", f"{who} reconstructed by the model, {ours} dB in the holes"),
        ("Telea", f"{theirs} dB", f"{who} filled by Telea inpainting, {theirs} dB in the holes"),
        ("error", f"{error:.0f} / 255", f"{who}, map of the model's error, {error:.0f} of 255 on average in the holes"),
        ("confidence", f"{confidence:.2f}", f"{who}, map of the model's confidence, {confidence:.2f} on average"),
    )
    tiles = [
        Tile(_uri(content), alt, caption, figure)
        for content, (caption, figure, alt) in zip(pictures, told, strict=True)
    ]
    return {"level": level, "range": table.level_range(level), "tiles": tiles}


def _hole_psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8], hole: NDArray[np.bool_]) -> str:
    error = float(np.mean((image[hole].astype(np.float64) - truth[hole]) ** 2))
    return "∞" if error == 0 else f"{10 * math.log10(255**2 / error):.1f}"


def _mask_examples(blocks: Iterable[table.Block]) -> list[dict[str, Any]]:
    """For every family with levels a mask of each, drawn for the report: white = hole."""
    rows = []
    for block in blocks:
        if block.family not in FAMILIES:
            continue
        tiles = []
        for group in block.groups:
            if group.level is None:
                continue
            ratio = sum(LEVELS[group.level]) / 2
            mask = draw_mask(block.family, 64, ratio, generator("mask example", block.family, group.level))
            alt = f"a {block.title} mask of level {group.level}, white where the picture is hidden"
            tiles.append(Tile(_uri(png(mask * np.uint8(255))), alt, f"level {group.level}", f"{ratio * 100:.0f} %"))
        looks = MASK_LOOKS.get(block.family, "")
        rows.append({"family": block.family, "title": block.title, "about": looks, "tiles": tiles})
    return rows


# ------------------------------------------------------------------------------------------------------------- curves


def training_charts(history: list[dict[str, float]], kept: int) -> list[Chart]:
    """One chart for what is validated, the loss and each of its terms, and the rate; ``kept`` is the best step.

    Every term has its own scale: their sizes differ by a hundred, and a shared axis would flatten most of them.
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    levels = sorted(name for name in names if name.startswith("val/hole_psnr_level_"))
    wanted: list[tuple[str, list[str]]] = [("validation: hole PSNR, dB", levels)]
    wanted += [("validation: hole L1", ["val/hole_l1"])]
    wanted += [(f"loss: {name.removeprefix('loss/')}", [name]) for name in names if name.startswith("loss/")]
    wanted += [("learning rate", ["learning_rate"])]
    charts = []
    for title, keys in wanted:
        series = {key: [(row["step"], row[key]) for row in history if key in row] for key in keys}
        series = {key: points for key, points in series.items() if points}
        if series:
            charts.append(_chart(title, series, kept, max(row["step"] for row in history)))
    return charts


def _chart(title: str, series: dict[str, list[tuple[float, float]]], kept: int, steps: float) -> Chart:
    values = [value for points in series.values() for _, value in points]
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    named = any("level" in key for key in series)
    right = WIDTH - (RIGHT_NAMED if named else RIGHT)

    def x(step: float) -> float:
        return round(LEFT + (right - LEFT) * step / max(steps, 1), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low), 1)

    ends = {key: (x(points[-1][0]), y(points[-1][1])) for key, points in series.items()}
    label_y = _spread_labels({key: end[1] for key, end in ends.items()})
    lines = tuple(
        Line(
            name=f"level {key[-1]}" if named else "",
            css=f"series-{place if named else 0}",
            path="M" + " L".join(f"{x(step)},{y(value)}" for step, value in points),
            end=ends[key],
            label_y=label_y[key],
        )
        for place, (key, points) in enumerate(series.items(), start=1)
    )
    return Chart(
        title=title,
        last="" if named else f"{values[-1]:.3g}",
        right=right,
        lines=lines,
        x_ticks=tuple((x(step), f"{step:g}") for step in (0, steps / 2, steps)),
        y_ticks=tuple((y(tick), f"{tick:g}") for tick in ticks),
        kept=x(kept) if 0 < kept <= steps else None,
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers (steps of 1, 2 or 5 times a power of ten) that enclose ``low`` to ``high``."""
    if high <= low:
        pad = abs(low) / 10 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


def _spread_labels(places: dict[str, float], apart: float = 14) -> dict[str, float]:
    """Heights of labels, moved downwards where two would overlap."""
    moved: dict[str, float] = {}
    for key, place in sorted(places.items(), key=lambda item: item[1]):
        moved[key] = max([place, *(other + apart for other in moved.values())])
    return moved
