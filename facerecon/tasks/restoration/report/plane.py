"""The plane of identity against LPIPS: what each method gives up of one for the other."""

from collections.abc import Callable
from dataclasses import dataclass

from facerecon.evaluation.evaluation import Evaluation
from facerecon.report import tables

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 420, 260, 56, 12, 130, 40
"""Of the drawing and its margins, in units of the picture."""

LINE = 13
"""The height of a label."""


@dataclass(frozen=True)
class Point:
    """One method: ``x`` and ``y`` in the drawing, its label at ``label_y``, and what stands in its title."""

    label: str
    x: float
    y: float
    label_y: float
    about: str


@dataclass(frozen=True)
class Plane:
    """One degradation's drawing: better is up and left. Ticks are (place, text)."""

    title: str
    points: tuple[Point, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_name: str
    y_name: str


def plane(evaluation: Evaluation, distance: str, cosine: str, title: str, case: str) -> Plane | None:
    """The drawing of one ``case`` for the metrics of these names; None where fewer than two methods have both."""
    found = []
    for method in evaluation.methods:
        means = [_mean(evaluation, metric, case, method) for metric in (distance, cosine)]
        if means[0] is not None and means[1] is not None:
            found.append((method, means[0], means[1]))
    if len(found) < 2:
        return None
    x, x_ticks = _axis([row[1] for row in found], LEFT, WIDTH - RIGHT)
    y, y_ticks = _axis([row[2] for row in found], HEIGHT - BOTTOM, TOP)
    points: list[Point] = []
    for method, across, upwards in sorted(found, key=lambda row: y(row[2])):
        label = tables.method_label(evaluation, method)
        # labels go from the top down, none upon another
        label_y = max(y(upwards) + 4, points[-1].label_y + LINE if points else 0)
        about = f"{label}: LPIPS {across:.3f}, identity {upwards:.3f}"
        points.append(Point(label, x(across), y(upwards), label_y, about))
    names = (f"{evaluation.metric(name).label} ({evaluation.metric(name).judge})" for name in (distance, cosine))
    return Plane(title, tuple(points), x_ticks, y_ticks, *names)


def _mean(evaluation: Evaluation, metric: str, case: str, method: str) -> float | None:
    found = evaluation.summary(metric, case, -1, method)
    return None if found is None else found.mean


Ticks = tuple[tuple[float, str], ...]


def _axis(values: list[float], begin: float, end: float) -> tuple[Callable[[float], float], Ticks]:
    """A map of values to places between ``begin`` and ``end``, and three ticks."""
    low, high = min(values), max(values)
    margin = 0.1 * (high - low) or 0.01
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return round(begin + (value - low) / (high - low) * (end - begin), 1)

    return place, tuple((place(value), f"{value:.3f}") for value in (low, (low + high) / 2, high))
