"""The commands about registered models, on a registry of the test's own."""

import json
import shutil
from pathlib import Path

import mlflow
import pytest
import torch
from click.testing import CliRunner
from mlflow import MlflowClient

from cli.models import models, promote, rollback
from facerecon.models.trained import TrainedModel, save_model

RECORD = {
    **{"registered_model": "facerecon-demo", "champion": True, "champion_version": None, "reason": "gains [0.3] dB"},
    "checks": [{"name": "data licence", "passed": True, "said": "the data's licence is named: MIT"}],
    "challenger": {"brush/level_1": {"hole_psnr": 20.5, "lpips": 0.1234, "identity": 0.75}},
    **{"champion_before": None, "differences": []},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Path:
    """A state folder with two versions of one model, the first of them champion."""
    folder = tmp_path_factory.mktemp("registry") / "state"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACERECON_STATE", str(folder))
        from ops.stack import create_experiment, tracking_uri

        create_experiment()
        client = MlflowClient(tracking_uri())
    client.create_registered_model("facerecon-demo")
    for number in (1, 2):
        path = folder / f"weights-{number}.safetensors"
        trained = TrainedModel("unet_attention", {}, 64, number, {"w": torch.full((2,), float(number))})
        save_model(path, trained)
        tags = {
            **{"weights_uri": str(path), "weights_digest": trained.digest, "manifest_digest": "d" * 64},
            **{"data_licence": "drawn [here], MIT", "decision": "gains [0.3] dB"},
            "decision_record": json.dumps(RECORD | {"version": number}),
        }
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
    for wanted in ("demo/2", "demo/1", "champion", "20.50", "0.1234", "0.750", "d" * 12, "drawn [here], MIT", "[0.3]"):
        assert wanted in shown.output, wanted


def test_lineage_is_shown_by_section(followed):
    shown = run(models, "--lineage", "2")
    assert shown.exit_code == 0, shown.output
    for wanted in ("gate decision", "gains [0.3] dB", "data licence: the data's licence is named: MIT", "champions"):
        assert wanted in shown.output, wanted
    refused = run(models, "--lineage", "demo/7")
    assert refused.exit_code == 1
    assert "demo has no version 7; there are: 1, 2" in refused.output


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


def test_a_reason_must_be_given(followed):
    for command, arguments in ((promote, ["demo/2"]), (rollback, [])):
        assert "Missing option '--reason'" in run(command, *arguments).output
        assert "no reason is given" in run(command, *arguments, "--reason", " ").output


def test_without_a_registry_the_way_to_one_is_told(followed, tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "none"))
    shown = run(models)
    assert shown.exit_code == 1
    assert "make stack" in shown.output
    assert not (tmp_path / "none" / "mlflow.db").exists()
