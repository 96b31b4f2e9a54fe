"""Looking for everything that this clone keeps of somebody."""

import dataclasses
from pathlib import Path

import yaml

from facerecon.data.forget import Root, Target, files_of, traces_of
from facerecon.data.settings import sources_of
from facerecon.data.tombstones import FILE
from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT, state_folder
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
        traces = traces_of(target, manifests, roots, PROJECT, state_folder() / "frames")
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
    found.data = sorted({*found.data, *map(str, files_of(found.traces, target, found.data_roots))})
    found.kept |= dvc_objects.kept_of(map(Path, found.data), [*map(Path, found.files), *published(found)])
    return found


def _roots() -> list[Root]:
    """Every (layout, data root) of manifests and named configs; and, of no layout, the folder that DVC tracks."""
    found = {("", str(PROJECT / "data"))}
    for file in sorted((PROJECT / "configs").glob("*.yaml")):
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))["parameters"].get("data") or {}
            sources = sources_of(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, FaceReconError):
            continue  # a run with it says what is wrong
        found |= {(source.source, str(PROJECT / Path(source.path).expanduser())) for source in sources}
    for manifest, _ in zenml_artifacts.manifests():
        found |= {(source.layout, source.root) for source in manifest.sources.values()}
    return [(layout, Path(root)) for layout, root in sorted(found)]
