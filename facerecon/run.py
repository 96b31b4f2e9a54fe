"""A whole run. Unknown keys and values out of range are refused. Imports no torch."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self, TypeVar, cast

from pydantic import Field, ValidationError, create_model, field_validator, model_validator

from facerecon.data.alignment import AlignmentSettings
from facerecon.data.settings import DataSettings, Sources, Split
from facerecon.data.sources import SOURCES
from facerecon.data.validation.settings import ValidationSettings
from facerecon.errors import FaceReconError
from facerecon.export.settings import OnnxSettings
from facerecon.files import digest_of
from facerecon.models import families_of, find_family
from facerecon.models.settings import check_size
from facerecon.settings import NamedSettings, first_problem
from facerecon.tasks import get_task
from facerecon.tasks.settings import TaskSettings

SETTINGS_VERSION = 1
"""Part of every config's digest. Raised when a default changes, so that one digest never has two meanings."""


SPLIT_USES: dict[Split, str] = {
    "train": "the model is trained on it",
    "val": "the checkpoint is chosen on it",
    "gate": "promotion is decided on it",
    "test": "it is what is reported",
}
"""What a run needs each split for."""


class RunSettings(TaskSettings, NamedSettings):
    """What stands under ``parameters:`` in a file of ``configs/``; ``run_settings`` gives the class of a task."""

    task: str = "inpainting"
    seed: int = Field(0, ge=0, le=2**31 - 1)
    data: Sources = Field(default_factory=lambda: (DataSettings(),))
    alignment: AlignmentSettings = Field(default_factory=AlignmentSettings)
    validation: ValidationSettings = Field(default_factory=ValidationSettings)
    onnx: OnnxSettings = Field(default_factory=OnnxSettings)

    @field_validator("data")
    @classmethod
    def _known_sources(cls, data: tuple[DataSettings, ...]) -> tuple[DataSettings, ...]:
        for source in data:
            if source.source not in SOURCES:
                raise ValueError(f"source: '{source.source}' not among {', '.join(sorted(SOURCES))}")
        return data

    @field_validator("data")
    @classmethod
    def _every_split_is_needed(cls, data: tuple[DataSettings, ...]) -> tuple[DataSettings, ...]:
        splits = data[0].splits
        for name, use in SPLIT_USES.items():
            if not getattr(splits, name) and not splits.people.get(name):
                raise ValueError(f"splits.{name} = 0, but {use}: give it a share, or people by name in splits.people")
        return data

    @model_validator(mode="after")
    def _family_of_the_task(self) -> Self:
        task = find_family(self.model.family).task
        if task != self.task:
            allowed = ", ".join(families_of(self.task))
            raise ValueError(
                f"model.family: '{self.model.family}' is for the task {task}, and this is {self.task}: "
                f"choose from {allowed}"
            )
        return self

    @model_validator(mode="after")
    def _crops_are_large_enough(self) -> Self:
        check_size(self.model, self.alignment.size)
        return self

    def values(self, *fields: str) -> dict[str, Any]:
        """Some of the fields as plain values, for JSON."""
        return self.model_dump(mode="json", include=set(fields))

    @property
    def digest(self) -> str:
        """One SHA-256 for what the settings ask for.

        Defaults are left out, so that a new setting moves no digest; what only says where a training resumes or whose
        weights it starts from is left out too: the weights' own digest says more than their name.
        """
        unlike = {"training": {"resume_from", "init_from"}}
        chosen = self.model_dump(mode="json", exclude_defaults=True, exclude=unlike)
        if not chosen.get("training", True):  # nothing but what is left out
            del chosen["training"]
        return digest_of({"settings_version": SETTINGS_VERSION, **chosen})


@lru_cache
def run_settings(task: str) -> type[RunSettings]:
    """The class of a run's settings for a task: the task's own fields and those of every run.

    Raises:
        FaceReconError: there is no such task.
    """
    own = get_task(task).settings
    made = create_model("RunSettings", __base__=(own, RunSettings), __module__=__name__)
    return cast(type[RunSettings], made)


Run = TypeVar("Run", bound=NamedSettings)


def parse_settings(parameters: dict[str, Any], where: str) -> RunSettings:
    """Settings from plain values; ``where`` names their file in the error.

    Raises:
        FaceReconError: one line with the first wrong key, its value and what is allowed.
    """
    return parse_as(run_settings, parameters, where)


def parse_as(of_task: Callable[[str], type[Run]], parameters: dict[str, Any], where: str) -> Run:
    """As ``parse_settings``, in the class that ``of_task`` has for the task."""
    task = RunSettings.model_fields["task"].default
    if isinstance(parameters, dict):
        task = parameters.get("task", task)
    try:
        settings = of_task(task if isinstance(task, str) else RunSettings.model_fields["task"].default)
    except FaceReconError as error:
        raise FaceReconError(f"{where}: parameters.task: {error.message}") from error
    return validated(settings, parameters, where)


def validated(settings: type[Run], parameters: dict[str, Any], where: str) -> Run:
    """Settings of a class from plain values; raises as ``parse_settings``."""
    try:
        return settings.model_validate(parameters)
    except ValidationError as error:
        raise FaceReconError(f"{where}: {first_problem(error, 'parameters', settings)}") from error
