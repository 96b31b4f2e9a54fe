"""All that rests on how ZenML works inside; ``tests/ops/test_zenml_patches.py`` tells when ZenML has changed there."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import zenml
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker
from zenml.orchestrators import cache_utils

from facerecon.errors import FaceReconError
from ops.verified_cache import verified

LOG = logging.getLogger(__name__)

WRITTEN_FOR = "0.98."
"""The versions of ZenML that the patches were written for begin so."""


@contextmanager
def patched() -> Iterator[None]:
    """ZenML as the pipelines need it: a verified cache, no traceback of what a user can mend, no needless imports."""
    if not zenml.__version__.startswith(WRITTEN_FOR):
        LOG.warning("ZenML %s may not run as patched: %s was written for %sx", zenml.__version__, __name__, WRITTEN_FOR)
    search, disable = cache_utils.get_cached_step_run, MLFlowExperimentTracker.disable_autologging
    handlers = [handler for name in ("", "zenml") for handler in logging.getLogger(name).handlers]
    cache_utils.get_cached_step_run = verified(search)
    # it imports eight frameworks after each step, for seconds, and nothing here turns autologging on
    MLFlowExperimentTracker.disable_autologging = lambda self: None  # type: ignore[method-assign]
    for handler in handlers:
        handler.addFilter(_without_traceback)
    try:
        yield
    finally:
        cache_utils.get_cached_step_run = search
        MLFlowExperimentTracker.disable_autologging = disable  # type: ignore[method-assign]
        for handler in handlers:
            handler.removeFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    """ZenML logs what a step raises with its traceback; the command line says a user's error in one line at the end."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, FaceReconError | KeyboardInterrupt) and not os.environ.get("FACERECON_DEBUG"):
        record.exc_info = record.exc_text = None
    return True
