"""A scheduled run starts the retraining as a process, on its own stack."""

import json
import sys
from pathlib import Path

import pytest

from facerecon.errors import FaceReconError
from ops.schedule import watch
from ops.schedule.anew import retrain_anew

TELL = """
import json, os, sys
config = json.load(open(sys.argv[1]))
names = ("ZENML_ACTIVE_STACK_ID", "ZENML_STORE_API_TOKEN", "ZENML_STORE_API_KEY")
kept = {name: os.environ.get(name) for name in names}
json.dump({"file": sys.argv[1], "config": config, **kept}, open(sys.argv[2], "w"))
sys.exit(config.get("status", 0))
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``run(content)`` is what the process that was started has seen."""
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ZENML_ACTIVE_STACK_ID", "outer")
    monkeypatch.setenv("ZENML_STORE_API_TOKEN", "of this run")
    told = tmp_path / "told.json"
    monkeypatch.setattr(watch, "run_command", lambda file: [sys.executable, "-c", TELL, str(file), str(told)])

    def begin(content: dict) -> dict:
        try:
            retrain_anew("nightly.yaml", content, "inner")
        finally:
            seen = json.loads(told.read_text())
        return seen

    return begin


def test_it_is_given_the_config_and_its_own_stack(run, monkeypatch) -> None:
    content = {"parameters": {"name": "demo", "retraining": {"inbox": {"path": "inbox"}}}, "tags": ["night"]}
    seen = run(content)
    assert seen["config"] == content
    assert Path(seen["file"]).name == "nightly.yaml"
    assert not Path(seen["file"]).exists()
    assert seen["ZENML_ACTIVE_STACK_ID"] == "inner"
    # without a key the run's token is all there is
    assert (seen["ZENML_STORE_API_TOKEN"], seen["ZENML_STORE_API_KEY"]) == ("of this run", None)
    monkeypatch.setenv("ZENML_STORE_API_KEY", "ZENKEY_x")
    seen = run(content)
    assert (seen["ZENML_STORE_API_TOKEN"], seen["ZENML_STORE_API_KEY"]) == (None, "ZENKEY_x")


def test_that_it_fails_is_told_and_fails_the_step(run, caplog) -> None:
    with pytest.raises(FaceReconError, match=r"retraining by nightly.yaml failed with exit status 3: its output above"):
        run({"status": 3})
    assert "retraining by nightly.yaml failed with exit status 3" in caplog.text
