"""Looking for everything that this clone keeps of somebody."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from facerecon.corruption.frozen_removal import frozen_files
from facerecon.data.collected.inbox import InboxSettings
from facerecon.data.forget import COLLECTED, Root, Target, files_of, traces_of
from facerecon.data.settings import sources_of
from facerecon.data.tombstones import FILE
from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT, benchmarks_folder, state_folder
from ops.forget import dvc_objects, zenml_artifacts
from ops.forget.members import find_members
from ops.forget.mlflow_runs import find_runs, published
from ops.forget.outputs import find_outputs
from ops.forget.record import Survey, begun, forgotten_as
from ops.forget.zenml_artifacts import find_artifacts


def survey(target: Target) -> Survey:
    """Look for everything; nothing is changed.

    Raises:
        FaceReconError: nothing of that name is known; ZenML, MLflow or DVC does not answer.
    """
    earlier = begun(target)
    manifests = (manifest for manifest, _ in zenml_artifacts.manifests())
    roots = _roots()
    try:
        inbox = state_folder() / "inbox"
        traces = traces_of(target, manifests, roots, PROJECT, state_folder() / "frames", _inboxes(), inbox)
    except FaceReconError:
        if earlier is None:
            if ids := forgotten_as(target):
                raise FaceReconError(
                    f"{target.kind} '{target.name}' is forgotten already (group {', '.join(ids)} in {FILE}), and no "
                    "photo of that name is here"
                ) from None
            raise
        traces = []
    found = Survey(target, traces)
    if earlier is not None:
        found = dataclasses.replace(
            earlier, traces=sorted({*earlier.traces, *traces}, key=lambda trace: (trace.root, trace.uri, trace.sha256))
        )
    found.roots = sorted({*found.roots, *((layout, str(root)) for layout, root in roots)})
    find_artifacts(found)
    find_members(found)
    find_runs(found)
    find_outputs(found)
    folders = (state_folder(), benchmarks_folder())
    found.frozen = [str(path) for folder in folders for path in frozen_files(found.sha256s, folder / "cases")]
    found.data = sorted({*found.data, *map(str, files_of(found.traces, target, found.data_roots))})
    # what is known already may be written anew by now
    data = set(found.data) - set(earlier.data if earlier else ())
    with published(found) as files:
        found.kept |= dvc_objects.kept_of(map(Path, sorted(data)), [*map(Path, found.files), *files])
    return found


def _roots() -> list[Root]:
    """Every (layout, data root) of manifests and named configs; and, of no layout, the folder that DVC tracks."""
    found = {("", str(PROJECT / "data"))}
    if (PROJECT / "collected").is_dir():
        found.add((COLLECTED, str(PROJECT / "collected")))
    for parameters in _configs():
        try:
            sources = sources_of(parameters.get("data") or {})
        except (ValueError, TypeError, FaceReconError):
            continue  # a run with it says what is wrong
        found |= {(source.source, str(PROJECT / Path(source.path).expanduser())) for source in sources}
    for manifest, _ in zenml_artifacts.manifests():
        found |= {(source.layout, source.root) for source in manifest.sources.values()}
    return [(layout, Path(root)) for layout, root in sorted(found)]


def _inboxes() -> list[Path]:
    """The inboxes of named configs that there are, and the one of the default settings."""
    found = {PROJECT / InboxSettings().path}
    for parameters in _configs():
        try:
            path = InboxSettings.model_validate((parameters.get("retraining") or {}).get("inbox") or {}).path
        except (ValueError, AttributeError):
            continue  # as above
        found.add(PROJECT / Path(path).expanduser())
    return sorted(path for path in found if path.is_dir())


def _configs() -> Iterator[dict[str, Any]]:
    """The parameters of named configs, as far as they can be read."""
    for file in sorted((PROJECT / "configs").glob("*.yaml")):
        try:
            parameters = yaml.safe_load(file.read_text(encoding="utf-8"))["parameters"]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            continue
        if isinstance(parameters, dict):
            yield parameters
