"""Faults of the machine, made for real where that can be done, end in one line that says what to do."""

import errno
import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import sqlalchemy
import torch
from docker.errors import ContainerError

from facerecon.errors import FaceReconError
from ops.faults import StoppedError, clear_faults, explain, stoppable, time_limit


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "some.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    return path


def said_of(fault) -> str:
    with pytest.raises(FaceReconError) as caught, clear_faults():
        fault()
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk():
    message = said_of(lambda: Path("/dev/full").write_bytes(b"x"))
    assert "no space is left" in message
    assert "run the same command again" in message


def test_a_database_that_cannot_grow(database):
    def fill() -> None:
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA max_page_count = 2")
            connection.executemany("INSERT INTO t VALUES (?)", [("x" * 4096,)] * 10)

    assert "no space is left" in said_of(fill)


def test_a_locked_database_seen_through_sqlalchemy(database):
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    engine = sqlalchemy.create_engine(f"sqlite:///{database}", connect_args={"timeout": 0.1})

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO t VALUES (1)"))

    try:
        assert "a database is locked" in said_of(write)
    finally:
        holder.close()


def test_a_database_whose_folder_is_gone(tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'gone' / 'some.db'}")
    assert "make stack" in said_of(lambda: engine.connect())


def test_an_artifact_store_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path))
    message = said_of(lambda: (tmp_path / "artifacts" / "model.safetensors").read_bytes())
    assert "model.safetensors: No such file or directory" in message
    assert "facerecon doctor" in message


def test_a_server_that_is_away_and_one_that_fails():
    answers = {"502 Bad Gateway": "does not answer as it should", "404 Not Found": None}
    for status, said in answers.items():
        error = requests.HTTPError(status, response=requests.Response())
        error.response.status_code = int(status[:3])
        assert (explain(error) is None) == (said is None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    message = said_of(lambda: requests.get(f"http://127.0.0.1:{port}", timeout=5))
    assert f"a server does not answer as it should (HTTPConnectionPool(host='127.0.0.1', port={port})" in message
    assert "run the same command again" in message
    assert explain(BrokenPipeError()) is None


def test_memory_that_does_not_suffice():
    assert "out of memory" in said_of(lambda: torch.empty(2**60))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_run_is_told_how_to_go_on(number):
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match=rf"^stopped by {number.name}: what is done is kept, so run") as caught:
        stopped(number)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) == before


def stopped(number: signal.Signals) -> None:
    with clear_faults(), stoppable():
        os.kill(os.getpid(), number)
        time.sleep(5)


def test_ctrl_c_is_left_to_the_process_that_runs_and_its_children_can_be_ended():
    context = multiprocessing.get_context("fork")
    with stoppable():
        child = context.Process(target=time.sleep, args=(20,))
        child.start()
    for number, alive in ((signal.SIGINT, True), (signal.SIGTERM, False)):
        os.kill(child.pid, number)
        child.join(1)
        assert child.is_alive() == alive
    assert child.exitcode == -signal.SIGTERM


def test_a_fault_is_found_behind_other_errors():
    def wrapped() -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise RuntimeError("the step failed") from error

    assert "no space is left" in said_of(wrapped)


def test_what_is_no_fault_of_the_machine_passes_as_it_is():
    with pytest.raises(ZeroDivisionError), clear_faults():
        raise ZeroDivisionError
    with pytest.raises(FaceReconError, match=r"^as it was$"), clear_faults():
        raise FaceReconError("as it was")
    assert explain(FileNotFoundError(errno.ENOENT, "no such file", "/elsewhere/x")) is None


@pytest.mark.parametrize(
    ("status", "stderr", "said"),
    [
        (1, b"W: a library's word\nError: no split has a face: give more\n", "^no split has a face: give more$"),
        (137, b"", "a step's container ended with exit status 137 and without a word"),
        (139, None, "a step's container ended with exit status 139"),
    ],
)
def test_a_steps_container_is_told_as_the_step_told_itself(status, stderr, said):
    with pytest.raises(FaceReconError, match=said), clear_faults():
        raise ContainerError("container", status, ["python"], "an image", stderr)


def test_a_run_that_hangs_is_ended_in_one_line():
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(
            StoppedError, match=r"^stopped after 5e-05 h \(retraining.max_hours\), .* run the same"
        ) as caught,
        time_limit(5e-5, "retraining.max_hours"),
        clear_faults(),
        stoppable(),
    ):
        time.sleep(20)
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_ends_in_time_or_is_stopped_by_somebody_is_not_said_to_have_hung():
    with time_limit(1, "retraining.max_hours"):
        pass
    with pytest.raises(StoppedError, match=r"^stopped by SIGTERM"), time_limit(1, "retraining.max_hours"):
        stopped(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), time_limit(1, "retraining.max_hours"):
        raise ZeroDivisionError


STUCK = """
import signal, time
from ops import faults
faults.GRACE = 0.2
with faults.time_limit(5e-5, "retraining.max_hours"):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(30)
"""


def test_what_looks_at_no_signal_is_ended_all_the_same():
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=25)
    assert done.returncode == 143
    assert done.stderr.startswith("Error: stopped after 5e-05 h")
