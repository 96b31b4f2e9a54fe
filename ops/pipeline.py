"""A ZenML pipeline that checks its settings and its stack first and ends with one clear line when a user erred."""

import logging
import os
from pathlib import Path
from typing import Any

from zenml.enums import ExecutionMode
from zenml.integrations.mlflow.flavors.mlflow_experiment_tracker_flavor import MLFlowExperimentTrackerSettings
from zenml.pipelines.pipeline_definition import Pipeline

from facerecon.errors import FaceReconError
from ops.paths import PROJECT
from ops.settings_file import read_settings
from ops.stack import EXPERIMENT, check_stack

DEFAULT_FILE = PROJECT / "configs" / "demo.yaml"
"""What a run without `-c` uses."""


class CheckedPipeline(Pipeline):
    """ZenML's pipeline, for `zenml pipeline run NAME [-c FILE]`; without a file it runs ``DEFAULT_FILE``."""

    def __init__(self, **options: Any) -> None:
        # any other mode hides the failing step's error behind one of its own
        super().__init__(execution_mode=ExecutionMode.FAIL_FAST, **options)

    def with_options(  # type: ignore[override]  # positional arguments are not used by ZenML either
        self, *, config_path: str | None = None, **options: Any
    ) -> "Pipeline":
        """ZenML's, after the file was checked.

        Raises:
            FaceReconError: the file is no settings file, or holds an unknown key or a value out of range.
        """
        path = Path(config_path or DEFAULT_FILE)
        settings = read_settings(path)
        options.setdefault("run_name", f"{settings.name}-{{date}}_{{time}}")
        return super().with_options(config_path=str(path), **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on the active stack.

        Raises:
            FaceReconError: the stack cannot run the pipeline, or a step was given what it cannot use.
        """
        if "config_path" not in self._run_args and not args and not kwargs:
            return self.with_options()()
        check_stack()
        _shorten_user_errors()
        tracker = MLFlowExperimentTrackerSettings(experiment_name=EXPERIMENT)
        self.configure(settings={"experiment_tracker": tracker})
        return super().__call__(*args, **kwargs)


class _WithoutTraceback(logging.Filter):
    """Drops the traceback of errors that a user can mend: the command line prints their message last."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], FaceReconError):
            record.exc_info = None
            record.exc_text = None
        return True


def _shorten_user_errors() -> None:
    """Keep tracebacks of user errors out of the log, unless ``FACERECON_DEBUG`` is set."""
    if os.environ.get("FACERECON_DEBUG"):
        return
    for name in ("", "zenml"):
        for handler in logging.getLogger(name).handlers:
            if not any(isinstance(known, _WithoutTraceback) for known in handler.filters):
                handler.addFilter(_WithoutTraceback())
