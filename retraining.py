"""An alias, so that `zenml pipeline run retraining` finds its pipeline; see `training.py`."""

import sys

from pipelines.retraining import retraining

sys.modules[__name__] = retraining  # type: ignore[assignment]
