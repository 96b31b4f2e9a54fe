"""What damage of the input does to the figures, a table for each family of it."""

from dataclasses import dataclass
from itertools import groupby

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import Metric
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.robustness import PGD, UNIFORM, Disturbed, Robustness
from facerecon.report import tables
from facerecon.report.formats import signed_text

FAMILIES = {
    "jpeg": ("JPEG", "quality {}"),
    "h264": ("H.264", "CRF {}"),
    "noise": ("Gaussian noise", "sigma {}"),
    PGD: ("Attack (PGD)", "±{} of 255"),
    UNIFORM: ("Random noise of the attack’s size", "±{} of 255"),
}
"""How each family is called, and its steps."""


@dataclass(frozen=True)
class DisturbedCell:
    """A method's figure at one step, by how much that differs from the undisturbed one, and the interval."""

    disturbed: str
    difference: str
    interval: str


@dataclass(frozen=True)
class DisturbedRow:
    """One step, with a cell for each method."""

    step: str
    cells: tuple[DisturbedCell, ...]


@dataclass(frozen=True)
class DisturbedGroup:
    """The rows of one metric; ``undisturbed`` is each method's figure without damage."""

    metric: Metric
    undisturbed: tuple[str, ...]
    rows: tuple[DisturbedRow, ...]


@dataclass(frozen=True)
class DisturbedTable:
    """One family: ``methods`` are the labels of the cells' methods; ``faces`` of so many ``people``."""

    title: str
    methods: tuple[str, ...]
    faces: int
    people: int
    groups: tuple[DisturbedGroup, ...]


@dataclass(frozen=True)
class RobustnessSection:
    """The section: what was done, what it comes to in one sentence, and the tables."""

    note: str
    summary: str
    pixels: str
    tables: tuple[DisturbedTable, ...]


def robustness_section(evaluation: Evaluation, robustness: Robustness | None, note: str) -> RobustnessSection | None:
    """What the report shows; ``note`` says what is given to the methods. None if it was not measured."""
    if robustness is None:
        return None
    families = groupby(robustness.rows, key=lambda row: row.family)
    shown = tuple(_table(evaluation, family, list(rows)) for family, rows in families)
    return RobustnessSection(note, robustness_sentence(evaluation, robustness), robustness.pixels, shown)


def robustness_sentence(evaluation: Evaluation, robustness: Robustness) -> str:
    """The headline figure of model and baseline at the strongest step of each family, and under the attack.

    The figure stands before its change: what is without fault at first loses most, and may still be the better one.
    """
    metric, other = evaluation.headline_metric, tables.method_label(evaluation, evaluation.baseline)
    found = [(row.family, row) for row in robustness.rows if row.metric == metric.name]
    # the last of each family is its strongest
    ours, theirs = (
        {family: row for family, row in found if row.method == method} for method in (MODEL, evaluation.baseline)
    )

    def both(family: str) -> str:
        return f"{_figure(ours[family], metric)} ({other} {_figure(theirs[family], metric)})"

    *most, last = (
        f"{both(family)} under {_named(row)}" for family, row in ours.items() if family not in (PGD, UNIFORM)
    )
    return (
        f"At the strongest step the model’s {metric.label} is {', '.join(most)} and {last}; an attack that changes no "
        f"value by more than {ours[PGD].level} of 255 makes it {both(PGD)}, random noise of the same size "
        f"{both(UNIFORM)}."
    )


def _named(row: Disturbed) -> str:
    title, step = FAMILIES[row.family]
    return f"{title} of {step.format(row.level)}"


def _figure(row: Disturbed, metric: Metric) -> str:
    """A figure and its change: ``16.12 dB, 2.50 worse``."""
    unit, gain = f" {metric.unit}" if metric.unit else "", metric.gain(row.disturbed, row.undisturbed)
    if round(gain, metric.digits) == 0:
        change = "the same"
    else:
        change = f"{abs(gain):.{metric.digits}f} {'better' if gain > 0 else 'worse'}"
    return f"{row.disturbed:.{metric.digits}f}{unit}, {change}"


def _table(evaluation: Evaluation, family: str, rows: list[Disturbed]) -> DisturbedTable:
    methods = list(dict.fromkeys(row.method for row in rows))
    labels = tuple(tables.method_label(evaluation, method) for method in methods)
    groups = []
    for name in dict.fromkeys(row.metric for row in rows):
        metric = evaluation.metric(name)
        of_metric = {(row.level, row.method): row for row in rows if row.metric == name}
        levels = list(dict.fromkeys(level for level, _ in of_metric))
        undisturbed = [of_metric[levels[0], method].undisturbed for method in methods]
        shown = tuple(
            DisturbedRow(
                FAMILIES[family][1].format(level),
                tuple(_cell(of_metric[level, method], metric) for method in methods),
            )
            for level in levels
        )
        groups.append(DisturbedGroup(metric, tuple(f"{value:.{metric.digits}f}" for value in undisturbed), shown))
    return DisturbedTable(FAMILIES[family][0], labels, rows[0].faces, rows[0].identities, tuple(groups))


def _cell(row: Disturbed, metric: Metric) -> DisturbedCell:
    ends = [signed_text(end, metric.digits) for end in (row.low, row.high) if end is not None]
    return DisturbedCell(
        f"{row.disturbed:.{metric.digits}f}", signed_text(row.difference, metric.digits), " to ".join(ends) or "–"
    )
