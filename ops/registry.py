"""MLflow's model registry, the truth about promotion: one registered model per named config."""

import fcntl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray
from zenml.io import fileio

from facerecon.errors import FaceReconError
from facerecon.export.onnx import ExportedModel
from facerecon.training.checkpoints import TrainedModel
from ops.paths import state_folder

CHAMPION, CHALLENGER = "champion", "challenger"

Scores = dict[str, float]
"""Mean hole PSNR in dB on the gate split by ``level_<k>``."""


def registered_name(config: str) -> str:
    """The registered model of a named config: a demo champion never competes with another config's."""
    return f"facerecon-{config}"


@contextmanager
def registry_lock() -> Iterator[None]:
    """One promotion at a time in this clone: setting an alias knows no compare-and-set."""
    path = state_folder() / "registry.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def log_onnx(exported: ExportedModel, stride: int) -> str:
    """Log the ONNX file as a model of the active run, with signature and example; returns its uri.

    The example is a gradient with a square hole: no one's face is kept with the model.
    """
    image, mask = (np.dtype(np.float32), (-1, 3, -1, -1)), (np.dtype(np.float32), (-1, 1, -1, -1))
    signature = ModelSignature(
        inputs=Schema([TensorSpec(*image, "image"), TensorSpec(*mask, "mask")]),
        outputs=Schema([TensorSpec(*image, "reconstruction"), TensorSpec(*mask, "confidence")]),
    )
    info = mlflow.onnx.log_model(
        onnx.load_from_string(exported.content),
        name="model",
        signature=signature,
        input_example=example_input(max(32, stride)),
        pip_requirements=[f"onnx=={onnx.__version__}", "onnxruntime", "numpy"],
    )
    return str(info.model_uri)


def example_input(side: int) -> dict[str, NDArray[np.float32]]:
    """A gradient [1, 3, side, side] in [-1, 1] and a mask [1, 1, side, side] with a square hole (1) in the middle."""
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    image = np.broadcast_to(ramp, (1, 3, side, side)).copy()
    mask = np.zeros((1, 1, side, side), np.float32)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return {"image": image, "mask": mask}


def challenge(
    config: str,
    model_uri: str,
    weights_uri: str,
    trained: TrainedModel,
    tags: dict[str, str],
    score: Callable[[TrainedModel], dict[str, NDArray[np.float64]]],
    margin: float,
) -> dict[str, Any]:
    """Register a version as challenger and make it champion if there is none or it beats the champion by ``margin`` dB.

    ``score`` gives each gate face's hole PSNR by level; both models are scored by it, on the same faces and masks.
    The means over the levels are compared. Repeating the call for the same weights changes nothing twice.

    Raises:
        FaceReconError: a score is no finite number.
    """
    client, name = MlflowClient(), registered_name(config)
    challenger = _means(score(trained), "the new model")
    with registry_lock():
        before = _champion(client, name)
        version = _version_of(client, name, model_uri, trained.digest, {**tags, "weights_uri": weights_uri})
        client.set_registered_model_alias(name, CHALLENGER, version.version)
        for level, value in challenger.items():
            client.set_model_version_tag(name, version.version, f"gate_{level}", f"{value:.6f}")
        incumbent = None
        if before is None or before.version == version.version:
            wins, reason = True, "no other champion to beat"
        else:
            incumbent, wins, reason = _compare(before, challenger, score, margin)
        if wins:
            client.set_registered_model_alias(name, CHAMPION, version.version)
        client.set_model_version_tag(name, version.version, "decision", reason)
    return {
        "registered_model": name,
        "version": int(version.version),
        "champion": wins,
        "reason": reason,
        "challenger": challenger,
        "champion_before": incumbent,
        "champion_version": None if before is None else int(before.version),
    }


def _compare(
    before: ModelVersion, challenger: Scores, score: Callable[[TrainedModel], Any], margin: float
) -> tuple[Scores | None, bool, str]:
    """The champion's scores today, whether the challenger wins, and why."""
    try:
        incumbent = _means(score(_weights_of(before)), f"champion version {before.version}")
    except FaceReconError as error:
        return None, False, f"the champion, version {before.version}, cannot be scored: {error.message}"
    gain = _overall(challenger) - _overall(incumbent)
    wins = gain > margin
    said = "beats" if wins else "does not beat"
    reason = (
        f"{_overall(challenger):.3f} dB against {_overall(incumbent):.3f} dB of version {before.version}: "
        f"{said} it by more than {margin:g} dB"
    )
    return incumbent, wins, reason


def _means(scores: dict[str, NDArray[np.float64]], whose: str) -> Scores:
    means = {level: float(np.mean(values)) for level, values in scores.items()}
    if not means or not all(np.isfinite(value) for value in means.values()):
        raise FaceReconError(f"promotion: the gate score of {whose} is no finite number ({means}): it is not promoted")
    return means


def _overall(scores: Scores) -> float:
    return float(np.mean(list(scores.values())))


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None


def _version_of(client: MlflowClient, name: str, model_uri: str, digest: str, tags: dict[str, str]) -> ModelVersion:
    """The version that holds these weights, registered now if there is none."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get("weights_digest") == digest and version.source == model_uri:
            return version
    return mlflow.register_model(model_uri, name, tags={**tags, "weights_digest": digest})


def _weights_of(version: ModelVersion) -> TrainedModel:
    """The weights of a registered version from the uri that stands on it."""
    uri = version.tags.get("weights_uri", "")
    if not uri or not fileio.exists(uri):
        raise FaceReconError(f"its weights are gone from {uri or 'nowhere'}")
    with tempfile.TemporaryDirectory() as folder, fileio.open(uri, "rb") as stream:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(stream.read())
        model = TrainedModel.read(path)
    if model.digest != version.tags.get("weights_digest"):
        raise FaceReconError(f"the weights at {uri} are not those that were registered")
    return model
