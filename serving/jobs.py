"""Videos as jobs: rows in SQLite, each with a folder; a worker holds one by a lease that it renews.

A job is accepted once its row says so: its files are on the disk by then. Killed at any moment, a service that is
started again, or another one on the same state, goes on with it when the lease has ended.
"""

import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from facerecon.contract import INPAINTING
from facerecon.custody.folder import sync_folder
from facerecon.workspace import state_folder

State = Literal["queued", "running", "done", "failed"]

MOST_ATTEMPTS = 10
"""A job whose worker has died so often is given up: it may be what kills them."""

ARRIVING_SECONDS = 3600
"""What was never accepted is removed after so long: its upload has ended by then."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, operator TEXT NOT NULL, form TEXT NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL,
    made REAL NOT NULL, expires REAL NOT NULL, attempts INTEGER NOT NULL, worker TEXT NOT NULL, lease REAL NOT NULL,
    frames INTEGER, done INTEGER NOT NULL, result TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Job:
    """A video: whose it is, what is asked for as JSON, and how far it is.

    ``frames`` is how many its file says it has, None if it does not, ``done`` how many are made. Times are seconds
    since 1970. ``result`` is the name of the video that was made, "" before.
    """

    id: str
    operator: str
    form: str
    state: State
    detail: str
    made: float
    expires: float
    attempts: int
    frames: int | None
    done: int
    result: str
    folder: Path

    @property
    def upload(self) -> Path:
        """The video that was sent."""
        return self.folder / "upload"

    @property
    def mask(self) -> Path:
        """The mask that was sent, if one was."""
        return self.folder / "mask"

    @property
    def record(self) -> Path:
        """The signed record of what was made."""
        return self.folder / "record.json"


class LostError(Exception):
    """The job was removed, or another worker has it."""


class Jobs:
    """All jobs of this state folder, for any number of threads and processes."""

    def __init__(self, keep_seconds: float, lease_seconds: float) -> None:
        self._folder = state_folder() / "serving"
        self._keep, self._lease = keep_seconds, lease_seconds
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._changing() as database:
            database.execute(_SCHEMA)

    def accept(self, operator: str, form: str, fill: Callable[[Path], int | None]) -> Job:
        """A new job, whose files ``fill`` writes into its folder; it returns how many frames there are, if known."""
        job, now = uuid.uuid4().hex, time.time()
        row = (job, operator, form, "arriving", "", now, now + ARRIVING_SECONDS, 0, "", 0.0, None, 0, "")
        with self._changing() as database:
            database.execute(f"INSERT INTO jobs VALUES ({', '.join('?' * len(row))})", row)
        folder = self._folder / job
        try:
            folder.mkdir(mode=0o700)
            frames = fill(folder)
            for path in folder.iterdir():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            sync_folder(folder)
            sync_folder(self._folder)
            with self._changing() as database:
                database.execute(
                    "UPDATE jobs SET state = 'queued', expires = ?, frames = ? WHERE id = ?",
                    (time.time() + self._keep, frames, job),
                )
        except BaseException:
            self.remove(job)
            raise
        return self._found("id = ?", job)[0]

    def find(self, job: str, operator: str) -> Job | None:
        """The job of this id, if it is this operator's."""
        found = self._found("id = ? AND operator = ? AND state != 'arriving'", job, operator)
        return found[0] if found else None

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        with self._changing() as database:
            rows = dict(database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall())
        return {state: rows.get(state, 0) for state in get_args(State)}

    def waiting(self, tasks: Sequence[str]) -> int:
        """How many jobs for models of ``tasks`` nobody has begun."""
        with self._changing() as database:
            asked = f"SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND {_of_tasks(tasks)}"
            (count,) = database.execute(asked, tuple(tasks)).fetchone()
        return int(count)

    def remove(self, job: str) -> None:
        """Remove a job and its files; a worker that has it finds out."""
        with self._changing() as database:
            database.execute("DELETE FROM jobs WHERE id = ?", (job,))
        shutil.rmtree(self._folder / job, ignore_errors=True)

    def expire(self) -> None:
        """Remove what has been kept long enough, and what was never accepted."""
        for job in self._found("expires < ? AND state != 'running'", time.time()):
            self.remove(job.id)

    def claim(self, worker: str, tasks: Sequence[str]) -> Job | None:
        """A job that nobody has, or whose worker has died; it is ``worker``'s for the time of a lease.

        Only jobs for models of ``tasks`` are. Those that were begun least often come first, then the oldest.
        """
        now = time.time()
        with self._changing() as database:
            database.execute(
                "UPDATE jobs SET state = 'failed', expires = ?, detail = ? "
                "WHERE state = 'running' AND lease < ? AND attempts >= ?",
                (
                    now + self._keep,
                    f"the service ended {MOST_ATTEMPTS} times while it made this video: it is given up",
                    now,
                    MOST_ATTEMPTS,
                ),
            )
            row = database.execute(
                "UPDATE jobs SET state = 'running', worker = ?, lease = ?, attempts = attempts + 1, done = 0 WHERE "
                "id = (SELECT id FROM jobs WHERE (state = 'queued' OR (state = 'running' AND lease < ?)) "
                f"AND {_of_tasks(tasks)} "
                "ORDER BY attempts, made LIMIT 1) RETURNING id",
                (worker, now + self._lease, now, *tasks),
            ).fetchone()
        return next(iter(self._found("id = ?", row[0])), None) if row else None

    def renew(self, job: Job, worker: str, done: int) -> None:
        """Go on having it, with so many frames done.

        Raises:
            LostError: it is not ``worker``'s any more.
        """
        with self._changing() as database:
            self._mine(database, job, worker)
            lease = time.time() + self._lease
            database.execute("UPDATE jobs SET lease = ?, done = ? WHERE id = ?", (lease, done, job.id))

    def put_back(self, job: Job, worker: str) -> None:
        """Let another worker have it; that it was begun does not count."""
        with self._changing() as database:
            database.execute(
                "UPDATE jobs SET state = 'queued', attempts = attempts - 1, done = 0 WHERE id = ? AND worker = ? AND "
                "state = 'running'",
                (job.id, worker),
            )

    def fail(self, job: Job, worker: str, detail: str) -> None:
        """It cannot be made, and ``detail`` says why."""
        with self._changing() as database:
            database.execute(
                "UPDATE jobs SET state = 'failed', detail = ?, expires = ? WHERE id = ? AND worker = ? AND "
                "state = 'running'",
                (detail, time.time() + self._keep, job.id, worker),
            )

    def finish(self, job: Job, worker: str, done: int, result: str, publish: Callable[[], None]) -> None:
        """It is made: ``publish`` gives its files their names, which nobody else does meanwhile.

        Raises:
            LostError: it is not ``worker``'s any more; nothing is published.
        """
        with self._changing() as database:
            self._mine(database, job, worker)
            publish()
            database.execute(
                "UPDATE jobs SET state = 'done', result = ?, done = ?, frames = ?, expires = ? WHERE id = ?",
                (result, done, done, time.time() + self._keep, job.id),
            )

    def _mine(self, database: sqlite3.Connection, job: Job, worker: str) -> None:
        row = database.execute("SELECT worker, state FROM jobs WHERE id = ?", (job.id,)).fetchone()
        if row != (worker, "running"):
            raise LostError

    def _found(self, where: str, *values: object) -> list[Job]:
        names = "id, operator, form, state, detail, made, expires, attempts, frames, done, result"
        with self._changing() as database:
            rows = database.execute(f"SELECT {names} FROM jobs WHERE {where}", values).fetchall()
        return [Job(*(*row, self._folder / row[0])) for row in rows]

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on the disk once the block is left."""
        path = self._folder / "jobs.sqlite"
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
            path.chmod(0o600)
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")


def _of_tasks(tasks: Sequence[str]) -> str:
    """A condition on a job's task, in SQL, whose values are ``tasks``."""
    # what was accepted before there was a second task does not name it
    return f"COALESCE(json_extract(form, '$.task'), '{INPAINTING.task}') IN ({','.join('?' * len(tasks))})"
