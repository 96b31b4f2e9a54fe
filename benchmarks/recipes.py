"""Recipes: what is trained and how, in so many minutes of one machine, kept so that a comparison goes on."""

import json
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import about_machine
from benchmarks.plain import LEARNING_RATE
from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.alignment import align
from facerecon.data.datasets import evaluation_faces
from facerecon.data.duplicates import guard_splits
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings, SplitShares
from facerecon.files import atomic_path, digest_of, sha256_file, write_json
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.run import RunSettings
from facerecon.training.loop import train, validate
from facerecon.training.precision import precision_of
from facerecon.weights import weights_path
from ops.code import code_digest

FEATURES = [16, 32, 64, 128, 256]
PLAIN = {"family": "unet_attention", "options": {"features": FEATURES, "attention": False, "confidence": False}}
LOSSES = {"perceptual_interval": 4, "identity_interval": 16}
"""The terms that cost most are applied now and then, by every recipe alike."""

PROBE = 256
"""Steps by which a recipe's speed is found before its number of steps is fixed; with 64 it was a seventh off."""


def faces_of(photos: Path, source: str, state: Path, size: int, shares: SplitShares, most: int | None) -> Manifest:
    """Aligned faces of a folder, without near-duplicates across splits; what was aligned before is reused."""
    data = DataSettings(path=str(photos.resolve()), source=source, splits=shares, max_faces=most)
    settings = RunSettings(data=data, alignment={"size": size})
    listed = ingest(settings.data, Path.cwd(), state / "frames")
    faces = align(listed, settings.alignment, weights_path("face_landmarker"), state / "crops")
    return guard_splits(faces, settings.validation.near_duplicates).manifest


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how."""

    model: dict[str, Any]
    rate: float
    coarse: float = 0.0
    curriculum: str = "none"
    batch: int = 16
    seed: int = 0
    changes: dict[str, Any] = field(default_factory=dict, repr=False)
    """Settings by their dotted names, on top of all else."""


def settings_of(recipe: Recipe, steps: int) -> RunSettings:
    """A run of ``steps`` steps that validates eight times."""
    every = max(1, -(-steps // 8))
    training = {
        "steps": steps,
        "batch_size": recipe.batch,
        "learning_rate": recipe.rate,
        "warmup_steps": min(100, steps // 10),
        "coarse_share": recipe.coarse,
    }
    settings: dict[str, Any] = {
        "seed": recipe.seed,
        "model": recipe.model,
        "masks": {"curriculum": {"kind": recipe.curriculum}},
        "training": training | {"validate_every": every, "losses": dict(LOSSES)},
    }
    for name, value in recipe.changes.items():
        *parents, last = name.split(".")
        place = settings
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return RunSettings(**settings)


def train_ours(
    manifest: Manifest, masks: MaskSet, settings: RunSettings, folder: Path, steps: int
) -> tuple[TrainedModel, float]:
    """As ``train_plainly``, by the project's loop."""
    draw = TrainingMasks(settings.masks, manifest.size)
    origin = {"benchmark": digest_of(settings.model_dump(mode="json"))}
    done = train(manifest, masks, draw, settings.model, settings.training, settings.seed, folder, origin)
    seconds, before = 0.0, 0.0
    for row in done.history:
        seconds += (row["step"] - before) * settings.training.batch_size / row["images_per_second"]
        before = row["step"]
    return done.best, steps * settings.training.batch_size / seconds


Train = Any
"""(manifest, masks, settings, folder, steps) -> the best model and the images a second without validation."""

Trained = tuple[TrainedModel, dict[str, Any]]


CODE = digest_of(
    [
        *map(code_digest, ("facerecon.training.loop", "facerecon.corruption.training_masks")),
        *(sha256_file(Path(__file__).with_name(name)) for name in ("recipes.py", "plain.py")),
    ]
)
"""Of the code and the libraries that train, as they were when this process began."""


def kept_under(train_it: Train, recipe: Recipe, data: Any) -> str:
    """Digests of all that makes a recipe's result: faces, masks, code, settings, the machine, which sets its speed."""
    manifest, masks = data
    settings = settings_of(recipe, PROBE)
    bits = precision_of(settings.training)
    made = digest_of([CODE, train_it.__name__, settings.model_dump(mode="json"), bits, about_machine()])
    return "-".join((manifest.digest[:8], masks.digest[:8], made[:8]))


def _begin_anew(folder: Path) -> None:
    """Drop what an interrupted training left: gone on from there, it would be told fewer minutes than it took."""
    shutil.rmtree(folder, ignore_errors=True)


def speed_of(train_it: Train, recipe: Recipe, data: Any, state: Path) -> tuple[float, float]:
    """Images a second, and the seconds around the steps: eight validations above all, whatever the number of steps."""
    manifest, masks = data
    folder = state / "probes" / kept_under(train_it, recipe, data)
    note = folder / "about.json"
    if not note.is_file():
        _begin_anew(folder)
        since = time.perf_counter()
        _, rate = train_it(manifest, masks, settings_of(recipe, PROBE), folder, PROBE)
        write_json(note, [rate, time.perf_counter() - since - PROBE * recipe.batch / rate])
    rate, around = json.loads(note.read_text(encoding="utf-8"))
    return rate, around


def spend(name: str, minutes: float, train_it: Train, recipe: Recipe, data: Any, state: Path) -> Trained:
    """Train for about so many minutes of wall-clock time; what is told of it holds the minutes that it took.

    What was trained so before is read; what was interrupted begins anew.
    """
    manifest, masks = data
    folder = state / "recipes" / f"{name}-{minutes:g}m-{kept_under(train_it, recipe, data)}"
    note = folder / "about.json"
    if note.is_file():
        return TrainedModel.read(folder / "best.safetensors"), json.loads(note.read_text(encoding="utf-8"))
    _begin_anew(folder)
    rate, around = speed_of(train_it, replace(recipe, rate=LEARNING_RATE), data, state)
    steps = max(PROBE, int((60 * minutes - around) * rate / recipe.batch))
    since = time.perf_counter()
    trained, rate = train_it(manifest, masks, settings_of(recipe, steps), folder / "run", steps)
    about = {"steps": steps, "minutes": (time.perf_counter() - since) / 60, "images_per_second": rate}
    with atomic_path(folder / "best.safetensors") as temporary:
        temporary.write_bytes(trained.to_bytes())
    write_json(note, about)
    return trained, about


def gmac(trained: TrainedModel) -> float:
    """Multiplications of one image, in 10^9, without those of its confidence."""
    options = {**trained.options, "confidence": False}
    model = build_model(trained.family, options).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, trained.size, trained.size), torch.ones(1, 1, trained.size, trained.size))
    return float(counter.get_total_flops() / 2e9)


def val_error(trained: TrainedModel, manifest: Manifest, masks: MaskSet) -> float:
    """Hole L1 on val over all levels, by which learning rates are chosen."""
    return validate(trained.build(), evaluation_faces(manifest, "val", 64), masks, torch.device("cpu"))["val/hole_l1"]
