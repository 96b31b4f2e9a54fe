"""The report's charts as numbers for SVG: curves over training steps, and confidence beside what is so."""

import math
from dataclasses import dataclass
from typing import Any

from facerecon.report import tables as table


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


@dataclass(frozen=True)
class Dot:
    """The hole pixels whose confidence lies in one bin: across what it says, upwards the share that is right.

    ``drop`` is the height of the diagonal under or over the dot, ``radius`` grows with the root of the pixels' share.
    """

    x: float
    y: float
    drop: float
    radius: float
    about: str


@dataclass(frozen=True)
class Reliability:
    """Confidence beside what is so under one level: a square of SQUARE units within margins; ticks as in Chart."""

    title: str
    reading: str
    dots: tuple[Dot, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


SQUARE, SQUARE_LEFT, SQUARE_TOP, SQUARE_RIGHT, SQUARE_BOTTOM = 220, 52, 10, 12, 40
LARGEST_DOT, SMALLEST_DOT = 14.0, 2.0


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


def reliability_charts(figures: table.Figures) -> list[Reliability]:
    """One chart a level of the main family; none for a model that does not say how sure it is."""
    found = figures["confidence"]
    if not found:
        return []
    rows = {row.level: row for row in table.confidence_rows(figures, table.MAIN_FAMILY)}
    charts = []
    for each in sorted(found["reliability"], key=lambda each: each["level"] or 0):
        pixels = sum(part["pixels"] for part in each["bins"])
        if each["family"] == table.MAIN_FAMILY and pixels and each["level"] in rows:
            row = rows[each["level"]]
            charts.append(_reliability(row.label, f"says {row.says}, right on {row.right}", each["bins"], pixels))
    return charts


def _reliability(title: str, reading: str, bins: list[dict[str, Any]], pixels: int) -> Reliability:
    def x(value: float) -> float:
        return round(SQUARE_LEFT + SQUARE * value, 1)

    def y(value: float) -> float:
        return round(SQUARE_TOP + SQUARE * (1 - value), 1)

    dots = []
    for each in bins:
        if not each["pixels"]:
            continue
        says, right, share = each["mean_confidence"], each["share_right"], each["pixels"] / pixels
        about = f"says {says:.2f}, right on {right:.2f}: {share * 100:.1f} % of the pixels"
        radius = round(max(SMALLEST_DOT, LARGEST_DOT * math.sqrt(share)), 1)
        dots.append(Dot(x(says), y(right), y(says), radius, about))
    ticks = (0, 0.25, 0.5, 0.75, 1)
    return Reliability(
        title=title,
        reading=reading,
        dots=tuple(dots),
        x_ticks=tuple((x(tick), f"{tick:g}") for tick in ticks),
        y_ticks=tuple((y(tick), f"{tick:g}") for tick in ticks),
    )
