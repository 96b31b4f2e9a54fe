"""What a stage of a chain is, and all stages by name."""

from collections.abc import Callable, Hashable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import Field, ValidationError

from facerecon.errors import FaceReconError
from facerecon.inference.frames import Frame
from facerecon.settings import Settings, first_problem
from facerecon.weights import weights_path

S = TypeVar("S", bound=Settings)
T = TypeVar("T")


class Runtime:
    """What stages run with, and what they share: ``threads`` of each network, the ``models`` (ONNX files' bytes) by
    SHA-256, and where the file of pretrained weights is found by name.

    What is slow to load is held until the runtime is closed, for all chains that are opened with it, one after the
    other: one runtime serves one thread.
    """

    def __init__(
        self,
        threads: int = 1,
        models: Mapping[str, bytes] | None = None,
        weights: Callable[[str], Path] = weights_path,
    ) -> None:
        self.threads, self.models, self.weights = threads, dict(models or {}), weights
        self._held: dict[Hashable, Any] = {}
        self._closing = ExitStack()

    def model(self, digest: str) -> bytes:
        """The bytes of the ONNX file with this SHA-256.

        Raises:
            FaceReconError: it was not given.
        """
        if digest not in self.models:
            given = ", ".join(known[:12] for known in self.models) or "none"
            raise FaceReconError(
                f"the model file of SHA-256 {digest[:12]}… is needed, given: {given}: name it by --model"
            )
        return self.models[digest]

    def held(self, key: Hashable, make: Callable[[], T], close: Callable[[T], None] | None = None) -> T:
        """What ``make`` has made for the first who asked for ``key``; ``close`` ends it."""
        if key not in self._held:
            made = make()
            self._held[key] = made
            if close is not None:
                self._closing.callback(close, made)
        return cast(T, self._held[key])

    def close(self) -> None:
        """Free all that is held."""
        self._held.clear()
        self._closing.close()

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class StageRecord(Settings):
    """What a stage is: by ``parameters``, its settings, it is made again. ``digests`` are SHA-256 of weights and model
    files, ``details`` are what else is worth knowing."""

    name: str
    version: int
    parameters: dict[str, Any]
    digests: dict[str, str] = Field(default_factory=dict)
    details: dict[str, str] = Field(default_factory=dict)


class Stage(Protocol):
    """One thing that is done to frames and the faces in them.

    ``needs`` and ``gives`` are keys of ``frames``: a chain is checked by them before its first frame.
    """

    @property
    def needs(self) -> frozenset[str]:
        """What frames must have."""

    @property
    def gives(self) -> frozenset[str]:
        """What frames have afterwards."""

    def open(self, runtime: Runtime) -> None:
        """Get networks, which the runtime holds, and begin the state of one stream."""

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames in the same order, with more known about them. Pictures change by edits only."""

    def describe(self) -> StageRecord:
        """What this stage is; after ``open``."""

    def close(self) -> None:
        """End the stream. What the runtime holds is not this stage's to close."""


@dataclass(frozen=True)
class StageKind(Generic[S]):
    """A registered stage: its settings, and how it is made of them."""

    settings: type[S]
    make: Callable[[S], Stage]


STAGES: dict[str, StageKind[Any]] = {}
"""Every stage by name; ``facerecon.inference.stages`` registers those of this project."""


def register_stage(name: str, settings: type[S]) -> Callable[[Callable[[S], Stage]], Callable[[S], Stage]]:
    """Register the decorated class, which is made of its settings alone, as the stage ``name``."""

    def register(make: Callable[[S], Stage]) -> Callable[[S], Stage]:
        if name in STAGES:
            raise ValueError(f"the stage '{name}' is registered twice")
        STAGES[name] = StageKind(settings, make)
        return make

    return register


def make_stage(name: str, parameters: Mapping[str, Any]) -> Stage:
    """The stage ``name`` with settings ``parameters``, as a record lists them.

    Raises:
        FaceReconError: there is no such stage, or its settings are not such.
    """
    if name not in STAGES:
        raise FaceReconError(f"stage '{name}' is not known here; expected one of {', '.join(sorted(STAGES))}")
    kind = STAGES[name]
    try:
        settings = kind.settings.model_validate(dict(parameters))
    except ValidationError as error:
        raise FaceReconError(first_problem(error, name, kind.settings)) from error
    return kind.make(settings)
