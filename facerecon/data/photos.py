"""The photographs that aligned faces were cut out of."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facerecon.data.containers import read_bytes
from facerecon.data.manifest import Manifest
from facerecon.files import sha256_bytes
from facerecon.images import UnreadableImageError, read_rgb


class NoPhotoError(Exception):
    """Why a face's photograph is not at hand: ``the photograph is gone``."""


def read_photo(manifest: Manifest, row: "pd.Series[Any]") -> NDArray[np.uint8]:
    """The photograph uint8 [H, W, 3] of a face, a ``row`` of the manifest.

    Raises:
        NoPhotoError: it is not at hand, or not as it was when it was aligned.
    """
    source = manifest.sources.get(row["source"])
    if source is None:
        raise NoPhotoError("the manifest names no place of the photographs")
    if source.aligned:
        raise NoPhotoError("the source's pictures are aligned crops themselves")
    root, uri = (manifest.frames, row["file"]) if row["file"] else (source.root, row["uri"])
    try:
        content = read_bytes(Path(root), uri)
        if sha256_bytes(content) != row["sha256"]:
            raise NoPhotoError("the photograph has changed")
        return read_rgb(content)
    except OSError as error:
        raise NoPhotoError("the photograph is gone") from error
    except UnreadableImageError as error:
        raise NoPhotoError("the photograph cannot be read") from error
