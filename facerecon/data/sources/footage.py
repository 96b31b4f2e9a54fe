"""Footage: videos and folders of frames, out of which faces are taken, followed and told apart."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from facerecon.data.containers import MEMBER
from facerecon.data.listing import CLIP_SUFFIXES, kind_of
from facerecon.data.settings import FootageSettings
from facerecon.data.sources import Photo, SourceContext, register_source
from facerecon.errors import FaceReconError
from facerecon.files import remove_temporary
from facerecon.formats import Kind

if TYPE_CHECKING:
    from facerecon.data.footage.extraction import Extracted

LOG = logging.getLogger(__name__)

VIDEO_SUFFIXES = CLIP_SUFFIXES | {".gif", ".ts"}
"""How clips are named. What has no name of a clip or a picture is a clip if its first bytes say so."""

FRAMES_SUFFIX = ".frames"
"""A folder so named is one clip: its files are the frames, in the order of the numbers in their names."""


@register_source(pictures=False)
def footage(root: Path, context: SourceContext) -> Iterator[Photo]:
    """The best faces of each track in each clip under ``root``; a clip is a video, or a folder named ``….frames``.

    A video is what is named like one (``VIDEO_SUFFIXES``), and what shows by its first bytes that it is one.

    Who is in a track is told by ``data.footage.same_person``. A clip that cannot be used, or shows no face, is refused
    with its reason.

    Raises:
        FaceReconError: there is no clip.
    """
    # torch and the detectors are loaded by who reads footage, not by who lists the sources
    from facerecon.data.footage.extraction import extract_all

    clips = sorted(_clips(root, context))
    if not clips:
        raise FaceReconError(
            f"data.path: {root} holds no clip ({', '.join(sorted(VIDEO_SUFFIXES))}, or a folder of frames named "
            "….frames): give a folder of footage"
        )
    settings = context.settings.footage
    with _alone(context.folder):
        extracted = extract_all([root / clip for clip in clips], context.folder, settings)
    names = _identities(dict(zip(clips, extracted, strict=True)), settings)
    for clip, found in zip(clips, extracted, strict=True):
        if found.refused or not found.record:
            yield Photo(clip, refused=found.refused)
            continue
        if broken := found.record["broken"]:
            LOG.warning("%s: %d frames cannot be decoded and are passed over", clip, broken)
        if (streams := found.record["streams"]) > 1:
            LOG.warning("%s: holds %d video streams, that with the largest frames is read", clip, streams)
        if jumps := found.record["jumps"]:
            LOG.warning("%s: %d jumps back in time: no face is followed from before one to after it", clip, jumps)
        for track in found.record["tracks"]:
            name = f"{clip}#{track['number']}"
            for face in track["faces"]:
                yield Photo(
                    uri=f"{clip}#frame={face['frame']}&track={track['number']}",
                    identity=names[name],
                    anchor=(face["anchor"][0], face["anchor"][1]),
                    clip=clip,
                    track=name,
                    frame=face["frame"],
                    time=face["time"],
                    file=f"{found.archive}{MEMBER}{face['member']}",
                )


def _clips(root: Path, context: SourceContext) -> set[str]:
    """The clips under ``root``, relative to it. What lies in a folder of frames is part of that clip."""
    found = set()
    for path in context.files(root):
        relative = path.relative_to(root)
        if folder := frames_folder(relative):
            found.add(folder.as_posix())
        elif is_video(path):
            found.add(relative.as_posix())
    return found


def frames_folder(relative: PurePath) -> PurePath | None:
    """The folder of frames that a file, ``relative`` to the root, is part of, the outermost; None if it is in none."""
    folders = (folder for folder in reversed(relative.parents) if folder.suffix.lower() == FRAMES_SUFFIX)
    return next(folders, None)


def is_video(path: Path) -> bool:
    """Whether a file is a clip by its name, or else by its first bytes; so is what cannot be read."""
    return path.suffix.lower() in VIDEO_SUFFIXES or kind_of(path, Kind.CLIP) is Kind.CLIP


def _identities(clips: dict[str, "Extracted"], settings: FootageSettings) -> dict[str, str]:
    """Who is in each track, by the track's name."""
    from facerecon.data.footage.people import Seen, name_people

    tracks = [
        Seen(clip, f"{clip}#{row['number']}", row["first"], row["last"], np.array(row["embedding"], np.float32))
        for clip, found in clips.items()
        if found.record
        for row in found.record["tracks"]
    ]
    if settings.same_person == "embedding":
        people = name_people(tracks, settings.similarity)
    elif settings.same_person == "clip":
        people = [track.clip for track in tracks]
    else:
        people = [track.clip.split("/")[0] for track in tracks]
    return {track.name: person for track, person in zip(tracks, people, strict=True)}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time read clips into ``folder``: another waits, and finds them done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_temporary(folder)
        yield
