"""Stack files: the components of a stack, where its server is, and which environment variables hold its secrets."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from facerecon.errors import FaceReconError
from facerecon.settings import Settings, first_problem
from facerecon.weights import weights_folder
from facerecon.workspace import PROJECT, outputs_folder, state_folder
from facerecon.yaml_files import read_yaml

FOLDER = PROJECT / "infra" / "stacks"
LOCAL = "local"
"""The stack of a clone that needs nothing but this machine."""
API_KEY = "FACERECON_ZENML_API_KEY"
"""The variable with the key of a service account on the ZenML server; without it the user has logged in before."""
NEEDED = ("orchestrator", "artifact_store", "experiment_tracker")

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Component(Settings):
    """A component of a stack; ``secrets`` names the environment variable for each secret key of its configuration.

    ``source`` is the class of a flavor that is not ZenML's own, as ``module.Class``.
    """

    flavor: str
    source: str | None = None
    configuration: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)


class Stack(Settings):
    """A stack: ``server`` is the address of its ZenML server, None: ZenML's store on this machine.

    ``shared`` is an S3 address where all machines keep together what one registry needs, None: the state folder.
    ``image`` is what steps run in, None: this machine's environment.
    From the environment come ``key``, that of the server (None: the user has logged in), and ``values``, the secrets'
    values by component and key.
    """

    name: str
    server: str | None = None
    components: dict[str, Component]
    shared: str | None = Field(None, pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/[\w./-]*)?$")
    image: str | None = None
    key: str | None = Field(None, repr=False)
    values: dict[str, dict[str, str]] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _is_possible(self) -> "Stack":
        if absent := [kind for kind in NEEDED if kind not in self.components]:
            raise ValueError(f"components: {', '.join(absent)} missing: runs need {', '.join(NEEDED)}")
        orchestrator = self.components["orchestrator"].flavor
        if orchestrator == LOCAL and self.image is not None:
            raise ValueError("image: the orchestrator local runs steps in no image: take this key out")
        if self.server is None:
            if orchestrator != LOCAL:
                raise ValueError(
                    f"server: missing: what the orchestrator {orchestrator} starts elsewhere must reach a ZenML server"
                )
            if self._tracks_at_server:
                raise ValueError(
                    "server: missing: a tracker that machines share needs a ZenML server with their secrets"
                )
            if self.shared is not None:
                raise ValueError("shared: a stack without server: is this machine's alone and shares nothing")
            return self
        if not self._tracks_at_server:
            raise ValueError("components.experiment_tracker: with a ZenML server the tracker must be one, too (http)")
        if self.components["artifact_store"].flavor != "s3":
            raise ValueError("components.artifact_store: with a ZenML server artifacts lie in S3: give flavor: s3")
        if self.shared is None:
            raise ValueError(
                "shared: missing: machines that share a server keep leases and the journal of promotions in S3: "
                "give an address such as s3://bucket/folder"
            )
        if orchestrator != LOCAL and self.image is None:
            raise ValueError(
                f"image: missing: the orchestrator {orchestrator} runs steps in an image: give the name of one that "
                "`make image` has made"
            )
        return self

    @property
    def _tracks_at_server(self) -> bool:
        return str(self.components["experiment_tracker"].configuration.get("tracking_uri")).startswith("http")


def stack_names() -> list[str]:
    """The stacks that there are files for."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_stack(name: str) -> Stack:
    """A stack by the name of its file in ``infra/stacks/``, with variables and secrets filled in.

    Raises:
        FaceReconError: no such file, a key that is none, or an environment variable that is not set.
    """
    path, content = FOLDER / f"{name}.yaml", stack_content(name)
    places = {
        "FACERECON_PROJECT": PROJECT,
        "FACERECON_STATE": state_folder(),
        "FACERECON_OUTPUTS": outputs_folder(),
        "FACERECON_WEIGHTS": weights_folder(),
    }
    hint, variables = "", {variable: str(place) for variable, place in places.items()}
    if (kept := content.pop("variables", None)) is not None:
        file = state_folder() / str(kept)
        variables |= read_variables(file)
        hint = f", or start this machine's servers with `make services`, which writes {file}"
    variables |= {key: value for key, value in os.environ.items() if value and key not in places}
    try:
        filled = _filled(content, variables)
        stack = Stack.model_validate({"name": name, **filled})
        values = {
            kind: {key: variables[variable] for key, variable in component.secrets.items()}
            for kind, component in stack.components.items()
            if component.secrets
        }
    except KeyError as error:
        raise FaceReconError(f"{path}: the environment variable {error.args[0]} is not set: set it{hint}") from error
    except ValidationError as error:
        said = first_problem(error, "", Stack).removeprefix(".").removeprefix(": ")
        raise FaceReconError(f"{path}: {said}") from error
    return stack.model_copy(update={"values": values, "key": variables.get(API_KEY)})


def stack_content(name: str) -> dict[str, Any]:
    """What a stack's file says, on top of the one that it ``extends``; components replace those of the same kind.

    Raises:
        FaceReconError: no such file, it holds no stack, or extends one that itself extends another.
    """
    if name not in stack_names():
        raise FaceReconError(f"'{name}' is no stack; {FOLDER.relative_to(PROJECT)}/ has {', '.join(stack_names())}")
    path = FOLDER / f"{name}.yaml"
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("components", {}), dict):
        raise FaceReconError(f"{path}: holds no stack: begin as infra/stacks/local.yaml does")
    base = content.pop("extends", None)
    if base is None:
        return content
    if base not in stack_names() or "extends" in (read_yaml(FOLDER / f"{base}.yaml") or {}):
        raise FaceReconError(f"{path}: extends = {base!r}: expected a stack that extends none, such as services")
    below = stack_content(base)
    components = {**below.get("components", {}), **content.get("components", {})}
    return {**below, **content, "components": components}


def read_variables(path: Path) -> dict[str, str]:
    """The ``KEY=VALUE`` lines of a file; none if there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """``value``, keys of mappings included, with each ``${NAME}`` replaced; raises KeyError."""
    if isinstance(value, dict):
        return {_filled(key, variables): _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    return _VARIABLE.sub(lambda match: variables[match[1]], value) if isinstance(value, str) else value
