"""Sample faces as ``facerecon sample`` draws them: a folder a person, with the truth about the photos beside them."""

import io
import json
import logging
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from facerecon.data.companions import Companion, Gone
from facerecon.data.lighting import LIGHT
from facerecon.data.settings import DataSettings
from facerecon.data.sources import Photo, SourceContext, register_source
from facerecon.drawn import SHAPE, TRUTH, Lighting, read_shapes, shape_of
from facerecon.errors import FaceReconError
from facerecon.files import sha256_file
from facerecon.images import UnreadableImageError
from facerecon.weights import weights_path

LOG = logging.getLogger(__name__)


def prepare(root: Path, settings: DataSettings) -> None:
    """Draw what the settings ask for and is missing, with its shape.

    Raises:
        FaceReconError: the pretrained weights that the faces are drawn on cannot be had.
    """
    asked = settings.draw
    if asked is None:
        return
    from facerecon.synthetic import write_dataset  # the renderer, which only this needs

    since = time.monotonic()
    about = (asked.people, asked.photos, asked.size, asked.seed, asked.workers)
    drawn_anew = write_dataset(root, weights_path("face_landmarker"), *about, lit=asked.lights, shape=True)
    if drawn_anew:
        LOG.info("%d photos of %d people drawn in %s: %.0f s", drawn_anew, asked.people, root, time.monotonic() - since)


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """What the truth beside photos says of them."""
    named: dict[Path, set[str]] = {}
    for path in (root / uri for uri in gone.uris):
        named.setdefault(path.parent / TRUTH, set()).add(path.name)
    for where, names in sorted(named.items()):
        if where.is_file():
            yield Companion(where, partial(_without_photos, where=where, names=names))
        if (shape := where.with_name(SHAPE)).is_file():
            yield Companion(shape, partial(_without_shapes, where=shape, names=names))


def beside(root: Path, uri: str) -> bool:
    """The files with the truth."""
    return PurePosixPath(uri).name in (TRUTH, SHAPE)


def truth(root: Path, uri: str) -> Mapping[str, NDArray[Any]]:
    """``light``, the place of the photo's condition in ``Lighting``; where its shape is told, that too.

    Of the shape: ``landmarks`` float32 [68, 3] and ``vertices`` float32 [468, 3] (x, y in pixels of the photo, depth in
    cm from the camera), ``depth`` uint16 [h, w] over the whole photo in DEPTH_UNIT, 0 behind the person, and ``focal``
    in pixels.

    Raises:
        UnreadableImageError: the truth beside the photo is not of this photo.
        OSError: it cannot be read.
    """
    path = root / uri
    content = (path.parent / TRUTH).read_bytes()
    try:
        told = json.loads(content)["photos"][path.name]
        same, light = sha256_file(path) == told["sha256"], Lighting(told["scene"]["light"]["name"])
        shape_sha256 = told.get("shape_sha256")
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableImageError(f"{TRUTH} says nothing of it") from error
    if not same:
        raise UnreadableImageError(f"{TRUTH} is of another photo")
    shape: Mapping[str, NDArray[Any]] = {}
    if shape_sha256 is not None:
        try:
            shape = shape_of(_shapes(path.parent / SHAPE), path.name, shape_sha256)
        except (ValueError, BadZipFile) as error:
            raise UnreadableImageError(f"{SHAPE} cannot be read") from error
        if not shape:
            raise UnreadableImageError(f"{SHAPE} is of another photo")
    return {LIGHT: np.array(list(Lighting).index(light)), **shape}


@lru_cache(maxsize=2)
def _read(path: Path, state: tuple[int, int]) -> dict[str, NDArray[Any]]:
    return read_shapes(path)


def _shapes(path: Path) -> dict[str, NDArray[Any]]:
    """The shapes in a file: the photos of a person follow one another."""
    about = path.stat()
    return _read(path, (about.st_mtime_ns, about.st_size))


@register_source(companions=companions, truth=truth, beside=beside, prepare=prepare)
def drawn(root: Path, context: SourceContext) -> Iterator[Photo]:
    """The photos beside which there is truth, with the light that they were drawn in.

    People are named by seed and number: those of two sets of one seed are the same.

    Raises:
        FaceReconError: there is no such photo, or the truth names nobody.
    """
    people: dict[Path, str] = {}
    found = False
    for path in context.image_files(root):
        where = path.parent / TRUTH
        if where not in people and where.is_file():
            people[where] = _person(where)
        if where in people:
            found = True
            yield Photo(path.relative_to(root).as_posix(), people[where])
    if not found:
        raise FaceReconError(
            f"data.path {root}: no photo with {TRUTH} beside it: give the folder that 'facerecon sample' drew into, "
            "or set data.source to 'folder'"
        )


def _person(where: Path) -> str:
    try:
        told = json.loads(where.read_bytes())
        return f"drawn-{int(told['seed'])}-{int(told['identity_number'])}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_truth(where, error) from error


def _without_photos(content: bytes, where: Path, names: set[str]) -> bytes:
    """The truth without the photos of these names, written as it was."""
    try:
        told = json.loads(content)
        kept = {name: about for name, about in told["photos"].items() if name not in names}
        if len(kept) == len(told["photos"]):
            return content
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_truth(where, error) from error
    return (json.dumps(told | {"photos": kept}, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _without_shapes(content: bytes, where: Path, names: set[str]) -> bytes:
    """The shapes without those of the photos of these names."""
    stems = {PurePosixPath(name).stem for name in names}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            kept = {key: held[key] for key in held if key.partition(".")[0] not in stems}
            if len(kept) == len(held):
                return content
    except (ValueError, OSError, BadZipFile) as error:
        raise _no_truth(where, error) from error
    written = io.BytesIO()
    np.savez_compressed(written, **kept)
    return written.getvalue()


def _no_truth(where: Path, error: Exception) -> FaceReconError:
    return FaceReconError(f"{where} is no truth of drawn faces ({error}): draw them again with 'facerecon sample'")
