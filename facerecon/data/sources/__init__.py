"""Where photos come from: one module per on-disk layout, behind one small interface.

A source is a function ``root -> photos`` that names what lies under a folder; it opens no image. A new layout is
one module here with one ``@register_source`` function.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from facerecon.errors import FaceReconError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Photo:
    """One photo as its source names it.

    ``uri`` is relative to the data root, with forward slashes. ``identity`` is None where the layout does not
    tell; ``split`` is the source's official partition, None where it has none.
    """

    uri: str
    identity: str | None = None
    split: str | None = None


Source = Callable[[Path], Iterator[Photo]]

SOURCES: dict[str, Source] = {}


def register_source(source: Source) -> Source:
    """Register a source under its function's name."""
    SOURCES[source.__name__] = source
    return source


def _refuse(error: OSError) -> None:
    raise FaceReconError(f"data.path: folder {error.filename} cannot be read: {error.strerror}: mend its permissions")


def image_files(root: Path) -> Iterator[Path]:
    """All files under ``root`` that are named like images, in a fixed order; hidden ones are passed over.

    Raises:
        FaceReconError: a folder cannot be read: its photos must not be missing unnoticed.
    """
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(folder) / name


for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
