"""A run's YAML file: ZenML's run configuration, checked before ZenML reads it, which overlooks unknown keys."""

from pathlib import Path
from typing import Any

import yaml
from zenml.config.pipeline_run_configuration import PipelineRunConfiguration

from facerecon.config import RunSettings, parse_settings
from facerecon.errors import FaceReconError


def read_settings(path: Path) -> RunSettings:
    """The run's settings from the file's ``parameters``.

    Raises:
        FaceReconError: no YAML mapping, an unknown key at any level, or a value out of range.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FaceReconError(f"{path}: cannot be read ({error}): give a YAML file such as configs/demo.yaml") from error
    except yaml.YAMLError as error:
        raise FaceReconError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise FaceReconError(f"{path}: holds no settings: begin with `parameters:` as configs/demo.yaml does")
    allowed = sorted(PipelineRunConfiguration.model_fields)
    for key in content:
        if key not in allowed:
            raise FaceReconError(f"{path}: {key}: no such key; allowed here: {', '.join(allowed)}")
    parameters: Any = content.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise FaceReconError(f"{path}: parameters = {parameters!r}: must hold keys and values")
    return parse_settings(parameters, where=str(path))
