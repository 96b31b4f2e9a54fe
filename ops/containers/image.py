"""The image that this code runs in, if it does: what was written into it when it was made."""

import json
from dataclasses import dataclass
from pathlib import Path

from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT

FOLDER = PROJECT / ".image"
"""In an image only, where there is no repository: what ``infra/images/build.py`` knew of it."""
ABOUT, DIFFERENCE = "about.json", "uncommitted.diff"


@dataclass(frozen=True)
class Image:
    """The commit that an image was made of, and the tree's difference to it as a patch, "" if there was none."""

    commit: str
    difference: str


def running_image(folder: Path = FOLDER) -> Image | None:
    """The image that this process runs in; None outside of one.

    Raises:
        FaceReconError: what the image says of itself cannot be read.
    """
    if not folder.is_dir():
        return None
    try:
        commit = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["commit"]
        # as git prints it, bytes that are no UTF-8 included
        difference = (folder / DIFFERENCE).read_bytes().decode("utf-8", "surrogateescape")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FaceReconError(f"{folder} does not say what this image was made of ({error}): make it again") from error
    return Image(str(commit), difference)
