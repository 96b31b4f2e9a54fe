"""The training loop: the same lines on CPU and GPU and in several processes, resumable at any step it was saved at."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor
from torch.utils.data import DataLoader

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.settings import MaskSettings
from facerecon.data.datasets import (
    Batch,
    EvaluationFaces,
    MaskDrawer,
    StepSampler,
    TrainingFaces,
    collate,
    evaluation_faces,
)
from facerecon.data.manifest import Manifest
from facerecon.errors import DivergedError, FaceReconError
from facerecon.evaluation.metrics import from_uint8, hole_psnr, to_uint8
from facerecon.files import digest_of
from facerecon.models import ReconstructionModel, build_model, model_options
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import TrainedModel, save_model
from facerecon.progress import track
from facerecon.randomness import generator
from facerecon.training.averaging import running_mean
from facerecon.training.calibrate import calibrated
from facerecon.training.checkpoints import Origin, Row, Training, adopt, check_own, load_state, own_folder, save_state
from facerecon.training.losses import ReconstructionLoss, hole_l1
from facerecon.training.precision import precision_of
from facerecon.training.processes import launch
from facerecon.training.settings import TrainingSettings

LEARNED_FROM = 20_000
"""Faces at most from which a model takes what is computed and not trained: more would change little."""


def is_coarse(step: int, settings: TrainingSettings) -> bool:
    """Whether ``step`` is one of the first, on images of half the size."""
    return step < settings.coarse_share * settings.steps


def work(steps: int, settings: TrainingSettings) -> float:
    """What so many steps from the first on cost, in steps at full size: a coarse one has a quarter of the pixels."""
    return steps - 0.75 * min(steps, math.ceil(settings.coarse_share * settings.steps))


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """The rate at ``step``: a linear warm-up, then a half cosine down to the final rate at the last step.

    Along the cosine a step counts by its ``work``.
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    begun = work(settings.warmup_steps, settings)
    done = (work(step, settings) - begun) / max(work(1, settings), work(settings.steps - 1, settings) - begun)
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def origin_of(
    manifest: Manifest,
    masks: MaskSet,
    mask_settings: MaskSettings,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    seed: int,
) -> Origin:
    """What a training is made of, but for the code; where it goes on from does not change what it ends with."""
    chosen = [mask_settings.model_dump(mode="json"), model_settings.model_dump(mode="json")]
    chosen.append(settings.model_dump(mode="json", exclude={"resume_from"}))
    return {
        "settings": digest_of([*chosen, seed]),
        "data": manifest.digest,
        "masks": masks.digest,
        "precision": precision_of(settings),
    }


def train(
    manifest: Manifest,
    masks: MaskSet,
    draw_mask: MaskDrawer,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    seed: int,
    folder: Path,
    origin: Origin,
    log: Callable[[Row], None] = lambda row: None,
) -> Training:
    """Train a model on the train split; the best checkpoint is that of the lowest hole L1 on the frozen val masks.

    ``folder`` keeps ``last.safetensors`` and ``best.safetensors``; a run that finds its own state there goes on
    from it and ends with the same weights. ``origin`` is what the training is made of, and is kept with its state.
    ``log`` gets each point of the curves, those from before a resumption too.

    Raises:
        FaceReconError: no faces to train or validate on, or a checkpoint in ``folder`` or a ``resume_from`` that was
            made of something else.
        DivergedError: the loss is no longer finite.
    """
    fabric = launch(settings)
    first = fabric.is_global_zero
    with own_folder(folder) if first else nullcontext(), _own_threads(settings.threads), torch.random.fork_rng():
        if settings.resume_from and first:
            adopt(folder, Path(settings.resume_from).expanduser(), origin)
        fabric.barrier()
        check_own(folder, origin)
        faces, val_faces = _faces(manifest, draw_mask, settings, seed)
        torch.manual_seed(seed)
        # the layout that convolutions are fastest in, on CPU and GPU
        model = build_model(model_settings.family, model_settings.options).to(memory_format=torch.channels_last)
        if not (folder / "last.safetensors").is_file():  # which holds what was fitted
            model.fit(faces.unchanged(LEARNED_FROM))
        criterion = fabric.to_device(ReconstructionLoss(settings.losses))
        optimizer = torch.optim.AdamW(
            model.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            # all weights in one pass; with a scaler of gradients Fabric could not clip them
            fused=settings.precision != "16-mixed",
        )
        network, optimizer = fabric.setup(model, optimizer)
        mean = running_mean(model, settings.ema_decay) if settings.ema_decay else None
        modules: dict[str, torch.nn.Module] = {"model": model} if mean is None else {"model": model, "mean": mean}
        kept = model if mean is None else cast(ReconstructionModel, mean.module)
        # after setup, so that the optimiser's state lands on the device on which the parameters now are
        resumed = load_state(folder / "last.safetensors", modules, optimizer)
        start, state = resumed or (0, {"history": [], "best": None, "precision": {}, "origin": origin})
        if state["precision"]:
            fabric.strategy.precision.load_state_dict(state["precision"])
        for row in state["history"] if first else ():
            log(row)
        loader = _loader(fabric, faces, settings, seed, start)

        steps, meter = _Steps(fabric, network, criterion, optimizer, settings), _Meter(settings, fabric)
        batches = iter(loader)
        for step in track(range(start, settings.steps), "training", settings.steps - start):
            torch.manual_seed(_step_seed(seed, step))
            model.set_progress(work(step, settings) / work(settings.steps, settings))
            steps.take(step, batches, meter)
            if mean is not None:
                mean.update_parameters(model)
            if meter.due(step):
                row, validates = meter.row(step), first and meter.validates(step)
                if validates:
                    row |= validate(kept, val_faces, masks, fabric.device)
                state["history"].append(row)
                if first:
                    log(row)
                if validates:
                    if state["best"] is None or row["val/hole_l1"] < state["best"]:
                        state["best"] = row["val/hole_l1"]
                        best = _trained(kept, model_settings, manifest.size, step + 1)
                        save_model(folder / "best.safetensors", best)
                    state["precision"] = fabric.strategy.precision.state_dict()
                    save_state(folder / "last.safetensors", step + 1, modules, optimizer, state)
                meter.clear()
        fabric.barrier()
        best = calibrated(TrainedModel.read(folder / "best.safetensors"), val_faces, masks, fabric.device)
        return Training(best, state["history"], start)


@dataclass(frozen=True)
class _Steps:
    """What each step of a training does: from batches to changed weights."""

    fabric: Fabric
    network: _FabricModule
    criterion: torch.nn.Module
    optimizer: torch.optim.Optimizer
    settings: TrainingSettings

    def take(self, step: int, batches: Iterator[Batch], meter: "_Meter") -> None:
        """Change the weights by as many batches as are accumulated; their losses go to ``meter``.

        Raises:
            DivergedError: the loss or the gradient is no longer finite.
        """
        fabric, settings = self.fabric, self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        coarse = is_coarse(step, settings)
        for part in range(settings.accumulate):
            batch = next(batches).to(fabric.device)
            if coarse:
                batch = batch.halved()
            with fabric.no_backward_sync(self.network, enabled=part + 1 < settings.accumulate):
                with fabric.autocast():
                    loss = self.criterion(self.network(batch.image, batch.mask), batch, step, coarse)
                _check_finite("loss", loss.total, loss.terms, step)
                fabric.backward(loss.total / settings.accumulate)
            meter.add(loss.total, loss.terms, len(batch.image))
        norm = fabric.clip_gradients(
            self.network, self.optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
        )
        if norm is not None and settings.precision != "16-mixed":
            # in 16 bits an overflow is expected now and then: the scaler skips the step
            _check_finite("gradient", norm, loss.terms, step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _faces(
    manifest: Manifest, draw_mask: MaskDrawer, settings: TrainingSettings, seed: int
) -> tuple[TrainingFaces, EvaluationFaces]:
    faces = TrainingFaces(manifest, settings.augmentation, draw_mask, seed)
    val_faces = evaluation_faces(manifest, "val", settings.validation_faces)
    for split, count in (("train", len(faces)), ("val", len(val_faces))):
        if not count:
            raise FaceReconError(
                f"the {split} split has no face ({manifest.faces['identity'].nunique()} identities in all): "
                "give more people, or raise the split's share in data.splits"
            )
    return faces, val_faces


def _loader(fabric: Fabric, faces: TrainingFaces, settings: TrainingSettings, seed: int, start: int) -> Any:
    batches, done = settings.steps * settings.accumulate, start * settings.accumulate
    share = (fabric.global_rank, fabric.world_size)
    return DataLoader(
        faces,
        batch_sampler=StepSampler(len(faces), settings.batch_size, batches, seed, done, share),
        num_workers=settings.loader_workers,
        collate_fn=collate,
        pin_memory=fabric.device.type == "cuda",
        persistent_workers=settings.loader_workers > 0,
    )


def _step_seed(seed: int, step: int) -> int:
    """The seed of what a network draws itself (dropout): the same for a step whether or not it was resumed at."""
    return int(generator(seed, step, "network").integers(2**63))


@contextmanager
def _own_threads(threads: int | None) -> Iterator[None]:
    """So many CPU threads meanwhile; what comes after in this process must not depend on whether training ran."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads or before)
        yield
    finally:
        torch.set_num_threads(before)


def _check_finite(what: str, value: Tensor, terms: dict[str, Tensor], step: int) -> None:
    if not torch.isfinite(value):
        shown = ", ".join(f"{name} {float(term):.3g}" for name, term in terms.items())
        raise DivergedError(
            f"training: the {what} is no longer a number at step {step + 1} ({shown}): "
            "lower training.learning_rate, or set training.precision to 32-true"
        )


def _trained(model: ReconstructionModel, settings: ModelSettings, size: int, step: int) -> TrainedModel:
    weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    # with the defaults of today: others, some day, would build another network for these weights
    options = model_options(settings.family, settings.options).model_dump(mode="json")
    return TrainedModel(settings.family, options, size, step, weights)


@torch.inference_mode()
def validate(model: ReconstructionModel, faces: EvaluationFaces, masks: MaskSet, device: torch.device) -> Row:
    """Hole L1 and mean hole PSNR on the frozen brush masks: each level's, and the L1 over all levels.

    Raises:
        DivergedError: what the model paints is not finite.
    """
    model.eval()
    images = from_uint8(faces.images).to(device)
    row: Row = {}
    errors = []
    for level in sorted(level for level, family in masks.masks if family == "brush"):
        chosen = torch.stack([torch.from_numpy(masks.for_face(sha, level, "brush")) for sha in faces.sha256s])
        mask = chosen[:, None].float().to(device)
        output = torch.cat([model(i, m).reconstruction for i, m in zip(images.split(16), mask.split(16), strict=True)])
        if not output.isfinite().all():
            raise DivergedError("training: what the model paints on val is no number: lower training.learning_rate")
        errors.append(hole_l1(output, images, mask).double().mean().item())
        psnr = hole_psnr(to_uint8(output), to_uint8(images), mask)
        row[f"val/hole_psnr_level_{level}"] = float(psnr.double().mean())
    model.train()
    return {"val/hole_l1": sum(errors) / len(errors), **row}


class _Meter:
    """Means of the loss terms between two points of the curves, and the speed, over all processes."""

    def __init__(self, settings: TrainingSettings, fabric: Fabric) -> None:
        self.settings, self.fabric = settings, fabric
        self.interval = max(1, settings.steps // 100)
        self.clear()

    def clear(self) -> None:
        """Begin anew: called after validation and saving, whose time is not that of training."""
        self.sums: dict[str, list[Tensor]] = defaultdict(list)
        self.images, self.since = 0, time.perf_counter()

    def add(self, total: Tensor, terms: dict[str, Tensor], images: int) -> None:
        for name, value in {"total": total.detach(), **terms}.items():
            self.sums[name].append(value)
        self.images += images

    def validates(self, step: int) -> bool:
        return (step + 1) % self.settings.validate_every == 0 or step + 1 == self.settings.steps

    def due(self, step: int) -> bool:
        return (step + 1) % self.interval == 0 or self.validates(step)

    def row(self, step: int) -> Row:
        """The point of the curves at ``step``; terms that were not computed since the last one are left out."""
        row: Row = {"step": step + 1, "learning_rate": learning_rate(step, self.settings)}
        for name, values in self.sums.items():
            mean = self.fabric.all_reduce(torch.stack(values).mean(), reduce_op="mean")
            row[f"loss/{name}"] = float(torch.as_tensor(mean))
        row["images_per_second"] = self.images * self.fabric.world_size / (time.perf_counter() - self.since)
        return row
