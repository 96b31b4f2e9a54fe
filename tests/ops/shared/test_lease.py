"""A lock of several machines: held by one, renewed, expired when its holder died, and then no longer the holder's."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from facerecon.errors import FaceReconError
from ops.shared import lease as module
from ops.shared.lease import lease
from ops.shared.s3 import Bucket

HOLD = """
import json, sys, time
from ops.shared.lease import lease
from ops.shared.s3 import Bucket
with lease(Bucket.of(sys.argv[1], json.loads(sys.argv[2])), "registry") as held:
    print("held", held is not None, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease expires after three seconds: the server tells ages in whole ones."""
    for name, seconds in (("SECONDS", 3), ("RENEWED", 0.3), ("MARGIN", 1), ("PAUSE", 0.05)):
        monkeypatch.setattr(module, name, seconds)


def test_one_has_it_and_the_next_has_it_after_him(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    order = []

    def follow() -> None:
        with lease(bucket, "registry"):
            order.append("second")

    with lease(bucket, "registry") as held:
        assert held is not None
        with lease(bucket, "registry", wait=False) as other:
            assert other is None
        with lease(bucket, "another", wait=False) as other:
            assert other is not None
        thread = threading.Thread(target=follow)
        thread.start()
        time.sleep(1)
        held.check()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    (said,) = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert re.search(rf"waiting for the lease registry, which .*, pid {os.getpid()} has: renewed \d+ s ago", said)


def test_of_many_at_once_only_one_is_inside(bucket: Bucket) -> None:
    inside, most = [], []

    def run() -> None:
        with lease(bucket, "registry"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_it_is_renewed_for_as_long_as_it_is_held(bucket: Bucket, short: None) -> None:
    with lease(bucket, "registry") as held:
        assert held is not None
        time.sleep(5)
        held.check()
        with lease(bucket, "registry", wait=False) as other:
            assert other is None


def test_who_cannot_renew_it_stops_before_another_begins(bucket: Bucket, short: None, monkeypatch) -> None:
    monkeypatch.setattr(module, "RENEWED", 60)
    with lease(bucket, "registry") as held:
        assert held is not None
        held.check()
        time.sleep(2.2)
        with pytest.raises(FaceReconError, match="could not be renewed"):
            held.check()
        time.sleep(2)
        with lease(bucket, "registry", wait=False) as other:
            assert other is not None
            held.release()
            with lease(bucket, "registry", wait=False) as third:
                assert third is None  # the old holder has let go of nothing that was not his


@pytest.fixture
def killed(bucket: Bucket, server: dict[str, object]) -> Bucket:
    """A place whose lease a process has that was killed."""
    address = f"s3://state/{bucket._prefix.rstrip('/')}"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, address, json.dumps(server)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held True\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    return bucket


def test_after_kill_9_it_expires(killed: Bucket, short: None) -> None:
    begun = time.monotonic()
    with lease(killed, "registry", wait=False) as held:
        assert held is None  # not yet
    with lease(killed, "registry") as held:
        assert held is not None
    assert time.monotonic() - begun < 30


def test_a_lost_answer_does_not_lose_the_lease(bucket: Bucket, monkeypatch) -> None:
    """The request came through, its answer did not, and S3's client sent it again: refused, though it is ours."""
    create = bucket.create

    def lost(name: str, content: bytes) -> None:
        create(name, content)

    monkeypatch.setattr(bucket, "create", lost)
    with lease(bucket, "registry", wait=False) as held:
        assert held is not None


def test_a_server_that_is_away_is_one_line(server: dict[str, object]) -> None:
    away = server | {"client_kwargs": {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}}
    with (
        pytest.raises(FaceReconError, match="shared place in S3 does not answer"),
        lease(Bucket.of("s3://state/x", away), "registry"),
    ):
        pass
