"""As used: the figure of faces that are found and aligned with the hole in them, beside that of faces hidden after."""

from dataclasses import dataclass
from itertools import groupby

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.promotion import MODEL
from facerecon.report import tables
from facerecon.report.base import TaskReport
from facerecon.report.formats import signed_text
from facerecon.tasks.inpainting.details import AsUsed, InpaintingDetails
from facerecon.tasks.inpainting.metrics import HOLE_PSNR


@dataclass(frozen=True)
class UsedRow:
    """A method's hole PSNR aligned before hiding and as used, the difference, its interval, and who was not found."""

    label: str
    before: str
    used: str
    difference: str
    interval: str
    not_found: str


@dataclass(frozen=True)
class UsedGroup:
    """The rows of one case and level."""

    label: str
    rows: tuple[UsedRow, ...]


def used_groups(evaluation: Evaluation, details: InpaintingDetails, report: TaskReport) -> list[UsedGroup]:
    """The table of what was measured as used, a group for each case and level."""
    groups = []
    for (case, level), rows in groupby(details.as_used, key=lambda row: (row.case, row.level)):
        shown = tuple(_row(row, tables.method_label(evaluation, row.method)) for row in rows)
        title = report.case_title(case)
        groups.append(UsedGroup(title if level < 0 else f"{title}, {report.level_label(case, level)}", shown))
    return groups


def used_sentence(evaluation: Evaluation, details: InpaintingDetails) -> str:
    """What the headline's figure becomes as used, in one sentence."""
    rows = [row for row in details.as_used if row.method == MODEL and row.case == evaluation.headline[1]]
    if not rows:
        return f"As used: not measured ({details.as_used_note})."
    said = [f"{_level(row)}{_change(row)}" for row in rows]
    missing, asked = sum(row.not_found for row in rows), sum(row.faces for row in rows)
    note = f" Not measured: {details.as_used_note}." if details.as_used_note else ""
    return (
        f"As used, each face found and aligned with the hole in it, the model's {HOLE_PSNR.label} is "
        f"{'; '.join(said)}; {missing} of {asked} times the face was not found.{note}"
    )


def _level(row: AsUsed) -> str:
    return "" if row.level < 0 else f"at level {row.level} "


def _change(row: AsUsed) -> str:
    if row.used is None or row.before is None or row.difference is None:
        return "not known, no face was found"
    return f"{row.used:.1f} {HOLE_PSNR.unit} where it is {row.before:.1f} ({signed_text(row.difference, 1)})"


def _row(row: AsUsed, label: str) -> UsedRow:
    ends = [signed_text(end, 2) for end in (row.low, row.high) if end is not None]
    return UsedRow(
        label=label,
        before=_text(row.before),
        used=_text(row.used),
        difference="–" if row.difference is None else signed_text(row.difference, 2),
        interval=" to ".join(ends) or "–",
        not_found=f"{row.not_found} of {row.faces}",
    )


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
