"""What a schedule has done so far: a file for each config in the state folder, so that a missed slot is caught up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from facerecon.errors import FaceReconError
from facerecon.files import digest_of, write_json
from facerecon.workspace import state_folder


class Record(BaseModel):
    """Of the schedule of the config ``file``; instants are in seconds since 1970.

    ``slot``: up to there nothing is due any more; of a new schedule it is when it was set up. ``started`` and ``ended``
    are of the last run that ended by itself, with its exit ``status``; ``finished`` is the end of the last one that
    went well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    file: str
    cron: str
    since: float
    slot: float
    started: float | None = None
    ended: float | None = None
    status: int | None = None
    finished: float | None = None

    def write(self) -> None:
        """Keep it instead of what was kept of the same config."""
        write_json(_path(Path(self.file)), self.model_dump())


def read_record(file: Path) -> Record | None:
    """What is kept of the schedule of a config; None if nothing is.

    Raises:
        FaceReconError: it is damaged, or of a later version of the project.
    """
    path = _path(file)
    return _read(path) if path.is_file() else None


def records() -> Iterator[Record]:
    """What is kept of all schedules of this clone; raises as ``read_record``."""
    for path in sorted(_folder().glob("*.json")):
        yield _read(path)


def forget_record(file: Path) -> None:
    """Remove what is kept of the schedule of a config."""
    _path(file).unlink(missing_ok=True)


def _read(path: Path) -> Record:
    try:
        return Record.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise FaceReconError(
            f"{path} is damaged, or was written by a later version: remove it, and its schedule begins anew"
        ) from error


def _folder() -> Path:
    return state_folder() / "schedules"


def _path(file: Path) -> Path:
    return _folder() / f"{digest_of(str(file.resolve()))[:16]}.json"
