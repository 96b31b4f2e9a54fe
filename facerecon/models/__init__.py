"""Model families behind one interface: a family is a module or a package here, imported when a config names it.

Families that stand ready are packages: options and variants in ``__init__``, which does not import torch, and the
network in a module beside it. A family of one file works too, and costs its imports when it is named.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from facerecon.errors import FaceReconError

if TYPE_CHECKING:
    from torch import nn

    from facerecon.models.base import Reconstruction, ReconstructionModel

__all__ = [
    "Family",
    "Reconstruction",
    "ReconstructionModel",
    "build_model",
    "families_of",
    "find_family",
    "list_models",
    "model_options",
    "pretrained_weights",
    "register_model",
]

_SHARED = {"base", "landmarks", "layers", "restoration", "settings", "trained"}
"""The modules here that are no family."""

Build = Callable[[Any], "nn.Module"]
"""A family's function from its options to a model."""

LOADED_MODULES: tuple[str, ...] = ()
"""A config names the family: its module is given beside the step that builds it."""


@dataclass(frozen=True)
class Family:
    """How a family's models are built, from which options, the options that have a name, and the task they are for."""

    build: Build
    options: type[BaseModel]
    variants: Mapping[str, BaseModel]
    task: str


_FAMILIES: dict[str, Family] = {}


def __getattr__(name: str) -> Any:
    """The classes of ``base``, which import torch, once somebody asks for them."""
    if name in ("Reconstruction", "ReconstructionModel"):
        return getattr(import_module(f"{__name__}.base"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register_model(
    options: type[BaseModel], variants: Mapping[str, BaseModel] | None = None, task: str = "inpainting"
) -> Callable[[Build], Build]:
    """Register a function ``options -> model`` under its own name as a family for a task.

    ``variants`` are named options. The task says which inputs a model takes and what it gives.
    """

    def register(build: Build) -> Build:
        _FAMILIES[build.__name__] = Family(build, options, variants or {}, task)
        return build

    return register


def list_models(pattern: str = "*") -> list[str]:
    """Names of the families that match the shell pattern, found without importing them."""
    names = {module.name for module in iter_modules(__path__)} - _SHARED
    return sorted(name for name in names | set(_FAMILIES) if fnmatch(name, pattern))


def find_family(name: str) -> Family:
    """The family of this name; its module is imported when it is first asked for.

    Raises:
        FaceReconError: no such family, or a module of that name that registers none.
    """
    if name not in list_models():
        raise FaceReconError(f"model family '{name}' not among {', '.join(list_models())}")
    if name not in _FAMILIES:
        import_module(f"{__name__}.{name}")
    if name not in _FAMILIES:
        raise FaceReconError(f"facerecon.models.{name} registers no family: put @register_model before `def {name}`")
    return _FAMILIES[name]


def families_of(task: str) -> list[str]:
    """Names of the families whose models are for a task."""
    return [name for name in list_models() if find_family(name).task == task]


def model_options(family: str, options: Mapping[str, Any] | BaseModel, variant: str | None = None) -> BaseModel:
    """The family's options: those given, for the others the variant's, for the others the defaults.

    Options that are typed already are complete, and returned as they are.

    Raises:
        FaceReconError: no such family, or the family has no such variant.
        pydantic.ValidationError: an option is unknown or out of range, or typed options are another family's.
    """
    found = find_family(family)
    if variant is not None and variant not in found.variants:
        known = f"not among {', '.join(sorted(found.variants))}" if found.variants else "unknown: the family has none"
        raise FaceReconError(f"variant '{variant}' of model family '{family}' {known}")
    if isinstance(options, BaseModel):
        return found.options.model_validate(options)
    named = {} if variant is None else found.variants[variant].model_dump(exclude_unset=True)
    return found.options.model_validate({**named, **options})


def pretrained_weights(options: BaseModel) -> tuple[str, ...]:
    """The rows of ``facerecon.weights`` from which a new model with a family's ``options`` starts; () for none.

    Options name them in a property ``pretrained_weights``; the model's ``load_pretrained`` reads them.
    """
    names: tuple[str, ...] = getattr(options, "pretrained_weights", ())
    return names


def build_model(family: str, options: Mapping[str, Any] | BaseModel) -> "nn.Module":
    """A freshly initialised model; initial weights follow torch's seed, so fork and seed it around the call.

    Raises:
        FaceReconError, pydantic.ValidationError: as ``model_options``.
    """
    return find_family(family).build(model_options(family, options))
