"""The metrics of landmarks. Imports no torch.

NME: the mean distance of the points to the true ones, over the square root of the true box's area, as for
AFLW2000-3D (Zhu et al., 2016), in per cent.
"""

from facerecon.evaluation.keys import Metric

NME = Metric(name="nme", label="NME", unit="% of the box", digits=2, higher_is_better=False)
NME_3D = Metric(name="nme_3d", label="NME in 3D", unit="% of the box", digits=2, higher_is_better=False)
FAILURE = Metric(name="failure", label="failures", unit="% of faces", digits=1, higher_is_better=False)
DEPTH = Metric(name="depth_rmse", label="depth RMSE", unit="mm", digits=2, higher_is_better=False)
VERTEX = Metric(name="vertex_error", label="vertex error", unit="mm", digits=2, higher_is_better=False)

FAILED = 10.0
"""A face has failed if its NME is above this, in per cent."""
