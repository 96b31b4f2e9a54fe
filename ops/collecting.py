"""From the inbox to what is collected, and from that to DVC and to the frozen sets of faces."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from facerecon.data.collected.collect import InboxClip, collect
from facerecon.data.collected.collection import Collection
from facerecon.data.collected.inbox import Inbox, InboxSettings, clip_state, inbox_root, known_clips, look
from facerecon.data.collected.ledger import Ledger
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.manifest import Manifest
from facerecon.data.tombstones import Tombstones
from facerecon.errors import FaceReconError
from facerecon.files import digest_of
from facerecon.retraining.settings import COLLECTED
from facerecon.workspace import PROJECT, collected_folder, state_folder
from ops.lineage import dvc_digest

LOG = logging.getLogger(__name__)

OLD, NEW = "old", "new"
"""How face sets end: of people in photographs, frozen; and of all others."""

PATIENCE = 60
"""Seconds to wait for another dvc command."""


def inbox_folder(settings: InboxSettings) -> Path:
    """The inbox; that of the default settings is made if it is not there. Raises as ``inbox_root``."""
    if settings.path == InboxSettings().path:
        (PROJECT / settings.path).mkdir(exist_ok=True)
    return inbox_root(settings, PROJECT)


def waiting(settings: InboxSettings) -> Inbox:
    """What lies in the inbox now."""
    root = inbox_folder(settings)
    return look(root, settings, known_clips(root))


def collect_new(old_faces: Manifest, inbox: InboxSettings, settings: CollectSettings) -> tuple[Collection, str]:
    """Take in the new clips of the inbox; what came of them, and a digest of all faces, old ones too.

    Raises:
        FaceReconError: there is no inbox, or as ``collect``.
    """
    from facerecon.data.collected.photographed import photographed_people

    root, folder, state = inbox_folder(inbox), collected_folder(), state_folder() / "inbox"
    for each in (folder, state):
        each.mkdir(parents=True, exist_ok=True)
    known = known_clips(root)
    found = look(root, inbox, known)
    tombstones = Tombstones.read(PROJECT)
    made = collect(
        [InboxClip(clip.uri, clip.path) for clip in found.new],
        folder,
        state,
        lambda: photographed_people(old_faces, state),
        settings,
        tombstones,
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    for clip in found.new:
        if (sha256 := made.digests.get(clip.uri)) and clip_state(clip.path) == clip.state:
            known.add(clip.state, sha256)
    known.write()
    refused = tuple((uri, refusal.reason) for uri, refusal in found.refused)
    made = made.model_copy(update={"young": found.young, "refused": (*refused, *made.refused)})
    return made, digest_of([Ledger.read(folder).digest, tombstones.digest, old_faces.digest])


def freeze(faces: Manifest) -> tuple[Manifest, dict[str, str]]:
    """The manifest with the face sets of gate and test, and tags about what is collected; see ``steps.freeze_sets``.

    The sets of old people are frozen in the ledger when they are first made: nobody enters them, and who goes makes a
    set of the next number.
    """
    folder = collected_folder()
    ledger = Ledger.read(folder)
    sets: dict[str, tuple[str, ...]] = {}
    for split in ("gate", "test"):
        rows = faces.split(split)
        old = rows["face"][rows["source"] != COLLECTED].tolist()
        ledger = ledger.frozen(f"{split}_{OLD}", old)
        frozen = ledger.face_sets[f"{split}_{OLD}"].faces
        sets[f"{split}_{OLD}"] = frozen
        sets[f"{split}_{NEW}"] = tuple(sorted(set(rows["face"]) - set(frozen)))
    ledger.write(folder)
    about = {
        "collected_dvc_digest": _track(folder),
        **{name: f"number {of.number}, {len(of.faces)} faces" for name, of in sorted(ledger.face_sets.items())},
    }
    if all(sets.values()):
        faces = replace(faces, face_sets=sets)
    return faces, about


def _track(folder: Path) -> str:
    """Bring the folder's ``.dvc`` file up to date, and give its digest; "not tracked" where DVC is not used.

    Raises:
        FaceReconError: DVC does not do it, or another dvc command holds its lock too long.
    """
    if not (PROJECT / ".dvc").is_dir():
        return "not tracked"
    # imported when it is used: it takes seconds
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    until = time.monotonic() + PATIENCE
    while True:
        try:
            with Repo(str(PROJECT)) as repo:
                repo.add([str(folder)])
            return dvc_digest(folder.with_name(f"{folder.name}.dvc"))
        except LockError as error:
            if time.monotonic() > until:
                raise FaceReconError(
                    f"{folder.name}.dvc is not brought up to date, for another dvc command is under way ({error}): "
                    "run again when it has ended; nothing is lost"
                ) from error
            time.sleep(1)
        except DvcException as error:
            raise FaceReconError(f"DVC does not take {folder}: {error}: mend that and run again") from error
