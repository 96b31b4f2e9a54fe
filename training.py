"""An alias, so that `zenml pipeline run training` finds its pipeline: ZenML loads a name without a dot as a module."""

import sys

from pipelines.training import training

sys.modules[__name__] = training  # type: ignore[assignment]
