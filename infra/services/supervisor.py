"""Start the servers, wait until each answers, end them."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from facerecon.errors import FaceReconError
from facerecon.files import write_json
from infra.services.environment import HOST, services_folder
from infra.services.programs import Service

PATIENCE = 120
"""Seconds that a server may take until it answers."""
GRACE = 20
"""Seconds that a server has to end by itself."""


def start(servers: Sequence[Service], say: Callable[[str], None]) -> None:
    """Start those that do not run, in this order; each answers before the next is started.

    Raises:
        FaceReconError: a port is taken, or a server ended or did not answer in time. What was started is ended.
    """
    absent = [server for server in servers if running(server.name) is None]
    for server in absent:
        for port in server.ports:
            if is_taken(port):
                raise FaceReconError(
                    f"port {port} of {server.name} is taken by another program: end it, or choose other ports with "
                    "`make services FIRST_PORT=46000`"
                )
    begun: list[str] = []
    try:
        for server in servers:
            if server in absent:
                begun.append(server.name)
                _launch(server)
            _await(server)
            server.finish()
            say(f"{server.name:12} {server.address}")
    except BaseException:
        for name in reversed(begun):
            stop(name)
        raise


def stop(name: str) -> bool:
    """End a server and its children; returns whether it ran."""
    process = running(name)
    if process is not None:
        family = [process, *_children(process)]
        # PostgreSQL ends its children itself; SIGINT: without waiting for clients to leave
        number, told = (signal.SIGINT, [process]) if name == "PostgreSQL" else (signal.SIGTERM, family)
        for each in told:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)
        for each in _left_after(GRACE, family):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        _left_after(GRACE, family)
    for pattern in _known(name).get("leaves", ()):
        for path in Path("/").glob(pattern.lstrip("/")):
            path.unlink(missing_ok=True)
    _record(name).unlink(missing_ok=True)
    return process is not None


def running(name: str) -> psutil.Process | None:
    """The process of a server, None if it does not run. Another process that got its number is not taken for it."""
    known = _known(name)
    with suppress(KeyError, psutil.NoSuchProcess):
        process = psutil.Process(known["pid"])
        if abs(process.create_time() - known["created"]) < 1 and _runs(process):
            return process
    return None


def _left_after(seconds: float, processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those of ``processes`` that have not ended after so many seconds; one that nobody reaps has ended, too."""
    over = time.monotonic() + seconds
    while (left := [each for each in processes if _runs(each)]) and time.monotonic() < over:
        time.sleep(0.1)
    return left


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    return False


def log_file(name: str) -> Path:
    """What a server prints."""
    return services_folder() / "logs" / f"{name.lower()}.log"


def _record(name: str) -> Path:
    return services_folder() / f"{name.lower()}.pid"


def _known(name: str) -> dict[str, Any]:
    """What was written down of a server when it was started; nothing if it was not, or is ended."""
    try:
        known = json.loads(_record(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _launch(server: Service) -> None:
    log = log_file(server.name)
    log.parent.mkdir(exist_ok=True)
    # ZenML's server would take a project for its own: that of the folder it is started in, or that of an image
    variables = {name: value for name, value in os.environ.items() if name != "ZENML_REPOSITORY_PATH"}
    with log.open("ab") as stream:
        process = subprocess.Popen(
            server.command,
            cwd="/",
            env=variables | server.variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    created = psutil.Process(process.pid).create_time()
    write_json(_record(server.name), {"pid": process.pid, "created": created, "leaves": list(server.leaves)})


def _await(server: Service) -> None:
    over, last = time.monotonic() + PATIENCE, ""
    while True:
        try:
            server.check()
            return
        except Exception as error:  # each client raises errors of its own
            last = " ".join(str(error).split())[:200]
        log = log_file(server.name)
        if running(server.name) is None:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise FaceReconError(f"{server.name} has ended ({lines[-1][:200] if lines else 'no word'}): see {log}")
        if time.monotonic() > over:
            raise FaceReconError(f"{server.name} does not answer after {PATIENCE} s ({last}): see {log}")
        time.sleep(0.3)


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False
