"""From a folder of photographs to a manifest: hashed, without duplicates, split by identity."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from facerecon.config.data import DataSettings
from facerecon.data.images import UnreadableImageError, read_rgb
from facerecon.data.manifest import PHOTO_COLUMNS, Manifest
from facerecon.data.sources import SOURCES, Photo
from facerecon.data.splits import split_of
from facerecon.errors import FaceReconError
from facerecon.files import sha256_file
from facerecon.progress import track
from facerecon.randomness import unit_interval


def source_root(data: DataSettings, project: Path) -> Path:
    """The folder that the settings name; relative paths start at ``project``.

    Raises:
        FaceReconError: it is missing or no folder.
    """
    root = project / Path(data.path).expanduser()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        hint = " (`make demo` draws the sample faces there)" if data.path == DataSettings().path else ""
        raise FaceReconError(f"data.path: {root} {what}: give a folder of images{hint}")
    return root


def source_fingerprint(data: DataSettings, project: Path) -> str:
    """A digest of names, sizes and modification times under the root: changes when the photos may have changed."""
    root = source_root(data, project)
    fingerprint = hashlib.sha256()
    for photo in SOURCES[data.source](root):
        try:
            state = (root / photo.uri).stat()
            change = f"{state.st_size}\0{state.st_mtime_ns}"
        except OSError as error:
            change = str(error.strerror)  # a broken link, say: ``ingest`` puts it on the quarantine list
        fingerprint.update(os.fsencode(f"{photo.uri}\0{photo.identity}\0{change}\n"))
    return fingerprint.hexdigest()


def ingest(data: DataSettings, project: Path) -> Manifest:
    """Read every photo of the source once and list the usable ones.

    A photo that cannot be read, or whose bytes were seen before, goes to the quarantine list with its reason. A
    photo of a person not named is its own identity (by content).

    Raises:
        FaceReconError: the folder is missing, holds no image, or no image that can be read.
    """
    root = source_root(data, project)
    photos = sorted(SOURCES[data.source](root), key=lambda photo: photo.uri)
    if not photos:
        raise FaceReconError(f"data.path: {root} holds no image (jpg, png, webp, bmp, tiff): give a folder of photos")
    if data.max_faces is not None:
        photos = sorted(photos, key=lambda photo: unit_interval("keep", _printable(photo.uri)))[: data.max_faces]
        photos.sort(key=lambda photo: photo.uri)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        examined = list(track(pool.map(lambda p: _examine(root, p), photos), "reading photos", len(photos)))
    rows, refused = [], []
    first_with: dict[str, str] = {}
    for photo, (sha256, reason) in zip(photos, examined, strict=True):
        if not reason and sha256 in first_with:
            reason = f"duplicate of {first_with[sha256]}"
        if reason:
            refused.append({"uri": _printable(photo.uri), "reason": reason})
            continue
        first_with[sha256] = photo.uri
        identity = photo.identity or f"unnamed-{sha256[:16]}"
        split = photo.split or split_of(identity, data.splits)
        rows.append((sha256, photo.uri, sha256, data.source, identity, split))
    if not rows:
        raise FaceReconError(
            f"data.path: none of the {len(photos)} images under {root} can be read "
            f"(first: {refused[0]['uri']}: {refused[0]['reason']}): give a folder of photos"
        )
    return Manifest(
        root=str(root),
        faces=pd.DataFrame(rows, columns=list(PHOTO_COLUMNS)),
        quarantine=pd.DataFrame(refused, columns=["uri", "reason"], dtype=str),
    )


def _printable(name: str) -> str:
    """``name`` with what is not valid UTF-8 in it (a stray byte that the file system kept) written as ``\\udc..``."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _examine(root: Path, photo: Photo) -> tuple[str, str]:
    """The SHA-256 of a photo's bytes and the reason why it cannot be used, "" if it can."""
    path = root / photo.uri
    if _printable(photo.uri) != photo.uri:
        return "", "its name is not valid UTF-8"
    try:
        sha256 = sha256_file(path)
        read_rgb(path)
    except OSError as error:
        return "", f"cannot be read: {error.strerror}"
    except UnreadableImageError as error:
        return "", str(error)
    return sha256, ""
