"""A lock that several machines respect: an object in S3 whose holder renews it, and which expires if it dies.

How old a lease is, is told by the server's clock alone. Who could not renew it in time must not write any more: see
``Lease.check``.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from facerecon.errors import FaceReconError
from ops.shared.place import ERRORS, unreachable
from ops.shared.s3 import Bucket

LOG = logging.getLogger(__name__)

SECONDS = 60
"""A lease that was not renewed for so long is free."""
RENEWED = 15
"""Seconds between two renewals."""
MARGIN = 20
"""The holder itself stops so many seconds before others may begin: what it is just sending arrives within them."""
PAUSE = 0.5
"""Seconds between two looks of who waits."""


def _now() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """A lease that this process holds."""

    def __init__(self, bucket: Bucket, name: str, content: bytes, etag: str, since: float) -> None:
        self._bucket, self._name, self._content, self._etag = bucket, name, content, etag
        self._renewed, self._ended = since, threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """See that nobody else can have begun.

        Raises:
            FaceReconError: it could not be renewed in time.
        """
        if _now() > self._renewed + SECONDS - MARGIN:
            raise FaceReconError(
                f"the lease {self._name} could not be renewed for {SECONDS - MARGIN} s, another machine may have it "
                "now: nothing more is changed; run the same command again"
            )

    def release(self) -> None:
        """Let others begin at once; nothing is said if the server is away: the lease expires."""
        self._ended.set()
        self._thread.join()
        with suppress(*ERRORS):
            self._bucket.replace(self._name, b"", self._etag)

    def _renew(self) -> None:
        number = 0
        while not self._ended.wait(RENEWED):
            number += 1
            begun = _now()
            try:
                etag = _replaced(self._bucket, self._name, self._content + b"\n%d" % number, self._etag)
            except ERRORS:
                continue  # `check` says so in time
            if etag is None:
                return  # another has it
            self._etag, self._renewed = etag, begun


@contextmanager
def lease(bucket: Bucket, name: str, wait: bool = True) -> Iterator[Lease | None]:
    """Hold the lease ``name``; None, without ``wait``, where another process has it.

    Raises:
        FaceReconError: the server does not answer.
    """
    held, told = None, False
    content = json.dumps({"holder": uuid4().hex, "who": f"{socket.gethostname()}, pid {os.getpid()}"}).encode()
    place = f"leases/{name}"
    try:
        while held is None:
            begun = _now()
            if etag := _taken(bucket, place, content):
                held = Lease(bucket, place, content, etag, begun)
            elif not wait:
                break
            else:
                if not told:
                    LOG.warning("waiting for the lease %s, which %s", name, holder(bucket, name))
                    told = True
                time.sleep(PAUSE)
    except ERRORS as error:
        raise unreachable(error) from error
    try:
        yield held
    finally:
        if held is not None:
            held.release()


def holder(bucket: Bucket, name: str) -> str:
    """Who has the lease ``name``, and since when it was not renewed; raises botocore's errors."""
    found = bucket.read(f"leases/{name}")
    if found is None or not found.content:
        return "was just let go"
    who = json.loads(found.content.splitlines()[0])["who"]
    return f"{who} has: renewed {max(0, found.age):.0f} s ago, free {SECONDS} s after that"


def _taken(bucket: Bucket, name: str, content: bytes) -> str | None:
    """Take the lease if it is free; returns the object's tag, None if another has it."""
    found = bucket.read(name)
    if found is None:
        etag = bucket.create(name, content)
        return etag or _own(bucket, name, content)
    if found.content and found.age < SECONDS:
        return None
    return _replaced(bucket, name, content, found.etag)


def _replaced(bucket: Bucket, name: str, content: bytes, etag: str) -> str | None:
    return bucket.replace(name, content, etag) or _own(bucket, name, content)


def _own(bucket: Bucket, name: str, content: bytes) -> str | None:
    """The tag of an object that has this content: an answer may be lost, and the request sent again refused."""
    found = bucket.read(name)
    return found.etag if found is not None and found.content == content else None
