"""Who is champion: decided by the gate, by hand, or put back; every change under a lock and through the journal.

MLflow's registry is the truth. What this module keeps there, beside the aliases: on a version the tags ``weights_uri``,
``weights_digest``, ``task``, ``teachers``, ``decision`` (in a sentence, why it stands where it stands),
``decision_record`` (the uri of the gate's decision, a JSON artifact of the run that registered the version),
``gate_figures`` (its means at the gate, for tables), ``decision_grounds`` (a digest of what it rested on),
``data_licence`` and ``rolled_back`` (why it was taken down by hand); on the registered model ``champions``, all
champions in order, the present one last.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from facerecon.data.settings import licence_text
from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import Check, Decision, Opponent, decide
from facerecon.files import digest_of
from facerecon.models.trained import TrainedModel
from facerecon.tasks import Gate
from facerecon.weights import table
from ops import journal
from ops.journal import Move
from ops.registry import (
    CHALLENGER,
    CHAMPION,
    answering,
    check_weights,
    config_of,
    connect,
    find_version,
    register,
    registered_models,
    registered_name,
    registry_lock,
    version_of,
    versions_of,
    weights_of,
)

LOG = logging.getLogger(__name__)

BY_HAND = "by hand"
PROMOTED, NOT_PROMOTED, ROLLED_BACK = "promoted", "not promoted", "rolled back"

SUPPLIED = {"facenet": "MIT (weights learned on VGGFace2)"}
"""Licences of weights that the user's own network brings."""

REMEMBERED = 100
"""So many former champions a registered model names: its tag must stay within 5,000 characters."""


class Standing:
    """Where a registered model's aliases stand now; a model that is not registered has none."""

    def __init__(self, client: MlflowClient, name: str) -> None:
        model = next((model for model in registered_models(client) if model.name == name), None)
        aliases = {} if model is None else model.aliases
        self.registered = model is not None
        self.champion, self.challenger = (
            None if aliases.get(alias) is None else int(aliases[alias]) for alias in (CHAMPION, CHALLENGER)
        )
        named = "" if model is None else model.tags.get("champions", "")
        self.champions = tuple(int(number) for number in named.split(",") if number)


@dataclass(frozen=True)
class Grounds:
    """What a decision rests on beside the two models.

    ``rule`` are the promotion's settings; ``digests`` (data, cases, code) become tags of the version;
    ``data_licences`` has the licence of each source of faces, ``weights_licences`` that of each pretrained weights file
    that was used, by its name.
    """

    rule: dict[str, Any]
    digests: dict[str, str]
    data_licences: dict[str, str]
    weights_licences: dict[str, str]

    def digest(self, champion: int | None) -> str:
        """SHA-256 of all of it and the number of the champion that is decided against."""
        return digest_of([asdict(self), champion])


def challenge(
    config: str,
    model_uri: str,
    weights_uri: str,
    trained: TrainedModel,
    gate: Gate,
    grounds: Grounds,
    by: str,
) -> Decision:
    """Register a model as challenger, decide by the rule whether it becomes champion, and return the decision.

    ``gate`` measures both models on the same faces and cases; ``by`` names the run. Weights that were decided on before
    on the same grounds change nothing: the decision is that of then, with ``champion`` as it stands now. A champion is
    not put down by its own weights coming again.

    Raises:
        FaceReconError: the registry does not answer, or the model cannot be measured; nothing is half promoted.
    """
    client, name = connect(), registered_name(config)
    with registry_lock(), answering():
        _complete_pending(client)
        version = _registered(client, name, model_uri, weights_uri, trained, grounds)
        number, standing, record = int(version.version), Standing(client, name), record_of(version)
        # what a champion was decided against is its former champion
        against = standing.champion
        if standing.champion == number:
            against = None if record is None else record.champion_version
        if record is not None and version.tags.get("decision_grounds") == grounds.digest(against):
            return as_of_now(record)
        opponent = None
        ours = gate.measure(trained)
        if standing.champion is not None and standing.champion != number:
            opponent = _opponent(client, name, standing.champion, trained, gate)
        licences = grounds.data_licences, grounds.weights_licences
        decision = decide(ours, opponent, gate.identities, gate.rule, gate.metrics, *licences)
        decision = decision.model_copy(update={"registered_model": name, "version": number, "rule": grounds.rule})
        decision = _with_known_champion(_not_rolled_back(decision, version), standing)
        if standing.champion == number:
            though = "" if decision.champion else f", though {decision.reason}"
            decision = decision.model_copy(update={"champion": True, "reason": f"it is champion already{though}"})
        tags = {
            "decision": decision.reason,
            "decision_record": _keep(client, version, decision),
            "gate_figures": _gate_figures(decision),
            # what hinders measuring the champion may be mended: the same model is decided on anew then
            "decision_grounds": "" if opponent and opponent.obstacle else grounds.digest(decision.champion_version),
            "data_licence": licence_text(grounds.data_licences),
        }
        move = Move(
            model=name,
            version=number,
            by=by,
            decision=PROMOTED if decision.champion else NOT_PROMOTED,
            reason=decision.reason,
            champion=(standing.champion, number if decision.champion else standing.champion),
            # a version that was decided on before is no new one: the challenger stays who it is
            challenger=(standing.challenger, standing.challenger if record else number),
            champions=_with(standing.champions, number) if decision.champion else standing.champions,
            weights=trained.digest,
            figures=_figures_digest(decision),
            tags={str(number): tags},
        )
        _carry_out(client, move)
    return decision


def _keep(client: MlflowClient, version: ModelVersion, decision: Decision) -> str:
    """Keep a decision whole as an artifact of the run that registered the version; returns its uri."""
    content = decision.model_dump(mode="json")
    path = f"decisions/version-{version.version}-{digest_of(content)[:12]}.json"
    if version.run_id is None:
        raise FaceReconError(f"version {version.version} of {version.name} has no run: it was registered by hand")
    client.log_text(version.run_id, json.dumps(content, sort_keys=True), path)
    return f"runs:/{version.run_id}/{path}"


def _gate_figures(decision: Decision) -> str:
    """The challenger's means under the gate's case by metric, as JSON: what a table of versions shows."""
    rows = []
    for metric in decision.metrics:
        mean = decision.gate_mean(metric.name)
        if any((row.metric, row.case) == (metric.name, decision.gate_case) for row in decision.means):
            rows.append([metric.titled, None if mean is None else round(mean, metric.digits + 2), metric.digits])
    return json.dumps(rows)


def _registered(
    client: MlflowClient, name: str, model_uri: str, weights_uri: str, trained: TrainedModel, grounds: Grounds
) -> ModelVersion:
    """The version that holds the weights of this digest, registered now if there is none."""
    version = version_of(client, name, trained.digest)
    if version is None:
        tags = {
            **grounds.digests,
            **{"weights_uri": weights_uri, "weights_digest": trained.digest},
            **{"task": trained.task, "teachers": ",".join(trained.teachers) or "none"},
        }
        return register(name, model_uri, tags)
    if version.tags.get("weights_uri") != weights_uri and not _readable(version):
        client.set_model_version_tag(name, version.version, "weights_uri", weights_uri)
    return version


def as_of_now(decision: Decision) -> Decision:
    """A decision with ``champion`` as the registry has it now, and, where that has changed, what happened since.

    A cached step hands on the decision of its day; others may have won since, or a person may have stepped in.

    Raises:
        FaceReconError: the registry does not answer.
    """
    client, name = connect(), decision.registered_model
    standing = Standing(client, name)
    if (standing.champion == decision.version) == decision.champion:
        return decision
    moves = (entry.move for entry in reversed(journal.entries()))
    last = next((move for move in moves if move.model == name and move.decision != NOT_PROMOTED), None)
    since = "there is no champion" if standing.champion is None else f"version {standing.champion} is champion"
    if last is not None and last.version == standing.champion:
        since += f" ({last.by}: {last.reason})"
    reason = f"{decision.reason}; since then {since}"
    return decision.model_copy(update={"champion": standing.champion == decision.version, "reason": reason})


def champion_before(decision: Decision) -> TrainedModel | None:
    """The champion that a decision was made against, None if there was none, or it could or can not be had."""
    if not decision.compared:
        return None
    client = connect()
    try:
        with answering():
            return weights_of(client.get_model_version(decision.registered_model, str(decision.champion_version)))
    except FaceReconError:
        return None


def weights_licences(names: Iterable[str]) -> dict[str, str]:
    """The licence of each of these pretrained weights, by name; "" where none is known."""
    known = {str(row["name"]): str(row["licence"]) for row in table()} | SUPPLIED
    return {name: known.get(name, "") for name in names}


def promote_by_hand(text: str, reason: str) -> Move:
    """Make the version that ``text`` names champion because a person says so; see ``find_version`` for ``text``.

    Raises:
        FaceReconError: no such version, it is champion already, its weights are gone or changed, or no reason is given.
    """
    reason = _given(reason)
    client = connect()
    with registry_lock(), answering():
        _complete_pending(client)
        version = find_version(text)
        standing, number = Standing(client, version.name), int(version.version)
        if standing.champion == number:
            config = config_of(version.name)
            raise FaceReconError(
                f"version {number} is the champion of {config} already: `facerecon models` lists others"
            )
        check_weights(version)
        tags = {"decision": f"promoted by hand: {reason}", "rolled_back": ""}
        return _carry_out(
            client,
            Move(
                model=version.name,
                version=number,
                by=BY_HAND,
                decision=PROMOTED,
                reason=reason,
                champion=(standing.champion, number),
                challenger=(standing.challenger, standing.challenger),
                champions=_with(standing.champions, number),
                weights=version.tags["weights_digest"],
                figures=_figures_of(version),
                tags={str(number): tags},
            ),
        )


def rollback(config: str | None, reason: str) -> Move:
    """Give the champion before its place back; ``config`` may be left out where only one model is registered.

    Raises:
        FaceReconError: there is no such model, no champion before, or its weights are gone or changed.
    """
    reason = _given(reason)
    client = connect()
    with registry_lock(), answering():
        _complete_pending(client)
        present = find_version(f"{config or ''}@{CHAMPION}")
        name, config = present.name, config_of(present.name)
        standing = Standing(client, name)
        if len(standing.champions) < 2:
            raise FaceReconError(
                f"{config} has had no champion before version {present.version}: there is nothing to roll back to"
            )
        number = standing.champions[-2]
        version = find_version(f"{config}/{number}")
        check_weights(version)
        tags = {
            str(present.version): {"decision": f"rolled back by hand: {reason}", "rolled_back": reason},
            str(number): {"decision": f"champion again, version {present.version} was rolled back by hand: {reason}"},
        }
        return _carry_out(
            client,
            Move(
                model=name,
                version=number,
                by=BY_HAND,
                decision=ROLLED_BACK,
                reason=reason,
                champion=(int(present.version), number),
                challenger=(standing.challenger, standing.challenger),
                champions=standing.champions[:-1],
                weights=version.tags["weights_digest"],
                figures=_figures_of(version),
                tags=tags,
            ),
        )


def reconcile() -> None:
    """Complete what a process that died had begun, and take note of champions that were set in MLflow's own pages.

    Where a promotion is under way nothing is done: it began by doing this.

    Raises:
        FaceReconError: the registry does not answer.
    """
    client = connect()
    with registry_lock(wait=False) as held, answering():
        if held:
            _complete_pending(client)


def _complete_pending(client: MlflowClient) -> None:
    """``reconcile`` for who holds the lock."""
    for entry in journal.entries():
        if entry.outcome is None:
            _conclude(client, entry.number, entry.move)
    for model in registered_models(client):
        standing = Standing(client, model.name)
        if standing.champion is not None and standing.champion not in standing.champions[-1:]:
            version = next(v for v in versions_of(client, model.name) if int(v.version) == standing.champion)
            _carry_out(
                client,
                Move(
                    model=model.name,
                    version=standing.champion,
                    by="MLflow",
                    decision=PROMOTED,
                    reason="its alias was set in MLflow, past this project",
                    champion=(standing.champion, standing.champion),
                    challenger=(standing.challenger, standing.challenger),
                    champions=_with(standing.champions, standing.champion),
                    weights=version.tags.get("weights_digest", ""),
                    figures=_figures_of(version),
                ),
            )


def _conclude(client: MlflowClient, number: int, move: Move) -> None:
    """Finish a move that was begun; it is given up if the registry has gone another way since."""
    standing = Standing(client, move.model)
    held = {int(v.version): v for v in versions_of(client, move.model)} if standing.registered else {}
    if move.version not in held or held[move.version].tags.get("weights_digest", "") != move.weights:
        journal.conclude(number, "undone", f"version {move.version} is no longer registered")
    elif standing.champion not in move.champion:
        journal.conclude(number, "undone", f"version {standing.champion} was made champion in between")
    else:
        LOG.warning("completing what was begun before: version %s of %s, %s", move.version, move.model, move.decision)
        _apply(client, move)
        journal.conclude(number, "done")


def _carry_out(client: MlflowClient, move: Move) -> Move:
    """Write a move down, do it, write down that it is done."""
    number = journal.intend(move)
    _apply(client, move)
    journal.conclude(number, "done")
    return move


def _apply(client: MlflowClient, move: Move) -> None:
    """Set tags, then aliases, the champion's last: who sees the champion sees why. Safe to repeat."""
    for number, tags in move.tags.items():
        for key, value in tags.items():
            client.set_model_version_tag(move.model, number, key, value)
    client.set_registered_model_tag(move.model, "champions", ",".join(map(str, move.champions)))
    for alias, (before, after) in ((CHALLENGER, move.challenger), (CHAMPION, move.champion)):
        if after is not None and after != before:
            client.set_registered_model_alias(move.model, alias, str(after))


def _opponent(client: MlflowClient, name: str, number: int, challenger: TrainedModel, gate: Gate) -> Opponent:
    """The champion measured at today's gate, or why it cannot be."""
    try:
        champion = weights_of(client.get_model_version(name, str(number)))
        for what, theirs, ours in (
            ("task", champion.task, challenger.task),
            ("face size in px", champion.size, challenger.size),
        ):
            if theirs != ours:
                raise FaceReconError(
                    f"it was trained with another {what} ({theirs}, the challenger has {ours}): "
                    "give the config another name, or decide by `facerecon promote`"
                )
        return Opponent(number, gate.measure(champion))
    except FaceReconError as error:
        return Opponent(number, None, error.message)


def _not_rolled_back(decision: Decision, version: ModelVersion) -> Decision:
    """What a person has taken down, only a person puts back."""
    if not (why := version.tags.get("rolled_back")):
        return decision
    said = (
        f"version {version.version} was rolled back by hand ({why}): only `facerecon promote` makes it champion again"
    )
    return decision.refused(Check(name="not rolled back", passed=False, said=said))


def _with_known_champion(decision: Decision, standing: Standing) -> Decision:
    """Where a champion has vanished past this project, no model is the first: a person says what follows it."""
    if standing.champion is not None or not standing.champions:
        return decision
    said = (
        f"the champion, version {standing.champions[-1]}, was removed in MLflow, so there is nothing to compare with: "
        "say by `facerecon promote` which version is champion"
    )
    return decision.refused(Check(name="champion known", passed=False, said=said))


def _with(champions: tuple[int, ...], number: int) -> tuple[int, ...]:
    return champions if champions[-1:] == (number,) else (*champions, number)[-REMEMBERED:]


def record_of(version: ModelVersion) -> Decision | None:
    """The gate's decision about a version, None if there was none, or it was made by an older version of the code.

    Raises:
        FaceReconError: the registry names a decision that is gone.
    """
    uri = version.tags.get("decision_record", "")
    if not uri.startswith("runs:/"):
        return None
    try:
        return Decision.model_validate_json(mlflow.artifacts.load_text(uri))
    except (OSError, mlflow.MlflowException, ValueError) as error:
        said = str(error).strip().splitlines()[0][:200]
        raise FaceReconError(
            f"the decision about version {version.version} of {version.name} cannot be read from {uri} ({said}): "
            "put it back, or remove the version's tag decision_record"
        ) from error


def _figures_of(version: ModelVersion) -> str:
    """The digest of the figures that the gate had; "" where it had none, or they are gone: a person decides without."""
    try:
        record = record_of(version)
    except FaceReconError:
        return ""
    return _figures_digest(record) if record else ""


def _figures_digest(decision: Decision) -> str:
    content = decision.model_dump(mode="json", include={"means", "differences"})
    return digest_of(content)


def _readable(version: ModelVersion) -> bool:
    try:
        check_weights(version)
    except FaceReconError:
        return False
    return True


def _given(reason: str) -> str:
    if not reason.strip():
        raise FaceReconError("no reason is given: say with --reason why, it goes into the journal")
    return " ".join(reason.split())
