"""The commands about registered models, on a registry of the test's own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import torch
from click.testing import CliRunner
from mlflow import MlflowClient

from cli.models import models, promote, rollback
from facerecon.evaluation.promotion import Check, Decision
from facerecon.models.trained import TrainedModel, save_model

OLD_RECORD = json.dumps({"champion": True, "champion_version": None, "reason": "older", "challenger": {}})
"""A decision as older code kept it, whole in the tag."""


def decision(version: int) -> Decision:
    return Decision(
        registered_model="facerecon-demo",
        version=version,
        champion=True,
        reason="gains [0.3] dB",
        gate_metric="hole_psnr",
        gate_case="brush",
        metrics=(),
        checks=(Check(name="data licence", passed=True, said="the data's licence is named: MIT"),),
        means=(),
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Path:
    """A state folder with three versions of one model, the first of them champion, the third of older code."""
    folder = tmp_path_factory.mktemp("registry") / "state"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACERECON_STATE", str(folder))
        from ops.stack.tracker import EXPERIMENT, create_experiment, local_uri

        create_experiment()
        client = MlflowClient(local_uri())
    client.create_registered_model("facerecon-demo")
    run = client.create_run(client.get_experiment_by_name(EXPERIMENT).experiment_id).info.run_id
    for number in (1, 2, 3):
        path = folder / f"weights-{number}.safetensors"
        trained = TrainedModel("unet_attention", {}, 64, number, {"w": torch.full((2,), float(number))})
        save_model(path, trained)
        client.log_text(run, decision(number).model_dump_json(), f"decisions/{number}.json")
        tags = {
            **{"weights_uri": str(path), "weights_digest": trained.digest, "manifest_digest": "d" * 64},
            **{"data_licence": "drawn [here], MIT", "decision": "gains [0.3] dB"},
            "decision_record": f"runs:/{run}/decisions/{number}.json",
            "gate_figures": json.dumps([["hole PSNR, dB", 20.5, 2], ["LPIPS", 0.12345, 4], ["identity", None, 3]]),
        }
        if number == 3:
            tags["decision_record"] = OLD_RECORD
            del tags["gate_figures"]
        client.create_model_version("facerecon-demo", source=str(folder), tags=tags)
    client.set_registered_model_alias("facerecon-demo", "champion", "1")
    return folder


@pytest.fixture
def followed(registry, tmp_path, monkeypatch) -> list[str]:
    """The state of ``registry`` for one test; how often ZenML was told to follow."""
    shutil.copytree(registry, tmp_path / "state")
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    # what the environment or an earlier command has set must not matter
    mlflow.set_tracking_uri("sqlite:////nowhere/mlflow.db")
    told: list[str] = []
    monkeypatch.setattr("ops.zenml_models.follow", lambda: told.append("follow"))
    return told


def run(command, *arguments: str):
    return CliRunner().invoke(command, arguments)


def test_models_lists_all_versions(followed):
    shown = run(models)
    assert shown.exit_code == 0, shown.output
    for wanted in ("demo/3", "demo/1", "champion", "20.50", "0.1235", "–", "d" * 12, "drawn [here], MIT", "[0.3]"):
        assert wanted in shown.output, wanted


def test_lineage_is_shown_by_section(followed):
    shown = run(models, "--lineage", "2")
    assert shown.exit_code == 0, shown.output
    for wanted in (
        "gate decision",
        "there, and those that were registered",
        "gains [0.3] dB",
        "data licence: the data's licence is named: MIT",
        "champions",
    ):
        assert wanted in shown.output, wanted
    refused = run(models, "--lineage", "demo/7")
    assert refused.exit_code == 1
    assert "demo has no version 7; there are: 1, 2, 3" in refused.output


def test_a_version_of_older_code_has_a_lineage(followed):
    shown = run(models, "--lineage", "3")
    assert shown.exit_code == 0, shown.output
    assert "the gate has not decided on it, or an older version of the code did" in shown.output


@pytest.mark.parametrize("arguments", [[], ["--lineage", "demo@champion"]])
def test_looking_at_models_loads_no_framework(followed, arguments):
    """In a fresh interpreter: PyTorch and ZenML take seconds."""
    code = (
        "import sys; from click.testing import CliRunner; from cli.main import cli\n"
        f"shown = CliRunner().invoke(cli, ['models', *{arguments}])\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'zenml', 'dvc', 'great_expectations'}\n"
        "print('gains [0.3] dB' in shown.output, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "True []"


def test_promote_and_rollback_by_hand_are_written_down(followed):
    done = run(promote, "demo/2", "--reason", "sharper eyes")
    assert done.exit_code == 0, done.output
    assert done.output.endswith("Version 2 of facerecon-demo is champion now; before it was version 1.\n")
    assert "promoted (by hand): sharper eyes (champion 1 -> 2)" in run(models, "--lineage", "2").output
    done = run(rollback, "--reason", "they squint")
    assert "Version 1 of facerecon-demo is champion now; before it was version 2." in done.output
    assert followed == ["follow", "follow"]
    assert "rolled back (by hand): they squint (champion 2 -> 1)" in run(models, "--lineage", "1").output
    nothing = run(rollback, "demo", "--reason", "on")
    assert nothing.exit_code == 1
    assert "nothing to roll back to" in nothing.output
    assert followed == ["follow", "follow"]


def test_the_anchor_is_moved_by_hand_and_nothing_else_moves(followed):
    done = run(promote, "demo/2", "--anchor", "--reason", "the look that we want")
    assert done.exit_code == 0, done.output
    assert done.output.endswith("Version 2 of facerecon-demo is the anchor now; before it was version 1.\n")
    told = run(models, "--lineage", "demo@anchor").output
    assert "made the anchor (by hand): the look that we want (champion stays 1, anchor 1 -> 2)" in told
    again = run(promote, "demo/2", "--anchor", "--reason", "on")
    assert (again.exit_code, again.output) == (1, "Error: version 2 is the anchor of demo already\n")
    assert "before it was version 2" in run(promote, "demo/1", "--anchor", "--reason", "back").output
    assert followed == []


def test_a_reason_must_be_given(followed):
    for command, arguments in ((promote, ["demo/2"]), (rollback, [])):
        assert "Missing option '--reason'" in run(command, *arguments).output
        assert "no reason is given" in run(command, *arguments, "--reason", " ").output


def test_bytes_of_a_latin_1_terminal_are_one_line_and_jam_nothing(followed):
    """In a process of its own: the bytes reach Python as such a terminal gives them."""
    program = str(Path(sys.executable).parent / "facerecon")
    before = run(models, "--lineage", "2").output
    done = subprocess.run([program, "promote", "demo/2", "--reason", b"caf\xe9"], capture_output=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout == b""
    [line] = done.stderr.splitlines()
    assert line.startswith(b"Error: the reason holds '\\udce9' after 'caf', which is no text")
    assert run(models, "--lineage", "2").output == before
    assert run(promote, "demo/2", "--reason", "café").exit_code == 0


def test_without_a_registry_the_way_to_one_is_told(followed, tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "none"))
    shown = run(models)
    assert shown.exit_code == 1
    assert "make stack" in shown.output
    assert not (tmp_path / "none" / "mlflow.db").exists()
