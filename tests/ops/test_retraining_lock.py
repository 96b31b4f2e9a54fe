"""Two retrainings exclude each other, in processes of their own; whatever ends one frees the lock."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from ops.retraining_lock import UnderWayError, retraining_lease, retraining_lock
from ops.shared.s3 import Bucket

HOLD = """
import os, sys
from ops.retraining_lock import retraining_lock
with retraining_lock("retraining"):
    if sys.argv[1] != "fork" or os.fork() == 0:
        print("held", flush=True)
    sys.stdin.read()
"""

SECOND = """
import click
from ops.retraining_lock import retraining_lock
@click.command()
def run():
    with retraining_lock("retraining"):
        print("ran")
run()
"""


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def hold():
    """``hold(how)`` holds the lock in another process until it is ended."""
    holders = []

    def begin(how: str = "") -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, how]
        holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        holders.append(holder)
        assert holder.stdout.readline() == "held\n"
        return holder

    yield begin
    for holder in holders:
        with suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGKILL)
        holder.communicate()


def test_the_second_ends_well_and_says_who_is_at_it_since_when(hold):
    first = hold()
    since = datetime.now().strftime("%H:")
    second = subprocess.run([sys.executable, "-c", SECOND], capture_output=True, text=True, check=True)
    assert second.stdout.startswith(f"retraining under way since {since}")
    assert second.stdout.endswith(f", pid {first.pid}\n")
    assert second.stderr == ""
    first.communicate("")
    with retraining_lock("retraining"):
        pass


def test_a_start_on_another_day_is_told_with_its_date(state, monkeypatch):
    yesterday = datetime.now() - timedelta(days=1)
    with retraining_lock("retraining"):
        (state / "retraining.lock").write_text(f"4711 {int(yesterday.timestamp())}\n")
        with pytest.raises(UnderWayError, match=f"since {yesterday:%Y-%m-%d %H:%M}, pid 4711$"):
            retraining_lock("retraining").__enter__()


@pytest.mark.parametrize("how", ["", "fork"])
def test_a_killed_holder_blocks_nobody_though_its_workers_live_on(hold, how):
    holder = hold(how)
    os.kill(holder.pid, signal.SIGKILL)
    os.waitpid(holder.pid, 0)
    with retraining_lock("retraining"):
        pass


@pytest.mark.parametrize("text", ["", "4711 1000000000\n", "no numbers"])
def test_what_the_file_says_blocks_nobody(state, text):
    state.mkdir()
    (state / "retraining.lock").write_text(text)
    with retraining_lock("retraining"):
        assert (state / "retraining.lock").read_text().startswith(f"{os.getpid()} ")


def test_locks_of_other_names_are_others():
    with retraining_lock("retraining"), retraining_lock("watch"):
        pass


@pytest.fixture
def place(monkeypatch):
    """A shared place of a stack with servers."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    where = {"endpoint_url": f"http://127.0.0.1:{server.get_host_and_port()[1]}", "region_name": "us-east-1"}
    bucket = Bucket.of("s3://state", {"key": "key", "secret": "secret", "client_kwargs": where})
    bucket._client.create_bucket(Bucket="state")
    monkeypatch.setattr("ops.shared.place.shared_place", lambda: bucket)
    yield
    server.stop()


def test_of_all_machines_one_retrains(place):
    with retraining_lease("retraining"):
        with (
            pytest.raises(UnderWayError, match=r"retraining under way elsewhere: its lease \S+, pid \d+ has: renewed"),
            retraining_lease("retraining"),
        ):
            pass
        with retraining_lease("another"):
            pass
    with retraining_lease("retraining"):
        pass


def test_a_machine_without_servers_needs_no_lease(monkeypatch):
    monkeypatch.setattr("ops.shared.place.shared_place", lambda: None)
    with retraining_lease("retraining"), retraining_lease("retraining"):
        pass
