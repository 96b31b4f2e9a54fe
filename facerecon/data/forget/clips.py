"""Clips that came by an inbox: those that lie there still, and what the ledger of collected faces knows of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from facerecon.data.collected.inbox import KnownClips, clips_in
from facerecon.data.collected.ledger import Ledger
from facerecon.data.collected.removal import Going
from facerecon.data.containers import MEMBER
from facerecon.data.forget.trace import COLLECTED, Root, Target, Trace


def clips_in_ledgers(names: set[str], roots: Iterable[Root]) -> list[Trace]:
    """The clips that a ledger knows by one of these names in the inbox, or by its SHA-256."""
    return [
        Trace(str(root), f"{sha256}.zip", "", "", clip_sha256=sha256, named=row.name, whole=True)
        for layout, root in roots
        if layout == COLLECTED
        for sha256, row in Ledger.read(root).clips.items()
        if not names.isdisjoint((row.name, sha256))
    ]


def clips_in_inboxes(name: str, sha256s: set[str], inboxes: Iterable[Path], state: Path) -> Iterator[Trace]:
    """The clips in ``inboxes`` of this name (or path), or of one of the digests; ``state`` says which were read."""
    # imported when it is used: it brings the video decoder
    from facerecon.data.footage.decode import UnusableClipError, clip_digest

    for inbox in inboxes:
        known = KnownClips(state, inbox)
        for clip in clips_in(inbox):
            is_meant = name in (clip.uri, str(clip.path), f"{inbox.name}/{clip.uri}")
            if not (is_meant or sha256s):
                continue
            try:
                sha256 = known.find(clip.state) or clip_digest(clip.path)
            except (OSError, UnusableClipError):
                sha256 = ""
            if is_meant or sha256 in sha256s:
                yield Trace(str(inbox), clip.uri, "", "", clip=clip.uri, clip_sha256=sha256, whole=True)


def collected_going(traces: Iterable[Trace], target: Target, roots: Iterable[Root]) -> dict[Path, Going]:
    """What goes of what was collected under each root."""
    traces = list(traces)
    photos = frozenset(trace.sha256 for trace in traces) - {""}
    found = {}
    for root in {root for layout, root in roots if layout == COLLECTED and root.is_dir()}:
        here = [trace for trace in traces if Path(trace.root) == root]
        clips = frozenset(trace.clip_sha256 for trace in here) - {""} if target.kind == "clip" else frozenset()
        people = frozenset(trace.identity for trace in here) - {""} if target.kind == "identity" else frozenset()
        found[root] = Going(_members(here, clips), clips, people, photos)
    return found


def _members(traces: Iterable[Trace], clips: frozenset[str]) -> Mapping[str, frozenset[str]]:
    members: defaultdict[str, set[str]] = defaultdict(set)
    for trace in traces:
        archive, inside, member = trace.uri.partition(MEMBER)
        if inside and (clip := PurePosixPath(archive).stem) not in clips:
            members[clip].add(member)
    return {clip: frozenset(of) for clip, of in members.items()}
