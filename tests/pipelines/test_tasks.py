"""A task is one module and one config: nothing else knows of it, and everything works with it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import onnxruntime
import pytest

TOY = Path(__file__).with_name("toy_task")
RUN = ("zenml", "pipeline", "run", "training", "-c", "configs/mean_colour.yaml")


@pytest.fixture(scope="module")
def toy(clone, another_checkout):
    """A clone into which the toy task's module and config were copied, and which dvc.yaml names."""
    made = another_checkout("toy")
    first, others = made.root / "data" / "ci", made.root / "data" / "others"
    shutil.copytree(clone.root / "data" / "ci", first)
    others.mkdir()
    for person in sorted(first.iterdir())[::3]:
        person.rename(others / person.name)
    shutil.copy(TOY / "mean_colour.py", made.root / "facerecon" / "tasks")
    shutil.copy(TOY / "mean_colour.yaml", made.root / "configs")
    dvc = made.root / "dvc.yaml"
    dvc.write_text(dvc.read_text().replace("config: demo", "config: mean_colour"))
    return made


def run(toy, *command):
    done = toy.run(*(command or RUN))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def first(toy):
    """The run, killed once it has saved a checkpoint, and started again."""
    program = Path(sys.executable).parent / RUN[0]
    process = subprocess.Popen(
        [str(program), *RUN[1:]],
        cwd=toy.root,
        env=toy.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    waited_until = time.monotonic() + 400
    while not list(toy.root.glob(".facerecon/checkpoints/*/last.safetensors")):
        assert process.poll() is None, "the run ended before it saved a checkpoint"
        assert time.monotonic() < waited_until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return run(toy)


def newest_run(toy):
    client = mlflow.MlflowClient(toy.tracking_uri)
    experiment = client.get_experiment_by_name("facerecon")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])[0]


def figure(toy, case="plain", method="model"):
    figures = json.loads((toy.root / "outputs/mean_colour/metrics.json").read_text())["figures"]
    key = ("test", "colour_error", case, -1, method)
    names = ("face_set", "metric", "case", "level", "method")
    return next(row["mean"] for row in figures if tuple(row[name] for name in names) == key)


def test_the_guide_shows_how_this_very_task_registers_itself():
    guide = Path(__file__).parents[2] / "docs" / "add-a-task.md"
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert block in (TOY / "mean_colour.py").read_text()


def test_a_killed_run_of_the_task_resumes(toy, first):
    assert "resumed_from_run" in newest_run(toy).data.tags
    assert "has finished" in first


def test_it_learns_and_is_measured_beside_its_own_baseline(toy, first):
    assert 0 < figure(toy) < figure(toy, method="mean_of_training")
    metrics = newest_run(toy).data.metrics
    assert metrics["test/colour_error/plain"] == pytest.approx(figure(toy))
    assert metrics["colour_error"] == pytest.approx(figure(toy))
    gain = figure(toy, method="mean_of_training") - figure(toy)
    assert metrics["gain_over_mean_of_training"] == pytest.approx(gain), "less is better: the gain is positive"
    assert {"best/colour_error/plain", "gate/colour_error/plain"} <= set(metrics)
    assert newest_run(toy).data.tags["task"] == "mean_colour"


def test_two_networks_learn_at_rates_of_their_own(toy, first):
    history = mlflow.MlflowClient(toy.tracking_uri)
    run_id = newest_run(toy).info.run_id
    rates = [history.get_metric_history(run_id, f"learning_rate/{name}")[-1].value for name in ("encoder", "head")]
    assert rates == [2e-3, 2e-2]


def test_the_registry_lists_its_figures(toy, first):
    shown = run(toy, "facerecon", "models")
    assert re.search(r"│ mean_\w*", shown)
    assert "champion" in shown
    assert "colour" in shown
    assert "PSNR" not in shown
    lineage = run(toy, "facerecon", "models", "--lineage", "mean_colour@champion")
    assert "better than the mean" in lineage


def test_dvc_shows_its_figures(toy, first):
    shown = run(toy, "dvc", "metrics", "show", "--json", "outputs/mean_colour/figures")
    assert "colour_error" in shown


def test_report_and_card_speak_of_it(toy, first):
    report = (toy.root / "outputs/mean_colour/report.html").read_text()
    card = (toy.root / "outputs/mean_colour/model_card.md").read_text()
    for text in (report, card):
        assert "colour error" in text
        assert "mean of training faces" in text
        assert "says the mean colour of a photograph" in text
        assert "photos_with_colours, others" in text, "the sources"
        assert "photos_with_colours: drawn by this project, MIT; others: drawn by somebody else, MIT" in text
        told = re.sub(r"<style>.*?</style>|<pre>.*?</pre>", "", text, flags=re.DOTALL)
        assert not re.search(r"Telea|hole PSNR|inpaint|masks|level \d", told)


def test_its_onnx_file_has_its_own_signature(toy, first):
    session = onnxruntime.InferenceSession(str(toy.root / "outputs/mean_colour/model.onnx"))
    assert [(value.name, value.shape) for value in session.get_outputs()] == [("colour", ["N", 3])]
    assert session.get_modelmeta().custom_metadata_map["task"] == "mean_colour"


@pytest.mark.slow
def test_the_same_again_is_served_from_the_cache_and_an_edit_of_the_module_trains_anew(toy, first):
    before = figure(toy)
    again = run(toy)
    assert "Step train has started" not in again
    assert figure(toy) == before
    module = toy.root / "facerecon" / "tasks" / "mean_colour.py"
    module.write_text(module.read_text() + "\n# an edit\n")
    edited = run(toy)
    assert "Step train has started" in edited
    assert figure(toy) == before


def test_nothing_but_two_files_and_a_line_was_changed(toy, first):
    changed = toy.run("git", "status", "--porcelain", "--untracked-files=all").stdout.split("\n")
    assert {line[3:] for line in changed if line} <= {
        "configs/mean_colour.yaml",
        "dvc.yaml",
        "facerecon/tasks/mean_colour.py",
    }
