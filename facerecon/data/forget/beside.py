"""What was kept of photos beside them: notes, and what their source knows of (``facerecon.data.companions``)."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from facerecon.data.companions import Companion, Companions, Gone
from facerecon.data.containers import MEMBER
from facerecon.data.forget.places import behind_link, remove_file, shown_path
from facerecon.data.forget.trace import Root, Target, Trace
from facerecon.data.listing import PICTURE_SUFFIXES
from facerecon.data.sources import SOURCES
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, remove_temporary


def notes_of(names: set[str], going: set[str], top: bool) -> set[str]:
    """Of the files in a folder those that go with its photos ``going``: files of their names that are no photos.

    Below the ``top``, all that are no photos are meant if no photo is left in the folder: it was the person's own.
    """
    notes = {name for name in names if PurePosixPath(name).suffix.lower() not in PICTURE_SUFFIXES}
    if not top and going.issuperset(names - notes):
        return notes
    stems = {PurePosixPath(name).stem for name in going}
    return {name for name in notes if any(name[:place] in stems for place, letter in enumerate(name) if letter == ".")}


def companion_files(traces: Iterable[Trace], target: Target, roots: Iterable[Root]) -> Iterator[Path]:
    """The files of companions that go or are to be written anew; lists that cannot be read are passed over."""
    for root, gone, companions in _asked(list(traces), target, roots):
        try:
            for companion in companions(root, gone):
                if companion.without is None:
                    yield from () if companion.by_hand else (companion.path,)
                elif (content := companion.path.read_bytes()) != companion.without(content):
                    yield companion.path
        except (FaceReconError, OSError):
            continue  # what removes them says it


def remove_companions(traces: Iterable[Trace], target: Target, roots: Iterable[Root], project: Path) -> list[str]:
    """Remove what sources know of beside the photos, write lists anew; a line for each thing that is still there."""
    left: list[str] = []
    for root, gone, companions in _asked(list(traces), target, roots):
        try:
            for companion in companions(root, gone):
                left += _remove(companion, root, project)
        except (FaceReconError, OSError) as error:
            left.append(f"{shown_path(root, project)}: what lies beside the photos is not all known: {error}")
    return left


def _asked(traces: list[Trace], target: Target, roots: Iterable[Root]) -> Iterator[tuple[Path, Gone, Companions]]:
    """The roots whose source knows of companions, with what goes there."""
    for layout, root in roots:
        companions = SOURCES[layout].companions if layout in SOURCES else None
        if companions is None or not root.is_dir():
            continue
        names = {target.name, *(trace.identity for trace in traces if Path(trace.root) == root)} - {""}
        people = frozenset(names if target.kind == "identity" else ())
        uris = frozenset(uri for trace in traces if (uri := _uri(trace, target, root)))
        if uris or people:
            yield root, Gone(uris, people), companions


def _uri(trace: Trace, target: Target, root: Path) -> str:
    """The uri below ``root`` of a photo, or of a clip that goes as a whole; "" for what stays or lies elsewhere."""
    if not trace.path.is_relative_to(root) or (trace.clip and target.kind != "clip"):
        return ""
    uri = trace.path.relative_to(root).as_posix()
    _, inside, member = trace.uri.partition(MEMBER)
    return f"{uri}{inside}{member}" if not trace.clip else uri


def _remove(companion: Companion, root: Path, project: Path) -> list[str]:
    path, shown = companion.path, shown_path(companion.path, project)
    if companion.by_hand:
        return [f"{shown}: pictures of them may be in it, and it is not opened here: take them out by hand"]
    if companion.without is None:
        return remove_file(path, root, project)
    try:
        content = path.read_bytes()
        new = companion.without(content)
        if new == content:
            return []
        if link := behind_link(path, project):
            return [f"{shown}: lies behind the link {shown_path(link, project)}, remove the rows in it there"]
        remove_temporary(path.parent)
        with atomic_path(path) as temporary:
            temporary.write_bytes(new)
    except OSError as error:
        return [f"{shown}: the rows in it cannot be removed: {error.strerror}"]
    except FaceReconError as error:
        return [str(error)]
    return []
