"""The default beside the plain recipe in equal seconds, the fit of the prior counted, as a curve over the time.

Each recipe trains once. What it is worth after a quarter, a half and all of its steps is measured on people in no
training, by the weights of that moment: the learning rate falls over the whole, so that the last point tells most.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.context import Context
from benchmarks.gpu.results import OK, CutOffError
from benchmarks.inpainting import InpaintingRun
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.evaluation.image_metrics import SSIM
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.scores import Scores
from facerecon.experiment import Experiment
from facerecon.models.trained import TrainedModel, save_model
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.baselines import fill_by_baseline
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.evaluator import Evaluator, Fill, MaskCase, fill_by_model, mask_cases, measure
from facerecon.tasks.inpainting.metrics import HOLE_PSNR
from facerecon.tasks.inpainting.network import network_of

RECIPES = (("ours", "bf16-mixed"), ("plain", "bf16-mixed"), ("plain", "32-true"))
"""Recipes and their precisions: the plain one in 32 bits, too, as a tutorial would."""

BASELINES = ("telea", "mean_fill")

POINTS = (0.25, 0.5, 1.0)
"""Shares of the steps after which a model is measured."""

MEASURING = 0.15
"""Share of the part's time that is kept for measuring what was trained."""

MARGIN = 0.95
"""Share of a recipe's time that its steps are planned for: it takes of the next one's if it is late."""

SHOWN = 6
"""Faces on the sheet."""


def run(context: Context) -> None:
    """Train and measure all recipes; their models come back as files."""
    faces = evaluation_faces(context.kit.faces, "test", context.scale.faces)
    cases = mask_cases(faces, context.kit.masks)
    planned = context.recorder.left()
    methods: dict[str, Fill] = {name: fill_by_baseline(name) for name in BASELINES}
    context.recorder.measure("baselines", partial(_figures, methods, faces, cases), **_about(faces))
    probes = [
        context.recorder.measure(f"probed: {name}, {precision}", partial(_probe, context, name, precision))
        for name, precision in RECIPES
    ]
    seconds = (context.recorder.left() - MEASURING * planned) / len(RECIPES)
    shown = {"telea": methods["telea"]}
    for (name, precision), probe in zip(RECIPES, probes, strict=True):
        models: dict[float, TrainedModel] = {}
        row = context.recorder.measure(
            f"trained: {name}, {precision}",
            partial(_train, context, name, precision, seconds, probe, models),
            recipe=name,
            precision=precision,
            allowed_seconds=round(seconds, 1),
            **_about(faces),
        )
        if row["outcome"] != OK:
            continue
        save_model(context.out / f"{name}-{precision}.safetensors", models[1.0])
        for share, model in models.items():
            method = f"{name}, {precision}"
            context.recorder.measure(
                f"measured: {method}, after {share:g}",
                partial(_figures, {method: _fill(context, model)}, faces, cases),
                recipe=name,
                precision=precision,
                share=share,
                trained_seconds=row["seconds_at"][f"{share:g}"],
                **_about(faces),
            )
        shown[f"{name}, {precision}"] = _fill(context, models[1.0])
        _sheet(context, shown, faces, cases)


def _about(faces: EvaluationFaces) -> dict[str, Any]:
    return {"faces": len(faces), "people": int(faces.rows["identity"].nunique())}


def _fill(context: Context, trained: TrainedModel) -> Fill:
    return fill_by_model(network_of(trained).to(context.device), context.device)


def _figures(methods: Mapping[str, Fill], faces: EvaluationFaces, cases: list[MaskCase]) -> dict[str, Any]:
    """Mean hole PSNR in dB and SSIM of each method under each case; null where a value is infinite or no number."""
    metrics = (HOLE_PSNR, SSIM)
    scores: Scores = measure(Evaluator("test", lambda case, method: metrics), methods, faces, cases, "")
    rows = []
    for case in cases:
        for method in methods:
            row: dict[str, Any] = {"method": method, "case": case.case, "level": case.level}
            for metric in metrics:
                mean = float(np.mean(scores.values(MetricKey("test", metric.name, case.case, case.level), method)))
                row[metric.name] = mean if np.isfinite(mean) else None
            rows.append(row)
    return {"figures": rows}


class _Watched:
    """A training's problem that keeps its models at ``points`` steps and ends when the part's time is up."""

    def __init__(self, problem: Any, points: Mapping[int, float], context: Context) -> None:
        self.problem, self.points, self.context = problem, points, context
        self.since = time.monotonic()
        self.models: dict[float, TrainedModel] = {}
        self.seconds: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)

    def validate(self, module: torch.nn.Module, device: torch.device) -> Any:
        self.context.recorder.check()
        return self.problem.validate(module, device)

    def trained(self, module: torch.nn.Module, step: int) -> TrainedModel:
        model: TrainedModel = self.problem.trained(module, step)
        if step in self.points:
            self.models[self.points[step]] = model
            self.seconds[f"{self.points[step]:g}"] = round(time.monotonic() - self.since, 2)
        return model


def _experiment(
    context: Context, name: str, precision: str, steps: int
) -> tuple[Experiment, InpaintingRun, dict[int, float]]:
    """A training of so many steps, at least four, that validates at each of ``POINTS``."""
    every = max(1, steps // 4)
    workers = context.workers if context.device.type == "cuda" else 0
    changes = {"training.validate_every": every, "training.loader_workers": workers}
    settings = context.settings(name, precision, 4 * every, **changes)
    values = settings.values(*get_task("inpainting").fields["training"])
    experiment = Experiment("inpainting", values, context.kit.faces, MaskCases(context.kit.masks))
    return experiment, settings, {int(4 * share) * every: share for share in POINTS}


def _probe(context: Context, name: str, precision: str) -> Mapping[str, Any]:
    """Seconds of a step, and those beside steps, by a short training that has as many coarse steps as a long one.

    The first quarter of the steps warms up; it is counted as the second, whose steps are of the same kind.
    """
    experiment, settings, _ = _experiment(context, name, precision, context.scale.probe)
    since = time.monotonic()
    done = experiment.train(context.state / "quality" / f"probe-{name}-{precision}", experiment.provenance)
    whole = time.monotonic() - since
    quarters, last = [0.0] * 4, 0.0
    for row in done.history:
        seconds = (row["step"] - last) * context.scale.batch / row["images_per_second"]
        quarters[int(4 * last / settings.training.steps)] += seconds
        last = row["step"]
    _, second, *others = quarters
    return {"step_seconds": (2 * second + sum(others)) / last, "beside_seconds": whole - sum(quarters)}


def _train(
    context: Context,
    name: str,
    precision: str,
    seconds: float,
    probe: Mapping[str, Any],
    models: dict[float, TrainedModel],
) -> Mapping[str, Any]:
    """Train for about so many seconds, as a ``probe`` foresees; ``models`` gets those at ``POINTS``."""
    if probe["outcome"] != OK:
        raise CutOffError
    folder = context.state / "quality" / f"{name}-{precision}"
    steps = max(context.scale.probe, int((MARGIN * seconds - probe["beside_seconds"]) / probe["step_seconds"]))
    experiment, settings, points = _experiment(context, name, precision, steps)
    experiment.problem = watched = _Watched(experiment.problem, points, context)
    result = experiment.train(folder, experiment.provenance)
    if len(watched.models) < len(POINTS):
        raise CutOffError
    models |= watched.models
    return {
        "steps": settings.training.steps,
        "images_per_second": result.history[-1]["images_per_second"],
        "learning_rate": settings.training.learning_rate,
        "parameters": sum(value.numel() for value in result.best.weights.values()),
        "digest": watched.models[1.0].digest,
        "train_faces": len(context.kit.faces.split("train")),
        "seconds_at": watched.seconds,
    }


def _sheet(context: Context, methods: Mapping[str, Fill], faces: EvaluationFaces, cases: list[MaskCase]) -> None:
    """Write a row a face: the face, what is hidden, and what each method makes of it; brush masks of level 2."""
    [case] = [case for case in cases if (case.case, case.level) == ("brush", 2)]
    images, masks = faces.images[:SHOWN], case.masks[:SHOWN]
    columns: list[NDArray[np.uint8]] = [images, np.where(masks[..., None] > 0, np.uint8(127), images)]
    for fill in methods.values():
        columns.append(fill(images, masks).images.permute(0, 2, 3, 1).cpu().numpy())
    sheet = np.vstack([np.hstack([column[row] for column in columns]) for row in range(len(images))])
    cv2.imwrite(str(context.out / "faces.png"), sheet[..., ::-1])
