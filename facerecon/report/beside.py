"""The model beside other models on today's test, in words and rows."""

from dataclasses import dataclass

from facerecon.evaluation.comparison import Compared, Comparison
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import Metric
from facerecon.report import tables
from facerecon.report.base import TaskReport
from facerecon.report.formats import signed_text


@dataclass(frozen=True)
class BesideRow:
    """One level, or the mean over the levels: both models' means, the gain, and its interval.

    ``standing`` is "better" or "worse" where the whole interval is on one side of zero, "not certain" where it is on
    both, "cannot be told" where too few people gave none.
    """

    label: str
    ours: str
    theirs: str
    gain: str
    interval: str
    standing: str


@dataclass(frozen=True)
class BesideGroup:
    """One metric under one case; the mean over the levels comes first."""

    title: str
    metric: Metric
    rows: tuple[BesideRow, ...]


@dataclass(frozen=True)
class Beside:
    """The comparison with one model on one face set; ``note`` says on whom, or why there is none."""

    title: str
    face_set: str
    other: str
    note: str
    groups: tuple[BesideGroup, ...]


def beside(evaluation: Evaluation, comparisons: tuple[Comparison, ...], report: TaskReport) -> list[Beside]:
    """A table for each comparison; [] where the model was compared with none."""
    return [_beside(evaluation, each, report) for each in comparisons]


def beside_lines(evaluation: Evaluation, comparisons: tuple[Comparison, ...]) -> list[str]:
    """A line for each comparison: the gain in the headline metric, mean over the levels, with its interval."""
    metric, lines = evaluation.headline_metric, []
    for each in comparisons:
        row = each.row(metric.name) or each.row(metric.name, -1)
        said = each.obstacle
        if row is not None:
            gain = f"{signed_text(row.gain, metric.digits)} {metric.unit}".rstrip()
            said = f"{gain} of {metric.label} ({_interval(row, metric.digits)}), {_note(each)}"
        lines.append(f"{each.face_set}, beside {_named(each)}: {said}")
    return lines


def _beside(evaluation: Evaluation, found: Comparison, report: TaskReport) -> Beside:
    groups = []
    for metric in evaluation.metrics:
        for case in dict.fromkeys(row.case for row in found.rows if row.metric == metric.name):
            rows = [row for row in found.rows if (row.metric, row.case) == (metric.name, case)]
            rows.sort(key=lambda row: -2 if row.level is None else row.level)
            shown = tuple(_row(row, metric, report) for row in rows)
            groups.append(BesideGroup(report.case_title(case), metric, shown))
    title = f"{found.face_set}, beside {_named(found)}"
    return Beside(title, found.face_set, _named(found), found.obstacle or _note(found), tuple(groups))


def _row(row: Compared, metric: Metric, report: TaskReport) -> BesideRow:
    ours, theirs = (f"{value:.{metric.digits}f}" for value in (row.ours, row.theirs))
    label = tables.MEAN_OVER_LEVELS if row.level is None else report.level_label(row.case, row.level)
    # one digit more than the figures: what tells them apart is often smaller than their last one
    digits = metric.digits + 1
    interval = "–" if row.low is None else _interval(row, digits)
    return BesideRow(label, ours, theirs, signed_text(row.gain, digits), interval, _standing(row))


def _standing(row: Compared) -> str:
    if row.low is None or row.high is None:
        return "cannot be told"
    return "not certain" if row.low <= 0 <= row.high else "better" if row.low > 0 else "worse"


def _interval(row: Compared, digits: int) -> str:
    if row.low is None or row.high is None:
        return "too few people for an interval"
    return f"{signed_text(row.low, digits)} to {signed_text(row.high, digits)}"


def _named(found: Comparison) -> str:
    return f"the {found.method}, {found.other}"


def _note(found: Comparison) -> str:
    people = f"{found.identities} {'person' if found.identities == 1 else 'people'}"
    left_out = f"{found.left_out} left out, whom one of both learned from" if found.left_out else "nobody left out"
    return f"{found.faces} {'face' if found.faces == 1 else 'faces'} of {people}, {left_out}"
