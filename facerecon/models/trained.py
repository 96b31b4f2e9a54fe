"""A trained model: weights with all that is needed to use them, as a safetensors file."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes
from facerecon.models import ReconstructionModel, build_model


@dataclass(frozen=True)
class TrainedModel:
    """Weights with all that is needed to use them.

    ``family`` and ``options`` build the network, ``size`` is the side in pixels it was trained on, ``step`` the
    optimiser step of these weights.
    """

    family: str
    options: dict[str, Any]
    size: int
    step: int
    weights: dict[str, Tensor] = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the names, shapes and values of the weights; equal weights, equal digest."""
        return digest_of(
            {
                name: [list(value.shape), str(value.dtype), sha256_bytes(value.contiguous().cpu().numpy().tobytes())]
                for name, value in sorted(self.weights.items())
            }
        )

    def build(self) -> ReconstructionModel:
        """The network with these weights, in evaluation mode on the CPU.

        Raises:
            FaceReconError: the weights are not those of such a network.
        """
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
        about = {"family": self.family, "options": self.options, "size": self.size, "step": self.step}
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.weights.items()}
        return save(tensors, metadata={"facerecon": json.dumps(about, sort_keys=True)})

    @classmethod
    def read(cls, path: Path) -> "TrainedModel":
        """The model in a safetensors file.

        Raises:
            FaceReconError: not such a file.
        """
        try:
            with safe_open(path, framework="pt") as stored:
                about = json.loads((stored.metadata() or {})["facerecon"])
            return cls(**about, weights=load(Path(path).read_bytes()))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise FaceReconError(f"{path}: not a facerecon model ({error}): give a .safetensors of a run") from error


def save_model(path: Path, model: TrainedModel) -> None:
    """Write ``model`` to ``path`` in one step."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.to_bytes())
