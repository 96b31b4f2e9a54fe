"""The whole pipeline of landmarks at tiny size: it draws faces, promotes, runs again from the cache, and is used."""

import json
import shutil
from collections.abc import Iterator

import mlflow
import numpy as np
import onnxruntime
import pytest
import yaml

from facerecon.inference.making import Model
from tests.pipelines.conftest import STEPS, Forks, cached, forks, refused, succeed

RUN = ("zenml", "pipeline", "run", "training", "-c", "configs/tiny.yaml")
PEOPLE = 9
SPLITS = {"val": [5], "gate": [6], "test": [7, 8], "train": range(5)}
CONFIG = {
    "name": "tiny",
    "task": "landmarks",
    "data": {
        "source": "drawn",
        "path": "data/tiny",
        "licence": "drawn by this project, MIT",
        "splits": {"people": {split: [f"drawn-0-{number}" for number in of] for split, of in SPLITS.items()}},
        "draw": {"people": PEOPLE, "photos": 2, "size": 256, "workers": 1},
    },
    "alignment": {"size": 64, "workers": 1},
    "validation": {"suites": "configs/expectations/ci.yaml"},
    "degradations": {"training": ["low_resolution"], "evaluation": ["clean", "low_resolution"], "faces": 4},
    "model": {"family": "multitask", "options": {"width": 16}},
    "training": {
        "steps": 4,
        "batch_size": 4,
        "warmup_steps": 1,
        "validate_every": 2,
        "validation_faces": 2,
    },
    "evaluation": {"max_faces": 4, "samples": 2, "as_used": 2},
    "promotion": {"max_faces": 4},
    "onnx": {"parity_faces": 2},
}


@pytest.fixture(scope="module")
def warm(another_checkout) -> Iterator[Forks]:
    """A copy of the checkout with a config of landmarks; its commands share their imports."""
    made = another_checkout("landmarks")
    (made.root / "configs" / "tiny.yaml").write_text(yaml.safe_dump({"parameters": CONFIG}))
    with forks(made) as running:
        yield running


@pytest.fixture(scope="module")
def first(warm: Forks) -> str:
    """What the first run says."""
    return succeed(warm, *RUN)


def test_faces_are_drawn_and_the_first_model_is_champion(warm: Forks, first: str) -> None:
    assert [step for step in STEPS if f"Step {step} has started" in first] == list(STEPS)
    assert f"{2 * PEOPLE} photos of {PEOPLE} people drawn" in first
    client = mlflow.MlflowClient(warm.tracking_uri)
    version = client.get_model_version_by_alias("facerecon-tiny", "champion")
    assert (int(version.version), version.tags["task"]) == (1, "landmarks")
    metrics = client.get_run(version.run_id).data.metrics
    assert {"nme", "nme_3d", "depth_rmse", "failure"} <= set(metrics)
    figures = json.loads((warm.root / "outputs/tiny/metrics.json").read_text())["figures"]
    measured = {(row["method"], row["case"]) for row in figures if row["metric"] == "nme"}
    assert {("model", "clean"), ("hog_ridge", "low_resolution"), ("mean_shape", "clean")} <= measured
    report = (warm.root / "outputs/tiny/report.html").read_text()
    assert "drawn faces are not photographs" in report
    assert "model, face found by MTCNN alone" in report


def test_its_onnx_file_keeps_the_contract_of_landmarks(warm: Forks, first: str) -> None:
    session = onnxruntime.InferenceSession(str(warm.root / "outputs/tiny/model.onnx"))
    assert session.get_modelmeta().custom_metadata_map["task"] == "landmarks"
    image = np.random.default_rng(0).uniform(-1, 1, (3, 3, 64, 64)).astype(np.float32)
    landmarks, depth, confidence = session.run(["landmarks", "depth", "confidence"], {"image": image})
    assert (landmarks.shape, depth.shape, confidence.shape) == ((3, 68, 3), (3, 1, 64, 64), (3, 68))
    assert (confidence.min() >= 0, confidence.max() <= 1) == (True, True)


def test_the_same_again_is_served_from_the_cache_and_publishes_the_same(warm: Forks, first: str) -> None:
    outputs = warm.root / "outputs/tiny"
    published = {name: (outputs / name).read_bytes() for name in ("model.onnx", "metrics.json")}
    shutil.rmtree(outputs)
    said = succeed(warm, *RUN)
    assert "drawn in" not in said, "what is there is not drawn again"
    # crops and frozen cases are verified, and the files are written, in each run
    assert cached(said) == set(STEPS) - {"align", "freeze_cases", "publish"}
    assert {name: (outputs / name).read_bytes() for name in published} == published


def test_a_drawn_photo_that_is_gone_is_drawn_again(warm: Forks, first: str) -> None:
    photo = warm.root / "data/tiny/person_0003/photo_1.jpg"
    content = photo.read_bytes()
    photo.unlink()
    assert "1 photos of" in succeed(warm, *RUN)
    assert photo.read_bytes() == content


def test_other_commands_refuse_its_champion(warm: Forks, first: str) -> None:
    photo = str(warm.root / "data/tiny/person_0007/photo_0.jpg")
    said = refused(warm, "facerecon", "restore", photo, "--out", "outputs/no", "--model", "tiny@champion")
    assert "landmarks" in said
    assert not [*(warm.root / "outputs/no").rglob("*")]


def test_faces_are_measured_as_a_pipeline_and_a_champion_that_is_not_sure_of_them_refuses(
    warm: Forks, first: str, measuring_model: Model
) -> None:
    own = {"FACERECON_CUSTODY": str(warm.root.parent / "custody")}
    (warm.root / "mean.onnx").write_bytes(measuring_model.content)
    use = {"name": "use", "task": "landmarks", "inputs": ["data/tiny/person_0007"], "out": "outputs/use"}
    path = warm.root / "configs" / "use.yaml"
    path.write_text(yaml.safe_dump({"parameters": {**use, "model": "mean.onnx"}}))
    command = ("zenml", "pipeline", "run", "reconstruction", "-c", "configs/use.yaml")
    assert "2 measured in" in succeed(warm, *command, **own)
    client = mlflow.MlflowClient(warm.tracking_uri)
    experiment = client.get_experiment_by_name("facerecon-reconstructions")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["measured"] == run.data.metrics["faces_measured"] == 2
    assert run.data.tags["model_digest"] == measuring_model.digest
    assert not client.list_artifacts(run.info.run_id)  # no picture of anybody
    assert (warm.root / "outputs/use/photo_1.landmarks.json").is_file()
    # four steps of training make nobody sure
    said = refused(warm, "facerecon", "landmarks", "data/tiny/person_0007/photo_0.jpg", "--out", "outputs/no", **own)
    assert "nothing was measured: face 1: no face by the network's confidence" in said
