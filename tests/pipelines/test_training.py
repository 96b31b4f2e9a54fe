"""The real pipeline at tiny size, through the command that users type, in a copy of the checkout."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
import yaml

from facerecon.files import sha256_file
from tests.pipelines.conftest import Forks, forks, succeed

PROJECT = Path(__file__).resolve().parents[2]
RUN = ("zenml", "pipeline", "run", "training", "-c", "configs/ci.yaml")
FILES = {"model.onnx", "metrics.json", "report.html", "model_card.md"}
METHODS = ("model", "telea", "mean_fill")


def error_of(clone, *command, **changed) -> str:
    """The one line that a failing command ends with."""
    done = clone.run(*command, **changed)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("Error: "), lines[-3:]
    return lines[-1]


@pytest.fixture(scope="module")
def warm(clone) -> Iterator[Forks]:
    """The clone, for commands that need not start from nothing."""
    with forks(clone) as made:
        yield made


@pytest.fixture(scope="session")
def first_run(clone):
    done = clone.run(*RUN)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done


@pytest.fixture(scope="session")
def second_run(clone, first_run):
    """The same command again, after an edit of the README and after the published files were deleted, as DVC does."""
    published = {name: (clone.root / "outputs" / "ci" / name).read_bytes() for name in FILES}
    shutil.rmtree(clone.root / "outputs")
    with (clone.root / "README.md").open("a") as readme:
        readme.write("\nAn edit.\n")
    done = clone.run(*RUN)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done, published


def client(clone) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(clone.tracking_uri)


def runs(clone):
    api = client(clone)
    experiment = api.get_experiment_by_name("facerecon")
    return api.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def test_libraries_do_not_chatter(first_run):
    # Great Expectations tells of itself line by line while it is imported, unless it was told not to before
    assert "Skipping registering" not in first_run.stdout + first_run.stderr


def test_it_publishes_four_files(clone, first_run):
    published = {path.name for path in (clone.root / "outputs" / "ci").iterdir()}
    assert published == FILES | {"data_docs", "figures", "plots"}


def test_its_figures_are_complete_and_strict_json(clone, first_run):
    def refuse(constant):
        raise AssertionError(constant)

    figures = json.loads((clone.root / "outputs/ci/metrics.json").read_text(), parse_constant=refuse)
    rows = {
        (row["method"], row["metric"], row["case"], row["level"]): row
        for row in figures["figures"]
        if row["face_set"] == "test"
    }
    for method in METHODS:
        for family in ("brush", "held_out"):
            for level in (1, 2, 3):
                assert (method, "hole_psnr", family, level) in rows
    for metric in ("whole_psnr", "hole_psnr", "ssim", "lpips_vgg", "identity_dlib"):
        assert rows["model", metric, "brush", 1]["n"] == figures["faces"] == 4
    judges = {judge["metric"]: (judge["network"], judge["in_loss"], judge["note"]) for judge in figures["judges"]}
    assert judges["lpips_vgg"] == ("lpips_vgg", False, "")
    assert judges["identity_dlib"][:2] == ("dlib", False)
    assert "0.909" in judges["identity_dlib"][2]


def test_its_onnx_file_keeps_known_pixels_and_ignores_what_lies_under_the_mask(clone, first_run):
    session = onnxruntime.InferenceSession(str(clone.root / "outputs/ci/model.onnx"))
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (3, 3, 96, 64)).astype(np.float32)
    mask = np.zeros((3, 1, 96, 64), np.float32)
    mask[:, :, 20:50, 10:40] = 1
    reconstruction, confidence = session.run(None, {"image": image, "mask": mask})
    known = np.broadcast_to(mask == 0, image.shape)
    assert (reconstruction[known] == image[known]).all()
    assert (confidence[mask == 0] == 1).all()
    spoilt = np.where(mask == 1, np.float32(np.nan), image)
    again, _ = session.run(None, {"image": spoilt, "mask": mask})
    assert (again == reconstruction).all()
    assert str(clone.root).encode() not in (clone.root / "outputs/ci/model.onnx").read_bytes()
    assert {"family", "size", "mask_polarity", "weights_digest", "config_digest", "data_digest", "licence"} <= set(
        session.get_modelmeta().custom_metadata_map
    )


def test_mlflow_knows_what_made_the_run(clone, first_run):
    run = runs(clone)[0]
    for tag in (
        *("config", "git_commit", "git_diff_digest", "config_digest", "data_dvc_digest", "manifest_digest"),
        *(
            "cases_digest",
            "weights_digest",
            "pretrained",
            "lock_digest",
            "seed",
            "device",
            "threads",
            "precision",
            "task",
        ),
    ):
        assert run.data.tags[tag], tag
    head = clone.run("git", "rev-parse", "HEAD").stdout.strip()
    assert run.data.tags["git_commit"] == head
    assert run.data.params["training.losses.hole"] == "6.0"
    figures = json.loads((clone.root / "outputs/ci/metrics.json").read_text())
    rows = {
        (row["method"], row["metric"], row["case"], row["level"]): row["mean"]
        for row in figures["figures"]
        if row["face_set"] == "test"
    }
    ours, theirs = (rows[method, "hole_psnr", "brush", 2] for method in ("model", "telea"))
    assert run.data.metrics["test/hole_psnr/brush_level_2"] == pytest.approx(ours)
    assert run.data.metrics["test/gain_over_telea/brush_level_2"] == pytest.approx(ours - theirs)
    mean = sum(rows["model", "hole_psnr", "brush", level] for level in (1, 2, 3)) / 3
    assert run.data.metrics["hole_psnr"] == pytest.approx(mean)
    assert {"gain_over_telea", "lpips_vgg", "identity_dlib", "images_per_second"} <= run.data.metrics.keys()
    assert run.data.metrics["gate/hole_psnr/brush_level_2"] > 0
    assert run.data.tags["teachers"] == "lpips_alex,sface"
    assert {f"code_digest.{step}" for step in ("ingest", "train", "promote")} <= run.data.tags.keys()
    assert run.data.tags["mlflow.note.content"].startswith("Version 1 is champion")
    assert len(run.data.metrics) < 100, "more would bury the figures that runs are compared by"
    assert {data.dataset.name for data in run.inputs.dataset_inputs} == {
        f"folder-ci-{split}" for split in ("train", "val", "gate", "test")
    }
    assert any(name.startswith("best/") for name in run.data.metrics)
    curve = client(clone).get_metric_history(run.info.run_id, "loss/total")
    assert [point.step for point in curve] == [1, 2, 3, 4, 5, 6]
    files = {f.path for f in client(clone).list_artifacts(run.info.run_id, "published")}
    assert files == {f"published/{name}" for name in FILES | {"figures", "plots"}}
    assert 'href="data_docs/index.html"' in (clone.root / "outputs/ci/report.html").read_text()
    pages = {path.name for path in (clone.root / "outputs/ci/data_docs").iterdir()}
    assert {"index.html", "faces.html", "near_duplicates.html"} <= pages
    assert {f.path for f in client(clone).list_artifacts(run.info.run_id, "data_docs")} == {
        f"data_docs/{name}" for name in pages
    }
    warned = run.data.tags["data_warnings"]
    assert warned.startswith("splits: expect_column_values_to_be_between(identities, min_value=6.0) failed: ")
    assert run.data.metrics["data/warnings"] == 1
    assert f"Warning: {warned}" in " ".join((first_run.stdout + first_run.stderr).split())


def test_the_first_model_is_champion_and_its_weights_can_be_found(clone, first_run):
    version = client(clone).get_model_version_by_alias("facerecon-ci", "champion")
    assert client(clone).get_model_version_by_alias("facerecon-ci", "challenger").version == version.version
    assert Path(version.tags["weights_uri"]).is_file()
    metrics = json.loads((clone.root / "outputs/ci/metrics.json").read_text())
    assert version.tags["weights_digest"] == metrics["model"]["weights"]
    assert version.description == runs(clone)[0].data.tags["mlflow.note.content"]
    files = client(clone).list_artifacts(version.run_id, "decisions")
    assert [f"runs:/{version.run_id}/{file.path}" for file in files] == [version.tags["decision_record"]]


def test_models_are_listed_by_the_command(warm, first_run):
    shown = warm.run("facerecon", "models", COLUMNS="200")
    assert shown.returncode == 0, shown.stderr
    for wanted in ("ci/1", "champion", "hole PSNR, dB", "the first model"):
        assert wanted in shown.stdout


def test_its_champion_fills_photographs_as_a_pipeline_and_what_came_out_is_verified(clone, warm, first_run):
    settings = {
        "name": "trial",
        "model": "ci@champion",
        "inputs": ["data/ci/person_0000", "data/ci/person_0001"],
        "hide": ["mouth"],
        "out": "outputs/trial",
    }
    (clone.root / "configs" / "trial.yaml").write_text(yaml.safe_dump({"parameters": settings}))
    own = {"FACERECON_CUSTODY": str(clone.root.parent / "custody")}
    said = succeed(clone, "zenml", "pipeline", "run", "reconstruction", "-c", "configs/trial.yaml", **own)
    assert "4 reconstructed in" in said
    api = client(clone)
    experiment = api.get_experiment_by_name("facerecon-reconstructions")
    (run,) = api.search_runs([experiment.experiment_id])
    assert run.data.metrics["reconstructed"] == run.data.metrics["faces_filled"] == 4
    assert 0 < run.data.metrics["confidence_mean"] < 1
    assert run.data.tags["model_version"] == "ci/1"
    onnx_file = clone.root / "outputs" / "ci" / "model.onnx"
    assert run.data.tags["model_digest"] == sha256_file(onnx_file)
    assert not api.list_artifacts(run.info.run_id)  # no picture of anybody
    made = clone.root / "outputs" / "trial" / "photo_0.png"
    photo = clone.root / "data" / "ci" / "person_0000" / "photo_0.jpg"
    again = succeed(warm, "facerecon", "verify", str(made), "--original", str(photo), **own)
    assert "run again: the same pixels" in again
    assert "of this machine's audit log" in again
    done = warm.run("facerecon", "verify", str(made), "--original", str(photo), "--model", "configs/ci.yaml", **own)
    assert done.returncode == 2
    assert "is another model file than the record names" in done.stdout


def test_the_same_command_again_computes_nothing_and_publishes_the_same(clone, second_run):
    done, published = second_run
    log = done.stdout + done.stderr
    for step in ("train", "evaluate", "export", "promote"):
        assert f"Using cached version of step {step}." in log, step
    for name in ("model.onnx", "metrics.json"):
        assert (clone.root / "outputs/ci" / name).read_bytes() == published[name]
    first, second = runs(clone)[:2]
    assert first.info.run_id != second.info.run_id
    assert second.data.tags["repeats_run"] == second.data.tags["trained_in_run"] == first.info.run_id
    assert first.data.tags["trained_in_run"] == first.info.run_id
    assert "repeats_run" not in first.data.tags
    assert first.data.tags["code_digest.train"] == second.data.tags["code_digest.train"]
    assert second.data.tags["weights_digest"] == first.data.tags["weights_digest"]
    for name in ("best/step", "hole_psnr", "images_per_second"):
        assert second.data.metrics[name] == first.data.metrics[name]
    names = [run.info.run_name for run in (first, second)]
    assert names[0][:15] != names[1][:15], "what tells two runs apart stands first"
    curves = [client(clone).get_metric_history(run.info.run_id, "loss/total") for run in (first, second)]
    assert [p.value for p in curves[0]] == [p.value for p in curves[1]] != []
    assert len(client(clone).search_model_versions("name = 'facerecon-ci'")) == 1


def cached_steps(done) -> set[str]:
    return set(re.findall(r"Using cached version of step (\w+)\.", done.stdout + done.stderr))


@pytest.mark.slow
def test_an_edit_of_the_masks_code_computes_them_and_what_depends_on_them_again(clone, second_run):
    crops = {path: path.stat().st_mtime_ns for path in (clone.root / ".facerecon/crops").rglob("*.*")}
    with (clone.root / "facerecon/corruption/masks.py").open("a") as code:
        code.write("\n# an edit\n")
    done = clone.run(*RUN)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert cached_steps(done) == {"ingest", "validate"}
    assert len(list((clone.root / ".facerecon/cases/inpainting").iterdir())) == 2
    assert {path: path.stat().st_mtime_ns for path in (clone.root / ".facerecon/crops").rglob("*.*")} == crops
    assert len(list((clone.root / ".facerecon/checkpoints").iterdir())) == 2
    newest = runs(clone)[-1]
    assert newest.data.tags["trained_in_run"] == newest.info.run_id
    first, last = (run.data.tags for run in (runs(clone)[0], newest))
    assert first["weights_digest"] == last["weights_digest"], "a comment changes no weights"
    assert first["code_digest.train"] != last["code_digest.train"]
    assert first["code_digest.align"] == last["code_digest.align"]


@pytest.mark.slow
def test_a_deleted_artifact_is_noticed_and_made_again(clone, second_run):
    stored = (clone.root / ".facerecon/artifacts/train").rglob("model.safetensors")
    max(stored, key=lambda path: path.stat().st_mtime).unlink()
    done = clone.run(*RUN)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "step train is computed again" in done.stdout + done.stderr
    assert cached_steps(done) == {"ingest", "validate", "evaluate", "export", "promote"}


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(clone, second_run, tmp_path):
    content = yaml.safe_load((clone.root / "configs/ci.yaml").read_text())
    content["parameters"]["name"] = "killed"
    content["parameters"]["seed"] = 1
    content["parameters"]["training"] |= {"steps": 60, "validate_every": 10}
    content["parameters"]["training"]["losses"] = {"perceptual": 0.0, "identity_interval": 5}
    config = tmp_path / "killed.yaml"
    config.write_text(yaml.safe_dump(content))
    command = [str(Path(sys.executable).parent / "zenml"), "pipeline", "run", "training", "-c", str(config)]
    before = set((clone.root / ".facerecon/checkpoints").iterdir())
    process = subprocess.Popen(
        command, cwd=clone.root, env=clone.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        folder = wait_for_state(clone, before)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = clone.run(*RUN[:-1], str(config))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    resumed = json.loads((clone.root / "outputs/killed/metrics.json").read_text())["model"]["weights"]
    shutil.rmtree(folder)
    shutil.rmtree(clone.root / "outputs/killed")
    content["enable_cache"] = False
    config.write_text(yaml.safe_dump(content))
    assert clone.run(*RUN[:-1], str(config)).returncode == 0
    undisturbed = json.loads((clone.root / "outputs/killed/metrics.json").read_text())["model"]["weights"]
    assert resumed == undisturbed


@pytest.mark.slow
def test_a_run_is_reproduced_from_what_mlflow_knows_of_it(clone, second_run):
    """The second run was made with an edit that was never committed."""
    run = runs(clone)[1]
    assert run.data.tags["git_diff_digest"] != "clean"
    done = clone.run("facerecon", "reproduce", run.info.run_id)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "is reproduced: the same ONNX file, byte for byte" in done.stdout
    assert "differs:" not in done.stdout
    assert clone.run("git", "worktree", "list").stdout.count("\n") == 1, "the worktree is removed"


@pytest.mark.slow
def test_a_training_from_another_models_weights_says_so_and_is_reproduced(clone, second_run, config_with):
    """In a worktree whose registry is empty, though the alias stands for another version by then."""
    config = config_with(name="warm", training={"init_from": "ci@champion"})
    done = clone.run(*RUN[:-1], config)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    run, first = (client(clone).get_model_version(f"facerecon-{name}", "1") for name in ("warm", "ci"))
    tags = client(clone).get_run(run.run_id).data.tags
    assert tags["initial_weights"] == first.tags["weights_digest"] != tags["weights_digest"]
    assert tags["initial_weights_from"] == "facerecon-ci version 1"
    assert "facerecon-ci version 1" in clone.run("facerecon", "models", "--lineage", "warm/1", COLUMNS="200").stdout
    done = clone.run("facerecon", "reproduce", "warm/1")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "is reproduced: the same ONNX file, byte for byte" in done.stdout
    assert "differs:" not in done.stdout


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(clone, second_run, tmp_path):
    content = yaml.safe_load((clone.root / "configs/ci.yaml").read_text())
    running = []
    for name, seed in (("one", 7), ("two", 8)):
        content["parameters"] |= {"name": name, "seed": seed}
        config = tmp_path / f"{name}.yaml"
        config.write_text(yaml.safe_dump(content))
        command = [str(Path(sys.executable).parent / "zenml"), "pipeline", "run", "training", "-c", str(config)]
        options = {"cwd": clone.root, "env": clone.environment, "text": True}
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options))
    for process in running:
        said, _ = process.communicate(timeout=800)
        assert process.returncode == 0, said[-3000:]
    published = [clone.root / "outputs" / name / "metrics.json" for name in ("one", "two")]
    assert len({json.loads(path.read_text())["model"]["weights"] for path in published}) == 2
    for name in ("one", "two"):
        assert client(clone).get_model_version_by_alias(f"facerecon-{name}", "champion").version == 1


def wait_for_state(clone, before) -> Path:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for folder in set((clone.root / ".facerecon/checkpoints").iterdir()) - before:
            if (folder / "last.safetensors").is_file():
                return folder
        time.sleep(0.02)
    raise AssertionError("the training saved no state")


@pytest.fixture
def config_with(clone, tmp_path):
    """A file like configs/ci.yaml with some parameters changed."""

    def write(**changes) -> str:
        content = yaml.safe_load((clone.root / "configs/ci.yaml").read_text())
        for key, values in changes.items():
            if isinstance(values, dict):
                content["parameters"].setdefault(key, {}).update(values)
            else:
                content["parameters"][key] = values
        path = tmp_path / "changed.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def test_a_missing_folder_is_named(clone, config_with):
    error = error_of(clone, *RUN[:-1], config_with(data={"path": "data/nowhere"}))
    assert "data.path" in error
    assert "data/nowhere does not exist" in error


def test_a_folder_without_faces_is_named_and_leaves_nothing_published(warm, config_with, tmp_path):
    from PIL import Image

    for index, name in enumerate(("a", "b", "c", "d")):
        pixels = np.random.default_rng(index).integers(0, 255, (128, 128, 3), dtype=np.uint8)
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    people = {"train": ["a"], "val": ["b"], "gate": ["c"], "test": ["d"]}
    before = set((warm.root / "outputs").glob("*")) if (warm.root / "outputs").exists() else set()
    error = error_of(warm, *RUN[:-1], config_with(data={"path": str(tmp_path), "splits": {"people": people}}))
    assert "no usable face" in error
    assert set((warm.root / "outputs").glob("*") if (warm.root / "outputs").exists() else set()) == before


def test_a_misspelt_key_is_named_with_what_is_allowed(warm, config_with):
    error = error_of(warm, *RUN[:-1], config_with(training={"stepps": 5}))
    assert "parameters.training.stepps: no such key" in error
    assert "steps" in error


def test_a_task_that_is_not_there_is_named_with_those_that_are(warm, config_with):
    error = error_of(warm, *RUN[:-1], config_with(task="nonsense"))
    assert "parameters.task: task 'nonsense' not among inpainting" in error


def test_weights_to_start_from_that_are_not_there_are_named(warm, config_with):
    error = error_of(warm, *RUN[:-1], config_with(training={"init_from": "nowhere.safetensors"}))
    assert "training.init_from: " in error
    assert "nowhere.safetensors does not exist" in error


def suites_with(path, **entry):
    """The suites of the small run with another entry on faces, in a file of their own."""
    suites = yaml.safe_load((PROJECT / "configs/expectations/ci.yaml").read_text())
    suites["faces"].append({"expectation": "ExpectColumnValuesToBeBetween", **entry})
    path.write_text(yaml.safe_dump(suites))
    return {"suites": str(path)}


def test_a_failed_expectation_is_named(warm, config_with, tmp_path):
    suites = suites_with(tmp_path / "mine.yaml", column="brightness", min_value=254)
    error = error_of(warm, *RUN[:-1], config_with(validation=suites))
    assert "expect_column_values_to_be_between(brightness" in error
    assert "person_" in error


def test_suites_that_cannot_be_used_are_named_before_anything_runs(warm, config_with, tmp_path):
    before = len(runs(warm))
    suites = suites_with(tmp_path / "mine.yaml", column="brightnes", min_value=254)
    error = error_of(warm, *RUN[:-1], config_with(validation=suites))
    assert "mine.yaml: faces, entry" in error
    assert "faces has no column 'brightnes'; it has face, uri," in error
    assert len(runs(warm)) == before


def test_missing_weights_without_network_are_named(warm, config_with, tmp_path):
    error = error_of(
        warm,
        *RUN[:-1],
        config_with(alignment={"max_padding": 0.19}),
        FACERECON_WEIGHTS=str(tmp_path / "none"),
        UV_OFFLINE="1",
        UV_CACHE_DIR=str(tmp_path / "uv"),
    )
    assert "face_landmarker" in error


def test_a_stack_without_tracker_is_named(warm):
    assert warm.run("zenml", "stack", "set", "default").returncode == 0
    try:
        assert "has no experiment tracker: run `make stack`" in error_of(warm, *RUN)
    finally:
        assert warm.run("facerecon", "stack").returncode == 0
