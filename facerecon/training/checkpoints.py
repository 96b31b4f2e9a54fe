"""Checkpoints as safetensors: weights to use, and states to go on from. Nothing here can run code when it is read."""

import fcntl
import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, remove_temporary
from facerecon.models.trained import TrainedModel

LOG = logging.getLogger(__name__)

Row = dict[str, float]
"""One point of the curves: ``step`` and figures by name."""


@dataclass(frozen=True)
class Training:
    """What a training ends with: the best model, its curves, and the step it was resumed at (0: it was not)."""

    best: TrainedModel
    history: list[Row]
    resumed_at: int


Origin = dict[str, str]
"""What a checkpoint was made of, by name: digests of settings, data, masks, code; the precision."""


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
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


def adopt(folder: Path, source: Path, origin: Origin) -> None:
    """Copy the checkpoint in the folder ``source`` to ``folder``, unless what lies there has come further.

    Raises:
        FaceReconError: no checkpoint, or one that was made of something else than ``origin``, which is named.
    """
    about = _about(source / "last.safetensors")
    if about is None:
        raise FaceReconError(f"training.resume_from: {source} holds no last.safetensors: give a checkpoint's folder")
    _check_made_of(about, source, origin, "training.resume_from: ", "remove resume_from to begin anew")
    own = _about(folder / "last.safetensors")
    if own is None or own["step"] < about["step"]:
        # the state last: it is what a run goes on from, and it counts on the best weights
        for name in ("best.safetensors", "last.safetensors"):
            with atomic_path(folder / name) as temporary:
                shutil.copyfile(source / name, temporary)


def check_own(folder: Path, origin: Origin) -> None:
    """See to it that a checkpoint in ``folder``, if there is one, is one that a training of ``origin`` may go on from.

    Raises:
        FaceReconError: it was made of something else, which is named, or its best weights are gone.
    """
    if about := _about(folder / "last.safetensors"):
        _check_made_of(about, folder, origin, "", "give another folder, or remove this one to begin anew")


def _check_made_of(about: dict[str, Any], folder: Path, origin: Origin, where: str, remedy: str) -> None:
    made_of = about["extra"].get("origin", {})
    if differing := sorted(name for name in origin if made_of.get(name) != origin[name]):
        raise FaceReconError(
            f"{where}{folder} was made of other {' and '.join(differing)} than this run: "
            f"{remedy}, or go back to what it was made of"
        )
    if not (folder / "best.safetensors").is_file():
        raise FaceReconError(f"{where}{folder} has lost its best.safetensors: {remedy}")


def _about(path: Path) -> dict[str, Any] | None:
    """A state's step and ``extra``, None if there is no such file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            about: dict[str, Any] = json.loads((stored.metadata() or {})["state"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise FaceReconError(
            f"{path}: not a state that this training can go on from ({error}): remove it to begin anew"
        ) from error
    return about


def save_state(
    path: Path, step: int, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer, extra: dict[str, Any]
) -> None:
    """Write all that is needed to go on after ``step``: ``modules`` by names without a slash, of which none is
    "optimizer"; ``extra`` must be JSON-able.
    """
    tensors = {f"{kind}/{name}": value for kind, each in modules.items() for name, value in each.state_dict().items()}
    plain = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value
            else:
                plain[f"{index}/{name}"] = value
    about = json.dumps({"step": step, "optimizer": plain, "extra": extra})
    content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, {"state": about})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load_state(
    path: Path, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer
) -> tuple[int, dict[str, Any]] | None:
    """Put a saved state into ``modules`` and ``optimizer``; returns its step and ``extra``, None if there is none.

    Raises:
        FaceReconError: the file holds something else.
    """
    about = _about(path)
    if about is None:
        return None
    try:
        tensors = load(path.read_bytes())
        parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            parts[kind][name] = value
        for kind, module in modules.items():
            module.load_state_dict(parts[kind])
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        states: dict[int, dict[str, Any]] = {}
        for key, value in parts["optimizer"].items():
            index, _, name = key.partition("/")
            weight = weights[int(index)]
            # laid out in memory as the weight it is of: a fused optimiser goes through both as they lie there
            laid_out = torch.empty_like(weight, device="cpu").copy_(value) if value.shape == weight.shape else value
            states.setdefault(int(index), {})[name] = laid_out
        for key, value in about["optimizer"].items():
            index, _, name = key.partition("/")
            states.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        return about["step"], about["extra"]
    except (OSError, SafetensorError, KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise FaceReconError(
            f"{path}: not a state that this training can go on from ({error}): remove it to begin anew"
        ) from error
