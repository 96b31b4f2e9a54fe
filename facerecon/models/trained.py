"""Trained models as safetensors files, and what a training ends with. Imports torch only to use the weights."""

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes

if TYPE_CHECKING:
    from torch import Tensor, nn
else:
    # ZenML looks the types of a step's artifacts up when the step is defined, and torch takes seconds
    Tensor = Any


@dataclass(frozen=True)
class TrainedModel:
    """Weights and what they belong to.

    ``family`` and ``options`` build the network, ``size`` is the side in pixels it was trained on, ``step`` the
    optimiser step of these weights, ``task`` what it was trained for, ``teachers`` the pretrained networks in its loss.
    """

    family: str
    options: dict[str, Any]
    size: int
    step: int
    weights: dict[str, Tensor] = field(repr=False)
    task: str = "inpainting"
    teachers: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over the names, shapes and values of the weights; equal weights, equal digest."""
        return digest_of(
            {
                name: [list(value.shape), str(value.dtype), sha256_bytes(value.contiguous().cpu().numpy().tobytes())]
                for name, value in sorted(self.weights.items())
            }
        )

    def build(self) -> "nn.Module":
        """The network with these weights, in evaluation mode on the CPU.

        Raises:
            FaceReconError: the weights are not those of such a network.
        """
        import torch
        from pydantic import ValidationError

        from facerecon.models import build_model

        try:
            # the weights drawn here are replaced at once; who builds a model must not change what others draw
            with torch.random.fork_rng():
                model = build_model(self.family, self.options)
            model.load_state_dict(self.weights)
        except (RuntimeError, ValidationError) as error:
            raise FaceReconError(
                f"these weights do not fit a {self.family} with options {self.options}: they are of another version "
                "of the code, or damaged: train again"
            ) from error
        return model.eval()

    def to_bytes(self) -> bytes:
        """The content of a safetensors file."""
        from safetensors.torch import save

        about = {
            **{"family": self.family, "options": self.options, "size": self.size, "step": self.step},
            **{"task": self.task, "teachers": list(self.teachers)},
        }
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.weights.items()}
        return save(tensors, metadata={"facerecon": json.dumps(about, sort_keys=True)})

    @classmethod
    def read(cls, path: Path) -> "TrainedModel":
        """The model in a safetensors file; one that names no task was trained for inpainting.

        Raises:
            FaceReconError: not such a file.
        """
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load

        try:
            with safe_open(path, framework="pt") as stored:
                about = {**json.loads((stored.metadata() or {})["facerecon"])}
            about["teachers"] = tuple(about.get("teachers", ()))
            return cls(**about, weights=load(Path(path).read_bytes()))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise FaceReconError(f"{path}: not a facerecon model ({error}): give a .safetensors of a run") from error


def digest_in(path: Path) -> str:
    """The digest (see ``TrainedModel.digest``) of the weights in a safetensors file, without loading torch.

    Raises:
        FaceReconError: not such a file.
    """
    from safetensors import SafetensorError, deserialize

    try:
        stored = deserialize(Path(path).read_bytes())
        found = {name: [list(of["shape"]), _TYPES[of["dtype"]], sha256_bytes(bytes(of["data"]))] for name, of in stored}
    except (OSError, SafetensorError, KeyError) as error:
        raise FaceReconError(f"{path}: not a facerecon model ({error}): give a .safetensors of a run") from error
    return digest_of(found)


_TYPES = {
    **{f"F{bits}": f"torch.float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"torch.int{bits}" for bits in (8, 16, 32, 64)},
    **{"BF16": "torch.bfloat16", "U8": "torch.uint8", "BOOL": "torch.bool"},
}
"""The names of torch for those of safetensors."""


def save_model(path: Path, model: TrainedModel) -> None:
    """Write ``model`` to ``path`` in one step."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.to_bytes())


Row = dict[str, float]
"""One point of the curves: ``step`` and figures by name (``loss/total``, ``val/hole_l1/brush``, ``learning_rate``)."""


def images_per_second(history: list[Row]) -> float | None:
    """A training's speed, validation left out: the median over the curves' points, None if none of them tells it."""
    speeds = _speeds(history)
    return statistics.median(speeds) if speeds else None


def epoch_cost(history: list[Row], faces: int) -> str:
    """What a pass over the training's ``faces`` takes, in words; "" if the speed is not known.

    It is of the mean time of an image, so that steps on images of half the size count by their share alone.
    """
    speeds = _speeds(history)
    if not speeds:
        return ""
    speed = statistics.harmonic_mean(speeds)
    seconds = faces / speed
    takes = f"{seconds:.0f} seconds" if seconds < 60 else f"{seconds / 60:,.1f} minutes"
    mean = f"{speed:.3g} images a second on average"
    return f"an epoch of {faces:,} faces takes {takes} on the machine of this training, at {mean}"


def _speeds(history: list[Row]) -> list[float]:
    return [row["images_per_second"] for row in history if "images_per_second" in row]


@dataclass(frozen=True)
class TrainingResult:
    """The best model, the training's curves, and the step it was resumed at (0: it was not).

    ``checkpoint_key`` is the name in the curves by which the best step was chosen.
    """

    best: TrainedModel
    history: list[Row]
    resumed_at: int
    checkpoint_key: str

    @property
    def best_row(self) -> Row:
        """The point of the curves at the best model's step."""
        return next(row for row in self.history if row["step"] == self.best.step and self.checkpoint_key in row)
