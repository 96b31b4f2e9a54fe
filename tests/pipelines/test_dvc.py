"""`dvc repro` around the real pipeline: what is remembered, compared, and made again. Slow, all of it."""

import json
import shutil
from pathlib import Path

import mlflow
import pytest
import yaml

from facerecon.synthetic.clips import write_clips
from facerecon.weights import weights_path

pytestmark = pytest.mark.slow

AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.com")


def succeed(clone, *command: str, **changed: str) -> str:
    done = clone.run(*command, **changed)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def commit(clone, message: str) -> None:
    succeed(clone, "git", "add", "-A")
    succeed(clone, "git", *AUTHOR, "commit", "-qm", message)


def published(folder: Path) -> dict[str, bytes]:
    """What a run publishes that must not depend on when and where it ran: all but the report and the model card."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: files[name] for name in files if name.startswith(("model.onnx", "metrics.json", "figures", "plots"))}


def written(folder: Path) -> dict[Path, int]:
    """When each file was written last, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def set_seed(clone, seed: int) -> None:
    content = yaml.safe_load((clone.root / "configs/ci.yaml").read_text())
    content["parameters"] |= {"name": "few", "seed": seed}
    content["parameters"]["data"]["path"] = "data/few"
    (clone.root / "configs/few.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def versions(another_clone):
    """Two commits, a run each: with seed 0, then with seed 1. What each published, and what DVC said."""
    clone = another_clone
    stage = clone.root / "dvc.yaml"
    stage.write_text(stage.read_text().replace("config: demo", "config: few"))
    (clone.root / "data.dvc").unlink()
    succeed(clone, "dvc", "add", "--quiet", "data")
    outputs = clone.root / "outputs/few"
    set_seed(clone, 0)
    first_said = succeed(clone, "dvc", "repro")
    first = published(outputs)
    again_said = succeed(clone, "dvc", "repro")
    commit(clone, "seed 0")
    set_seed(clone, 1)
    crops = written(clone.root / ".facerecon/crops")
    second_said = succeed(clone, "dvc", "repro")
    second = published(outputs)
    assert crops, "the first run cut faces out"
    assert written(clone.root / ".facerecon/crops") == crops, "no face is cut out again"
    return clone, (first, second), (first_said, again_said, second_said)


def test_it_runs_once_and_then_says_that_all_is_up_to_date(versions):
    _, (first, _), (first_said, again_said, _) = versions
    assert "zenml pipeline run training -c configs/few.yaml" in first_said
    assert "Data and pipelines are up to date." in again_said
    assert {"figures/test/brush_level_1.json", "figures/best_validation.json", "plots/training.csv"} <= set(first)
    assert b"images_per_second" not in b"".join(first.values())


def test_a_changed_config_trains_again_and_aligns_nothing_again(versions):
    clone, (first, second), (_, _, said) = versions
    assert "zenml pipeline run training -c configs/few.yaml" in said
    for step in ("ingest", "validate"):
        assert f"Using cached version of step {step}." in said, step
    assert first["model.onnx"] != second["model.onnx"]
    shown = json.loads(succeed(clone, "dvc", "metrics", "diff", "--json"))
    case = shown["outputs/few/figures/test/brush_level_1.json"]["hole_psnr"]
    old, new = (json.loads(each["figures/test/brush_level_1.json"])["hole_psnr"] for each in (first, second))
    assert (case["old"], case["new"]) == (old, new)


def test_mlflow_names_the_data_by_the_digest_of_dvc(versions):
    clone, *_ = versions
    client = mlflow.MlflowClient(clone.tracking_uri)
    experiment = client.get_experiment_by_name("facerecon")
    tags = client.search_runs([experiment.experiment_id])[0].data.tags
    recorded = yaml.safe_load((clone.root / "data.dvc").read_text())["outs"][0]["md5"]
    assert tags["data_dvc_digest"] == recorded


def test_an_older_commit_gives_its_figures_again(versions, tmp_path):
    """With state of its own, so that nothing can come out of a cache."""
    clone, (first, second), _ = versions
    outputs = clone.root / "outputs/few"
    commit(clone, "seed 1")
    succeed(clone, "git", "checkout", "-q", "HEAD~1")
    succeed(clone, "dvc", "checkout")
    assert published(outputs) == first
    fresh = {"FACERECON_STATE": str(tmp_path / "state"), "ZENML_CONFIG_PATH": str(tmp_path / "zenml")}
    try:
        shutil.rmtree(outputs)
        succeed(clone, "facerecon", "stack", **fresh)
        said = succeed(clone, "zenml", "pipeline", "run", "training", "-c", "configs/few.yaml", **fresh)
        assert "Using cached version" not in said
        assert published(outputs) == first
    finally:
        succeed(clone, "git", "checkout", "-q", "-")
        succeed(clone, "dvc", "checkout", "--force")
    assert published(outputs) == second


def test_a_clip_that_comes_in_leaves_the_stage_up_to_date_and_the_recorded_difference_empty(versions):
    clone, (_, second), _ = versions
    face = {"guest": sorted((clone.root / "data/few").rglob("*.jpg"))[:1]}
    write_clips(clone.root / "inbox", face, weights_path("face_landmarker"), "day", seed=3, workers=1)
    (clone.root / "inbox/truth.json").unlink()
    content = yaml.safe_load((clone.root / "configs/few.yaml").read_text())
    content["parameters"]["retraining"] = {
        "inbox": {"settle": 0},
        "collect": {
            "min_quality": 0.2,
            "footage": {"same_person": "clip", "workers": 1},
            "splits": {"train": 1, "val": 0, "gate": 0, "test": 0},
        },
        "decision": {"force": True},
    }
    (clone.root / "configs/few_retraining.yaml").write_text(yaml.safe_dump(content))
    commit(clone, "a config for retraining")
    succeed(clone, "facerecon", "stack")  # the run with state of its own made another one this checkout's
    said = succeed(clone, "zenml", "pipeline", "run", "retraining", "-c", "configs/few_retraining.yaml")
    assert "1 clip (day-000.mp4)" in said
    client = mlflow.MlflowClient(clone.tracking_uri)
    experiment = client.get_experiment_by_name("facerecon")
    tags = client.search_runs([experiment.experiment_id])[0].data.tags
    assert tags["retraining_decision"].startswith("retrain: forced")
    assert tags["git_diff_digest"] == "clean"
    assert "Data and pipelines are up to date." in succeed(clone, "dvc", "repro")
    assert published(clone.root / "outputs/few") == second
