"""Runs and forgetting do not meet, in processes of their own."""

import subprocess
import sys

import pytest

from facerecon.errors import FaceReconError
from ops.running import nothing_running, running

HOLD = """
import sys
from ops import running
with getattr(running, sys.argv[1])(*sys.argv[2:]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path, monkeypatch):
    """``held(name, ...)`` holds the lock of that name in another process."""
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    holders = []

    def hold(*call: str) -> subprocess.Popen:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, *call], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(holder)
        assert holder.stdout.readline() == "held\n"
        return holder

    yield hold
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_runs_share_and_forgetting_waits_for_none_of_them(held):
    run = held("running")
    with running():
        pass
    said = r"^a run, or another `facerecon forget`, is under way .* wait until"
    with pytest.raises(FaceReconError, match=said), nothing_running():
        pass
    run.kill()  # the system frees what a killed run held
    run.communicate()
    with nothing_running():
        pass


def test_nobody_is_forgotten_while_a_retraining_has_only_begun(held):
    retraining = held("retraining_lock", "retraining")
    with pytest.raises(FaceReconError, match=r"^retraining under way since .*: wait until it has ended, or end it"):
        nothing_running().__enter__()
    retraining.kill()
    retraining.communicate()
    with nothing_running():
        pass


def test_no_run_begins_while_somebody_is_being_forgotten(held):
    held("nothing_running")
    for begin, said in ((running, "somebody is being forgotten"), (nothing_running, "another `facerecon forget`")):
        with pytest.raises(FaceReconError, match=said), begin():
            pass
