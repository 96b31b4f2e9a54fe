"""How fast the networks and the loops are, how near to the card's peak, and where a step's time goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.context import Context
from benchmarks.gpu.results import OK
from benchmarks.plain import train_plainly
from benchmarks.recipes import Train, settings_of, train_ours
from benchmarks.training import parts
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.datasets import StepSampler
from facerecon.models import build_model
from facerecon.models.settings import ModelSettings
from facerecon.tasks.inpainting.dataset import Batch, TrainingFaces, collate
from facerecon.tasks.inpainting.losses import ReconstructionLoss
from facerecon.tasks.inpainting.training_settings import LossSettings

WAYS = {"bf16, channels last": (True, True), "fp32, channels last": (False, True), "fp32, eager": (False, False)}
"""Whether a network computes in 16 bits, and whether its channels come last; eager is as PyTorch does it unasked."""

BY_PIXELS = LossSettings(perceptual=0, identity=0)
"""The loss of cells that measure a network alone."""

WARM_UP = 3
"""Steps that are not counted: kernels are chosen, memory is taken."""

LOOP_SECONDS = 6
"""Seconds of a loop, in those of a cell."""


def run(context: Context) -> None:
    """Measure all cells, the most telling first."""
    scale, measure = context.scale, context.recorder.measure
    peaks: dict[bool, float] = {}
    for half in (True, False):
        row = measure(f"matrix product, {'bf16' if half else 'fp32'}", partial(_matrix_product, context, half))
        if row["outcome"] == OK:
            peaks[half] = row["tflops"]
    networks = {"large U-Net": scale.large, "default": scale.ours}
    kinds = [
        (name, size, phase) for name in networks for size in scale.sizes[::-1] for phase in ("training", "inference")
    ]

    def cell(name: str, size: int, phase: str, way: str, compiled: bool = False) -> None:
        model, needs = networks[name], scale.compiling if compiled else 0.0
        figures = partial(_network, context, model, size, phase == "training", *WAYS[way], peaks, compiled)
        about = {"network": name, "px": size, "phase": phase, "way": "compiled, " + way if compiled else way}
        measure(f"{name}, {size} px, {phase}, {about['way']}", figures, needs, **about)

    first, *others = WAYS
    for kind in kinds:
        cell(*kind, first)
    _loops(context)
    for way in others:
        for kind in kinds:
            cell(*kind, way)
    # last: what hangs while it compiles costs no other cell
    cell(*kinds[0], first, compiled=True)


def per_second(context: Context, step: Callable[[], Any], images: int, seconds: float) -> float:
    """Images a second of a step, after a warm-up; raises CutOffError when the part's time is up."""
    for _ in range(WARM_UP):
        step()
    context.synchronise()
    context.recorder.check()
    done, since = 0, time.perf_counter()
    while True:
        for _ in range(4):
            step()
        done += 4
        context.synchronise()
        spent = time.perf_counter() - since
        if spent >= seconds:
            return done * images / spent
        context.recorder.check()


def _matrix_product(context: Context, half: bool) -> Mapping[str, Any]:
    """TFLOP/s of a large matrix product on random numbers: the peak that others are compared with.

    In fp32 it may round as convolutions do unasked (TF32): else they could be above the peak.
    """
    side = context.scale.matrix
    left, right = (torch.randn(side, side, device=context.device) for _ in range(2))
    if half:
        left, right = left.bfloat16(), right.bfloat16()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        rate = per_second(context, lambda: left @ right, 1, context.scale.seconds / 2)
    finally:
        torch.set_float32_matmul_precision(before)
    return {"tflops": 2 * side**3 * rate / 1e12, "side": side}


def _network(
    context: Context,
    model: Mapping[str, Any],
    size: int,
    trains: bool,
    half: bool,
    channels_last: bool,
    peaks: Mapping[bool, float],
    compiled: bool,
) -> Mapping[str, Any]:
    """Images a second of a network on random images, by a loss of pixels; its share of the measured peak; memory."""
    device, images = context.device, context.scale.images
    torch.manual_seed(0)
    chosen = ModelSettings.model_validate(dict(model))
    network: nn.Module = build_model(chosen.family, chosen.options).to(device).train(trains)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    image = torch.rand(images, 3, size, size, device=device) * 2 - 1
    mask = torch.zeros(images, 1, size, size, device=device)
    mask[..., size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    batch = Batch(image, mask, torch.zeros(images, 5, 2, device=device))
    criterion = ReconstructionLoss(BY_PIXELS).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    parameters = sum(value.numel() for value in network.parameters())
    forward = torch.compile(network) if compiled else network

    def train() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = criterion(forward(batch.image, batch.mask), batch, 0).total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    @torch.inference_mode()
    def infer() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            forward(batch.image, batch.mask)

    step = train if trains else infer
    with FlopCounterMode(display=False) as counter:
        # compiled code hides its operations from the counter
        plain, forward = forward, network
        step()
        forward = plain
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    rate = per_second(context, step, images, context.scale.seconds)
    tflops = counter.get_total_flops() / images * rate / 1e12
    found = {"images_per_second": rate, "batch": images, "parameters": parameters, "tflops": tflops}
    if half in peaks:
        found["share_of_peak"] = tflops / peaks[half]
    if device.type == "cuda":
        found["memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return found


def _loops(context: Context) -> None:
    """The plain loop beside the project's on the same network with all losses; the loader alone; a step's parts."""
    measure, half = context.recorder.measure, context.precisions[1]
    size = context.kit.faces.size

    def loop(name: str, train: Train, precision: str, workers: int) -> None:
        changes = {"training.loader_workers": workers}
        figures = partial(_loop, context, train, precision, changes)
        measure(f"loop: {name}", figures, px=size, precision=precision, workers=workers)

    loop("plain", partial(train_plainly, device=context.device), "32-true", 0)
    loop("ours", train_ours, half, 0)
    loop("ours, loader workers", train_ours, half, context.workers)
    for workers in (0, context.workers):
        measure(f"loader alone, {workers} workers", partial(_loader, context, workers), px=size, workers=workers)
    measure("parts of a step", partial(_parts, context, half), px=size, precision=half)


def _loop(context: Context, train: Train, precision: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Images a second of a loop, without validation, for as long as a cell of this kind may take."""
    scale, kit = context.scale, context.kit
    recipe = context.recipe("plain", precision, **changes)

    def rate_of(steps: int) -> float:
        settings = settings_of(replace(recipe, changes=recipe.changes | {"training.validate_every": steps}), steps)
        folder = context.state / "loops" / f"{time.monotonic_ns()}"
        return train(kit.faces, kit.masks, settings, folder, steps)[1]

    probed = rate_of(scale.probe // 4)
    context.recorder.check()
    steps = max(scale.probe // 4, int(LOOP_SECONDS * scale.seconds * probed / scale.batch))
    return {"images_per_second": rate_of(steps), "steps": steps, "batch": scale.batch}


def _faces(context: Context, spent: defaultdict[str, float]) -> TrainingFaces:
    """The training faces; the seconds that their masks take are added to ``spent``."""
    settings = context.settings("plain", "32-true", 1)
    draw = TrainingMasks(settings.masks, context.kit.faces.size)

    def timed(*arguments: Any) -> Any:
        since = time.perf_counter()
        mask = draw(*arguments)
        spent["masks"] += time.perf_counter() - since
        return mask

    return TrainingFaces(context.kit.faces, settings.training.augmentation, timed, settings.seed)


def _loader(context: Context, workers: int) -> Mapping[str, Any]:
    """Images a second that are read, augmented and hidden, with nothing behind them; the share of drawing masks."""
    scale, spent = context.scale, defaultdict[str, float](float)
    faces = _faces(context, spent)
    batches = 1_000_000 if workers else 10_000
    sampler = StepSampler(len(faces), scale.batch, batches, seed=0)
    loader = DataLoader(faces, batch_sampler=sampler, num_workers=workers, collate_fn=collate)
    source = iter(loader)
    for _ in range(max(WARM_UP, 2 * workers)):
        next(source)
    spent.clear()
    done, since = 0, time.perf_counter()
    while not done or time.perf_counter() - since < scale.seconds:
        next(source)
        done += 1
    whole = time.perf_counter() - since
    rate = done * scale.batch / whole
    # of workers the seconds are theirs
    return {"images_per_second": rate, **({} if workers else {"masks": spent["masks"] / whole})}


def _parts(context: Context, precision: str) -> Mapping[str, Any]:
    """Shares of a step's time, one part after the other, and the three largest."""
    settings = context.settings("plain", precision, context.scale.probe)
    shares = parts(context.kit.faces, settings, context.device)
    largest = sorted(shares, key=shares.__getitem__, reverse=True)[:3]
    return {"shares": shares, "largest": largest}
