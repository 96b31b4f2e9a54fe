"""Checkpoints as safetensors: the best weights, and states to resume from. Nothing here runs code when it is read."""

import fcntl
import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from facerecon.errors import FaceReconError
from facerecon.evaluation.keys import Metric
from facerecon.files import atomic_path, remove_temporary
from facerecon.models.trained import Row, TrainedModel, save_model
from facerecon.training.objective import Objective

LOG = logging.getLogger(__name__)

LAST, BEST = "last.safetensors", "best.safetensors"

SCHEMA = 2
"""Of a state; one of another schema is refused."""

Provenance = dict[str, str]
"""What a checkpoint was made from, by name: digests of settings, data, cases, code; the precision."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a checkpoint folder alone, and clear it of what killed runs left half-written.

    A second run of the very same training waits here, and then finds all done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.warning("another run trains this very model in %s: waiting for it", folder)
            fcntl.flock(stream, fcntl.LOCK_EX)
        remove_temporary(folder)
        yield


class Checkpointer:
    """The checkpoint of one training in ``folder``: its state, its curves, and the best weights by the checkpoint key.

    ``provenance`` is what the training is made from; a state that was made from something else is not resumed from.
    """

    def __init__(self, folder: Path, provenance: Provenance, fabric: Fabric, metric: Metric, key: str) -> None:
        self.folder, self.provenance, self._fabric = folder, provenance, fabric
        self._metric, self._key = metric, key
        self.history: list[Row] = []
        self._best: float | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a state to resume from."""
        return (self.folder / LAST).is_file()

    def adopt(self, source: Path) -> None:
        """Copy the checkpoint in the folder ``source`` to this one, unless this one has come further.

        Raises:
            FaceReconError: no checkpoint, or one that was made from something else, which is named.
        """
        where = "training.resume_from: "
        about = _read_about(source / LAST)
        if about is None:
            raise FaceReconError(f"{where}{source} holds no {LAST}: give a checkpoint's folder")
        self._check(about, source, where, "remove resume_from to start anew")
        own = _read_about(self.folder / LAST)
        if own is None or own["step"] < about["step"]:
            # the state last: it is what a run resumes from, and it counts on the best weights
            for name in (BEST, LAST):
                with atomic_path(self.folder / name) as temporary:
                    shutil.copyfile(source / name, temporary)

    def check(self) -> None:
        """See to it that a checkpoint in the folder, if there is one, is one that this training may resume from.

        Raises:
            FaceReconError: it was made from something else, which is named, or its best weights are gone.
        """
        if about := _read_about(self.folder / LAST):
            self._check(about, self.folder, "", "give another folder, or remove this one to start anew")

    def _check(self, about: dict[str, Any], folder: Path, where: str, remedy: str) -> None:
        made_from = about["provenance"]
        differing = sorted(name for name in self.provenance if made_from.get(name) != self.provenance[name])
        if differing:
            raise FaceReconError(
                f"{where}{folder} was made of other {' and '.join(differing)} than this run: "
                f"{remedy}, or return to what it was made of"
            )
        if not (folder / BEST).is_file():
            raise FaceReconError(f"{where}{folder} has lost its {BEST}: {remedy}")

    def restore(self, objective: Objective) -> int:
        """Put the saved state into ``objective``; returns the step to resume at, 0 without a state.

        Raises:
            FaceReconError: the file holds something else.
        """
        about = load_state(self.folder / LAST, objective.modules, objective.optimizers)
        if about is None:
            return 0
        self.history, self._best = about["history"], about["best"]
        if about["precision"]:
            self._fabric.strategy.precision.load_state_dict(about["precision"])
        return int(about["step"])

    def save(self, objective: Objective, row: Row, model: TrainedModel) -> None:
        """Keep ``model`` if it is the best so far by ``row``, and the state after the row's step."""
        value = row[self._key]
        if self._best is None or self._metric.better(value, self._best):
            self._best = value
            save_model(self.folder / BEST, model)
        about = {
            **{"step": int(row["step"]), "history": self.history, "best": self._best, "provenance": self.provenance},
            "precision": self._fabric.strategy.precision.state_dict(),
        }
        save_state(self.folder / LAST, objective.modules, objective.optimizers, about)

    def best(self) -> TrainedModel:
        """The best weights so far."""
        return TrainedModel.read(self.folder / BEST)


def _read_about(path: Path) -> dict[str, Any] | None:
    """What a state says of itself, None if there is no such file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            about: dict[str, Any] = {**json.loads((stored.metadata() or {})["state"])}
        if about.get("schema") != SCHEMA:
            raise ValueError(f"it has schema {about.get('schema', 1)}, this version of the code reads {SCHEMA}")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise FaceReconError(
            f"{path}: not a state that this training can resume from ({error}): remove it to start anew"
        ) from error
    return about


def save_state(
    path: Path,
    modules: Mapping[str, torch.nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    about: dict[str, Any],
) -> None:
    """Write modules and optimizers, by names without a slash, and the JSON-able ``about``."""
    tensors = {
        f"modules/{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()
    }
    plain = {}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                place = f"optimizers/{name}/{index}/{key}"
                if isinstance(value, Tensor):
                    tensors[place] = value
                else:
                    plain[place] = value
    metadata = json.dumps({**about, "schema": SCHEMA, "optimizers": plain})
    content = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, {"state": metadata})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load_state(
    path: Path, modules: Mapping[str, torch.nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> dict[str, Any] | None:
    """Put a saved state into ``modules`` and ``optimizers``; returns its ``about``, None if there is none.

    Raises:
        FaceReconError: the file holds something else.
    """
    about = _read_about(path)
    if about is None:
        return None
    try:
        parts: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
        for place, value in {**load(path.read_bytes()), **about["optimizers"]}.items():
            kind, name, key = place.split("/", 2)
            parts[kind, name][key] = value
        for name, module in modules.items():
            module.load_state_dict(parts["modules", name])
        for name, optimizer in optimizers.items():
            _load_optimizer(optimizer, parts["optimizers", name])
    except (OSError, SafetensorError, KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise FaceReconError(
            f"{path}: not a state that this training can resume from ({error}): remove it to start anew"
        ) from error
    return about


def _load_optimizer(optimizer: torch.optim.Optimizer, stored: dict[str, Any]) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    states: dict[int, dict[str, Any]] = defaultdict(dict)
    for place, value in stored.items():
        index, _, key = place.partition("/")
        weight = weights[int(index)]
        if isinstance(value, Tensor) and value.shape == weight.shape:
            # laid out in memory as the weight it is of: a fused optimizer goes through both as they lie there
            value = torch.empty_like(weight, device="cpu").copy_(value)
        states[int(index)][key] = value
    optimizer.load_state_dict({"state": dict(states), "param_groups": optimizer.state_dict()["param_groups"]})
