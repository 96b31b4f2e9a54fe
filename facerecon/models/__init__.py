"""Model families behind one interface and one registry: a new family is one module here and one config."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pydantic import BaseModel

from facerecon.errors import FaceReconError
from facerecon.models.base import Reconstruction, ReconstructionModel

__all__ = ["Reconstruction", "ReconstructionModel", "build_model", "list_models", "model_options", "register_model"]

LOADED_MODULES = ("facerecon.models.*",)
"""What is imported below by name."""


@dataclass(frozen=True)
class _Family:
    build: Callable[[Any], ReconstructionModel]
    options: type[BaseModel]


_FAMILIES: dict[str, _Family] = {}


def register_model(
    options: type[BaseModel],
) -> Callable[[Callable[[Any], ReconstructionModel]], Callable[[Any], ReconstructionModel]]:
    """Register a function ``options -> model`` under its own name as a family."""

    def register(build: Callable[[Any], ReconstructionModel]) -> Callable[[Any], ReconstructionModel]:
        _FAMILIES[build.__name__] = _Family(build, options)
        return build

    return register


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered families that match the shell pattern."""
    return sorted(name for name in _FAMILIES if fnmatch(name, pattern))


def model_options(family: str, options: dict[str, Any]) -> BaseModel:
    """The family's options with defaults filled in.

    Raises:
        FaceReconError: no such family. pydantic.ValidationError: an option is unknown or out of range.
    """
    if family not in _FAMILIES:
        raise FaceReconError(f"model family '{family}' not among {', '.join(list_models())}")
    return _FAMILIES[family].options.model_validate(options)


def build_model(family: str, options: dict[str, Any]) -> ReconstructionModel:
    """A freshly initialised model; initial weights follow torch's seed, so fork and seed it around the call."""
    checked = model_options(family, options)
    return _FAMILIES[family].build(checked)


for _module in iter_modules(__path__):
    if _module.name != "base":
        import_module(f"{__name__}.{_module.name}")
