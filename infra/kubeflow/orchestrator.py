"""The orchestrator: a snapshot of a pipeline becomes an IR file, and that a run of Kubeflow Pipelines."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import requests
from kfp import Client, dsl, kubernetes
from kfp.compiler import Compiler
from kfp_server_api.exceptions import ApiException, OpenApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError
from zenml.config.resource_settings import ByteUnit, ResourceSettings
from zenml.entrypoints import StepEntrypointConfiguration
from zenml.integrations.kubeflow.orchestrators import KubeflowOrchestrator as ZenMLKubeflowOrchestrator
from zenml.integrations.kubeflow.orchestrators.kubeflow_orchestrator import ENV_KFP_RUN_ID
from zenml.orchestrators import PipelineSubmissionError, SubmissionResult

from facerecon.errors import FaceReconError
from infra.kubeflow.flavor import KubeflowConfig, KubeflowSettings

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, PipelineSnapshotResponse, ScheduleResponse, ScheduleUpdate
    from zenml.stack import Stack

GPU = "nvidia.com/gpu"
"""The resource that NVIDIA's device plugin offers; Kubeflow takes it as the accelerator's type."""
RUN_ID = "metadata.labels['pipeline/runid']"
"""Where a pod finds the id of its Kubeflow run."""
STORE, SECRET_STORES = "ZENML_STORE_", ("ZENML_SECRETS_STORE_", "ZENML_BACKUP_SECRETS_STORE_")
OPEN = frozenset({"ZENML_STORE_TYPE", "ZENML_STORE_URL", "ZENML_STORE_VERIFY_SSL", "ZENML_STORE_HTTP_TIMEOUT"})
"""What of the store's configuration may stand in the clear."""
ERRORS = (OpenApiException, HTTPError, ConfigException, requests.RequestException, RuntimeError, TimeoutError)
"""What Kubeflow's client raises, and ZenML where it logs in for it."""
RECURRING = "recurring_run_id"
"""The metadata of a schedule with the id of its recurring run."""
ENDED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
POLL = 5
"""Seconds between two looks at a run."""

_target: ContextVar[Path | None] = ContextVar("target", default=None)


class NotSubmittedError(FaceReconError, PipelineSubmissionError):
    """Kubeflow has not taken a run; ZenML then forgets its schedule."""


class WrittenError(Exception):
    """The IR is written and nothing was submitted; ``run`` is the run that ZenML began for it, and that must go."""

    def __init__(self, run: UUID | None) -> None:
        super().__init__("the IR is written, and no run is started")
        self.run = run


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Who starts a pipeline in here gets ``WrittenError``: its IR is written to ``path`` and not submitted."""
    token = _target.set(path)
    try:
        yield
    finally:
        _target.reset(token)


class KubeflowOrchestrator(ZenMLKubeflowOrchestrator):
    """ZenML's, with an IR of its own: it mounts claims, takes secrets from Kubernetes, and holds no token."""

    @property
    def config(self) -> KubeflowConfig:  # type: ignore[override]  # the flavor's, whose keys for the client are ZenML's
        """The component's configuration."""
        return cast(KubeflowConfig, self._config)

    @property
    def settings_class(self) -> type[KubeflowSettings]:  # type: ignore[override]
        """The class of what a run and its steps can change."""
        return KubeflowSettings

    def submit_pipeline(
        self,
        snapshot: "PipelineSnapshotResponse",
        stack: "Stack",
        base_environment: dict[str, str],
        step_environments: dict[str, dict[str, str]],
        placeholder_run: "PipelineRunResponse | None" = None,
    ) -> SubmissionResult | None:
        """Write the IR and submit it.

        Raises:
            NotSubmittedError: Kubeflow does not answer or refuses, or the schedule is no cron expression.
            WrittenError: within ``written_to``.
        """
        schedule = snapshot.schedule
        if schedule is not None and (not schedule.cron_expression or schedule.catchup):
            raise NotSubmittedError(
                f"schedule = {schedule.cron_expression or schedule.interval_second}, catchup = {schedule.catchup}: on "
                "Kubeflow runs recur by a cron expression and without catch-up: give cron_expression, catchup: false"
            )
        pipeline = self._pipeline(snapshot, step_environments)
        target = _target.get()
        name = snapshot.pipeline_configuration.name
        if target is not None:
            Compiler().compile(pipeline, str(target), pipeline_name=name)
            raise WrittenError(None if placeholder_run is None else placeholder_run.id)
        folder = Path(self.pipeline_directory)
        folder.mkdir(parents=True, exist_ok=True)
        Compiler().compile(pipeline, str(folder / f"{snapshot.id}.yaml"), pipeline_name=name)
        run_name = name if placeholder_run is None else placeholder_run.name
        return self._upload_and_run_pipeline(snapshot, str(folder / f"{snapshot.id}.yaml"), run_name)

    def _pipeline(self, snapshot: "PipelineSnapshotResponse", environments: dict[str, dict[str, str]]) -> Any:
        """The steps as tasks of a Kubeflow pipeline, each after those that ZenML has before it."""
        command = StepEntrypointConfiguration.get_entrypoint_command()
        steps = snapshot.step_configurations
        components = {
            name: self._create_dynamic_component(
                self.get_image(snapshot=snapshot, step_name=name),
                command,
                StepEntrypointConfiguration.get_entrypoint_arguments(step_name=name, snapshot_id=snapshot.id),
                name,
            )
            for name in steps
        }

        @dsl.pipeline(name=snapshot.pipeline_configuration.name)
        def tasks() -> None:
            made: dict[str, dsl.PipelineTask] = {}
            # ZenML lists them so that each comes after those it needs
            for name, step in steps.items():
                task = made[name] = components[name]().set_display_name(name)
                task.set_caching_options(enable_caching=False).after(*(made[each] for each in step.spec.upstream_steps))
                settings = cast(KubeflowSettings, self.get_settings(step))
                # set_env_variable reads the source of all its callers at each call, for seconds in all
                task.container_spec.env = {
                    variable: value for variable, value in environments[name].items() if _is_open(variable, settings)
                }
                _limit(task, step.config.resource_settings)
                _configure(task, settings)

        return tasks

    def _upload_and_run_pipeline(
        self, snapshot: "PipelineSnapshotResponse", pipeline_file_path: str, run_name: str
    ) -> SubmissionResult | None:
        """Start a run, or a recurring run if there is a schedule.

        Raises:
            NotSubmittedError: Kubeflow does not answer or refuses; ZenML would only warn of it.
        """
        settings = cast(KubeflowSettings, self.get_settings(snapshot))
        with self._one_line():
            client = self._get_kfp_client(settings)  # type: ignore[arg-type]  # it has ZenML's keys for the client
            name = snapshot.pipeline_configuration.name
            experiment = client.create_experiment(name, namespace=settings.user_namespace).experiment_id
            if snapshot.schedule is not None:
                recurring = client.create_recurring_run(
                    experiment,
                    run_name,
                    # Kubeflow's expressions begin with the second
                    cron_expression=f"0 {snapshot.schedule.cron_expression}",
                    start_time=snapshot.schedule.utc_start_time,
                    end_time=snapshot.schedule.utc_end_time,
                    no_catchup=True,
                    pipeline_package_path=pipeline_file_path,
                    enable_caching=False,
                )
                return SubmissionResult(metadata={RECURRING: recurring.recurring_run_id})
            run = client.run_pipeline(experiment, run_name, pipeline_file_path, enable_caching=False).run_id
        if not settings.synchronous:
            return None
        return SubmissionResult(wait_for_completion=lambda: self._await(client, run, settings.timeout))

    def update_schedule(self, schedule: "ScheduleResponse", update: "ScheduleUpdate") -> None:
        """Pause a recurring run, or let it go on.

        Raises:
            FaceReconError: Kubeflow does not answer or refuses, or another expression is asked for, which a recurring
                run cannot take.
        """
        if update.cron_expression:
            raise FaceReconError(
                f"{schedule.name}: cron_expression = {update.cron_expression}: a recurring run keeps its expression: "
                "delete the schedule, and register it anew"
            )
        if update.active is None:
            return
        with self._one_line():
            client = self._get_kfp_client(cast(KubeflowSettings, self.config))  # type: ignore[arg-type]
            change = client.enable_recurring_run if update.active else client.disable_recurring_run
            change(_recurring_run(schedule))

    def delete_schedule(self, schedule: "ScheduleResponse") -> None:
        """Delete a recurring run; one that is gone counts as deleted.

        Raises:
            FaceReconError: Kubeflow does not answer or refuses.
        """
        with self._one_line():
            client = self._get_kfp_client(cast(KubeflowSettings, self.config))  # type: ignore[arg-type]
            try:
                client.delete_recurring_run(_recurring_run(schedule))
            except ApiException as error:
                if error.status != 404:
                    raise

    def _await(self, client: Client, run: str, timeout: int) -> None:
        """Wait for a run's end.

        Raises:
            FaceReconError: it does not end well, or not in time.
        """
        over = time.monotonic() + timeout
        while True:
            with self._one_line():
                state = client.get_run(run).state
            if state in ENDED:
                break
            if time.monotonic() > over:
                raise FaceReconError(f"the Kubeflow run {run} has not ended after {timeout} s: it goes on there")
            time.sleep(POLL)
        if state != "SUCCEEDED":
            raise FaceReconError(f"the Kubeflow run {run} has ended with {state}: its steps' logs there say why")

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """What Kubeflow's client raises, as one line."""
        told: list[str] = []

        def keep(record: logging.LogRecord) -> bool:
            # it tries a refused request again, logs each time with a traceback, and then raises without the reason
            if record.exc_info and record.exc_info[1]:
                told.append(str(record.exc_info[1]))
            return not record.exc_info

        logging.getLogger().addFilter(keep)
        try:
            yield
        except ERRORS as error:
            where = self.config.kubeflow_hostname or self.config.kubernetes_context or "the linked connector"
            said = " ".join([*told[-1:], str(error)]).split()
            raise NotSubmittedError(
                f"Kubeflow at {where} refuses or does not answer ({' '.join(said)[:300]}): see that it runs, and what "
                "the stack file says of the orchestrator"
            ) from error
        finally:
            logging.getLogger().removeFilter(keep)


def _recurring_run(schedule: "ScheduleResponse") -> str:
    """The id of a schedule's recurring run.

    Raises:
        FaceReconError: ZenML was never told it.
    """
    found = schedule.run_metadata.get(RECURRING)
    if not found:
        raise FaceReconError(
            f"{schedule.name}: ZenML does not know its recurring run: delete that on Kubeflow's page, and then "
            f"`zenml pipeline schedule delete {schedule.name}`"
        )
    return str(found)


def _is_open(variable: str, settings: KubeflowSettings) -> bool:
    """Whether a variable may stand in the IR: it is no secret, and no Kubernetes secret gives its value."""
    if variable in settings.secrets_as_env or variable.startswith(SECRET_STORES):
        return False
    return variable in OPEN or not variable.startswith(STORE)


def _limit(task: dsl.PipelineTask, resources: ResourceSettings) -> None:
    if resources.cpu_count:
        task.set_cpu_limit(str(resources.cpu_count))
    if resources.memory:
        task.set_memory_limit(str(int(resources.get_memory(ByteUnit.B) or 0)))
    if resources.gpu_count:
        task.set_accelerator_type(GPU).set_accelerator_limit(resources.gpu_count)


def _configure(task: dsl.PipelineTask, settings: KubeflowSettings) -> None:
    # the backend fills placeholders in arguments, not in variables: ZenML's way all runs would have one id
    kubernetes.use_field_path_as_env(task, ENV_KFP_RUN_ID, RUN_ID)
    for claim in settings.claims:
        kubernetes.mount_pvc(task, claim.name, claim.mount_path, claim.sub_path)
    for variable, of in settings.secrets_as_env.items():
        kubernetes.use_secret_as_env(task, of.secret, {of.key: variable})
    if settings.shared_memory is not None:
        kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", "Memory", settings.shared_memory)
    for label, value in settings.node_selectors.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in settings.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump())
    if settings.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, settings.image_pull_secrets)
