"""Schedules that the active stack's orchestrator keeps: what ZenML knows of them, and what lies in the cluster."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.models import ScheduleResponse, StackResponse

from facerecon.errors import FaceReconError
from ops.stack.files import LOCAL

LOG = logging.getLogger(__name__)

RUN_KINDS = (
    StackComponentType.ORCHESTRATOR,
    StackComponentType.IMAGE_BUILDER,
    StackComponentType.CONTAINER_REGISTRY,
    StackComponentType.STEP_OPERATOR,
)
"""What of a stack says how its steps are run."""


@dataclass(frozen=True)
class ServerSchedule:
    """A schedule: whether it starts runs, and when the last was begun, and its status.

    ``in_cluster`` is what it is called there, "" where ZenML does not know.
    """

    name: str
    cron: str
    active: bool
    in_cluster: str
    last: tuple[datetime, str] | None


def schedule_name(stack: str, config: str) -> str:
    """What the schedule of a config is called; there is one of that name."""
    return f"{stack}-{config}"


def server_schedules() -> list[ServerSchedule]:
    """The schedules of the active stack, by name."""
    return [_told(each) for each in _kept()]


def set_active(name: str, active: bool) -> None:
    """Pause a schedule, or let it go on.

    Raises:
        FaceReconError: there is none of this name, or the orchestrator cannot.
    """
    schedule = _named(name)
    if schedule.active == active:
        return
    if not Client().active_stack.orchestrator.supports_schedule_updates:
        raise _unable("pauses")
    Client().update_schedule(schedule.id, active=active)


def delete(name: str) -> None:
    """Delete a schedule in the cluster and in ZenML, with the token that its runs were given.

    Raises:
        FaceReconError: there is none of this name, or the orchestrator cannot.
    """
    schedule, client = _named(name), Client()
    if not client.active_stack.orchestrator.supports_schedule_deletion:
        raise _unable("deletes")
    snapshots = client.list_snapshots(schedule_id=schedule.id, named_only=False).items
    client.delete_schedule(schedule.id)
    for snapshot in snapshots:
        _forget_token(snapshot.id)


def is_kept(name: str) -> bool:
    """Whether there is a schedule of this name."""
    return any(schedule.name == name for schedule in _kept())


def stack_in_one_process() -> UUID:
    """The id of a stack with the servers and the registry of the active one, whose steps run where they are started."""
    client = Client()
    active = client.active_stack_model
    name = f"{active.name}-one-process"
    made: dict[StackComponentType, Any] = {
        kind: [component.id for component in components]
        for kind, components in active.components.items()
        if kind not in RUN_KINDS
    }
    made[StackComponentType.ORCHESTRATOR] = [_local_orchestrator(name)]
    existing: list[StackResponse] = client.list_stacks(name=name).items
    if existing:
        return client.update_stack(existing[0].id, component_updates=made).id
    return client.create_stack(name, {kind: components[0] for kind, components in made.items()}).id


def _local_orchestrator(name: str) -> UUID:
    kind = StackComponentType.ORCHESTRATOR
    existing = Client().list_stack_components(name=name, type=kind).items
    return existing[0].id if existing else Client().create_stack_component(name, LOCAL, kind, {}).id


def _kept() -> list[ScheduleResponse]:
    orchestrator = Client().active_stack_model.components[StackComponentType.ORCHESTRATOR][0]
    found = Client().list_schedules(orchestrator_id=orchestrator.id, sort_by="name", size=100, hydrate=True)
    return list(found.items)


def _named(name: str) -> ScheduleResponse:
    kept = {schedule.name: schedule for schedule in _kept()}
    if name not in kept:
        raise FaceReconError(f"'{name}' is no schedule of the active stack; it has {', '.join(kept) or 'none'}")
    return kept[name]


def _told(schedule: ScheduleResponse) -> ServerSchedule:
    runs = Client().list_pipeline_runs(schedule_id=schedule.id, sort_by="desc:created", size=1).items
    return ServerSchedule(
        name=schedule.name,
        cron=schedule.cron_expression or "",
        active=schedule.active,
        # the orchestrator says so and nothing else when it registers one
        in_cluster=", ".join(map(str, schedule.run_metadata.values())),
        last=(runs[0].created, runs[0].status.value) if runs else None,
    )


def _forget_token(snapshot: UUID) -> None:
    """Remove the Secret with the token of a schedule's runs; the token itself went with the schedule."""
    orchestrator: Any = Client().active_stack.orchestrator
    if not hasattr(orchestrator, "get_token_secret_name"):
        return
    from kubernetes.client import ApiException, CoreV1Api
    from zenml.integrations.kubernetes.kube_utils import delete_secret

    name = orchestrator.get_token_secret_name(snapshot)
    try:
        delete_secret(CoreV1Api(orchestrator.get_kube_client()), orchestrator.config.kubernetes_namespace, name)
    except ApiException as error:
        if error.status != 404:
            LOG.warning("the Secret %s is left: %s; its token is no longer valid", name, error.reason)


def _unable(what: str) -> FaceReconError:
    flavor = Client().active_stack.orchestrator.flavor
    return FaceReconError(
        f"the {flavor} orchestrator {what} no schedules: do it on its own page, and then `zenml pipeline schedule`"
    )
