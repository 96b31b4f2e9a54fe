"""A ZenML pipeline that checks its settings and its stack first and ends with one clear line when a user erred."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from zenml.client import Client
from zenml.enums import ExecutionMode
from zenml.integrations.mlflow.flavors.mlflow_experiment_tracker_flavor import MLFlowExperimentTrackerSettings
from zenml.pipelines.pipeline_definition import Pipeline
from zenml.stack import Stack

from facerecon.errors import FaceReconError
from facerecon.run import run_settings
from facerecon.settings import NamedSettings
from facerecon.workspace import PROJECT
from ops.containers.settings import check_state, container_environment, docker_settings
from ops.faults import clear_faults, stoppable
from ops.running import running
from ops.settings_file import RunFile, check_schedule, check_stack_settings, read_run_file
from ops.stack.files import LOCAL
from ops.stack.tracker import EXPERIMENT, IMAGE, check_stack, labels
from ops.zenml_models import start_up
from ops.zenml_patches import patched

DEFAULT_FILE = PROJECT / "configs" / "demo.yaml"
"""What a run without `-c` uses."""


MODES = (ExecutionMode.FAIL_FAST, ExecutionMode.STOP_ON_FAILURE, ExecutionMode.CONTINUE_ON_FAILURE)
"""Of these the first that the orchestrator knows: all but the first hide the failing step's error behind their own."""


class CheckedPipeline(Pipeline):
    """ZenML's pipeline, for `zenml pipeline run NAME [-c FILE]`; without a file it runs ``default_file``.

    ``settings_of`` has the class of its settings for a task, ``experiment`` is where MLflow lists its runs.
    """

    def __init__(
        self,
        steps: tuple[str, ...],
        default_file: Path = DEFAULT_FILE,
        settings_of: Callable[[str], type[NamedSettings]] = run_settings,
        experiment: str = EXPERIMENT,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._experiment = experiment
        self._step_names, self._default_file, self._settings_of = steps, default_file, settings_of
        self._file: tuple[Path, RunFile] | None = None

    def with_options(  # type: ignore[override]  # positional arguments are not used by ZenML either
        self, *, config_path: str | None = None, **options: Any
    ) -> "Pipeline":
        """ZenML's, with the run's settings from the file, which was checked.

        Raises:
            FaceReconError: the file is no settings file, or holds an unknown key or a value out of range.
        """
        path = Path(config_path or self._default_file)
        file = read_run_file(path, self._step_names, self._settings_of)
        # what tells two runs apart first: lists cut names short
        options.setdefault("run_name", f"{{time}}-{file.settings.name}-{{date}}")
        try:
            made = cast(CheckedPipeline, super().with_options(**{**file.zenml, **options}))
        except ValueError as error:
            raise FaceReconError(f"{path}: ZenML does not accept it: {error}") from error
        made._file = path, file
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on the active stack.

        Raises:
            FaceReconError: the stack cannot run the pipeline, or a step was given what it cannot use.
        """
        if not args and not kwargs:
            if self._file is None:
                return self.with_options()()
            kwargs = {"settings": self._file[1].settings.model_dump(mode="json")}
        tracking = check_stack()
        stack = Client().active_stack
        if self._file is not None:
            path, file = self._file
            check_schedule(path, file, stack)
            if file.cron is not None:
                raise FaceReconError(f"{path}: schedule: only retraining is scheduled: take this key out")
            check_stack_settings(path, file.zenml, stack)
        tracker = MLFlowExperimentTrackerSettings(experiment_name=self._experiment)
        self.configure(settings={"experiment_tracker": tracker}, execution_mode=_execution_mode())
        start_up(tracking)
        with running(), patched(), clear_faults(), stoppable(), self._in_containers(stack), _open_run_failed():
            return super().__call__(*args, **kwargs)

    def container_environment(self) -> dict[str, str]:
        """The variables that the steps' containers are given."""
        return container_environment()

    @contextmanager
    def _in_containers(self, stack: Stack) -> Iterator[None]:
        """Tell ZenML which image the steps run in, and what they find there; nothing, if they run in this process.

        Raises:
            FaceReconError: they would find nothing of each other, or there is no image to run them in.
        """
        image = labels().get(IMAGE)
        if image is None or stack.orchestrator.flavor == LOCAL:
            yield
            return
        from ops.containers.engine import FLAVOR, engine_run

        given = {} if self._file is None else self._file[1].zenml.get("settings") or {}
        check_state(stack.orchestrator, given, stack.name)
        self.configure(settings={"docker": docker_settings(str(image))}, environment=self.container_environment())
        if stack.orchestrator.flavor != FLAVOR:
            yield
            return
        own = (given.get("orchestrator") or given.get(f"orchestrator.{FLAVOR}") or {}).get("run_args") or {}
        with engine_run(str(image), {**stack.orchestrator.config.model_dump()["run_args"], **own}) as arguments:
            self.configure(settings={"orchestrator": {"run_args": arguments}})
            yield


@contextmanager
def _open_run_failed() -> Iterator[None]:
    """A run that a fault leaves open in MLflow is ended as failed; when the process ends, MLflow calls it finished."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        yield
    except BaseException:
        with suppress(MlflowException):
            mlflow.end_run("FAILED")
        raise


def _execution_mode() -> ExecutionMode:
    known = Client().active_stack.orchestrator.supported_execution_modes
    return next(mode for mode in MODES if mode in known)
