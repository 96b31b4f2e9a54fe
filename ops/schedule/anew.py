"""Start a retraining in the container of a scheduled run: with the champion, the clips and the code there are now."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from facerecon.errors import FaceReconError
from facerecon.files import write_json
from ops.schedule.watch import once, read_schedule

STACK, TOKEN, KEY = "ZENML_ACTIVE_STACK_ID", "ZENML_STORE_API_TOKEN", "ZENML_STORE_API_KEY"


def retrain_anew(file: str, content: dict[str, Any], stack: str) -> None:
    """Run `zenml pipeline run retraining` with a config of this name and content on the stack with the id ``stack``.

    Raises:
        FaceReconError: it fails, which has been told as a schedule on a machine tells it.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / file
        write_json(path, content)
        schedule = replace(read_schedule(path, None), environment=_environment(os.environ, stack))
        status = once(schedule, if_missed=False)
    if status:
        raise FaceReconError(f"retraining by {file} failed with exit status {status}: its output above says why")


def _environment(variables: Mapping[str, str], stack: str) -> dict[str, str]:
    """Those of the run: its own stack, and no token of the scheduled run, if there is a key that outlives it."""
    without = {TOKEN} if KEY in variables else set()
    return {name: value for name, value in variables.items() if name not in without} | {STACK: stack}
