"""The metrics of inpainting beside those of all images; all are of composites. Imports no torch."""

from facerecon.evaluation.image_metrics import CEILING
from facerecon.evaluation.keys import Metric

MAIN_CASE = "brush"
"""Checkpoints, promotion and the headline rest on these masks."""

DEGRADED = "degraded/"
"""How the names begin of cases in which these masks hide faces that were degraded before, and are the truth so."""

HOLE_PSNR = Metric(name="hole_psnr", label="hole PSNR", unit="dB", digits=2, ceiling=CEILING)
HOLE_L1 = Metric(name="hole_l1", label="hole L1", digits=4, higher_is_better=False)
