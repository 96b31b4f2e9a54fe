"""What ZenML keeps: manifests with rows about a person, and what was made with those in the same runs."""

import posixpath
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from facerecon.data.manifest import SPLITS, Manifest
from ops.forget.needles import Needles
from ops.forget.record import Survey
from ops.stack.registering import stack_name
from ops.stack.tracker import REGISTRY, is_local, labels

WITHOUT_PICTURES = frozenset(
    {"TrainingResultMaterializer", "ExportedModelMaterializer", "PydanticMaterializer", "BuiltInMaterializer"}
)
"""Artifacts of these kinds stay: weights, ONNX files, decisions, single values. Cases have a picture, which may show
faces, and name files of faces that are written anew."""


def manifests() -> Iterator[tuple[Manifest, list[str]]]:
    """Each manifest that can still be read, once, with the ids of the artifacts that hold it."""
    from zenml.client import Client

    same: dict[str, list[Any]] = {}
    for store in artifact_stores():
        for artifact in pages(Client().list_artifact_versions, artifact_store_id=store.id):
            if artifact.materializer.attribute == "ManifestMaterializer":
                same.setdefault(str(artifact.content_hash or artifact.id), []).append(artifact)
    for artifacts in same.values():
        for artifact in artifacts:
            try:
                manifest = artifact.load()
            except Exception:  # whatever its reader says: it is gone or damaged; the next may be whole
                continue
            yield manifest, [str(one.id) for one in artifacts]
            break


def find_artifacts(found: Survey) -> None:
    """Manifests that have a row about the person, and what else the runs with them hold."""
    from zenml.client import Client

    artifacts, uris = set(found.artifacts), {(trace.root, trace.uri) for trace in found.traces}
    for manifest, ids in manifests():
        about = _about(manifest, found.sha256s, uris)
        if about is not None:
            found.manifests[manifest.digest] = about
            artifacts |= set(ids)
    steps, runs = _steps(), set()
    for step in steps:
        if not artifacts.isdisjoint(str(one.id) for one in (*_made(step), *_given(step))):
            runs.add(step.pipeline_run_id)
    for step in steps:
        if step.pipeline_run_id in runs:
            artifacts |= {str(one.id) for one in _made(step) if one.materializer.attribute not in WITHOUT_PICTURES}
    if found.target.kind == "clip":
        needles = Needles(found)
        artifacts |= {str(one.id) for step in steps for one in _made(step) if _names(one, needles)}
    names = {Client().get_pipeline_run(run).name for run in runs}
    found.artifacts, found.pipelines = sorted(artifacts), sorted({*found.pipelines, *names})


def clear_artifacts(found: Survey) -> None:
    """Contents of artifacts go from the artifact store, what failed steps said of the person with their runs.

    What ZenML's database knows of an artifact, counts and digests, stays: it deletes nothing that a run has used. Its
    cache passes over steps whose artifacts are gone (``ops.verified_cache``).
    """
    from zenml.client import Client
    from zenml.io import fileio

    client, needles = Client(), Needles(found)
    for artifact in found.artifacts:
        try:
            if fileio.exists(client.get_artifact_version(artifact).uri):
                client.delete_artifact_version(artifact, delete_metadata=False, delete_from_artifact_store=True)
        except KeyError:
            continue  # it went with its run
    for step in _steps():
        if needles.within_text(f"{step.exception_info} {step.run_metadata}"):
            try:
                client.delete_pipeline_run(step.pipeline_run_id)
            except KeyError:
                continue  # with another of its steps


def pages(ask: Callable[..., Any], **options: Any) -> Iterator[Any]:
    """What ZenML answers page by page."""
    number = 1
    while True:
        page = ask(page=number, size=100, **options)
        yield from page.items
        if number >= page.total_pages:
            return
        number += 1


def artifact_stores() -> list[Any]:
    """The artifact stores of ``stacks``, each once."""
    from zenml.enums import StackComponentType

    found = [store for stack in stacks() for store in stack.components.get(StackComponentType.ARTIFACT_STORE, [])]
    return list({store.id: store for store in found}.values())


def stacks() -> list[Any]:
    """This clone's own stack, if it was registered: ZenML's store may serve other clones, too. On a server all stacks
    that track in the registry in use."""
    from zenml.client import Client

    if is_local():
        return list(Client().list_stacks(name=stack_name(), hydrate=True).items)
    registry = labels().get(REGISTRY)
    return [stack for stack in pages(Client().list_stacks, hydrate=True) if _registry_of(stack) == registry]


def _registry_of(stack: Any) -> Any:
    from zenml.enums import StackComponentType

    trackers = stack.components.get(StackComponentType.EXPERIMENT_TRACKER, [])
    return (trackers[0].labels or {}).get(REGISTRY) if trackers else None


def pipeline_runs() -> list[Any]:
    """All runs on ``stacks``."""
    from zenml.client import Client

    return [run for stack in stacks() for run in pages(Client().list_pipeline_runs, stack_id=stack.id, hydrate=True)]


def steps_of(run: Any) -> list[Any]:
    """All steps of a run."""
    from zenml.client import Client

    return list(pages(Client().list_run_steps, pipeline_run_id=run.id, hydrate=True))


def _steps() -> list[Any]:
    return [step for run in pipeline_runs() for step in steps_of(run)]


def _about(manifest: Manifest, sha256s: set[str], photos: set[tuple[str, str]]) -> dict[str, int] | None:
    """How many of these photos, by SHA-256 or (root, uri), are in each split of a manifest; None where it has no row
    about any."""
    faces, quarantine = manifest.faces, manifest.quarantine
    named = {name: {uri for root, uri in photos if root == source.root} for name, source in manifest.sources.items()}
    uris = {uri for about in named.values() for uri in about}
    rows = faces[faces["sha256"].isin(sha256s) | _among(faces, named)]
    refused = _among(quarantine, named) | quarantine["reason"].map(lambda reason: any(uri in reason for uri in uris))
    if rows.empty and not refused.any():
        return None
    return {split: int(rows[rows["split"] == split]["sha256"].nunique()) for split in SPLITS}


def _among(table: pd.DataFrame, named: dict[str, set[str]]) -> pd.Series:
    """Which rows are of a photo of their source that is named."""
    pairs = zip(table["source"], table["uri"], strict=True)
    return pd.Series([uri in named.get(source, ()) for source, uri in pairs], index=table.index, dtype=bool)


def _names(artifact: Any, needles: Needles) -> bool:
    """Whether it is what a retraining told of clips, the one that is meant among them."""
    if artifact.materializer.attribute != "PydanticMaterializer":
        return False
    from zenml.io import fileio

    files = [posixpath.join(str(folder), str(name)) for folder, _, names in fileio.walk(artifact.uri) for name in names]
    return any(needles.within_bytes(_content(file)) for file in files)


def _content(uri: str) -> bytes:
    from zenml.io import fileio

    with fileio.open(uri, "rb") as stream:
        return bytes(stream.read())


def _made(step: Any) -> list[Any]:
    return [artifact for artifacts in step.outputs.values() for artifact in artifacts]


def _given(step: Any) -> list[Any]:
    return [artifact for artifacts in step.inputs.values() for artifact in artifacts]
