"""Labeled Faces in the Wild (Huang et al., 2007): ``<First_Last>/<First_Last>_<0001>.jpg``."""

import re
from collections.abc import Iterator
from pathlib import Path

from facerecon.data.sources import Photo, image_files, register_source
from facerecon.errors import FaceReconError

_NAME = re.compile(r"(?P<person>.+)_\d{4}")


@register_source
def lfw(root: Path) -> Iterator[Photo]:
    """Photos in LFW's layout; LFW names no train and test people of its own for reconstruction.

    Raises:
        FaceReconError: no file under ``root`` is named as LFW names them.
    """
    found = False
    for path in image_files(root):
        match = _NAME.fullmatch(path.stem)
        if match and match["person"] == path.parent.name:
            found = True
            yield Photo(path.relative_to(root).as_posix(), match["person"])
    if not found:
        raise FaceReconError(
            f"data.path {root}: no file named <Person>/<Person>_0001.jpg as in LFW: "
            "give the folder that holds one folder per person, or set data.source to 'folder'"
        )
