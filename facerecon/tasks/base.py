"""What a task gives: frozen cases, training, evaluation, gate, ONNX contract, report. Imports no torch.

No step, tracker, report or card asks which task it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import SIGNATURES, Signature

if TYPE_CHECKING:
    from torch import nn

    from facerecon.data.manifest import Manifest
    from facerecon.evaluation.evaluation import Details, Evaluation
    from facerecon.evaluation.keys import Metric
    from facerecon.evaluation.probe import Probe
    from facerecon.evaluation.promotion import Rule
    from facerecon.evaluation.scores import Scores
    from facerecon.models.trained import TrainedModel
    from facerecon.report.base import TaskReport
    from facerecon.tasks.settings import TaskSettings
    from facerecon.training.loop import TrainingProblem

LOADED_MODULES: tuple[str, ...] = ()
"""As in ``facerecon.tasks``."""

Part = Literal["settings", "cases", "training", "evaluation", "details", "gate", "export", "report", "probe"]
PARTS: tuple[Part, ...] = get_args(Part)
Values = dict[str, Any]
"""Some fields of a run's settings as plain values."""


class Cases(ABC):
    """Frozen evaluation cases: masks, degradations, jitter. Their files lie in ``folder`` and are verified when read.

    ``task`` is the name of the task whose cases they are.
    """

    task: ClassVar[str]

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where the files lie."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """One SHA-256 for all cases: equal digests, equal cases for every face.

        What is neither trained on nor decided by, and only measured where it is asked for, may be no part of it: then
        asking for it trains nothing anew.
        """

    @property
    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What identifies the files, for JSON; the task's ``load_cases`` takes it back."""

    def picture(self) -> NDArray[np.uint8] | None:
        """An overview for ZenML's dashboard, uint8 [H, W] or [H, W, 3]; None without one."""
        return None


class Gate(ABC):
    """The gate's faces under their frozen cases; judges are loaded when the first model is measured.

    Faces that a model learned from are taken out of its scores afterwards. ``identities`` names each face's person,
    ``metrics`` are those of the scores.
    """

    rule: "Rule"
    metrics: "tuple[Metric, ...]"
    identities: Mapping[str, str]

    @abstractmethod
    def measure(self, trained: "TrainedModel") -> "Scores":
        """The model's scores, and those of baselines that guards name; NaN where it gave nothing.

        They are on face set ``gate``, or on ``gate_old`` and ``gate_new`` where the manifest has these.

        Raises:
            FaceReconError: the weights fit no network of this code, or a judge cannot be had.
        """

    def compare(self, challenger: "TrainedModel", champion: "TrainedModel | None") -> dict[str, NDArray[Any]]:
        """What both make of a few faces, arrays of the same length for the report's pictures; {} without pictures."""
        return {}


@dataclass(frozen=True)
class Task:
    """One task: which modules give its parts, so that a step follows the code of its own part only.

    ``modules`` names a module for each part; a part that is left out is given by ``module``. They define:

    - settings: ``TaskSettings`` subclass ``Settings``;
    - cases: ``freeze(settings, faces, folder)``, ``load(folder, description)``;
    - training: ``problem(settings, faces, cases, initial)`` -> TrainingProblem;
    - evaluation: ``evaluate(settings, trained, faces, cases, others)`` -> Evaluation;
    - details: ``DETAILS``, the class of what the task adds to an evaluation beside scores;
    - gate: ``gate(settings, faces, cases)`` -> Gate;
    - export: ``contract(trained)``, ``example(trained)``, ``parity_inputs(faces, cases, count)``;
    - report: ``REPORT``, a TaskReport;
    - probe, if the task has one: ``probe(settings, champion, faces, cases, source)`` -> Probe.

    Its signature is registered in ``facerecon.contract`` under the task's name. ``settings`` of a part are an object
    with the part's ``fields``, which are fields of a run's settings.
    """

    name: str
    module: str
    fields: Mapping[Part, tuple[str, ...]]
    modules: Mapping[Part, str]

    @classmethod
    def of_package(cls, name: str, package: str, fields: Mapping[Part, tuple[str, ...]]) -> "Task":
        """A task whose ``package`` has a module of each part's name (for evaluation ``evaluate``), and one for a probe
        if there are ``fields`` for it."""
        parts = (part for part in PARTS if part != "probe" or part in fields)
        called = {part: "evaluate" if part == "evaluation" else part for part in parts}
        return cls(name, package, fields, {part: f"{package}.{module}" for part, module in called.items()})

    def module_of(self, part: Part) -> str:
        """The name of the module that gives a part."""
        return self.modules.get(part, self.module)

    def _load(self, part: Part) -> ModuleType:
        return import_module(self.module_of(part))

    def _settings(self, part: Part, values: Values) -> Any:
        module = self._load(part)
        return getattr(module, f"{part.capitalize()}Part").model_validate(values)

    @property
    def settings(self) -> "type[TaskSettings]":
        """The task's part of a run's settings."""
        return cast("type[TaskSettings]", self._load("settings").Settings)

    def freeze_cases(self, values: Values, faces: "Manifest", folder: Path) -> Cases:
        """Make the cases in ``folder``, or verify those that are there."""
        return cast(Cases, self._load("cases").freeze(self._settings("cases", values), faces, folder))

    def load_cases(self, folder: Path, description: dict[str, Any]) -> Cases:
        """The cases of a description; FaceReconError if a file is missing or another."""
        return cast(Cases, self._load("cases").load(folder, description))

    def training(
        self, values: Values, faces: "Manifest", cases: Cases, initial: "TrainedModel | None" = None
    ) -> "TrainingProblem":
        """What the loop trains, from the weights ``initial`` if given."""
        problem = self._load("training").problem
        return cast("TrainingProblem", problem(self._settings("training", values), faces, cases, initial))

    def evaluate(
        self,
        values: Values,
        trained: "TrainedModel",
        faces: "Manifest",
        cases: Cases,
        others: "Mapping[str, TrainedModel] | None" = None,
    ) -> "Evaluation":
        """Scores on the test split, or its face sets, beside baselines.

        ``others`` are models by the method's name under which their scores stand beside, as far as they take such
        faces and what they give is finite.

        Raises:
            FaceReconError: the test split has no face.
        """
        evaluate = self._load("evaluation").evaluate
        settings = self._settings("evaluation", values)
        return cast("Evaluation", evaluate(settings, trained, faces, cases, others))

    @property
    def details(self) -> "type[Details]":
        """What the task adds to an evaluation beside scores."""
        return cast("type[Details]", self._load("details").DETAILS)

    def gate(self, values: Values, faces: "Manifest", cases: Cases) -> Gate:
        """What promotion decides on. FaceReconError if the gate has no face."""
        return cast(Gate, self._load("gate").gate(self._settings("gate", values), faces, cases))

    def probe(
        self, values: Values, champion: "TrainedModel", faces: "Manifest", cases: Cases, source: str
    ) -> "Probe | None":
        """What a training on the faces of ``source`` besides promises, found in seconds; None if it cannot be asked."""
        if "probe" not in self.modules:
            return None
        probe = self._load("probe").probe
        return cast("Probe | None", probe(self._settings("probe", values), champion, faces, cases, source))

    @property
    def signature(self) -> Signature:
        """The inputs and outputs that the ONNX file promises, as they are registered under the task's name."""
        return SIGNATURES[self.name]

    def contract(self, trained: "TrainedModel") -> "nn.Module":
        """The network with these inputs and outputs, in evaluation mode."""
        return cast("nn.Module", self._load("export").contract(trained))

    def example(self, trained: "TrainedModel") -> dict[str, NDArray[np.float32]]:
        """Inputs that show no one, kept with the logged model."""
        return cast("dict[str, NDArray[np.float32]]", self._load("export").example(trained))

    def parity_inputs(self, faces: "Manifest", cases: Cases, count: int) -> dict[str, NDArray[np.float32]]:
        """Real inputs on which the exported file must agree with PyTorch; FaceReconError if there are none."""
        return cast("dict[str, NDArray[np.float32]]", self._load("export").parity_inputs(faces, cases, count))

    @property
    def report(self) -> "TaskReport":
        """How the task tells of an evaluation."""
        return cast("TaskReport", self._load("report").REPORT)
