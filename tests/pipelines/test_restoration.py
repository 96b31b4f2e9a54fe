"""The whole pipeline of restoration at tiny size: it promotes, runs again from the cache, and its champion is used."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
import yaml

from facerecon.images import read_rgb
from tests.pipelines.conftest import STEPS, Forks, cached, forks, refused, succeed

RUN = ("zenml", "pipeline", "run", "training", "-c", "configs/tiny.yaml")
CONFIG = {
    "name": "tiny",
    "task": "restoration",
    "data": {
        "source": "folder",
        "path": "data/ci",
        "licence": "drawn by this project, MIT",
        "splits": {"train": 0.4, "val": 0.2, "gate": 0.2, "test": 0.2},
    },
    "alignment": {"size": 64, "workers": 1},
    "validation": {"suites": "configs/expectations/ci.yaml"},
    "degradations": {"training": ["mild", "motion"], "evaluation": ["mild", "motion"], "faces": 4},
    "model": {"family": "unet", "options": {"features": [4, 8], "fold": 4}},
    "training": {
        "steps": 4,
        "batch_size": 4,
        "warmup_steps": 1,
        "validate_every": 2,
        "validation_faces": 2,
        "losses": {"perceptual_interval": 2, "identity_interval": 3},
        "adversarial": {"width": 8},
    },
    "evaluation": {"max_faces": 4, "samples": 2, "as_used": 2},
    "promotion": {"max_faces": 4},
    "onnx": {"parity_faces": 2},
}


@pytest.fixture(scope="module")
def warm(clone, another_checkout) -> Iterator[Forks]:
    """A copy of the checkout with the drawn faces and a config of restoration; its commands share their imports."""
    made = another_checkout("restoration")
    shutil.copytree(clone.root / "data" / "ci", made.root / "data" / "ci")
    (made.root / "configs" / "tiny.yaml").write_text(yaml.safe_dump({"parameters": CONFIG}))
    with forks(made) as running:
        yield running


@pytest.fixture(scope="module")
def first(warm: Forks) -> str:
    """What the first run says."""
    return succeed(warm, *RUN)


@pytest.fixture(scope="module")
def own(warm: Forks) -> dict[str, str]:
    """A key and an audit log of the module's own."""
    return {"FACERECON_CUSTODY": str(warm.root.parent / "custody")}


def photo_of(warm: Forks) -> Path:
    return warm.root / "data/ci/person_0000/photo_0.jpg"


def test_all_steps_run_and_the_first_model_is_champion(warm: Forks, first: str) -> None:
    assert [step for step in STEPS if f"Step {step} has started" in first] == list(STEPS)
    client = mlflow.MlflowClient(warm.tracking_uri)
    version = client.get_model_version_by_alias("facerecon-tiny", "champion")
    assert (int(version.version), version.tags["task"]) == (1, "restoration")
    metrics = client.get_run(version.run_id).data.metrics
    assert {"lpips_vgg", "whole_psnr", "best/lpips_vgg/mild", "images_per_second"} <= set(metrics)
    figures = json.loads((warm.root / "outputs/tiny/metrics.json").read_text())["figures"]
    measured = {(row["method"], row["case"]) for row in figures if row["metric"] == "lpips_vgg"}
    assert {("model", "mild"), ("input", "motion")} <= measured
    report = (warm.root / "outputs/tiny/report.html").read_text()
    assert re.search(r"an epoch of \d+ faces takes \d+ seconds on the machine of this training", report)


def test_its_onnx_file_keeps_the_contract_of_restoration(warm: Forks, first: str) -> None:
    session = onnxruntime.InferenceSession(str(warm.root / "outputs/tiny/model.onnx"))
    assert session.get_modelmeta().custom_metadata_map["task"] == "restoration"
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    restored, confidence = session.run(["restoration", "confidence"], {"image": image})
    assert (restored.shape, confidence.shape) == (image.shape, (2, 1, 64, 64))
    assert np.abs(restored).max() <= 1
    assert (confidence.min() >= 0, confidence.max() <= 1) == (True, True)


def test_the_same_again_is_served_from_the_cache_and_publishes_the_same(warm: Forks, first: str) -> None:
    outputs = warm.root / "outputs/tiny"
    published = {name: (outputs / name).read_bytes() for name in ("model.onnx", "metrics.json")}
    shutil.rmtree(outputs)
    said = succeed(warm, *RUN)
    # crops and frozen cases are verified, and the files are written, in each run
    assert cached(said) == set(STEPS) - {"align", "freeze_cases", "publish"}
    assert {name: (outputs / name).read_bytes() for name in published} == published
    client = mlflow.MlflowClient(warm.tracking_uri)
    assert len(client.search_model_versions("name = 'facerecon-tiny'")) == 1


def test_its_champion_restores_a_photo_by_the_command(warm: Forks, first: str, own: dict[str, str]) -> None:
    photo, out = photo_of(warm), warm.root / "outputs/by_hand"
    said = succeed(warm, "facerecon", "restore", str(photo), "--out", str(out), **own)
    assert "1 face restored" in said
    made = read_rgb(out / "photo_0.png")
    assert made.shape == read_rgb(photo).shape
    assert (made != read_rgb(photo)).any()
    verified = succeed(warm, "facerecon", "verify", str(out / "photo_0.png"), "--original", str(photo), **own)
    assert "run again: the same pixels" in verified


def test_its_champion_restores_a_folder_as_a_pipeline(warm: Forks, first: str, own: dict[str, str]) -> None:
    use = {"name": "use", "task": "restoration", "inputs": ["data/ci/person_0001"], "out": "outputs/use", "upscale": 2}
    path = warm.root / "configs" / "use.yaml"
    path.write_text(yaml.safe_dump({"parameters": use}))
    command = ("zenml", "pipeline", "run", "reconstruction", "-c", "configs/use.yaml")
    assert "2 restored in" in succeed(warm, *command, **own)
    client = mlflow.MlflowClient(warm.tracking_uri)
    experiment = client.get_experiment_by_name("facerecon-reconstructions")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["restored"] == run.data.metrics["faces_restored"] == 2
    assert (run.data.tags["model_version"], run.data.params["upscale"]) == ("tiny/1", "2")
    assert not client.list_artifacts(run.info.run_id)  # no picture of anybody
    assert read_rgb(warm.root / "outputs/use/photo_0.png").shape == (384, 384, 3)
    path.write_text(yaml.safe_dump({"parameters": use | {"hide": ["mouth"]}}))
    assert "hide: restoration hides nothing" in refused(warm, *command, **own)
