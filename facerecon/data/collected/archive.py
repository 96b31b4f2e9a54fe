"""What is kept of a clip: its good faces as PNG files and a record of their tracks, in one stored zip.

It is named by the SHA-256 of the clip's bytes. The clip itself is not needed any more.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.data.containers import write_zip
from facerecon.errors import FaceReconError

RECORD = "clip.json"
SCHEMA_VERSION = 1
SUFFIX = ".zip"

_HALF_THE_LINES = 0.5**0.25


@dataclass(frozen=True)
class KeptFace:
    """A face that is kept: the ``member`` that shows it, ``frame`` number and ``time`` (seconds) in the clip, the
    quality ``score`` (0 to 1), the point between the eyes, ``anchor``, in pixels of the picture, and where the
    picture's ``corner`` lies in the frame, left and top."""

    member: str
    frame: int
    time: float
    score: float
    anchor: tuple[float, float]
    corner: tuple[int, int]


@dataclass(frozen=True)
class KeptTrack:
    """A face that was followed: its ``number`` in the clip, when it was ``first`` and ``last`` seen (seconds), its unit
    ``embedding`` [D] (SFace), its ``faces``, and how many were too ``poor``."""

    number: int
    first: float
    last: float
    embedding: NDArray[np.float32]
    faces: tuple[KeptFace, ...]
    poor: int


def archive_path(folder: Path, clip: str) -> Path:
    """Where the archive of the clip of this SHA-256 lies."""
    return folder / f"{clip}{SUFFIX}"


def select(record: Mapping[str, Any], min_quality: float, min_seen: int = 1) -> tuple[KeptTrack, ...]:
    """The tracks in the record of an extracted clip, each with those of its faces that are good enough.

    None are of a track that was seen in fewer than ``min_seen`` frames: its embedding says too little of who it is.
    """
    tracks = []
    for row in record["tracks"]:
        good = [face for face in row["faces"] if quality(face["score"]) >= min_quality and row["seen"] >= min_seen]
        faces = tuple(
            KeptFace(
                member=face["member"],
                frame=face["frame"],
                time=face["time"],
                score=quality(face["score"]),
                anchor=(face["anchor"][0], face["anchor"][1]),
                corner=(face["corner"][0], face["corner"][1]),
            )
            for face in good
        )
        embedding = np.array(row["embedding"], np.float32)
        poor = len(row["faces"]) - len(good)
        tracks.append(KeptTrack(row["number"], row["first"], row["last"], embedding, faces, poor))
    return tuple(tracks)


def quality(rank: float) -> float:
    """The quality, 0 to 1, of a face that extraction ranks so: one of an interlaced frame is ranked 1 lower.

    Half the lines count as half the height in the mean of the four traits.
    """
    return rank if rank >= 0 else (rank + 1) * _HALF_THE_LINES


def write_archive(folder: Path, clip: str, tracks: tuple[KeptTrack, ...], extracted: Path) -> None:
    """Write the archive of a clip in one step; its pictures come from the archive ``extracted``."""
    record = {
        "schema_version": SCHEMA_VERSION,
        "clip": clip,
        "tracks": [_row(track) for track in tracks if track.faces],
    }
    with zipfile.ZipFile(extracted) as source:
        members = [(face.member, source.read(face.member)) for track in tracks for face in track.faces]
    write_zip(archive_path(folder, clip), [*members, (RECORD, json.dumps(record, allow_nan=False).encode())])


def _row(track: KeptTrack) -> dict[str, Any]:
    faces = [[face.member, face.frame, face.time, face.score, face.anchor, face.corner] for face in track.faces]
    about = {"number": track.number, "first": track.first, "last": track.last, "poor": track.poor}
    return {**about, "embedding": track.embedding.tolist(), "faces": faces}


def read_archive(folder: Path, clip: str) -> tuple[KeptTrack, ...]:
    """The tracks in the archive of a clip.

    Raises:
        FaceReconError: it is gone or damaged.
    """
    path = archive_path(folder, clip)
    try:
        with zipfile.ZipFile(path) as members:
            record = json.loads(members.read(RECORD))
        if record["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {record['schema_version']}, expected {SCHEMA_VERSION}")
        return tuple(
            KeptTrack(
                row["number"],
                row["first"],
                row["last"],
                np.array(row["embedding"], np.float32),
                tuple(
                    KeptFace(member, frame, time, score, (anchor[0], anchor[1]), (corner[0], corner[1]))
                    for member, frame, time, score, anchor, corner in row["faces"]
                ),
                row["poor"],
            )
            for row in record["tracks"]
        )
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise FaceReconError(
            f"{path}: no archive of a collected clip ({error}): get it back with `dvc checkout collected.dvc`"
        ) from error
