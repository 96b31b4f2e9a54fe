"""What a retraining decides on: the champion, whom it learned from, and whether the same was trained before."""

import time
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from facerecon.data.learned import marks_of
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.probe import Probe
from facerecon.retraining.drift import drift
from facerecon.retraining.plan import Parent, Plan, decide, people_by_split
from facerecon.retraining.settings import COLLECTED, DecisionSettings
from facerecon.tasks import Cases, get_task
from ops.decisions import learned_of
from ops.initial_weights import InitialWeights
from ops.people_key import people_key
from ops.registry import CHAMPION, config_of, connect, registered_models, registered_name, version_of, versions_of

DAY = 86_400


def champion_of(config: str) -> str | None:
    """How the champion of a config is named (``demo@champion``); None if there is none."""
    name, client = registered_name(config), connect()
    held = any(model.name == name and CHAMPION in model.aliases for model in registered_models(client))
    return f"{config}@{CHAMPION}" if held else None


def decide_on(
    faces: Manifest,
    cases: Cases,
    task: str,
    settings: DecisionSettings,
    probe: dict[str, Any],
    attempt: dict[str, str],
    champion: InitialWeights | None,
) -> Plan:
    """The plan for a model of these faces; see ``steps.decide``.

    Raises:
        FaceReconError: the champion is gone, or the registry does not answer.
    """
    found = drift(faces.faces, COLLECTED)
    if champion is None:
        return decide(settings, None, _new_people(faces, frozenset()), lambda: None, found)
    client = connect()
    version = version_of(client, registered_name(attempt["config"]), champion.digest)
    if version is None:
        raise FaceReconError(f"{champion.source}, the champion when the run began, is gone: run again")
    learned = learned_of(version, people_key())
    parent = Parent(
        f"{config_of(version.name)}/{version.version}",
        (time.time() - version.creation_timestamp / 1000) / DAY,
        _trained_before(client, version, faces.digest, attempt),
        learned.unknown,
    )

    def ask() -> Probe | None:
        return get_task(task).probe(probe, champion.load(), faces, cases, COLLECTED)

    return decide(settings, parent, _new_people(faces, frozenset(learned.people)), ask, found)


def _new_people(faces: Manifest, learned: frozenset[str]) -> dict[str, int]:
    """Collected people by split whose marks are not among those ``learned``."""
    rows = faces.faces[faces.faces["source"] == COLLECTED]
    people = marks_of(faces, people_key()).loc[rows["face"]].drop_duplicates("person")
    return people_by_split(people["split"][~people["person"].isin(learned)].tolist())


def _trained_before(client: MlflowClient, champion: ModelVersion, manifest: str, attempt: dict[str, str]) -> str:
    """The version that was trained from this champion on the same data, code and settings; "" if none was."""
    for version in versions_of(client, champion.name):
        if version.tags.get("manifest_digest") != manifest or version.run_id is None:
            continue
        tags = client.get_run(version.run_id).data.tags
        same = {name: tags.get(name) for name in attempt} == attempt
        if same and tags.get("initial_weights") == champion.tags.get("weights_digest"):
            return f"version {version.version}"
    return ""
