"""What every part of the kit's run goes by."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.kit import Kit
from benchmarks.gpu.results import Recorder
from benchmarks.inpainting import InpaintingRun
from benchmarks.recipes import PLAIN, Recipe, settings_of

RATES = {"ours": 1e-3, "plain": 2e-3}
"""Learning rates chosen on val on a CPU (docs/benchmarks.md, quality at equal cost)."""

COARSE = 0.75
"""Of ours: the share of steps on images of half the size, as there."""


@dataclass(frozen=True)
class Scale:
    """How large the same cells are: for a GPU, or small, for a CPU.

    ``batch`` faces in a trained recipe's batch, ``steps`` of a training that is about correctness, ``probe`` steps by
    which speed is measured before a length is fixed: on a GPU each quarter of them has as many of the loss's rarer
    terms as the others. The networks ``ours``, ``plain`` and ``large``, and which of them is ``exported``. Of
    throughput: ``sizes`` in pixels, ``images`` in a batch, the side of the ``matrix`` product, ``seconds`` a cell, and
    those without which nothing is compiled. ``faces`` are measured; a split has ``most`` faces.
    """

    batch: int
    steps: int
    probe: int
    ours: Mapping[str, Any]
    plain: Mapping[str, Any]
    large: Mapping[str, Any]
    exported: str
    sizes: tuple[int, ...]
    images: int
    matrix: int
    seconds: float
    compiling: float
    faces: int
    most: int


SCALES = {
    "cuda": Scale(
        batch=16,
        steps=24,
        probe=128,
        ours={"family": "unet_fill", "options": {}},
        plain=PLAIN,
        large={"family": "unet_attention", "options": {"features": [64, 128, 256, 512, 1024]}},
        exported="ours",
        sizes=(128, 256),
        images=32,
        matrix=8192,
        seconds=1.0,
        compiling=20.0,
        faces=64,
        most=1_000_000,
    ),
    "cpu": Scale(
        batch=2,
        steps=2,
        probe=32,
        ours={"family": "unet_fill", "options": {"features": [4, 8, 16], "prior_grid": 16, "prior_iterations": 2}},
        plain={"family": "unet_attention", "options": {"features": [4, 8, 16], "attention": False}},
        large={"family": "unet_attention", "options": {"features": [8, 16, 32]}},
        exported="plain",
        sizes=(32, 64),
        images=2,
        matrix=256,
        seconds=0.1,
        compiling=300.0,
        faces=4,
        most=48,
    ),
}


@dataclass(frozen=True)
class Context:
    """The kit, the device, where results go, and where this run may keep files."""

    kit: Kit
    device: torch.device
    recorder: Recorder
    out: Path
    state: Path

    @property
    def scale(self) -> Scale:
        """How large the cells are on this device."""
        return SCALES[self.device.type]

    @property
    def workers(self) -> int:
        """Loader workers where there are any."""
        return min(8, max(1, (os.cpu_count() or 2) - 1))

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that a training may have here."""
        return ("32-true", "bf16-mixed", "16-mixed") if self.device.type == "cuda" else ("32-true", "bf16-mixed")

    def recipe(self, name: str, precision: str, **changes: Any) -> Recipe:
        """A recipe, "ours" or "plain" (the plain network, tuned, in the project's loop), on this device."""
        chosen: dict[str, Any] = {
            **{"training.accelerator": self.device.type, "training.precision": precision},
            "training.validation_faces": self.scale.faces,
        }
        if self.device.type == "cpu" and precision != "32-true":
            # without instructions for 16 bits their networks take seconds a step
            chosen |= {"training.losses.identity": 0.0, "training.losses.perceptual": 0.0}
        return Recipe(
            dict(self.scale.ours if name == "ours" else self.scale.plain),
            RATES[name],
            coarse=COARSE if name == "ours" else 0.0,
            batch=self.scale.batch,
            changes=chosen | changes,
        )

    def settings(self, name: str, precision: str, steps: int, **changes: Any) -> InpaintingRun:
        """The settings of so many steps of a recipe."""
        return settings_of(self.recipe(name, precision, **changes), steps)

    def synchronise(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
