"""Removing everything that was found of somebody, and seeing that it is gone."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facerecon.corruption.frozen_removal import remove_frozen
from facerecon.data.forget import (
    clips_left,
    facts_of,
    remove_crops,
    remove_extracted,
    remove_frames,
    remove_photos,
    shown_path,
)
from facerecon.data.tombstones import Tombstones
from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT, benchmarks_folder, state_folder
from ops.forget import dvc_objects
from ops.forget.dvc_objects import Copy
from ops.forget.members import keep_members
from ops.forget.mlflow_rows import clear_rows
from ops.forget.mlflow_runs import Use, clear_runs, uses
from ops.forget.record import Survey, record_path, remember
from ops.forget.servers import compact, sweep_servers
from ops.forget.sweep import sweep
from ops.forget.zenml_artifacts import clear_artifacts
from ops.lineage import git
from ops.registry import check_text


@dataclass(frozen=True)
class Outcome:
    """What came of it: lines about what is ``left`` here, ``clips`` that still show the person, versions, remotes, and
    what of DVC's listings git's history names."""

    left: list[str]
    clips: list[Path]
    versions: list[Use]
    copies: list[Copy]
    commits: dict[str, list[str]]


def forget(found: Survey, reason: str) -> Outcome:
    """Remove what the survey found and see that it is gone; ``reason`` is kept with the tombstones.

    Raises:
        FaceReconError: a reason that names the person; ZenML, MLflow or DVC does not answer.
    """
    check_reason(found, reason)
    found.write()
    facts = facts_of(found.traces, found.target)
    tombstones = Tombstones.read(PROJECT).bury(facts, datetime.now(UTC).date().isoformat(), reason)
    tombstones.write(PROJECT)
    found.ids = tombstones.ids_of(facts)
    found.write()
    keep_members(found, tombstones)
    versions = uses(found)
    left = remove_photos(found.traces, found.target, found.data_roots, PROJECT)
    remove_extracted(found.traces, found.target, state_folder() / "inbox")
    for folder in (state_folder(), benchmarks_folder()):
        remove_frames(found.traces, found.target, folder / "frames")
        remove_crops(found.sha256s, folder / "crops")
        left += remove_frozen(found.sha256s, folder / "cases", PROJECT)
    for path in map(Path, found.files):
        path.unlink(missing_ok=True)
    clear_runs(found, versions)
    left += clear_rows(found)
    clear_artifacts(found)
    left += dvc_objects.update(map(Path, found.data), found.kept)
    left += dvc_objects.remove(found.kept, map(Path, found.data))
    left += _in_git(found)
    left += sweep_servers(found)
    left += compact()
    left += sweep(found)
    outcome = Outcome(
        left=left,
        clips=clips_left(found.traces, found.target),
        versions=versions,
        copies=dvc_objects.copies(found.kept),
        commits=dvc_objects.commits_naming(found.kept.listings),
    )
    remember(found)
    record_path().unlink(missing_ok=True)
    return outcome


def check_reason(found: Survey, reason: str) -> None:
    """Raise FaceReconError if the reason, which travels with git, names who is to be forgotten, or is no text."""
    check_text("the reason", reason)
    names = {found.target.name, *(trace.identity for trace in found.traces)} - {""}
    if any(name.casefold() in reason.casefold() for name in names):
        raise FaceReconError(
            "--reason: it names who is to be forgotten, and it is kept in git: say it without the name"
        )


def _in_git(found: Survey) -> list[str]:
    """A line for each photo that git itself has: its history is not rewritten here."""
    paths = [path for path in map(Path, found.data) if path.is_relative_to(PROJECT)]
    return [
        f"{shown_path(path, PROJECT)}: git's history has it (commit {commits[0]} and {len(commits) - 1} more): "
        "rewrite it, with git filter-repo for example"
        for path in paths
        if (commits := git("log", "--all", "--format=%h", "--", str(path)).split())
    ]
