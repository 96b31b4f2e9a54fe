"""An alias, so that `zenml pipeline run reconstruction` finds its pipeline; see `training.py`."""

import sys

from pipelines.reconstruction import reconstruction

sys.modules[__name__] = reconstruction  # type: ignore[assignment]
