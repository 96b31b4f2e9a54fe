"""Retraining on a schedule that the stack's orchestrator keeps.

ZenML schedules a pipeline as it is when it is registered, with the champion and the digests of that day. So what is
scheduled is a pipeline of one step, which starts the retraining anew, on the same servers, in its one container.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click
from zenml.client import Client
from zenml.config.schedule import Schedule
from zenml.pipelines.pipeline_definition import Pipeline

from facerecon.errors import FaceReconError
from ops.pipeline import CheckedPipeline
from ops.schedule import server
from ops.settings_file import RunFile, check_schedule, check_stack_settings
from ops.stack.tracker import check_stack
from steps.retrain import retrain


def run_scheduled(file: str, content: dict[str, Any], stack: str) -> None:
    """One step; ``file`` and ``content`` are the name of a retraining's config and what it says."""
    retrain(file=file, content=content, stack=stack)


class ScheduledPipeline(CheckedPipeline):
    """A pipeline whose containers may hold other code than there is here: each run finds out what it runs."""

    def container_environment(self) -> dict[str, str]:
        """No variables: none says which code there must be."""
        return {}


scheduled = ScheduledPipeline(name="scheduled_retraining", entrypoint=run_scheduled, steps=("retrain",))


def schedule_retraining(path: Path, file: RunFile) -> None:
    """Register the schedule of a retraining's config; the one that there is of it is replaced.

    What the config says under ``settings`` is for the container of the whole run.

    Raises:
        FaceReconError: the stack's orchestrator starts nothing by itself, or does not take the schedule, or the config
            has settings for single steps.
    """
    check_stack()
    stack, settings = Client().active_stack, file.zenml.get("settings") or {}
    check_schedule(path, file, stack)
    check_stack_settings(path, {"settings": settings}, stack)
    steps = file.zenml.get("steps") or {}
    if apart := [name for name, step in steps.items() if (step or {}).get("settings")]:
        raise FaceReconError(
            f"{path}: steps.{apart[0]}.settings: a scheduled run has one container: give what it needs under "
            "`settings` at the top"
        )
    assert file.cron is not None
    name = server.schedule_name(stack.name, path.stem)
    replaced = server.is_kept(name)
    if replaced:
        # two would both run
        server.delete(name)
    inner = {key: value for key, value in file.zenml.items() if key != "settings"}
    made = cast(
        CheckedPipeline,
        Pipeline.with_options(
            scheduled,
            schedule=Schedule(name=name, cron_expression=file.cron.plain()),
            run_name=f"{{time}}-{path.stem}-{{date}}",
        ),
    )
    made.configure(settings=settings)
    made._file = path, replace(file, zenml={"settings": settings}, cron=None)
    content = {"parameters": file.settings.model_dump(mode="json"), **inner}
    made(file=path.name, content=content, stack=str(server.stack_in_one_process()))
    done = "replaced" if replaced else "registered"
    click.echo(f"{done} the schedule {name}: {file.cron.text}, by the cluster's clock; see `facerecon schedule show`")
