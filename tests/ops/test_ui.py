"""MLflow's and ZenML's pages: what they open with, and that they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import mlflow
import psutil
import pytest

from ops.stack.tracker import EXPERIMENT, create_experiment
from ops.ui import mlflow_links, skip_sign_up

SERVE = """
from ops import ui
ui.skip_sign_up, ui.mlflow_links = (lambda: None), (lambda port: {{"all runs": "http://the-link"}})
ui.mlflow_command = ui.zenml_command = lambda port: ["python", "-c", {page!r}]
ui.serve(5001, 8237)
"""
PAGE = "import subprocess as s, time; print(s.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"


def test_an_experiment_that_exists_already_opens_with_its_runs_too(state):
    def kind() -> str:
        return mlflow.MlflowClient().get_experiment_by_name(EXPERIMENT).tags["mlflow.experimentKind"]

    assert kind() == "custom_model_development"
    mlflow.set_experiment_tag("mlflow.experimentKind", "genai_development")
    create_experiment()
    assert kind() == "custom_model_development"


def test_mlflow_shows_the_runs_and_the_last_two_compared(state):
    runs = []
    for _ in range(3):
        assert len(mlflow_links(5001)) == (2 if len(runs) > 1 else 1)
        with mlflow.start_run() as run:
            runs.append(run.info.run_id)
        time.sleep(0.01)  # MLflow orders them by the millisecond
    number = mlflow.get_experiment_by_name(EXPERIMENT).experiment_id
    training = {"workflowType": "machine_learning"}
    for link, page, asked in zip(
        mlflow_links(5001).values(),
        (f"/experiments/{number}", "/compare-runs"),
        (training, training | {"runs": json.dumps(runs[1:]), "experiments": json.dumps([number])}),
        strict=True,
    ):
        shown, _, query = urlsplit(link).fragment.partition("?")
        assert shown == page
        assert dict(parse_qsl(query)) == asked


def test_zenml_asks_for_no_account_and_keeps_what_its_user_has_answered(zenml):
    def answers() -> tuple[bool | None, dict]:
        user = zenml.get_user("default")
        return user.email_opted_in, user.user_metadata

    zenml.update_user("default", updated_metadata={"primary_role": "engineer"})
    skip_sign_up()
    assert answers() == (False, {"primary_role": "engineer", "finished_onboarding_survey": True})
    zenml.update_user("default", updated_email="me@example.com", updated_email_opt_in=True, updated_metadata={"a": 1})
    skip_sign_up()
    assert answers() == (True, {"a": 1, "finished_onboarding_survey": True})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_pages_end_with_all_their_processes(number):
    serving = subprocess.Popen([sys.executable, "-c", SERVE.format(page=PAGE)], stdout=subprocess.PIPE, text=True)
    try:
        said = [serving.stdout.readline() for _ in range(6)]
        children = [psutil.Process(int(line)) for line in said if line.strip().isdigit()]
        assert len(children) == 2, said
        assert any("http://the-link" in line for line in said)
    finally:
        serving.send_signal(number)
    assert serving.wait(30) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


@pytest.mark.parametrize("whom", ["make", "its group"])
def test_make_ui_ends_with_all_its_processes_however_often_it_is_told(tmp_path, whom):
    """Who ends the group tells the command itself, and make tells it again."""
    program = tmp_path / "facerecon"
    program.write_text(f"#!{sys.executable}\n{SERVE.format(page=PAGE)}")
    program.chmod(0o755)
    project = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(project)}
    make = subprocess.Popen(
        ["make", "--no-print-directory", "ui", f"BIN={tmp_path}"],
        **{"cwd": project, "env": environment, "stdout": subprocess.PIPE, "text": True, "start_new_session": True},
    )
    try:
        said = [make.stdout.readline() for _ in range(6)]
        started = psutil.Process(make.pid).children(recursive=True)
        assert len(started) == 5, said
    finally:
        for _ in range(1 if whom == "make" else 5):
            (os.kill if whom == "make" else os.killpg)(make.pid, signal.SIGTERM)
    make.wait(30)
    _, alive = psutil.wait_procs(started, timeout=15)
    for process in alive:
        process.kill()
    assert not alive
