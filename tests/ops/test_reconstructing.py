"""Reconstruction as a pipeline's step: the models of its settings, by which all is made, and what MLflow is told."""

from pathlib import Path

import mlflow
import pytest

from facerecon.errors import FaceReconError
from facerecon.inference.making import Model
from facerecon.inference.settings import MeasurementSettings, ReconstructionSettings, RestorationSettings
from ops.reconstructing import reconstruct_all, resolved


@pytest.fixture
def models(inpainting_model: Model, restoration_model: Model, tmp_path: Path) -> list[Path]:
    """A file that fills and one that restores."""
    paths = [tmp_path / "fills.onnx", tmp_path / "restores.onnx"]
    for path, model in zip(paths, (inpainting_model, restoration_model), strict=True):
        path.write_bytes(model.content)
    return paths


@pytest.mark.parametrize("restored", [False, True], ids=["filled", "filled_and_restored"])
def test_a_run_names_its_models_and_uses_these(
    photo: Path,
    mask: Path,
    models: list[Path],
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restored: bool,
) -> None:
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    used = models if restored else models[:1]
    settings = ReconstructionSettings(
        name="trial",
        model=str(models[0]),
        restore=str(models[1]) if restored else None,
        inputs=(str(photo),),
        mask=str(mask),
        out=str(tmp_path / "out"),
    )
    chosen = resolved(settings)
    assert [text for text, _ in chosen] == [str(path) for path in used]
    with mlflow.start_run() as run:
        (row,) = reconstruct_all(settings, chosen)
    assert row["state"] == "reconstructed"
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert tags["model_digest"] == chosen[0][1]
    assert tags.get("restorer_digest") == (chosen[1][1] if restored else None)
    used[-1].write_bytes(models[0].read_bytes() + b" ")
    with pytest.raises(FaceReconError, match="is no longer the file that this run began with"):
        reconstruct_all(settings, chosen)


def test_a_model_of_restoration_alone_restores_and_that_is_what_is_told(
    photo: Path, models: list[Path], state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    common = {"name": "trial", "inputs": (str(photo),), "out": str(tmp_path / "out"), "upscale": 2}
    settings = RestorationSettings(model=str(models[1]), **common)
    chosen = resolved(settings)
    with mlflow.start_run() as run:
        (row,) = reconstruct_all(settings, chosen)
    assert row["state"] == "restored"
    data = mlflow.get_run(run.info.run_id).data
    assert (data.metrics["restored"], data.metrics["faces_restored"], data.params["upscale"]) == (1, 1, "2")
    assert "hidden_mean" not in data.metrics
    assert (data.tags["model_digest"], "restorer_digest" in data.tags) == (chosen[0][1], False)
    fills = RestorationSettings(model=str(models[0]), **common)
    with pytest.raises(FaceReconError, match="a model of task 'inpainting'; expected one of task 'restoration'"):
        reconstruct_all(fills, resolved(fills))


def test_a_model_of_landmarks_measures_and_that_is_what_is_told(
    photo: Path, measuring_model: Model, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    model = tmp_path / "mean.onnx"
    model.write_bytes(measuring_model.content)
    settings = MeasurementSettings(name="trial", inputs=(str(photo),), out=str(tmp_path / "out"), model=str(model))
    chosen = resolved(settings)
    with mlflow.start_run() as run:
        (row,) = reconstruct_all(settings, chosen)
    assert row["state"] == "measured"
    data = mlflow.get_run(run.info.run_id).data
    assert (data.metrics["measured"], data.metrics["faces_measured"], data.params["face"]) == (1, 1, "all")
    assert 0 < data.metrics["confidence_mean"] <= 1
    assert {"enlarged_mean", "hidden_mean"}.isdisjoint(data.metrics)
    assert data.tags["model_digest"] == chosen[0][1]
    assert (tmp_path / "out" / f"{photo.stem}.landmarks.png").is_file()
