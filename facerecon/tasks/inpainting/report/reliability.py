"""Confidence beside what is so: tables, sentences and charts."""

import math
from dataclasses import dataclass

from facerecon.evaluation.evaluation import Evaluation
from facerecon.report.base import TaskReport
from facerecon.tasks.inpainting.details import Confidence, InpaintingDetails
from facerecon.tasks.inpainting.metrics import MAIN_CASE
from facerecon.tasks.inpainting.report.pictures import level_range


@dataclass(frozen=True)
class ConfidenceRow:
    """How far the model's confidence can be trusted under one level or part: shown texts, "–" where undefined.

    ``says`` is the mean confidence in the holes, ``right`` the share of hole pixels with an error within the threshold;
    ``constant`` the Brier score of always saying ``right``. ``useless`` is set where ``brier`` is no better than that.
    """

    label: str
    level: int
    range: str
    faces: int
    pixels: int
    says: str
    right: str
    brier: str
    constant: str
    rank: str
    calibration: str
    useless: bool


@dataclass(frozen=True)
class ConfidenceBlock:
    """The confidence rows of one case, one a level; ``part`` as in TaskReport."""

    case: str
    title: str
    part: bool
    rows: tuple[ConfidenceRow, ...]


def confidence_rows(details: InpaintingDetails, case: str, report: TaskReport) -> tuple[ConfidenceRow, ...]:
    """The confidence figures of one case, one row a level; none for a model that does not say how sure it is."""
    rows = [row for row in details.confidence if row.case == case]
    return tuple(_confidence_row(row, report) for row in sorted(rows, key=lambda row: row.level))


def _confidence_row(row: Confidence, report: TaskReport) -> ConfidenceRow:
    return ConfidenceRow(
        label=report.level_label(row.case, row.level),
        level=row.level,
        range="" if row.level < 0 else level_range(row.level),
        faces=row.faces,
        pixels=row.pixels,
        says=f"{row.mean_confidence:.3f}",
        right=f"{row.share_right:.3f}",
        brier=f"{row.brier:.3f}",
        constant=f"{row.brier_constant:.3f}",
        rank=_correlation(row.rank_correlation, 3),
        calibration=f"{row.calibration_error:.3f}",
        useless=round(row.brier, 3) >= round(row.brier_constant, 3),
    )


def _correlation(value: float | None, digits: int) -> str:
    """With a real minus; "–" where it is not defined, as under constant confidence."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def confidence_blocks(evaluation: Evaluation, details: InpaintingDetails, report: TaskReport) -> list[ConfidenceBlock]:
    """The confidence figures of every case in the report's order; none without a confidence head."""
    cases = report.order(list(dict.fromkeys(case for case, _ in evaluation.split_cases)))
    found = ((case, confidence_rows(details, case, report)) for case in cases)
    return [ConfidenceBlock(case, report.case_title(case), report.is_part(case), rows) for case, rows in found if rows]


def confidence_lines(details: InpaintingDetails) -> list[str]:
    """One line a level of the main family: what the confidence says and what is so; none without a confidence head.

    For example ``confidence, level 2: says 0.62, right on 0.60 of the pixels; Brier 0.21 (a constant guess 0.24);
    rank correlation 0.35``.
    """
    return [
        f"confidence, level {row.level}: says {row.mean_confidence:.2f}, right on {row.share_right:.2f} of "
        f"the pixels; Brier {row.brier:.2f} (a constant guess {row.brier_constant:.2f}); "
        f"rank correlation {_correlation(row.rank_correlation, 2)}"
        for row in sorted(details.confidence, key=lambda row: row.level)
        if row.case == MAIN_CASE
    ]


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


def reliability_charts(details: InpaintingDetails) -> list[Reliability]:
    """One chart a level of the main family; none for a model that does not say how sure it is."""
    rows = [row for row in details.confidence if row.case == MAIN_CASE and row.pixels]
    return [_reliability(row) for row in sorted(rows, key=lambda row: row.level)]


def _reliability(row: Confidence) -> Reliability:
    title = f"level {row.level} ({level_range(row.level)} hidden)"
    reading = f"says {row.mean_confidence:.3f}, right on {row.share_right:.3f}"

    def x(value: float) -> float:
        return round(SQUARE_LEFT + SQUARE * value, 1)

    def y(value: float) -> float:
        return round(SQUARE_TOP + SQUARE * (1 - value), 1)

    dots = []
    for each in row.bins:
        if not each.pixels or each.mean_confidence is None or each.share_right is None:
            continue
        says, right, share = each.mean_confidence, each.share_right, each.pixels / row.pixels
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
