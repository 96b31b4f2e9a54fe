"""Cumulative error curves: the share of faces whose NME is at most so much."""

from dataclasses import dataclass

import numpy as np

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.tasks.landmarks.metrics import FAILED, FAILURE, NME

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 360, 220, 44, 10, 10, 36
"""Of a drawing and its margins, in units of the picture."""


@dataclass(frozen=True)
class Curve:
    """One method's: ``path`` is an SVG path, ``place`` counts the curves."""

    label: str
    path: str
    place: int
    about: str


@dataclass(frozen=True)
class Drawing:
    """One condition's; ticks are (place, text)."""

    title: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def curves(evaluation: Evaluation, case: str, title: str) -> Drawing:
    """The curves of all methods under a case, up to FAILED; a face that was not found counts as beyond."""
    found: list[Curve] = []
    for method, label in evaluation.methods.items():
        key = MetricKey(evaluation.face_set, NME.name, case)
        if (key, method) not in evaluation.scores:
            continue
        values = np.sort(evaluation.scores.values(key, method))
        asked = evaluation.summary(FAILURE.name, case, -1, method)
        faces = len(values) if asked is None else asked.n
        within = values[values <= FAILED]
        x = np.concatenate([[0.0], np.repeat(within, 2), [FAILED]])
        y = np.concatenate([[0.0], np.repeat(np.arange(len(within) + 1), 2)[1:-1], [len(within)]]) / faces
        points = " L".join(f"{_x(a):.1f} {_y(b):.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        found.append(
            Curve(label, f"M{points}", len(found), f"{label}: {len(within) / faces:.0%} of faces at most {FAILED:g} %")
        )
    return Drawing(
        title,
        tuple(found),
        tuple((_x(value), f"{value:g}") for value in (0, 2.5, 5, 7.5, 10)),
        tuple((_y(value), f"{value:.0%}") for value in (0, 0.5, 1)),
    )


def _x(value: float) -> float:
    return LEFT + value / FAILED * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)
