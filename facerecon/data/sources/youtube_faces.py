"""YouTube Faces with facial keypoints: ``.npz`` files of clips in folders at will, ``<Person_Name>_<number>.npz``.

``colorImages`` is uint8 [H, W, 3, frames], ``landmarks3D`` [68, 3, frames] are points in pixels of each frame. Frames
spread evenly over a clip are kept as PNG in a zip in the context's folder, one a clip, written once; with them the
points, which are truth beside each frame, as the data set gives them.
"""

import json
import lzma
import math
import os
import re
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.data.companions import Companion, Gone, without_rows
from facerecon.data.containers import MAX_BYTES, MEMBER, member_names, read_bytes, write_zip
from facerecon.data.quarantine import Code, Refusal, refusal_of
from facerecon.data.sources import Photo, SourceContext, files, register_source
from facerecon.data.store import GIVEN_POINTS
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, sha256_file
from facerecon.images import UnreadableImageError, encode_png

VERSION = 2
"""Part of a kept clip's name: one whose frames were chosen or written in another way is read anew."""

_NAME = re.compile(r"(?P<person>.+)_\d+")
_INDEX = "index.json"
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
    *(EOFError, MemoryError, NotImplementedError, RuntimeError, SyntaxError, ValueError),
)
"""What zipfile and NumPy raise over what is no array; headers are parsed as Python literals."""

_AT_ONCE = 4
"""Clips read at a time at most: each can fill MAX_BYTES."""


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """Tables (csv) anywhere under ``root``: rows about a clip, or a person."""
    clips = {PurePosixPath(uri).stem for uri in gone.uris}
    for path in files(root):
        if path.suffix == ".csv":
            yield Companion(path, partial(without_rows, named=lambda row: not gone.people.union(clips).isdisjoint(row)))


def beside(root: Path, uri: str) -> bool:
    """Tables of the clips."""
    return PurePosixPath(uri).suffix == ".csv"


def truth(root: Path, uri: str) -> Mapping[str, NDArray[Any]]:
    """``given_points`` float32 [68, 3], ``landmarks3D`` of a frame; [0, 3] of one where they are no numbers or do not
    all lie within it. The uri is that of the frame in the context's folder, ``root``.

    Raises:
        UnreadableImageError: nothing is told of such a frame.
        OSError: it cannot be read.
    """
    kept, _, name = uri.partition(MEMBER)
    told = {row[0]: row[3] for row in json.loads(read_bytes(root, f"{kept}{MEMBER}{_INDEX}"))}
    if name not in told:
        raise UnreadableImageError(f"nothing is told of {name}")
    return {GIVEN_POINTS: np.array(told[name] or [], np.float32).reshape(-1, 3)}


@register_source(companions=companions, beside=beside, truth=truth, pictures=False)
def youtube_faces(root: Path, context: SourceContext) -> Iterator[Photo]:
    """Frames of all clips under ``root``; all of a clip are one track, all of a person one identity.

    A clip that cannot be used is named with its reason; nothing that is pickled in it is loaded.

    Raises:
        FaceReconError: no file under ``root`` is named as the clips are.
    """
    found = [path for path in context.files(root) if path.suffix == ".npz"]
    clips = [path for path in found if _NAME.fullmatch(path.stem)]
    if not clips:
        raise FaceReconError(
            f"data.path {root}: no clip named <Person_Name>_<number>.npz: give the folder of YouTube Faces"
        )
    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        for photos in pool.map(lambda path: _photos(path, root, context), clips):
            yield from photos
    for path in found:
        if not _NAME.fullmatch(path.stem):
            reason = "not in the list: no clip named <Person_Name>_<number>.npz"
            yield Photo(path.relative_to(root).as_posix(), refused=Refusal(Code.NOT_LISTED, reason))


def _photos(path: Path, root: Path, context: SourceContext) -> list[Photo]:
    clip, match = path.relative_to(root).as_posix(), _NAME.fullmatch(path.stem)
    assert match is not None
    person, count = match["person"], context.settings.youtube_faces.frames_per_clip
    if path.exists() and not path.is_file():
        return [Photo(clip, person, refused=Refusal(Code.BAD_CLIP, "clip: not a file"))]  # a pipe would be waited for
    try:
        kept = f"{digest_of({'clip': sha256_file(path), 'frames': count, 'version': VERSION})[:32]}.zip"
        if not (context.folder / kept).is_file():
            write_zip(context.folder / kept, _pictures(path, count))
        index = json.loads(read_bytes(context.folder, f"{kept}{MEMBER}{_INDEX}"))
    except UnreadableImageError as error:
        return [Photo(clip, person, refused=Refusal(Code.BAD_CLIP, f"clip: {error}"))]
    except OSError as error:
        return [Photo(clip, person, refused=refusal_of(error))]
    return [
        Photo(
            uri=f"{clip}#frame={frame}",
            identity=person,
            anchor=None if anchor is None else (anchor[0], anchor[1]),
            clip=clip,
            track=clip,
            frame=frame,
            file=f"{kept}{MEMBER}{name}",
        )
        for name, frame, anchor, _ in index
    ]


def _pictures(path: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """At most ``count`` frames as PNG, then the list of [name, frame, point between the eyes or null, points or null].

    The points [68, 3] are null of a frame where they are no numbers or do not all lie within it.
    """
    images, points = _read(path)
    frames = np.unique(np.linspace(0, images.shape[3] - 1, count).round().astype(int)).tolist()
    index = []
    for frame in frames:
        name = f"{frame:06d}.png"
        yield name, encode_png(images[..., frame])
        x, y = points[36:48, :2, frame].mean(0).tolist()
        inside = 0 <= x < images.shape[1] and 0 <= y < images.shape[0]
        told = points[..., frame].astype(np.float64)
        # no number lies nowhere
        within = ((told[:, :2] >= 0) & (told[:, :2] <= [images.shape[1], images.shape[0]])).all()
        usable = within and np.isfinite(told[:, 2]).all()
        index.append([name, frame, [x, y] if inside else None, told.round(3).tolist() if usable else None])
    yield _INDEX, json.dumps(index).encode()


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
    """A clip's images [H, W, 3, frames] and points [68, 3, frames]."""
    missing = {"colorImages.npy", "landmarks3D.npy"}.difference(member_names(path))
    if missing:
        raise UnreadableImageError(f"no {' and no '.join(sorted(missing))} in it")
    try:
        with zipfile.ZipFile(path) as archive:
            points = _array(archive, "landmarks3D.npy")
            images = _array(archive, "colorImages.npy")
    except _BROKEN as error:
        # the error's own words can hold an address in memory, and the list is part of a digest
        raise UnreadableImageError(f"a broken npz: {type(error).__name__}") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != 3:
        raise UnreadableImageError(f"colorImages is {images.dtype} {images.shape}, not uint8 (H, W, 3, frames)")
    if points.dtype.kind != "f" or points.shape != (68, 3, images.shape[3]):
        raise UnreadableImageError(f"landmarks3D is {points.dtype} {points.shape}, not (68, 3, {images.shape[3]})")
    if not images.size:
        raise UnreadableImageError("it has no frame")
    return images, points


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array of an npz; what its header says is judged before any memory is taken for it."""
    about = archive.getinfo(name)
    with archive.open(about) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise UnreadableImageError(f"{name}: version {version} of the format")
        v1 = version == (1, 0)
        header = np.lib.format.read_array_header_1_0 if v1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(stream)
        if dtype.hasobject:
            raise UnreadableImageError(f"{name} holds pickled objects, which are not loaded")
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_BYTES:
            raise UnreadableImageError(f"{name} is too large: {dtype} {shape}")
        if min(shape, default=0) < 0 or about.file_size != stream.tell() + size:
            raise UnreadableImageError(f"{name} is not as large as its header says: {dtype} {shape}")
        return np.frombuffer(stream.read(size), dtype).reshape(shape, order="F" if fortran else "C")
