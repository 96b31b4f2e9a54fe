"""Inpainting as the benchmarks run and measure it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facerecon.data.datasets import EvaluationFaces
from facerecon.errors import FaceReconError
from facerecon.evaluation.image_metrics import SSIM, WHOLE_PSNR, identity, lpips
from facerecon.evaluation.judges import Judges
from facerecon.evaluation.keys import MetricKey
from facerecon.run import RunSettings
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings
from facerecon.tasks.inpainting.evaluator import Evaluator, Fill, MaskCase, measure
from facerecon.tasks.inpainting.metrics import HOLE_PSNR
from facerecon.tasks.inpainting.settings import Settings

JUDGES = InpaintingEvaluationSettings()
"""Who judges, in every benchmark."""

METRICS = {
    "whole_psnr": WHOLE_PSNR,
    "hole_psnr": HOLE_PSNR,
    "ssim": SSIM,
    "lpips": lpips(JUDGES.lpips_backbone),
    "identity": identity(JUDGES.identity_network),
}
"""What is measured, by its name in the results."""


class InpaintingRun(Settings, RunSettings):
    """The settings of a run of inpainting, as ``run_settings`` gives them, for type checkers too."""


def measured(
    methods: Mapping[str, Fill], faces: EvaluationFaces, cases: Sequence[MaskCase]
) -> dict[tuple[str, int, str, str], NDArray[np.float64]]:
    """The values [N] of all faces by (family, level, method, name in METRICS).

    Raises:
        FaceReconError: what a method gives is not finite.
    """
    judges = Judges(METRICS["lpips"], METRICS["identity"])
    evaluator = Evaluator("", lambda case, method: tuple(METRICS.values()), judges)
    scores = measure(evaluator, methods, faces, cases, "measuring")
    found = {
        (case.case, case.level, method, name): scores.values(MetricKey("", metric.name, case.case, case.level), method)
        for case in cases
        for method in methods
        for name, metric in METRICS.items()
    }
    for (*_, method, _), values in found.items():
        if np.isnan(values).any():
            raise FaceReconError(f"{method}: what it gives is not finite; expected numbers: train at a lower rate")
    return found
