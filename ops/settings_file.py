"""A run's YAML file: ZenML's run configuration, checked before ZenML reads it, which overlooks unknown keys."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from zenml.config.pipeline_run_configuration import PipelineRunConfiguration
from zenml.config.step_configurations import StepConfigurationUpdate
from zenml.enums import StackComponentType
from zenml.stack import Stack
from zenml.utils.settings_utils import get_general_settings, is_valid_setting_key

from facerecon.data.validation.suites import resolve_suites
from facerecon.errors import FaceReconError
from facerecon.run import RunSettings, parse_as, run_settings
from facerecon.settings import NamedSettings
from facerecon.workspace import PROJECT, state_folder
from facerecon.yaml_files import read_yaml
from ops.schedule.cron import Cron

ALLOWED = ("parameters", "enable_cache", "extra", "settings", "steps", "tags")
"""What a file may say to ZenML beside its parameters; what else ZenML knows is set in code."""


@dataclass(frozen=True)
class RunFile:
    """A checked file: the run's settings, and what it says to ZenML beside them.

    ``cron`` is when it is run by itself, None: it is run now.
    """

    settings: NamedSettings
    zenml: dict[str, Any]
    cron: Cron | None = None


def read_run_file(
    path: Path, steps: tuple[str, ...], settings_of: Callable[[str], type[NamedSettings]] = run_settings
) -> RunFile:
    """A run's YAML file; ``steps`` names the pipeline's steps, ``settings_of`` has the class of settings for a task.

    Raises:
        FaceReconError: no YAML mapping, an unknown key at any level, a value out of range or of another kind, or suites
            that cannot be used.
    """
    content = read_yaml(Path(path))
    if not isinstance(content, dict):
        raise FaceReconError(f"{path}: holds no settings: begin with `parameters:` as configs/demo.yaml does")
    cron = _cron(path, content.pop("schedule")) if "schedule" in content else None
    for key in content:
        if key not in ALLOWED:
            raise FaceReconError(f"{path}: {key}: no such key; allowed here: {', '.join(ALLOWED)}")
    _check_steps(path, content.get("steps") or {}, steps)
    parameters: Any = content.pop("parameters", None) or {}
    _check_zenml(path, content)
    if not isinstance(parameters, dict):
        raise FaceReconError(f"{path}: parameters = {parameters!r}: must hold keys and values")
    settings = parse_as(settings_of, parameters, where=str(path))
    if isinstance(settings, RunSettings):
        suites = resolve_suites(settings.validation, PROJECT, state_folder() / "suites")
        settings = settings.model_copy(update={"validation": suites})
    return RunFile(settings, content, cron)


def _cron(path: Path, schedule: Any) -> Cron:
    """When ``schedule:`` says that a run is started: by a cron expression that each orchestrator understands."""
    if not isinstance(schedule, dict) or set(schedule) != {"cron_expression"}:
        raise FaceReconError(
            f"{path}: schedule = {schedule!r}: expected cron_expression and nothing else: an interval of whole days "
            "reaches Kubeflow as 0 seconds"
        )
    text = str(schedule["cron_expression"])
    try:
        cron = Cron.parse(text)
        cron.plain()
    except FaceReconError as error:
        said = error.message.partition(": ")[2]
        raise FaceReconError(f"{path}: schedule.cron_expression = {text!r}: {said}") from error
    return cron


def _check_steps(path: Path, chosen: Any, known: tuple[str, ...]) -> None:
    options = tuple(StepConfigurationUpdate.model_fields)
    for where, keys, allowed in (
        ("steps", chosen, known),
        *((f"steps.{name}", keys, options) for name, keys in (chosen.items() if isinstance(chosen, dict) else ())),
    ):
        if not isinstance(keys, dict):
            raise FaceReconError(f"{path}: {where} = {keys!r}: must hold keys and values")
        for key in keys:
            if key not in allowed:
                raise FaceReconError(f"{path}: {where}.{key}: no such key; allowed here: {', '.join(allowed)}")
        if where != "steps" and "parameters" in keys:
            raise FaceReconError(
                f"{path}: {where}.parameters: a step takes its settings from the pipeline's: "
                "give them under `parameters:` at the top"
            )


def _check_zenml(path: Path, content: dict[str, Any]) -> None:
    """See that ZenML takes what a file says to it: it would overlook some of it, and end late with the rest."""
    try:
        for where, settings in _stack_settings(content):
            if isinstance(settings, dict):
                _check_settings_keys(where, settings)
        _validated(PipelineRunConfiguration, content)
    except ValueError as error:
        raise FaceReconError(f"{path}: {error}") from error


def _stack_settings(content: dict[str, Any]) -> list[tuple[str, Any]]:
    """What ``settings`` holds for the pipeline and for each step, by where it stands."""
    steps = (content.get("steps") or {}).items()
    return [
        ("settings", content.get("settings")),
        *((f"steps.{name}.settings", step.get("settings")) for name, step in steps),
    ]


def _check_settings_keys(where: str, settings: dict[str, Any]) -> None:
    general = get_general_settings()
    for key, values in settings.items():
        if not is_valid_setting_key(str(key)):
            kinds = ", ".join(sorted({*general, *(kind.value for kind in StackComponentType)}))
            raise ValueError(f"{where}.{key}: no such key; allowed here: {kinds}")
        if key in general:
            allowed = general[key].model_fields
            for unknown in (values if isinstance(values, dict) else {}).keys() - allowed.keys():
                raise ValueError(f"{where}.{key}.{unknown}: no such key; allowed here: {', '.join(allowed)}")
            _validated(general[key], values, f"{where}.{key}.")


def _validated(kind: type[BaseModel], values: Any, where: str = "") -> None:
    try:
        kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        shown = repr(first["input"])[:100]
        raise ValueError(f"{where}{'.'.join(map(str, first['loc']))} = {shown}: {first['msg']}") from error


def check_schedule(path: Path, file: RunFile, stack: Stack) -> None:
    """See that the stack's orchestrator starts by itself what has a schedule.

    Raises:
        FaceReconError: it does not.
    """
    if file.cron is not None and not stack.orchestrator.config.is_schedulable:
        raise FaceReconError(
            f"{path}: schedule: the {stack.orchestrator.flavor} orchestrator starts nothing by itself: take this key "
            "out, and run `facerecon schedule install --cron EXPR -c FILE`"
        )


def check_stack_settings(path: Path, content: dict[str, Any], stack: Stack) -> None:
    """See that the stack has every component that ``settings`` speak to, and that it knows what they say.

    Raises:
        FaceReconError: it has not; ZenML itself would overlook it.
    """
    known: dict[str, Any] = {}
    for kind, component in stack.components.items():
        for key in (kind.value, f"{kind.value}.{component.flavor}", f"{kind.value}:{component.name}"):
            known[key] = component.settings_class
    general = get_general_settings()
    for where, settings in _stack_settings(content):
        for key, values in (settings or {}).items():
            if key in general:
                continue
            if key not in known:
                raise FaceReconError(
                    f"{path}: {where}.{key}: the active stack '{stack.name}' has no such component; "
                    f"allowed here: {', '.join([*general, *known])}"
                )
            allowed = known[key].model_fields if known[key] else {}
            for unknown in (values or {}).keys() - allowed.keys():
                raise FaceReconError(
                    f"{path}: {where}.{key}.{unknown}: no such key; allowed here: {', '.join(allowed) or 'none'}"
                )
            if known[key]:
                try:
                    _validated(known[key], values or {}, f"{where}.{key}.")
                except ValueError as error:
                    raise FaceReconError(f"{path}: {error}") from error
