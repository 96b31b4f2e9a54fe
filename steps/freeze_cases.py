"""Freeze the evaluation cases of the task."""

from typing import Annotated, Any

from zenml import step

from facerecon.data.manifest import Manifest
from facerecon.tasks import Cases, get_task
from facerecon.workspace import state_folder
from ops.materializers.cases import CasesMaterializer


@step(enable_cache=False, output_materializers=CasesMaterializer)
def freeze_cases(faces: Manifest, task: str, settings: dict[str, Any], code: str) -> Annotated[Cases, "cases"]:
    """The frozen cases, in a folder of this code's own.

    Files that are there are verified and kept, which ZenML's cache would not do.
    """
    return get_task(task).freeze_cases(settings, faces, state_folder() / "cases" / task / code[:16])
