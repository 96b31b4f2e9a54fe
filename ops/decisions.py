"""The gate's decisions as they are kept: one JSON artifact each of the run that registered the version, never replaced.

A version's tag ``decisions`` names them all in short, oldest first, ``decision_record`` the latest by its uri, and
``promotion_record`` the one that made it champion. ``learned_record`` is the uri of who it learned from, kept likewise.
A file that no tag names was left by a process that died: it never counted.
"""

import json
import re
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from facerecon.data.learned import Learned, PeopleKey, learned_from
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import Decision
from facerecon.files import digest_of
from ops.registry import registered_models, versions_of

FOLDER = "decisions"
"""Where a run's artifacts have its decisions."""

MARK = 12
"""So many digits of a decision's digest stand in its file's name and in the tag."""

UNMARKED = "older"
"""In place of the mark of a decision that older code kept elsewhere."""

_MARKED = re.compile(rf"-([0-9a-f]{{{MARK}}})\.json$")

COUNTED = 300
"""So many decisions of a version its tag names: it must stay within ``TAG_LENGTH``."""


def keep_decision(client: MlflowClient, version: ModelVersion, decision: Decision) -> dict[str, str]:
    """Keep a decision whole; returns the tags that name it, to be set on the version."""
    content = decision.model_dump(mode="json")
    mark = digest_of(content)[:MARK]
    uri = _keep(client, version, _file(version, mark), content)
    marks = [known for known in _marks(version) if known != mark]
    return {"decision_record": uri, "decisions": ",".join([*marks, mark][-COUNTED:])}


def _keep(client: MlflowClient, version: ModelVersion, path: str, content: dict[str, Any]) -> str:
    if version.run_id is None:
        raise FaceReconError(f"version {version.version} of {version.name} has no run: it was registered by hand")
    client.log_text(version.run_id, json.dumps(content, sort_keys=True), path)
    return f"runs:/{version.run_id}/{path}"


def _file(version: ModelVersion, mark: str) -> str:
    return f"{FOLDER}/version-{version.version}-{mark}.json"


def _marks(version: ModelVersion) -> list[str]:
    """The marks of a version's decisions, oldest first; before there was a tag for all, that of its latest."""
    if named := version.tags.get("decisions", ""):
        return named.split(",")
    if not (latest := version.tags.get("decision_record", "")):
        return []
    match = _MARKED.search(latest)
    return [UNMARKED if match is None else match[1]]


def record_of(version: ModelVersion, tag: str = "decision_record") -> Decision | None:
    """The gate's latest decision about a version, or that of another ``tag``.

    None if there was none, or it was made by an older version of the code.

    Raises:
        FaceReconError: the registry names a decision that is gone.
    """
    uri = version.tags.get(tag, "")
    if not uri.startswith("runs:/"):
        return None
    try:
        return Decision.model_validate_json(mlflow.artifacts.load_text(uri))
    except (OSError, mlflow.MlflowException, ValueError) as error:
        said = str(error).strip().splitlines()[0][:200]
        raise FaceReconError(
            f"the decision about version {version.version} of {version.name} cannot be read from {uri} ({said}): "
            f"put it back, or remove the version's tag {tag}"
        ) from error


def decisions_of(client: MlflowClient, name: str) -> list[Decision | None]:
    """All decisions about a registered model's versions, by version, each's oldest first; None for one that is gone.

    One search, and one download for each run that registered a version.
    """
    versions = [version for version in versions_of(client, name) if _marks(version)]
    texts: dict[str, dict[str, str]] = {}
    for run in {version.run_id for version in versions if version.run_id}:
        texts[run] = _texts(run)
    found: list[Decision | None] = []
    for version in versions:
        held = texts.get(version.run_id or "", {})
        found += [_parsed(held.get(_file(version, mark))) for mark in _marks(version)]
    return found


def _texts(run: str) -> dict[str, str]:
    """The files of a run's decisions by path; {} if they are gone."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            there = Path(mlflow.artifacts.download_artifacts(run_id=run, artifact_path=FOLDER, dst_path=folder))
        except (OSError, mlflow.MlflowException):
            return {}
        return {f"{FOLDER}/{path.name}": path.read_text("utf-8", "replace") for path in there.glob("*.json")}


def _parsed(text: str | None) -> Decision | None:
    try:
        return None if text is None else Decision.model_validate_json(text)
    except ValueError:
        return None


def looks_at(people: Collection[str], key: str, decisions: Iterable[Decision | None]) -> int:
    """The how-manieth look at these people the next comparison is, from 1.

    ``people`` are today's marks by the key of id ``key``. A decision counts if it compared with a champion on at least
    half of them; one that cannot be read, or whose people are not known by this key, counts as if it had.
    """
    today = set(people)

    def counts(decision: Decision | None) -> bool:
        if decision is None:
            return True
        if not decision.compared:
            return False
        then = set(decision.gate_people)
        return not then or decision.people_key != key or 2 * len(then & today) >= len(today)

    return 1 + sum(map(counts, decisions))


# --------------------------------------------------------------------------------------------- who it learned from


def learned_of(version: ModelVersion, key: PeopleKey) -> Learned:
    """Who a version learned from, as it was kept; ``unknown`` says why that cannot be told."""
    if not (uri := version.tags.get("learned_record", "")):
        return Learned(key=key.id, unknown="it was registered before that was kept")
    try:
        found = Learned.model_validate_json(mlflow.artifacts.load_text(uri))
    except (OSError, mlflow.MlflowException, ValueError):
        return Learned(key=key.id, unknown=f"{uri} cannot be read")
    return Learned(key=key.id) | found


def learned_by(
    client: MlflowClient, version: ModelVersion, key: PeopleKey, faces: Manifest, parent: str | None
) -> Learned:
    """Who a version learned from that was trained on ``faces``, with its ancestors and what it is known by already.

    ``parent`` is the digest of the weights that its training started from.
    """
    found = learned_from(faces, key)
    if parent is not None:
        models = registered_models(client)
        known = [v for model in models for v in versions_of(client, model.name)]
        records = [learned_of(v, key) for v in known if v.tags.get("weights_digest") == parent]
        missing = Learned(key=key.id, unknown="no registered version holds the weights that its training started from")
        found |= min(records, key=lambda record: record.unknown != "", default=missing)
    before = learned_of(version, key)
    return found | before.model_copy(update={"unknown": ""})


def keep_learned(client: MlflowClient, version: ModelVersion, learned: Learned) -> dict[str, str]:
    """Keep who a version learned from; returns the tag that names it, to be set on the version."""
    content = learned.model_dump(mode="json")
    path = f"learned/version-{version.version}-{digest_of(content)[:MARK]}.json"
    return {"learned_record": _keep(client, version, path, content)}
