"""Recipes: a model and how it is trained for a number of minutes; results are cached, so that a comparison resumes."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inpainting import InpaintingRun
from benchmarks.machine import describe_machine
from benchmarks.plain import LEARNING_RATE
from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.data.alignment import align
from facerecon.data.datasets import evaluation_faces
from facerecon.data.duplicates import guard_splits
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings, SplitShares
from facerecon.experiment import Experiment
from facerecon.files import atomic_path, digest_of, sha256_file, write_json
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel
from facerecon.run import RunSettings
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.evaluator import mask_cases
from facerecon.tasks.inpainting.network import network_of
from facerecon.tasks.inpainting.training import validate
from facerecon.training.precision import precision_of
from facerecon.weights import weights_path

FEATURES = [16, 32, 64, 128, 256]
PLAIN = {"family": "unet_attention", "options": {"features": FEATURES, "attention": False, "confidence": False}}
LOSSES = {"perceptual_interval": 4, "identity_interval": 16}
"""The expensive terms are applied every few steps, in every recipe alike."""

PROBE = 256
"""Steps by which a recipe's speed is measured before its number of steps is fixed; 64 were off by a seventh."""


def faces_of(photos: Path, source: str, state: Path, size: int, shares: SplitShares, most: int | None) -> Manifest:
    """Aligned faces of a folder, without near-duplicates across splits; crops in ``state`` are reused."""
    data = DataSettings(path=str(photos.resolve()), source=source, splits=shares, max_faces=most)
    return aligned_faces(InpaintingRun.model_validate({"data": data, "alignment": {"size": size}}), state)


def aligned_faces(settings: RunSettings, state: Path) -> Manifest:
    """The faces that a run's settings name, as ``faces_of``."""
    listed = ingest(settings.data, Path.cwd(), state / "frames")
    faces = align(listed, settings.alignment, weights_path("face_landmarker"), state / "crops")
    return guard_splits(faces, settings.validation.near_duplicates).manifest


def evaluation_masks(state: Path, size: int) -> MaskSet:
    """The frozen masks that a run evaluates on by default; those in ``state`` are reused."""
    settings = InpaintingRun().masks
    return build_mask_set(state / "masks", size, settings.evaluation_families, settings.levels, settings.count)


@dataclass(frozen=True)
class Recipe:
    """A model (``family``, ``variant``, ``options``), and how it is trained."""

    model: dict[str, Any]
    rate: float
    coarse: float = 0.0
    curriculum: str = "none"
    batch: int = 16
    seed: int = 0
    changes: dict[str, Any] = field(default_factory=dict, repr=False)
    """Settings by their dotted names, which override all others."""


def settings_of(recipe: Recipe, steps: int) -> InpaintingRun:
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
    return InpaintingRun.model_validate(settings)


def train_ours(
    manifest: Manifest, masks: MaskSet, settings: InpaintingRun, folder: Path, steps: int
) -> tuple[TrainedModel, float]:
    """As ``train_plainly``, by the project's loop."""
    values = settings.values(*get_task("inpainting").fields["training"])
    experiment = Experiment("inpainting", values, manifest, MaskCases(masks))
    done = experiment.train(folder, experiment.provenance)
    seconds, before = 0.0, 0.0
    for row in done.history:
        seconds += (row["step"] - before) * settings.training.batch_size / row["images_per_second"]
        before = row["step"]
    return done.best, steps * settings.training.batch_size / seconds


Train = Callable[[Manifest, MaskSet, InpaintingRun, Path, int], tuple[TrainedModel, float]]
"""(manifest, masks, settings, folder, steps) -> the best model, and images a second without validation."""

Trained = tuple[TrainedModel, dict[str, Any]]
"""The best model, and its steps, minutes and images a second."""

FAMILIES = ("facerecon.models.unet_attention", "facerecon.models.unet_fill")
"""The networks that recipes may train."""


@cache
def code() -> str:
    """Digest of the code and the libraries that train, when this process first asked for it."""
    from ops.code import code_digest  # not where only the library is, as on a borrowed GPU

    files = (sha256_file(Path(__file__).with_name(name)) for name in ("recipes.py", "plain.py"))
    return digest_of([code_digest("facerecon.experiment", "facerecon.tasks.inpainting.training", *FAMILIES), *files])


def cache_key(train_function: Train, recipe: Recipe, data: Any) -> str:
    """Digests of all that a result depends on: faces, masks, code, settings, and the machine, for its speed."""
    manifest, masks = data
    settings = settings_of(recipe, PROBE)
    bits = precision_of(settings.training)
    made = digest_of([code(), train_function.__name__, settings.model_dump(mode="json"), bits, describe_machine()])
    return "-".join((manifest.digest[:8], masks.digest[:8], made[:8]))


def _clear(folder: Path) -> None:
    """Remove an interrupted training: resumed, it would count only the minutes of its last part."""
    shutil.rmtree(folder, ignore_errors=True)


def speed_of(train_function: Train, recipe: Recipe, data: Any, state: Path) -> tuple[float, float]:
    """Images a second, and the seconds beside the steps: above all eight validations, for any number of steps."""
    manifest, masks = data
    folder = state / "probes" / cache_key(train_function, recipe, data)
    cached = folder / "record.json"
    if not cached.is_file():
        _clear(folder)
        since = time.perf_counter()
        _, rate = train_function(manifest, masks, settings_of(recipe, PROBE), folder, PROBE)
        write_json(cached, [rate, time.perf_counter() - since - PROBE * recipe.batch / rate])
    rate, overhead = json.loads(cached.read_text(encoding="utf-8"))
    return rate, overhead


def train_for(name: str, minutes: float, train_function: Train, recipe: Recipe, data: Any, state: Path) -> Trained:
    """Train for roughly ``minutes`` of wall-clock time; read from the cache, if it was trained before."""
    manifest, masks = data
    folder = state / "recipes" / f"{name}-{minutes:g}m-{cache_key(train_function, recipe, data)}"
    cached = folder / "record.json"
    if cached.is_file():
        return TrainedModel.read(folder / "best.safetensors"), json.loads(cached.read_text(encoding="utf-8"))
    _clear(folder)
    rate, overhead = speed_of(train_function, replace(recipe, rate=LEARNING_RATE), data, state)
    steps = max(PROBE, int((60 * minutes - overhead) * rate / recipe.batch))
    since = time.perf_counter()
    trained, rate = train_function(manifest, masks, settings_of(recipe, steps), folder / "run", steps)
    record = {"steps": steps, "minutes": (time.perf_counter() - since) / 60, "images_per_second": rate}
    with atomic_path(folder / "best.safetensors") as temporary:
        temporary.write_bytes(trained.to_bytes())
    write_json(cached, record)
    return trained, record


def gmac(trained: TrainedModel) -> float:
    """Multiply-accumulates of one image, in 10^9, without the confidence head."""
    options = {**trained.options, "confidence": False}
    model = build_model(trained.family, options).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, trained.size, trained.size), torch.ones(1, 1, trained.size, trained.size))
    return float(counter.get_total_flops() / 2e9)


def val_error(trained: TrainedModel, manifest: Manifest, masks: MaskSet) -> float:
    """Hole L1 on val over all levels, by which learning rates are chosen."""
    faces = evaluation_faces(manifest, "val", 64)
    cases = mask_cases(faces, masks, "brush")
    return validate(network_of(trained), faces, cases, torch.device("cpu"))["val/hole_l1/brush"]
