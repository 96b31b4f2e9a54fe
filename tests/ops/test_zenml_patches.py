"""ZenML still works inside as ``ops.zenml_patches`` takes for granted: a small pipeline runs on ZenML's own store."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import pytest
from zenml import pipeline, step
from zenml.enums import ExecutionMode, ExecutionStatus
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker
from zenml.integrations.registry import integration_registry
from zenml.orchestrators import cache_utils

from facerecon.errors import FaceReconError
from ops import zenml_patches
from ops.zenml_patches import FRAMEWORKS, patched

pytestmark = pytest.mark.usefixtures("source_root")


@step(enable_cache=True)
def count() -> Annotated[int, "number"]:
    return 3


@step
def refuse() -> None:
    raise FaceReconError("the number is 3: give another")


@pipeline
def counting() -> None:
    count()


@pipeline(execution_mode=ExecutionMode.FAIL_FAST)
def refusing() -> None:
    refuse()


def run_counting() -> tuple[ExecutionStatus, Path]:
    """How the step came by its number, and where that lies."""
    with patched():
        counted = counting().steps["count"]
    return counted.status, Path(counted.outputs["number"][0].uri)


def test_a_step_is_repeated_only_while_what_it_made_is_whole(zenml, caplog):
    made, folder = run_counting()
    assert made == ExecutionStatus.COMPLETED
    assert run_counting() == (ExecutionStatus.CACHED, folder)
    assert "computed again" not in caplog.text
    shutil.rmtree(folder)
    again, other = run_counting()
    assert (again, other) != (ExecutionStatus.CACHED, folder)
    assert "step count is computed again: what it made in an earlier run is gone or damaged" in caplog.text
    (data,) = other.glob("*.json")
    data.write_text("4")
    assert run_counting()[0] == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_users_error_has_no_traceback_unless_debugging(zenml, monkeypatch, caplog, debug):
    monkeypatch.setenv("FACERECON_DEBUG", debug)
    with pytest.raises(FaceReconError, match="give another"), patched():
        refusing()
    assert "Step refuse failed" in caplog.text
    assert ("Traceback" in caplog.text) == bool(debug)


def test_what_is_said_in_one_line_is_logged_without_a_traceback(monkeypatch):
    monkeypatch.delenv("FACERECON_DEBUG", raising=False)
    handler = Kept()
    logging.getLogger("zenml").addHandler(handler)
    try:
        with patched():
            for fault in (ConnectionRefusedError(), ZeroDivisionError()):
                try:
                    raise fault
                except Exception:
                    logging.getLogger("zenml").exception("the step failed")
    finally:
        logging.getLogger("zenml").removeHandler(handler)
    assert handler.traced == [False, True]


class Kept(logging.Handler):
    """Whether each record that it was given has a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.traced: list[bool] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.traced.append(bool(record.exc_info))


def test_a_step_ends_without_the_import_of_every_framework(monkeypatch):
    tracker = MLFlowExperimentTracker.__new__(MLFlowExperimentTracker)
    imported = []
    monkeypatch.setattr("importlib.import_module", imported.append)
    with patched():
        tracker.cleanup_step_run(info=None, step_failed=False)
    assert not imported
    tracker.cleanup_step_run(info=None, step_failed=False)
    assert "mlflow.sklearn" in imported


def test_a_run_is_compiled_without_the_import_of_frameworks(monkeypatch):
    activated = []
    for name, integration in integration_registry.integrations.items():
        monkeypatch.setattr(integration, "check_installation", lambda: True)
        monkeypatch.setattr(integration, "activate", lambda name=name: activated.append(name))
    assert set(integration_registry.integrations) >= FRAMEWORKS
    with patched():
        integration_registry.activate_integrations()
    assert set(activated) == set(integration_registry.integrations) - FRAMEWORKS
    activated.clear()
    integration_registry.activate_integrations()
    assert set(activated) == set(integration_registry.integrations)


def patches():
    return (
        cache_utils.get_cached_step_run,
        MLFlowExperimentTracker.disable_autologging,
        integration_registry.activate_integrations,
    )


def test_patches_are_taken_off_again(zenml):
    before = patches()
    with pytest.raises(ZeroDivisionError), patched():
        raise ZeroDivisionError
    assert before == patches()


@pytest.mark.parametrize(("version", "lines"), [("0.98.7", 0), ("0.99.0", 1), ("0.980.0", 1)])
def test_another_version_of_zenml_is_one_warning(monkeypatch, caplog, version, lines):
    monkeypatch.setattr(zenml_patches.zenml, "__version__", version)
    with caplog.at_level(logging.WARNING, "ops.zenml_patches"), patched():
        pass
    assert len(caplog.records) == lines


STOPPED = """
import time
import click
from zenml import pipeline, step
from zenml.enums import ExecutionMode
from ops.faults import clear_faults, stoppable
from ops.zenml_patches import FRAMEWORKS, patched

@step(enable_cache=False)
def wait() -> None:
    print("waiting", flush=True)
    time.sleep(300)

@pipeline(execution_mode=ExecutionMode.FAIL_FAST)
def waiting() -> None:
    wait()

@click.command()
def run() -> None:
    with patched(), clear_faults(), stoppable():
        waiting()

if __name__ == "__main__":
    run()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_is_stopped_ends_with_one_line_that_says_how_to_go_on(zenml, tmp_path, number):
    (tmp_path / "stopped.py").write_text(STOPPED)
    output = tmp_path / "output.txt"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with output.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "stopped.py"], cwd=tmp_path, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 120
        while "waiting\n" not in output.read_text() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    finally:
        process.kill()
    said = output.read_text()
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last == f"Error: stopped by {number.name}: what is done is kept, so run the same command again to go on"
