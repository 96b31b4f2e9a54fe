"""Brush masks over faces that were degraded before: names, order, and a line for each on the console."""

from facerecon.corruption.presets import EVALUATION_PRESETS
from facerecon.evaluation.evaluation import Evaluation, gain
from facerecon.evaluation.promotion import MODEL
from facerecon.report import tables
from facerecon.tasks.inpainting.metrics import DEGRADED, HOLE_PSNR

LIMIT = (
    "Over degraded faces the degraded face itself is the truth: these figures say how well what is hidden is put back, "
    "and nothing of how clear the face becomes. They do not compare across degradations: what is blurred is easier to "
    "guess. Faces are degraded before they are hidden, so blur has carried some of what is hidden into what is known, "
    "which it does not where something before the camera hides it."
)


def is_degraded(case: str) -> bool:
    """Whether the faces of a case were degraded before they were hidden."""
    return case.startswith(DEGRADED)


def preset_of(case: str) -> str:
    """The degradation of such a case."""
    return case.removeprefix(DEGRADED)


def rank_of(case: str) -> int:
    """The place of such a case among those of other degradations, mildest first."""
    return EVALUATION_PRESETS.index(preset_of(case))


def degraded_lines(evaluation: Evaluation) -> list[str]:
    """One line a degradation: the model's hole PSNR, and by how much it is better than the baseline's.

    For example ``degraded by mild, level 2 hidden: hole PSNR 21.3 dB, 1.2 dB better than Telea``.
    """
    baseline, lines = evaluation.baseline, []
    for case, level in evaluation.split_cases:
        ours, theirs = (evaluation.summary(HOLE_PSNR.name, case, level, of) for of in (MODEL, baseline))
        if not is_degraded(case) or ours is None or ours.mean is None:
            continue
        said, over = tables.amount(ours.mean, HOLE_PSNR), gain(HOLE_PSNR, ours, theirs)
        beside = (
            "" if over is None else f", {tables.compared(over, HOLE_PSNR)} {tables.method_label(evaluation, baseline)}"
        )
        lines.append(f"degraded by {preset_of(case)}, level {level} hidden: {HOLE_PSNR.label} {said}{beside}")
    return lines
