"""Where photos come from: one module per on-disk layout, behind one small interface.

A source is a function ``(root, context) -> photos`` that names what lies under a folder; it decodes no image, but
for videos, of which it keeps the frames it names. A new layout is one module here with one function that is registered;
a module elsewhere registers its own by the same call, and is known by name once it is imported.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.data.account import Class
from facerecon.data.companions import Companions
from facerecon.data.listing import Entry, kind_of, walk
from facerecon.data.manifest import SPLITS
from facerecon.data.quarantine import Refusal
from facerecon.data.settings import DataSettings
from facerecon.errors import FaceReconError
from facerecon.formats import Kind

LOADED_MODULES = ("facerecon.data.sources.*",)
"""What is imported below by name."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo as its source names it.

    ``uri`` is relative to the data root, with forward slashes; a member of a zip is ``archive.zip!/member``.
    ``identity`` is None where the layout does not tell; ``splits`` are those that the source's official partition
    allows, all where it has none. ``licence`` is the photo's own, "" where it has none but the data set's. ``anchor``
    is a point between the eyes of the face that is meant (x, y in pixels), where the layout tells.

    Frames of footage have ``clip``, ``track`` (one face followed through the clip), ``frame`` (number in the clip) and
    ``time`` (seconds), and lie as ``file``, a uri relative to the context's folder.

    ``refused`` is why the source itself will not have it used: it goes to the quarantine list with that, unread.
    """

    uri: str
    identity: str | None = None
    splits: tuple[str, ...] = SPLITS
    licence: str = ""
    anchor: tuple[float, float] | None = None
    clip: str = ""
    track: str = ""
    frame: int = -1
    time: float = math.nan
    file: str = ""
    refused: Refusal | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A member of an archive that is no photo, and of which ``Class`` of files it is; ``kind`` tells others apart."""

    uri: str
    of: Class
    kind: str = ""


@dataclass(frozen=True)
class SourceContext:
    """What a source is given beside its root: the settings, a folder for what it takes out of videos, and, where it was
    walked before, what lies under the ``walked`` root."""

    settings: DataSettings
    folder: Path
    walked: tuple[Path, tuple[Entry, ...]] | None = None

    def files(self, root: Path) -> Iterator[Path]:
        """The files under ``root`` that the settings do not pass over, in a fixed order.

        Raises:
            FaceReconError: a folder cannot be read.
        """
        if self.walked and self.walked[0] == root:
            found: Iterable[Entry] = self.walked[1]
        else:
            found = walk(root, self.settings.follow_links, self.settings.exclude)
        return (entry.path for entry in found if not entry.system and not entry.refused)

    def image_files(self, root: Path) -> Iterator[Path]:
        """Those of ``files`` that are pictures by their names or by their content."""
        return (path for path in self.files(root) if kind_of(path, Kind.PICTURE) is Kind.PICTURE)


Photos = Callable[[Path, SourceContext], Iterator["Photo | PassedOver"]]

Parts = Callable[[Path, str], NDArray[np.uint8] | None]
"""(root, uri) -> labels of the face's parts, uint8 [h, w] over the whole photo in any resolution, 0 = none; or None."""


Truth = Callable[[Path, str], Mapping[str, NDArray[Any]]]
"""(root, uri) -> what is known of a photo: named arrays of numbers of any shape, kept as they are beside each face."""


Beside = Callable[[Path, str], bool]
"""(root, uri) -> whether a file that is no photo of the source is a list or a companion of photos."""


Prepare = Callable[[Path, DataSettings], None]
"""(root, settings) -> makes what the settings ask for and is missing; the root is there."""


Withdrawn = Callable[[Path], frozenset[str]]
"""root -> the photos of any source, by SHA-256, that may be learned from and are not to be evaluated any more."""


@dataclass(frozen=True)
class Source:
    """A layout: ``photos`` lists what lies under a root, ``parts`` reads a photo's labelled parts where it has them,
    ``companions`` names what lies beside photos and tells of them, ``truth`` reads named arrays, where there are such,
    ``beside`` knows the layout's lists and companions, ``withdrawn`` the photos, of other sources too, that are to be
    in no split but train. ``pictures`` is whether its photos are files of their own, not frames of clips or members of
    archives alone. ``may_be_empty`` is whether a folder without any photo is no error. ``prepare`` makes photos that
    are asked for and missing.

    They are functions of a module, so that worker processes find them."""

    photos: Photos
    parts: Parts | None = None
    companions: Companions | None = None
    truth: Truth | None = None
    beside: Beside | None = None
    pictures: bool = True
    may_be_empty: bool = False
    withdrawn: Withdrawn | None = None
    prepare: Prepare | None = None


SOURCES: dict[str, Source] = {}


def register_source(
    parts: Parts | None = None,
    companions: Companions | None = None,
    truth: Truth | None = None,
    beside: Beside | None = None,
    pictures: bool = True,
    may_be_empty: bool = False,
    withdrawn: Withdrawn | None = None,
    prepare: Prepare | None = None,
) -> Callable[[Photos], Photos]:
    """Register a source under its function's name; ValueError if there is one of that name."""

    def register(photos: Photos) -> Photos:
        if photos.__name__ in SOURCES:
            raise ValueError(f"the source {photos.__name__!r} is registered twice")
        SOURCES[photos.__name__] = Source(
            photos, parts, companions, truth, beside, pictures, may_be_empty, withdrawn, prepare
        )
        return photos

    return register


def source_of(layout: str) -> Source:
    """The source that is registered under a name.

    Raises:
        FaceReconError: there is none.
    """
    if layout not in SOURCES:
        raise FaceReconError(
            f"data.source: '{layout}' not among {', '.join(sorted(SOURCES))}: name one of these, or import the module "
            "that registers it"
        )
    return SOURCES[layout]


def source_modules(layouts: Iterable[str]) -> list[str]:
    """The modules that register these layouts: a process that imports them knows the layouts.

    Raises:
        FaceReconError: there is no such layout.
    """
    return sorted({source_of(layout).photos.__module__ for layout in layouts})


def load_sources(modules: Iterable[str]) -> None:
    """Import the ``modules`` that register layouts, as ``source_modules`` names them."""
    for module in modules:
        import_module(module)


def files(root: Path) -> Iterator[Path]:
    """All files under ``root`` in a fixed order, but for hidden ones and those of systems; all links are followed.

    Raises:
        FaceReconError: a folder cannot be read: its photos must not be missing unnoticed.
    """
    return (entry.path for entry in walk(root, follow_links=True) if not entry.system and not entry.refused)


def image_files(root: Path) -> Iterator[Path]:
    """The ``files`` under ``root`` that are pictures by their names or by their content."""
    return (path for path in files(root) if kind_of(path) is Kind.PICTURE)


for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
