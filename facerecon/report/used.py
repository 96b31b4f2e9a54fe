"""The table of figures as used, beside those that are measured else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facerecon.evaluation.as_used import UsedFigure
from facerecon.evaluation.evaluation import Evaluation
from facerecon.report.base import TaskReport
from facerecon.report.formats import interval_text, signed_text


@dataclass(frozen=True)
class UsedRow:
    """A method's figure measured else and as used, the difference, its interval, and who was not found."""

    case: str
    label: str
    metric: str
    before: str
    used: str
    difference: str
    interval: str
    not_found: str


def used_rows(
    evaluation: Evaluation, report: TaskReport, rows: Sequence[UsedFigure], labels: Mapping[str, str] | None = None
) -> list[UsedRow]:
    """The rows as they are shown; ``labels`` are those of methods that are measured only as used."""
    shown = []
    for row in rows:
        metric = evaluation.metric(row.metric)
        shown.append(
            UsedRow(
                case=report.case_title(row.case),
                label={**evaluation.methods, **(labels or {})}.get(row.method, row.method),
                metric=f"{metric.titled} {metric.arrow}",
                before="–" if row.before is None else f"{row.before:.{metric.digits}f}",
                used="–" if row.used is None else f"{row.used:.{metric.digits}f}",
                difference="–" if row.difference is None else signed_text(row.difference, metric.digits),
                interval=interval_text(row.low, row.high, 3),
                not_found=f"{row.not_found} of {row.faces}",
            )
        )
    return shown
