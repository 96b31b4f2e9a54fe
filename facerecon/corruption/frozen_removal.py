"""Taking forgotten photos out of the files of frozen degraded faces.

A file is named by the faces that it holds, so it is written anew under another name, without theirs: the others keep
their pixels, which the codecs of now might not make again, and the next run finds them there. A description of the old
file leads nowhere any more.

Nothing is asked here but what these files have always had: they say which ``faces`` they hold, in order, and their
names end with a digest over what they say. So files that older code has made are written anew, too.
"""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from facerecon.data.forget import shown_path
from facerecon.files import atomic_path, digest_of, remove_temporary

FILES = "*px-x*-*.npz"
"""The names of such files; those of masks are others."""

_DIGITS = 16
"""So many digits of the digest end a file's name."""

_BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, BadZipFile, zlib.error)

About = dict[str, Any]
"""What a file says of its faces, but for the SHA-256 of their pixels; what it lists has a row for each."""


def frozen_files(sha256s: set[str], cases: Path) -> list[Path]:
    """The files that hold faces of photos with these digests, or may: who is in them cannot be read.

    In ``cases`` there is a folder for each task, with one for each state of its code.
    """
    paths = sorted(cases.glob(f"*/*/{FILES}"))
    return [path for path in paths if (faces := _faces(path)) is None or any(_is_of(face, sha256s) for face in faces)]


def remove_frozen(sha256s: set[str], cases: Path, project: Path) -> list[str]:
    """Write the ``frozen_files`` anew without the faces of photos; one that holds no other goes.

    So does one that is damaged, which no run would read. Killed anywhere, the same call finishes. Returns a line for
    each file that is still there.

    Raises:
        FaceReconError: no space is left to write one anew; it is as it was.
    """
    for folder in cases.glob("*/*/"):
        remove_temporary(folder)
    left = []
    for path in frozen_files(sha256s, cases):
        try:
            if (content := _read(path)) is not None:
                _write_without(path, *content, sha256s)
            path.unlink()
        except OSError as error:
            shown = shown_path(path, project)
            left.append(f"{shown}: degraded faces of them may be in it, and it cannot be removed: {error.strerror}")
    return left


def _write_without(path: Path, what: About, pixels: NDArray[np.uint8], sha256s: set[str]) -> None:
    """Write what stays of a file beside it, if anything does and it is not there already."""
    rows = [row for row, face in enumerate(what["faces"]) if not _is_of(face, sha256s)]
    what = {name: [value[row] for row in rows] if isinstance(value, list) else value for name, value in what.items()}
    new = path.with_name(f"{path.stem[:-_DIGITS]}{digest_of(what)[:_DIGITS]}{path.suffix}")
    if not rows or (new.exists() and _read(new) is not None):
        return
    staying = pixels[rows]
    about = {**what, "pixels_sha256": hashlib.sha256(staying.data).hexdigest()}
    with atomic_path(new) as temporary:
        np.savez_compressed(temporary, about=np.array(json.dumps(about, sort_keys=True)), pixels=staying)


def _is_of(face: str, sha256s: set[str]) -> bool:
    """Whether a face was found in one of the photos."""
    return face.partition("-")[0] in sha256s


def _faces(path: Path) -> list[str] | None:
    """The names of a file's faces, whatever its pixels are; None if they cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return [str(face) for face in json.loads(str(content["about"]))["faces"]]
    except _BROKEN:
        return None


def _read(path: Path) -> tuple[About, NDArray[np.uint8]] | None:
    """What a file says of its faces, and their pixels uint8 [N, h, w, 3]; None if it is damaged.

    Raises:
        PermissionError: it must not be read.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            what, pixels = dict(json.loads(str(content["about"]))), content["pixels"]
        sha256 = what.pop("pixels_sha256")
        whole = (
            pixels.dtype == np.uint8
            and all(len(value) == len(pixels) for value in (what["faces"], *what.values()) if isinstance(value, list))
            and path.stem.endswith(digest_of(what)[:_DIGITS])
            and hashlib.sha256(pixels.data).hexdigest() == sha256
        )
        return (what, pixels) if whole else None
    except PermissionError:
        raise
    except _BROKEN:
        return None
