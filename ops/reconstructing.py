"""Reconstruction, restoration and measurement as a pipeline: the model is resolved before the run, what came out is
told to MLflow.

Only numbers and digests go to the tracker: pictures and names of files stay in the folder that was asked for, so that
nobody has to be forgotten there.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import mlflow
from mlflow import MlflowClient

from facerecon.contract import INPAINTING, LANDMARKS, RESTORATION
from facerecon.errors import FaceReconError
from facerecon.files import digest_of
from facerecon.inference.making import Model, Request, RestorationRequest, Wanted
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.media import find_given
from facerecon.inference.reconstruct import Result, measure, reconstruct, restore
from facerecon.inference.settings import (
    AnyUse,
    MeasurementSettings,
    ReconstructionSettings,
    RestorationSettings,
    UseSettings,
)
from facerecon.workspace import PROJECT
from ops.stack.tracker import SERVER, create_experiment
from ops.using import login_name, model_in_use, software

EXPERIMENT = "facerecon-reconstructions"

Resolved = list[tuple[str, str]]
"""The version (demo/3) or path of each model and the SHA-256 of its file: what fills first, then what restores."""

_DONE = {
    INPAINTING.task: ("reconstructed", "filled"),
    RESTORATION.task: ("restored", "restored"),
    LANDMARKS.task: ("measured", "measured"),
}
"""What is said of results and of faces, by the task of the first model."""


def resolved(settings: AnyUse) -> Resolved:
    """The models that are meant now.

    They are a parameter of the step, so that a run says which champions it has used. MLflow gets the runs' experiment.
    """
    uri = mlflow.get_tracking_uri()
    create_experiment(MlflowClient() if uri.startswith(SERVER) else None, EXPERIMENT)
    asked = [_model(settings.model)]
    if isinstance(settings, ReconstructionSettings) and settings.restore is not None:
        asked.append(_model(settings.restore))
    models = [model_in_use(text, task) for text, task in zip(asked, _tasks(settings), strict=False)]
    return [(str(model) if model.version else text, model.digest) for text, model in zip(asked, models, strict=True)]


def fingerprint(settings: UseSettings) -> str:
    """A digest of names, sizes and times of what is to be reconstructed, restored or measured.

    Raises:
        FaceReconError: something is not there, or holds no photo and no clip.
    """
    found = find_given(_paths(settings.inputs), PROJECT / settings.out)
    states = {str(given.name): [state.st_size, state.st_mtime_ns] for given in found for state in [given.path.stat()]}
    return digest_of(states)


def reconstruct_all(settings: AnyUse, chosen: Resolved) -> list[dict[str, Any]]:
    """Reconstruct, restore or measure, tell MLflow, and list what came out: a row of each photo or clip, unnamed.

    Raises:
        FaceReconError: a model is another than was resolved, or nothing at all came out.
    """
    models = [model_in_use(version, task) for (version, _), task in zip(chosen, _tasks(settings), strict=False)]
    for model, (version, digest) in zip(models, chosen, strict=True):
        if model.digest != digest:
            raise FaceReconError(f"{version} is no longer the file that this run began with: start it anew")
    about: dict[str, Any] = {
        "model": models[0],
        "faces": settings.face,
        "lossless": settings.lossless,
        "case": settings.case,
        "reason": settings.reason,
        "operator": settings.operator or login_name(),
        "software": software(),
    }
    paths, out = _paths(settings.inputs), PROJECT / Path(settings.out).expanduser()
    request: Wanted
    if isinstance(settings, RestorationSettings):
        request = RestorationRequest(**about, upscale=settings.upscale)
        results = list(restore(paths, request, out, settings.threads))
    elif isinstance(settings, MeasurementSettings):
        request = MeasurementRequest(**about)
        results = list(measure(paths, request, out, settings.threads))
    else:
        hidden: dict[str, Any] = {"regions": settings.hide, "dilation": settings.dilation if settings.hide else None}
        request = Request(**about, **hidden, restorer=models[1] if models[1:] else None)
        mask = None if settings.mask is None else PROJECT / Path(settings.mask).expanduser()
        results = list(reconstruct(paths, request, out, mask, settings.threads))
    done, _ = _DONE[settings.task]
    failed = [result for result in results if result.error]
    for result in failed:
        print(f"Error: {result.error}")
    if len(failed) == len(results):
        raise FaceReconError(f"nothing could be {done}, the first of {len(failed)}: {failed[0].error}")
    _tell(settings, request.models, results)
    print(f"{len(results) - len(failed)} {done} in {out}, {len(failed)} could not be")
    return [_row(result, done) for result in results]


def _tasks(settings: AnyUse) -> tuple[str, ...]:
    """Of the models in their order."""
    return (settings.task, RESTORATION.task)


def _tell(settings: AnyUse, models: Sequence[Model], results: list[Result]) -> None:
    asked = settings.model_dump(mode="json", exclude={"inputs", "out", "mask", "case", "reason", "operator"})
    if isinstance(settings, ReconstructionSettings):
        asked |= {"hide": ",".join(settings.hide), "masked": settings.mask is not None}
    mlflow.log_params(asked)
    for name, model in zip(("model", "restorer"), models, strict=False):
        mlflow.set_tags({f"{name}_version": str(model), f"{name}_digest": model.digest})
    mlflow.set_tags(software())
    new = [result.record for result in results if result.record is not None]
    faces = [face for record in new for frame in record.frames for face in frame.faces if face.done]
    done, changed = _DONE[settings.task]
    figures: dict[str, float] = {
        "inputs": len(results),
        done: len(new),
        "there_already": sum(result.already for result in results),
        "refused": sum(bool(result.error) for result in results),
        f"faces_{changed}": len(faces),
    }
    if faces:
        figures["confidence_mean"] = fmean(face.confidence_mean or 0.0 for face in faces)
    if faces and not isinstance(settings, MeasurementSettings):
        figures["enlarged_mean"] = fmean(face.enlarged or 0.0 for face in faces)
    if faces and isinstance(settings, ReconstructionSettings):
        figures["hidden_mean"] = fmean(face.hidden or 0.0 for face in faces)
    mlflow.log_metrics(figures)


def _row(result: Result, done: str) -> dict[str, Any]:
    if result.record is None:
        return {"record": "", "state": "refused" if result.error else "there already"}
    return {"record": result.record.id, "state": done}


def _model(text: str) -> str:
    return str(PROJECT / text) if text.endswith(".onnx") else text


def _paths(names: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(PROJECT / Path(name).expanduser() for name in names)
