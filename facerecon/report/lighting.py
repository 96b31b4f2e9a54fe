"""The table of a figure by the light that faces are in: by their brightness, and of drawn faces by the light itself."""

from dataclasses import dataclass

from facerecon.data.lighting import LIGHTING
from facerecon.drawn import Lighting
from facerecon.evaluation.evaluation import Evaluation, gain
from facerecon.evaluation.keys import Metric
from facerecon.evaluation.lighting import light_set, luma_set
from facerecon.evaluation.promotion import MODEL
from facerecon.report import tables
from facerecon.report.base import TaskReport
from facerecon.report.formats import signed_text


@dataclass(frozen=True)
class LightingRow:
    """A figure of the model and of the baseline on the ``faces`` in one ``condition``.

    ``luma`` is the range of their brightness, of 255; "" where the condition is the light that they were drawn in.
    """

    condition: str
    luma: str
    faces: int
    model: str
    baseline: str
    difference: str


@dataclass(frozen=True)
class LightingGroup:
    """The rows of one level: dark before bright, then the lights of drawn faces."""

    level: int
    label: str
    rows: tuple[LightingRow, ...]


@dataclass(frozen=True)
class LightingTable:
    """All groups of one case, and what is measured: the ``metric`` beside that of ``baseline`` under ``case``.

    ``heading`` stands above the groups' labels.
    """

    metric: Metric
    case: str
    baseline: str
    heading: str
    groups: tuple[LightingGroup, ...]

    @property
    def drawn(self) -> bool:
        """Whether of some faces the light itself is known."""
        return any(not row.luma for group in self.groups for row in group.rows)


def lighting_table(
    evaluation: Evaluation, report: TaskReport, metric: Metric, case: str, heading: str
) -> LightingTable | None:
    """The figures of ``metric`` under ``case`` by light; None if they were not measured."""
    groups = tuple(lighting_groups(evaluation, report, metric, case))
    label = tables.method_label(evaluation, evaluation.baseline)
    return LightingTable(metric, report.case_title(case), label, heading, groups) if groups else None


def lighting_groups(evaluation: Evaluation, report: TaskReport, metric: Metric, case: str) -> list[LightingGroup]:
    """The groups of ``lighting_table``, one a level."""
    name = evaluation.face_set
    conditions = [(luma_set(name, condition), condition, f"{low:g}-{high:g}") for condition, low, high in LIGHTING]
    conditions += [(light_set(name, light), f"{light} light", "") for light in Lighting]
    groups = []
    for level in evaluation.levels(case):
        found = (_row(evaluation, metric, case, level, *each) for each in conditions)
        rows = tuple(row for row in found if row is not None)
        if rows:
            groups.append(LightingGroup(level, report.level_label(case, level), rows))
    return groups


def _row(
    evaluation: Evaluation, metric: Metric, case: str, level: int, face_set: str, condition: str, luma: str
) -> LightingRow | None:
    ours, theirs = (
        evaluation.summary(metric.name, case, level, method, face_set) for method in (MODEL, evaluation.baseline)
    )
    if ours is None or theirs is None:
        return None
    difference = gain(metric, ours, theirs)
    return LightingRow(
        condition=condition,
        luma=luma,
        faces=ours.n,
        model=tables.cell_text(ours, metric),
        baseline=tables.cell_text(theirs, metric),
        difference="–" if difference is None else signed_text(difference, metric.digits),
    )
