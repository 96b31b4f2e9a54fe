"""Pipelines as IR files, without a cluster."""

import logging
from pathlib import Path
from typing import cast

from zenml.client import Client
from zenml.enums import StackComponentType

from facerecon.errors import FaceReconError
from infra.kubeflow.flavor import KubeflowFlavor
from infra.kubeflow.orchestrator import WrittenError, written_to
from ops.pipeline import CheckedPipeline


def write_ir(pipeline: CheckedPipeline, config: Path | None, path: Path) -> None:
    """Write the IR of ``pipeline`` with the settings in ``config`` (None: its default) to ``path``.

    ZenML keeps the snapshot that the IR's steps look up, and no run. Of a retraining, the inbox is not looked into:
    what is new there is found by its step `collect` when it runs.

    Raises:
        FaceReconError: the active stack is not on Kubeflow, or as at the start of a run.
    """
    # it tells of a run, and where to see it
    logging.getLogger("zenml").setLevel(logging.ERROR)
    check_stack()
    made = cast(CheckedPipeline, pipeline.with_options(config_path=None if config is None else str(config)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_to(path):
        try:
            # past what retraining asks before it: that nothing else runs here, and that there are new clips
            CheckedPipeline.__call__(made)
        except WrittenError as written:
            if written.run is not None:
                Client().delete_pipeline_run(written.run)


def check_stack() -> None:
    """See that the active stack is one on Kubeflow.

    Raises:
        FaceReconError: it is not.
    """
    model = Client().active_stack_model
    flavor = model.components[StackComponentType.ORCHESTRATOR][0].flavor_name
    if flavor != KubeflowFlavor().name:
        raise FaceReconError(
            f"the active stack '{model.name}' has the orchestrator {flavor}, and none on Kubeflow: start servers with "
            "`make services`, or name yours by variables, and run `facerecon stack kubeflow`"
        )
