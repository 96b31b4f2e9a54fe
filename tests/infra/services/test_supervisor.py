"""Servers are started, waited for and ended; what goes wrong is one line, and nothing is left running."""

import os
import socket
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from facerecon.errors import FaceReconError
from facerecon.files import write_json
from infra.services import programs, supervisor
from infra.services.environment import prepare, services_folder
from infra.services.programs import Service
from infra.services.supervisor import log_file, running, start, stop


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path))
    prepare(None)
    return tmp_path


def page(name: str, port: int, **changed) -> Service:
    """A server of web pages."""
    address = f"http://127.0.0.1:{port}"

    def check() -> None:
        urllib.request.urlopen(address, timeout=5).close()

    command = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    return Service(name=name, address=address, ports=(port,), command=command, check=check, **changed)


def failing(name: str, port: int) -> Service:
    def check() -> None:
        raise ConnectionRefusedError("nobody there")

    command = (sys.executable, "-c", "print('no licence to run'); raise SystemExit(3)")
    return Service(name=name, address="", ports=(port,), command=command, check=check)


def test_it_answers_when_it_is_said_to_and_is_started_once(first_port: int, tmp_path: Path) -> None:
    said: list[str] = []
    left = tmp_path / "left.sock"
    server = page("Page", first_port, leaves=(f"{tmp_path}/*.sock",))
    start([server], said.append)
    left.touch()
    process = running("Page")
    assert process is not None
    assert said == [f"{'Page':12} http://127.0.0.1:{first_port}"]
    start([server], said.append)
    assert running("Page") == process
    assert stop("Page")
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE  # nobody reaps it here
    assert not left.exists()
    assert not stop("Page")
    assert running("Page") is None


def test_one_that_ends_is_one_line_and_the_others_are_ended(first_port: int) -> None:
    with pytest.raises(FaceReconError, match=r"Broken has ended \(no licence to run\): see .*broken.log"):
        start([page("Page", first_port), failing("Broken", first_port + 1)], lambda line: None)
    assert running("Page") is None
    assert "no licence to run" in log_file("Broken").read_text()


def test_one_that_does_not_answer_is_given_up(first_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", 1)
    mute = failing("Mute", first_port)
    mute = Service(**{**vars(mute), "command": (sys.executable, "-c", "import time; time.sleep(600)")})
    with pytest.raises(FaceReconError, match=r"Mute does not answer after 1 s \(nobody there\)"):
        start([mute], lambda line: None)
    assert running("Mute") is None


def test_what_was_running_before_a_failure_stays(first_port: int) -> None:
    start([page("Page", first_port)], lambda line: None)
    with pytest.raises(FaceReconError, match="Broken has ended"):
        start([page("Page", first_port), failing("Broken", first_port + 1)], lambda line: None)
    assert running("Page") is not None
    stop("Page")


def test_a_port_that_is_taken_is_named_before_anything_is_started(first_port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", first_port + 1))
        other.listen()
        with pytest.raises(FaceReconError, match=f"port {first_port + 1} of Second is taken by another program"):
            start([page("First", first_port), page("Second", first_port + 1)], lambda line: None)
    assert not log_file("First").exists()


def test_another_process_with_its_number_is_not_taken_for_it() -> None:
    created = psutil.Process().create_time()
    write_json(services_folder() / "page.pid", {"pid": os.getpid(), "created": created - 100})
    assert running("Page") is None
    assert not stop("Page")  # and it is not ended


def test_children_are_ended_too(first_port: int) -> None:
    script = (
        "import subprocess, sys, time, signal\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )

    def check() -> None:
        assert log_file("Parent").read_text().strip()

    parent = Service(
        name="Parent", address="", ports=(first_port,), command=(sys.executable, "-c", script), check=check
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "GRACE", 1)
        start([parent], lambda line: None)
        child = int(log_file("Parent").read_text())
        stop("Parent")
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_program_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda name, path: None)
    with pytest.raises(FaceReconError, match=r"initdb is not installed: install PostgreSQL, see docs/infra.md"):
        programs.services(prepare(None))
