"""The registered models as people read them: all versions in a table, and one version's descent."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from pydantic import Field, TypeAdapter, ValidationError

from facerecon.errors import FaceReconError
from ops import journal
from ops.decisions import record_of
from ops.promotion import Standing
from ops.registry import check_weights, config_of, connect, find_version, registered_models, versions_of

LOG = logging.getLogger(__name__)

SHOWN = 12
"""So many digits of a digest are shown in the table."""


@dataclass(frozen=True)
class VersionRow:
    """One version in the table; "" where the registry holds nothing of the kind.

    ``figures`` are its means at the gate by metric, as shown.
    """

    config: str
    version: int
    aliases: tuple[str, ...]
    figures: dict[str, str]
    data: str
    licence: str
    created: str
    decision: str


def all_versions() -> list[VersionRow]:
    """Every version of every registered model, the newest of each first. FaceReconError if MLflow does not answer."""
    client = connect()
    rows = []
    for model in registered_models(client):
        for version in reversed(versions_of(client, model.name)):
            aliases = sorted(alias for alias, number in model.aliases.items() if int(number) == int(version.version))
            rows.append(
                VersionRow(
                    config=config_of(model.name),
                    version=int(version.version),
                    aliases=tuple(aliases),
                    figures=_gate_figures(version),
                    data=version.tags.get("manifest_digest", "")[:SHOWN],
                    licence=version.tags.get("data_licence", ""),
                    created=_time(version.creation_timestamp),
                    decision=version.tags.get("decision", ""),
                )
            )
    return rows


_FIGURES = TypeAdapter(list[tuple[str, float | None, Annotated[int, Field(ge=0, le=12)]]])


def _gate_figures(version: ModelVersion) -> dict[str, str]:
    """What the gate measured, as shown; {} for a version of which nothing is kept, or nothing readable: it is told."""
    try:
        rows = _FIGURES.validate_json(version.tags.get("gate_figures", "[]"))
    except ValidationError:
        LOG.warning("version %s of %s: its tag gate_figures cannot be read", version.version, version.name)
        return {}
    return {title: "–" if mean is None else f"{mean:.{digits}f}" for title, mean, digits in rows}


Section = tuple[str, list[tuple[str, str]]]
"""A heading, and what is known under it by name."""


def lineage(text: str) -> list[Section]:
    """What made the version that ``text`` names (see ``find_version``), from whom it descends, and former champions.

    Raises:
        FaceReconError: no such version, or MLflow does not answer.
    """
    version, client = find_version(text), connect()
    standing = Standing(client, version.name)
    run = _run(version)
    tags = {} if run is None else run.data.tags
    held = {int(v.version): v for v in versions_of(client, version.name)}
    return [
        ("version", _about(version, standing)),
        ("run", _run_of(run)),
        ("code", _chosen(tags, ("git_commit", "git_diff_digest", "lock_digest"), "code_digest.")),
        ("data", _chosen(version.tags | tags, ("data_licence", "data_dvc_digest", "manifest_digest", "cases_digest"))),
        ("weights", _weights(version, tags)),
        ("gate decision", _decided(version)),
        *_descent(version),
        ("champions", _champions(standing, held)),
        ("journal", _moves(version.name)),
    ]


def _about(version: ModelVersion, standing: Standing) -> list[tuple[str, str]]:
    aliases = [
        alias
        for alias, number in (
            *(("anchor", standing.anchor), ("champion", standing.champion)),
            ("challenger", standing.challenger),
        )
        if number == int(version.version)
    ]
    return [
        ("model", f"{version.name} version {version.version}"),
        ("aliases", ", ".join(aliases) or "none"),
        ("created", _time(version.creation_timestamp)),
        ("ONNX file", version.source or ""),
        ("stands so because", version.tags.get("decision", "it was not decided on yet")),
    ]


def _run(version: ModelVersion) -> Run | None:
    try:
        return connect().get_run(version.run_id) if version.run_id else None
    except MlflowException:
        return None


def _run_of(run: Run | None) -> list[tuple[str, str]]:
    if run is None:
        return [("run", "unknown: it was deleted, or the version was registered by hand")]
    names = ("config", "task", "config_digest", "seed", "device", "threads", "precision", "trained_in_run")
    chosen = _chosen(run.data.tags, names)
    return [("name", run.info.run_name or ""), ("id", run.info.run_id), ("begun", _time(run.info.start_time)), *chosen]


def _chosen(tags: dict[str, str], names: tuple[str, ...], prefix: str | None = None) -> list[tuple[str, str]]:
    extra = sorted(name for name in tags if prefix is not None and name.startswith(prefix))
    return [(name, tags.get(name) or "unknown") for name in (*names, *extra)]


def _weights(version: ModelVersion, tags: dict[str, str]) -> list[tuple[str, str]]:
    try:
        check_weights(version)
        state = "there, and those that were registered"
    except FaceReconError as error:
        state = error.message
    return [
        ("digest", version.tags.get("weights_digest", "unknown")),
        ("file", version.tags.get("weights_uri", "unknown")),
        ("state", state),
        ("pretrained", tags.get("pretrained", "unknown")),
        ("teachers", version.tags.get("teachers", "unknown")),
        ("started from", _initial(tags)),
    ]


def _initial(tags: dict[str, str]) -> str:
    if "initial_weights" not in tags:
        return "freshly initialised weights"
    return f"{tags.get('initial_weights_from', 'unknown')} ({tags['initial_weights']})"


def _descent(version: ModelVersion) -> list[Section]:
    """The version and whose weights it started from, those of whom, and so on back to the first: a section each."""
    client = connect()
    models = registered_models(client)
    by_digest = {v.tags.get("weights_digest"): v for model in models for v in versions_of(client, model.name)}
    sections: list[Section] = []
    told: set[str] = set()
    here: ModelVersion | None = version
    while here is not None and _named(here) not in told:
        told.add(_named(here))
        run = _run(here)
        tags = {} if run is None else run.data.tags
        digest = tags.get("initial_weights")
        parent = by_digest.get(digest) if digest else None
        begun = _initial(tags) if digest else f"none: {_initial(tags)}"
        if digest:
            begun = f"{begun}, which is no longer registered" if parent is None else _named(parent)
        sections.append((f"descent: {_named(here)}", [*_ancestor(here, run, tags), ("parent", begun)]))
        here = parent
    return sections


def _ancestor(version: ModelVersion, run: Run | None, tags: dict[str, str]) -> list[tuple[str, str]]:
    """What there is to know of one in the line."""
    try:
        record = record_of(version)
    except FaceReconError:
        record = None
    left_out = None if record is None else record.left_out
    diff = tags.get("git_diff_digest", "clean")
    commit = tags.get("git_commit", "unknown") + ("" if diff == "clean" else f", uncommitted difference {diff[:SHOWN]}")
    retrained = [
        (shown, tags[name])
        for shown, name in (
            *(("collected", "collected_dvc_digest"), ("new clips", "clips")),
            ("decision", "retraining_decision"),
        )
        if name in tags
    ]
    return [
        ("run", "unknown" if run is None else f"{run.info.run_name} ({run.info.run_id})"),
        ("commit", commit),
        ("data", tags.get("data_dvc_digest", "unknown")),
        *retrained,
        ("gate", version.tags.get("decision", "it was not decided on yet")),
        ("gate faces left out", "unknown" if left_out is None else str(left_out)),
    ]


def _named(version: ModelVersion) -> str:
    return f"{config_of(version.name)}/{version.version}"


def _decided(version: ModelVersion) -> list[tuple[str, str]]:
    try:
        record = record_of(version)
        promoted = record_of(version, "promotion_record")
    except FaceReconError as error:
        return [("decision", error.message)]
    if record is None:
        return [("decision", "the gate has not decided on it, or an older version of the code did")]
    before = record.champion_then
    checks = [("met" if check.passed else "NOT MET", f"{check.name}: {check.said}") for check in record.checks]
    return [
        ("decision", f"{'champion' if record.champion else 'challenger'}: {record.reason}"),
        *([] if record.looks is None else [("look at these people", str(record.looks))]),
        *([] if record.left_out is None else [("gate faces left out", str(record.left_out))]),
        ("champion before", "none" if before is None else f"version {before}"),
        ("anchor", "none" if record.anchor_version is None else f"version {record.anchor_version}"),
        *([] if promoted in (None, record) else [("made champion", promoted.reason)]),
        *checks,
    ]


def _champions(standing: Standing, held: dict[int, ModelVersion]) -> list[tuple[str, str]]:
    """The chain of champions, the present one first."""
    chain: list[tuple[str, str]] = []
    for number in reversed(standing.champions):
        version = held.get(number)
        why = "no longer registered" if version is None else version.tags.get("decision", "")
        chain.append((f"version {number}" + (" (present)" if not chain and number == standing.champion else ""), why))
    return chain or [("none", "no version was champion yet")]


def _moves(name: str) -> list[tuple[str, str]]:
    entries = [entry for entry in journal.entries() if entry.move.model == name]
    told = []
    for entry in entries:
        move, (before, after) = entry.move, entry.move.champion
        change = f"champion {before or 'none'} -> {after}" if before != after else f"champion stays {after or 'none'}"
        if move.anchor[0] != move.anchor[1]:
            change += f", anchor {move.anchor[0] or 'none'} -> {move.anchor[1]}"
        undone = "" if entry.outcome == "done" else f" [{entry.outcome or 'not completed'}]"
        told.append(
            (entry.time, f"version {move.version} {move.decision} ({move.by}): {move.reason} ({change}){undone}")
        )
    return told or [("none", "the journal holds nothing of it")]


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
