"""A run's YAML file: ZenML's run configuration, checked before ZenML reads it, which overlooks unknown keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from zenml.config.step_configurations import StepConfigurationUpdate

from facerecon.errors import FaceReconError
from facerecon.run import RunSettings, parse_settings
from facerecon.workspace import PROJECT

ALLOWED = ("parameters", "enable_cache", "extra", "settings", "steps", "tags")
"""What a file may say to ZenML beside its parameters; what else ZenML knows is set in code."""


@dataclass(frozen=True)
class RunFile:
    """A checked file: the run's settings, and what it says to ZenML beside them."""

    settings: RunSettings
    zenml: dict[str, Any]


def read_run_file(path: Path, steps: tuple[str, ...]) -> RunFile:
    """A run's YAML file; ``steps`` names the pipeline's steps.

    Raises:
        FaceReconError: no YAML mapping, an unknown key at any level, a value out of range, or suites that cannot be
            used.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FaceReconError(f"{path}: cannot be read ({error}): give a YAML file such as configs/demo.yaml") from error
    except yaml.YAMLError as error:
        raise FaceReconError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise FaceReconError(f"{path}: holds no settings: begin with `parameters:` as configs/demo.yaml does")
    for key in content:
        if key not in ALLOWED:
            raise FaceReconError(f"{path}: {key}: no such key; allowed here: {', '.join(ALLOWED)}")
    _check_steps(path, content.get("steps") or {}, steps)
    parameters: Any = content.pop("parameters", None) or {}
    if not isinstance(parameters, dict):
        raise FaceReconError(f"{path}: parameters = {parameters!r}: must hold keys and values")
    settings = parse_settings(parameters, where=str(path))
    # Great Expectations takes seconds
    from facerecon.data.validation.suites import resolve_suites

    suites = resolve_suites(settings.validation, PROJECT)
    return RunFile(settings.model_copy(update={"validation": suites}), content)


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
