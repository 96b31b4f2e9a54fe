"""Taking photos, with all that was kept beside them, and clips out of the data."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from facerecon.data.collected.inbox import DONE_SUFFIX
from facerecon.data.collected.removal import files_going, remove_collected
from facerecon.data.containers import MEMBER
from facerecon.data.forget.archives import remove_members
from facerecon.data.forget.beside import companion_files, notes_of, remove_companions
from facerecon.data.forget.clips import collected_going
from facerecon.data.forget.places import remove_file
from facerecon.data.forget.trace import COLLECTED, Root, Target, Trace


def files_of(traces: Iterable[Trace], target: Target, roots: Iterable[Root]) -> list[Path]:
    """The files that go, or are written anew without their part: photos, what is kept beside them, archives, clips.

    Of collected faces they are their archives and the ledger. ``roots`` are (layout, data root), whose
    sources know what is kept beside photos.
    """
    traces, roots = list(traces), list(roots)
    found = set(companion_files(traces, target, roots))
    for folder, going in collected_going(traces, target, roots).items():
        found |= set(files_going(folder, going))
    traces = _not_collected(traces, roots)
    found |= {path for path, _ in _archives(traces)}
    for path in _files(traces, target):
        found |= {one for one in path.rglob("*") if one.is_file()} if path.is_dir() else {path}
    return sorted(found)


def remove_photos(traces: Iterable[Trace], target: Target, roots: Iterable[Root], project: Path) -> list[str]:
    """Remove the photos from the data: files and members of archives, with what is kept beside them in ``roots`` as in
    ``files_of``, a clip where it is meant.

    What lies behind a link, or cannot be written, is left as it is. An empty folder that is left goes too: its name
    may be a person's. Returns a line for each thing that is still there.
    """
    traces, roots = list(traces), list(roots)
    left: list[str] = []
    for folder, going in collected_going(traces, target, roots).items():
        remove_collected(folder, going)
    others = _not_collected(traces, roots)
    for path, root in _files(others, target).items():
        left += remove_file(path, root, project)
    for (path, root), members in _archives(others).items():
        if path.exists():
            left += remove_members(path, members, root, project)
    left += remove_companions(traces, target, roots, project)
    return sorted(set(left))


def clips_left(traces: Iterable[Trace], target: Target) -> list[Path]:
    """Clips that still show who is to be forgotten, because only frames of them go."""
    shown = {trace.path for trace in traces if trace.clip and target.kind != "clip"}
    return sorted(path for path in shown if path.exists())


def _not_collected(traces: list[Trace], roots: Iterable[Root]) -> list[Trace]:
    collected = {str(root) for layout, root in roots if layout == COLLECTED}
    return [trace for trace in traces if trace.root not in collected]


def _files(traces: list[Trace], target: Target) -> dict[Path, Path]:
    """Files, and clips where they are meant, that go as a whole, each with its data root; notes before their photos."""
    photos = {trace.path: Path(trace.root) for trace in traces if not trace.clip and MEMBER not in trace.uri}
    folders: defaultdict[Path, set[str]] = defaultdict(set)
    for path in photos:
        folders[path.parent].add(path.name)
    found: dict[Path, Path] = {}
    for folder, going in folders.items():
        root = photos[folder / min(going)]
        names = {path.name for path in folder.glob("*") if path.is_file()}
        found |= {folder / name: root for name in notes_of(names, going, folder == root)}
    found |= photos
    clips = {trace.path: Path(trace.root) for trace in traces if trace.clip and target.kind == "clip"}
    marks = {path.with_name(f"{path.name}{DONE_SUFFIX}"): root for path, root in clips.items()}
    return found | clips | {path: root for path, root in marks.items() if path.is_file()}


def _archives(traces: list[Trace]) -> dict[tuple[Path, Path], set[str]]:
    """Of archives, each with its data root, the members that go."""
    found: defaultdict[tuple[Path, Path], set[str]] = defaultdict(set)
    for trace in traces:
        if not trace.clip and MEMBER in trace.uri:
            found[trace.path, Path(trace.root)].add(trace.uri.partition(MEMBER)[2])
    return found
