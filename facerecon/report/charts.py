"""The report's charts of curves over training steps, as numbers for SVG."""

import math
from dataclasses import dataclass

from facerecon.report.base import TaskReport


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


def training_charts(history: list[dict[str, float]], kept: int, report: TaskReport) -> list[Chart]:
    """One chart for what is validated, the loss and each of its terms, and the rates; ``kept`` is the best step.

    Every term has its own scale: their sizes differ by a hundred, and a shared axis would flatten most of them.
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    groups = report.charts(names)
    groups += [(f"loss: {name.removeprefix('loss/')}", [name]) for name in names if name.startswith("loss/")]
    groups += [(name.replace("_", " "), [name]) for name in names if name.startswith("learning_rate")]
    charts = []
    for title, keys in groups:
        series = {key: [(row["step"], row[key]) for row in history if key in row] for key in keys}
        series = {key: points for key, points in series.items() if points}
        if series:
            charts.append(_chart(title, series, kept, max(row["step"] for row in history)))
    return charts


def _chart(title: str, series: dict[str, list[tuple[float, float]]], kept: int, steps: float) -> Chart:
    values = [value for points in series.values() for _, value in points]
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    named = len(series) > 1 or any("_level_" in key for key in series)
    right = WIDTH - (RIGHT_NAMED if named else RIGHT)

    def x(step: float) -> float:
        return round(LEFT + (right - LEFT) * step / max(steps, 1), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low), 1)

    ends = {key: (x(points[-1][0]), y(points[-1][1])) for key, points in series.items()}
    label_y = _spread_labels({key: end[1] for key, end in ends.items()})
    lines = tuple(
        Line(
            name=_curve_name(key) if named else "",
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


def _curve_name(key: str) -> str:
    """What stands beside a curve: ``level 2``, or the last part of its key."""
    _, separator, level = key.rpartition("_level_")
    return f"level {level}" if separator else key.rpartition("/")[2]
