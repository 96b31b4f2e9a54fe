"""Sample faces as ``facerecon sample`` draws them: a folder a person, with the truth about the photos beside them."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.data.companions import Companion, Gone
from facerecon.data.lighting import LIGHT
from facerecon.data.sources import Photo, SourceContext, register_source
from facerecon.drawn import TRUTH, Lighting
from facerecon.errors import FaceReconError
from facerecon.files import sha256_file
from facerecon.images import UnreadableImageError


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """What the truth beside photos says of them."""
    named: dict[Path, set[str]] = {}
    for path in (root / uri for uri in gone.uris):
        named.setdefault(path.parent / TRUTH, set()).add(path.name)
    for where, names in sorted(named.items()):
        if where.is_file():
            yield Companion(where, partial(_without_photos, where=where, names=names))


def beside(root: Path, uri: str) -> bool:
    """The files with the truth."""
    return PurePosixPath(uri).name == TRUTH


def truth(root: Path, uri: str) -> Mapping[str, NDArray[Any]]:
    """``light``, the place of the photo's condition in ``Lighting``.

    Raises:
        UnreadableImageError: the truth beside the photo is not of this photo.
        OSError: it cannot be read.
    """
    path = root / uri
    content = (path.parent / TRUTH).read_bytes()
    try:
        told = json.loads(content)["photos"][path.name]
        same, light = sha256_file(path) == told["sha256"], Lighting(told["scene"]["light"]["name"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableImageError(f"{TRUTH} says nothing of it") from error
    if not same:
        raise UnreadableImageError(f"{TRUTH} is of another photo")
    return {LIGHT: np.array(list(Lighting).index(light))}


@register_source(companions=companions, truth=truth, beside=beside)
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


def _no_truth(where: Path, error: Exception) -> FaceReconError:
    return FaceReconError(f"{where} is no truth of drawn faces ({error}): draw them again with 'facerecon sample'")
