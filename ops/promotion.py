"""Who is champion: decided by the gate, by hand, or put back; every change under a lock and through the journal.

MLflow's registry is the truth. What this module keeps there, beside the aliases: on a version the tags ``weights_uri``,
``weights_digest``, ``task``, ``teachers``, ``decision`` (in a sentence, why it stands where it stands),
``decision_record``, ``decisions``, ``promotion_record`` and ``learned_record`` (see ``ops.decisions``),
``gate_figures`` (its means at the gate, for tables), ``decision_grounds`` (a digest of what it rested on),
``data_licence`` and ``rolled_back`` (why it was taken down by hand); on the registered model ``champions``, all
champions in order, the present one last. The alias ``anchor`` is set with the first champion and moved only by hand: no
challenger may have lost more than is allowed beside it, so that small losses do not add up.
"""

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, REQUEST_LIMIT_EXCEEDED, TEMPORARILY_UNAVAILABLE, ErrorCode

from facerecon.data.learned import Learned, PeopleKey, marks_of, unseen
from facerecon.data.manifest import Manifest
from facerecon.data.settings import licence_text
from facerecon.errors import FaceReconError
from facerecon.evaluation.promotion import Check, Decision, Opponent, decide, unfit
from facerecon.evaluation.scores import Scores
from facerecon.files import digest_of
from facerecon.models.trained import TrainedModel
from facerecon.tasks import Gate
from facerecon.weights import table
from ops import journal
from ops.decisions import decisions_of, keep_decision, keep_learned, learned_by, learned_of, looks_at, record_of
from ops.journal import Move
from ops.people_key import people_key
from ops.registry import (
    ANCHOR,
    CHALLENGER,
    CHAMPION,
    TAG_LENGTH,
    answering,
    check_lock,
    check_tags,
    check_text,
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
PROPOSED, ANCHORED = "proposed", "made the anchor"

SUPPLIED = {"facenet": "MIT (weights learned on VGGFace2)"}
"""Licences of weights that the user's own network brings."""

REMEMBERED = 100
"""So many former champions a registered model names: its tag must stay within ``TAG_LENGTH``."""

REASON_LENGTH = 1_000
"""So many characters a reason given by hand may have."""

_NUMBERS = re.compile(r"(?:[1-9][0-9]{0,8}(?:,|$))*")


class Standing:
    """Where a registered model's aliases stand now; a model that is not registered has none.

    ``legible`` is whether its tag of all champions could be read; where not, ``champions`` are those that the journal
    has.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        model = next((model for model in registered_models(client) if model.name == name), None)
        aliases = {} if model is None else model.aliases
        self.registered = model is not None
        self.champion, self.challenger, self.anchor = (
            None if aliases.get(alias) is None else int(aliases[alias]) for alias in (CHAMPION, CHALLENGER, ANCHOR)
        )
        named = "" if model is None else model.tags.get("champions", "")
        self.legible = _NUMBERS.fullmatch(named) is not None
        self.champions: tuple[int, ...]
        if self.legible:
            self.champions = tuple(int(number) for number in named.split(",") if number)
        else:
            moves = (entry.move for entry in reversed(journal.entries()) if entry.outcome == "done")
            self.champions = next((move.champions for move in moves if move.model == name), ())


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

    def digest(self, champion: int | None, anchor: int | None) -> str:
        """SHA-256 of all of it and the numbers of the champion that is decided against and of the anchor."""
        return digest_of([asdict(self), champion, anchor])


@dataclass(frozen=True)
class Origin:
    """What a challenger came from: the aligned ``faces`` that it learned from, was selected by and is judged on, and
    the digest of the weights of its ``parent``, with which its training started; None for fresh ones."""

    faces: Manifest
    parent: str | None = None


def challenge(
    config: str,
    model_uri: str,
    weights_uri: str,
    trained: TrainedModel,
    gate: Gate,
    grounds: Grounds,
    by: str,
    origin: Origin,
) -> Decision:
    """Register a model as challenger, decide by the rule whether it becomes champion, and return the decision.

    ``gate`` measures all models on the same faces and cases, without those that one of them learned from; ``by`` names
    the run. Weights that were decided on before on the same grounds change nothing: the decision is that of then, with
    ``champion`` as it stands now. A champion is not put down by its own weights coming again.

    Raises:
        FaceReconError: the registry does not answer or cannot keep what it would be told, or the model cannot be
            measured; nothing is half promoted.
    """
    client, name = connect(), registered_name(config)
    told = {
        **grounds.digests,
        **{"weights_uri": weights_uri, "weights_digest": trained.digest},
        **{"task": trained.task, "teachers": ",".join(trained.teachers) or "none"},
    }
    licence = licence_text(grounds.data_licences)
    check_tags("the model", told | {"data_licence": licence})
    with registry_lock(), answering():
        _complete_pending(client)
        version = _registered(client, name, model_uri, told)
        number, standing, record = int(version.version), Standing(client, name), _legible_record(version)
        # what a champion was decided against is its former champion
        against = standing.champion
        if standing.champion == number:
            against = None if record is None else record.champion_then
        if record is not None and version.tags.get("decision_grounds") == grounds.digest(against, standing.anchor):
            return as_of_now(record)
        key = people_key()
        learned = learned_by(client, version, key, origin.faces, origin.parent)
        base = _base(client, name, standing, origin.parent)
        found = _Gauge(client, name, standing, trained, gate, key, base).compare(number, learned, origin.faces)
        licences = grounds.data_licences, grounds.weights_licences
        decision = decide(
            *(found.ours, found.opponent, gate.identities, gate.rule, gate.metrics, *licences),
            # beside itself nobody loses
            anchor=None if found.anchor is None or found.same else found.anchor,
            looks=looks_at(found.people, key.id, decisions_of(client, name)),
            left_out=found.left_out,
        )
        about = {"registered_model": name, "version": number, "rule": grounds.rule}
        about |= {"gate_people": found.people, "people_key": key.id}
        decision = decision.model_copy(update=about)
        decision = _with_known_champion(_not_rolled_back(decision, version), standing)
        if standing.champion == number:
            though = "" if decision.champion else f", though {decision.reason}"
            decision = decision.model_copy(update={"champion": True, "reason": f"it is champion already{though}"})
        elif decision.champion and gate.rule.settings.mode == "propose":
            decision = _proposed(decision)
        anchor = standing.anchor
        if anchor is None and found.anchor is not None and found.anchor.scores is not None:
            anchor = found.anchor.number
        if decision.champion:
            anchor = _anchored(standing, anchor, number)
        decision = decision.model_copy(update={"anchor_version": anchor})
        kept = keep_decision(client, version, decision)
        promoted = {"promotion_record": kept["decision_record"]}
        tags = {
            **kept,
            **keep_learned(client, version, learned),
            # whole in the record
            "decision": _cut(decision.reason),
            **(promoted if decision.champion and standing.champion != number else {}),
            "gate_figures": _gate_figures(decision),
            # what hinders measuring the champion may be mended: the same model is decided on anew then
            "decision_grounds": "" if found.obstacle else grounds.digest(decision.champion_then, anchor),
            "data_licence": licence,
        }
        move = Move(
            model=name,
            version=number,
            by=by,
            decision=PROMOTED if decision.champion else PROPOSED if decision.proposed else NOT_PROMOTED,
            reason=decision.reason,
            champion=(standing.champion, number if decision.champion else standing.champion),
            # a version that was decided on before is no new one: the challenger stays who it is
            challenger=(standing.challenger, standing.challenger if "decision_record" in version.tags else number),
            champions=_with(standing.champions, number) if decision.champion else standing.champions,
            weights=trained.digest,
            figures=_figures_digest(decision),
            tags={str(number): tags},
            anchor=(standing.anchor, anchor),
        )
        _carry_out(client, move)
    return decision


def _proposed(decision: Decision) -> Decision:
    """A decision for the challenger that a person is to carry out."""
    named = f"{config_of(decision.registered_model)}/{decision.version}"
    reason = f"proposed, `facerecon promote {named} --reason ...` makes it champion: {decision.reason}"
    return decision.model_copy(update={"champion": False, "proposed": True, "reason": reason})


def _gate_figures(decision: Decision) -> str:
    """The challenger's means under the gate's case by metric and face set, as JSON: what a table of versions shows."""
    rows = []
    for face_set in decision.face_sets:
        on = f" on {face_set}" if len(decision.face_sets) > 1 else ""
        for metric in decision.metrics:
            mean = decision.gate_mean(metric.name, face_set=face_set)
            wanted = (metric.name, decision.gate_case, face_set)
            if any((row.metric, row.case, row.face_set) == wanted for row in decision.means):
                rows.append(
                    [metric.titled + on, None if mean is None else round(mean, metric.digits + 2), metric.digits]
                )
    return json.dumps(rows)


def _registered(client: MlflowClient, name: str, model_uri: str, tags: dict[str, str]) -> ModelVersion:
    """The version that holds the weights that the tags name, registered now, with the tags, if there is none."""
    version = version_of(client, name, tags["weights_digest"])
    if version is None:
        return register(name, model_uri, tags)
    if version.tags.get("weights_uri") != tags["weights_uri"] and _unreadable(version):
        client.set_model_version_tag(name, version.version, "weights_uri", tags["weights_uri"])
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
    made = (PROMOTED, ROLLED_BACK)
    last = next((move for move in moves if move.model == name and move.decision in made), None)
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
            if decision.base:
                return weights_of(find_version(decision.base))
            return weights_of(client.get_model_version(decision.registered_model, str(decision.champion_version)))
    except FaceReconError:
        return None


def weights_licences(names: Iterable[str]) -> dict[str, str]:
    """The licence of each of these pretrained weights, by name; "" where none is known."""
    known = {str(row["name"]): str(row["licence"]) for row in table()} | SUPPLIED
    return {name: known.get(name, "") for name in names}


def promote_by_hand(text: str, reason: str) -> Move:
    """Make the version that ``text`` names champion because a person says so; see ``find_version`` for ``text``.

    What was proposed is carried out within its record, if it was decided against the champion there is.

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
        said, record = f"promoted by hand: {reason}", ""
        proposal = _legible_record(version)
        if proposal is not None and proposal.proposed:
            if proposal.champion_then == standing.champion:
                said, record = f"promoted by hand, as proposed: {reason}", version.tags["decision_record"]
            else:
                LOG.warning(
                    "the champion of %s has changed since version %d was proposed (then %s, now %s): it is promoted by "
                    "hand, without the gate",
                    *(config_of(version.name), number, _version(proposal.champion_then), _version(standing.champion)),
                )
        tags = {"decision": said, "promotion_record": record, "rolled_back": ""}
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
                anchor=(standing.anchor, _anchored(standing, standing.anchor, number)),
            ),
        )


def _anchored(standing: Standing, anchor: int | None, champion: int) -> int | None:
    """The anchor once ``champion`` is: the first champion is anchor, too."""
    return champion if anchor is None and not standing.champions else anchor


def _version(number: int | None) -> str:
    return "none" if number is None else f"version {number}"


def anchor_by_hand(text: str, reason: str) -> Move:
    """Make the version that ``text`` names the anchor, beside which no challenger may lose more than is allowed.

    Raises:
        FaceReconError: no such version, it is the anchor already, its weights are gone or changed, or no reason is
            given.
    """
    reason = _given(reason)
    client = connect()
    with registry_lock(), answering():
        _complete_pending(client)
        version = find_version(text)
        standing, number = Standing(client, version.name), int(version.version)
        if standing.anchor == number:
            raise FaceReconError(f"version {number} is the anchor of {config_of(version.name)} already")
        check_weights(version)
        return _carry_out(
            client,
            Move(
                model=version.name,
                version=number,
                by=BY_HAND,
                decision=ANCHORED,
                reason=reason,
                champion=(standing.champion, standing.champion),
                challenger=(standing.challenger, standing.challenger),
                champions=standing.champions,
                weights=version.tags["weights_digest"],
                figures=_figures_of(version),
                anchor=(standing.anchor, number),
            ),
        )


def rollback(config: str | None, reason: str) -> Move:
    """Give a former champion its place back: the newest that is there and was not itself rolled back.

    ``config`` may be left out where only one model is registered. Those passed over are named in a warning.

    Raises:
        FaceReconError: there is no such model, or no champion before whose weights are there and unchanged.
    """
    reason = _given(reason)
    client = connect()
    with registry_lock(), answering():
        _complete_pending(client)
        present = find_version(f"{config or ''}@{CHAMPION}")
        name, config = present.name, config_of(present.name)
        standing, held = Standing(client, name), {int(v.version): v for v in versions_of(client, name)}
        if len(standing.champions) < 2:
            raise FaceReconError(
                f"{config} has had no champion before version {present.version}: there is nothing to roll back to"
            )
        passed_over: dict[int, str] = {}
        for place in reversed(range(len(standing.champions) - 1)):
            number = standing.champions[place]
            if number not in passed_over and number != int(present.version):
                if not (obstacle := _not_again(held.get(number))):
                    break
                passed_over[number] = obstacle
        else:
            raise FaceReconError(
                f"{config} has no former champion to roll back to ({_listed(passed_over)}): "
                f"say by `facerecon promote` which version follows version {present.version}"
            )
        if passed_over:
            LOG.warning("passed over: %s", _listed(passed_over))
        again = f"champion again, version {present.version} was rolled back by hand: {reason}"
        if passed_over:
            again = _cut(f"{again} (passed over: {_listed(passed_over)})")
        tags = {
            str(present.version): {"decision": f"rolled back by hand: {reason}", "rolled_back": reason},
            str(number): {"decision": again},
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
                champions=standing.champions[: place + 1],
                weights=held[number].tags["weights_digest"],
                figures=_figures_of(held[number]),
                tags=tags,
                anchor=(standing.anchor, standing.anchor),
            ),
        )


def _not_again(version: ModelVersion | None) -> str:
    """Why a former champion is not given its place back; "" where it can be."""
    if version is None:
        return "it was deleted in MLflow"
    if why := version.tags.get("rolled_back"):
        return f"it was rolled back itself ({why})"
    return _unreadable(version)


def _listed(passed_over: dict[int, str]) -> str:
    return "; ".join(f"version {number}: {why}" for number, why in passed_over.items())


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
    """``reconcile`` for who holds the lock. What cannot be read or completed is told of once, and hinders nothing."""
    for line in journal.unreadable():
        LOG.warning("%s, line %d: no entry of the journal: passed over", journal.where(), line.place)
        journal.set_line_aside(line)
    for entry in journal.entries():
        if entry.outcome is None:
            _conclude(client, entry.number, entry.move)
    for model in registered_models(client):
        standing = Standing(client, model.name)
        if not standing.legible:
            named = ",".join(map(str, standing.champions))
            LOG.warning(
                "%s: its tag champions, %r, names no versions: set to what the journal has, '%s'",
                *(model.name, model.tags["champions"][:100], named),
            )
            client.set_registered_model_tag(model.name, "champions", named)
        if standing.champion is not None and standing.champion not in standing.champions[-1:]:
            version = next(v for v in versions_of(client, model.name) if int(v.version) == standing.champion)
            reason = "its alias was set in MLflow, past this project"
            _carry_out(
                client,
                Move(
                    model=model.name,
                    version=standing.champion,
                    by="MLflow",
                    decision=PROMOTED,
                    reason=reason,
                    champion=(standing.champion, standing.champion),
                    challenger=(standing.challenger, standing.challenger),
                    champions=_with(standing.champions, standing.champion),
                    weights=version.tags.get("weights_digest", ""),
                    figures=_figures_of(version),
                    tags={version.version: {"decision": f"promoted in MLflow: {reason}", "rolled_back": ""}},
                    anchor=(standing.anchor, _anchored(standing, standing.anchor, standing.champion)),
                ),
            )


def _conclude(client: MlflowClient, number: int, move: Move) -> None:
    """Finish a move that was begun; it is given up if the registry has gone another way since, or can never take it."""
    standing = Standing(client, move.model)
    held = {int(v.version): v for v in versions_of(client, move.model)} if standing.registered else {}
    if move.version not in held or held[move.version].tags.get("weights_digest", "") != move.weights:
        journal.conclude(number, "undone", f"version {move.version} is no longer registered")
    elif standing.champion not in move.champion:
        journal.conclude(number, "undone", f"version {standing.champion} was made champion in between")
    else:
        LOG.warning("completing what was begun before: version %s of %s, %s", move.version, move.model, move.decision)
        try:
            _check(move)
            _apply(client, move)
        except (FaceReconError, MlflowException) as error:
            if isinstance(error, MlflowException) and not _for_good(error):
                raise
            said = str(error).strip().splitlines()[0][:200]
            LOG.warning("it cannot be completed (%s): set aside, and the registry stays as it is", said)
            journal.conclude(number, "set aside", said)
        else:
            journal.conclude(number, "done")


def _for_good(error: MlflowException) -> bool:
    """Whether MLflow refuses what it was told and would refuse it again; not so where it, or its database, is ill."""
    return error.error_code not in (
        ErrorCode.Name(TEMPORARILY_UNAVAILABLE),
        ErrorCode.Name(INTERNAL_ERROR),
        ErrorCode.Name(REQUEST_LIMIT_EXCEEDED),
    ) or isinstance(error.__cause__, ValueError | TypeError | OverflowError)


def _check(move: Move) -> None:
    """See that MLflow takes all that a move writes; FaceReconError if not."""
    for number, tags in move.tags.items():
        check_tags(f"version {number} of {move.model}", tags)
    check_tags(move.model, {"champions": ",".join(map(str, move.champions))})


def _carry_out(client: MlflowClient, move: Move) -> Move:
    """See that a move can be done, write it down, do it, write down that it is done."""
    _check(move)
    check_lock()
    number = journal.intend(move)
    _apply(client, move)
    journal.conclude(number, "done")
    return move


def _apply(client: MlflowClient, move: Move) -> None:
    """Set tags, then aliases, the champion's last: who sees the champion sees why. Safe to repeat."""
    for number, tags in move.tags.items():
        for key, value in tags.items():
            check_lock()
            client.set_model_version_tag(move.model, number, key, value)
    check_lock()
    client.set_registered_model_tag(move.model, "champions", ",".join(map(str, move.champions)))
    for alias, (before, after) in ((CHALLENGER, move.challenger), (ANCHOR, move.anchor), (CHAMPION, move.champion)):
        if after is not None and after != before:
            check_lock()
            client.set_registered_model_alias(move.model, alias, str(after))


@dataclass(frozen=True)
class _Found:
    """The challenger's scores, its opponent and the anchor, all without the ``left_out`` faces; ``people`` are the
    marks of those whom the gain is measured on."""

    ours: Scores
    opponent: Opponent | None
    anchor: Opponent | None
    left_out: int
    people: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the anchor is the opponent."""
        return self.opponent is not None and self.anchor is not None and self.opponent.label == self.anchor.label

    @property
    def obstacle(self) -> bool:
        """Whether something hindered measuring that can be mended."""
        return any(of is not None and of.obstacle for of in (self.opponent, self.anchor))


class _Gauge:
    """Measures the versions that a challenger is compared with at today's gate, each once.

    ``base`` is the version of another model that is the opponent where there is no champion yet.
    """

    def __init__(
        self,
        client: MlflowClient,
        name: str,
        standing: Standing,
        challenger: TrainedModel,
        gate: Gate,
        key: PeopleKey,
        base: ModelVersion | None,
    ) -> None:
        self.name, self.standing, self.challenger, self.gate, self.key = name, standing, challenger, gate, key
        self.base = base
        self._held = {int(version.version): version for version in versions_of(client, name)}
        self._measured: dict[int, Opponent] = {}
        self._learned: dict[str, Learned] = {}

    def compare(self, number: int, learned: Learned, faces: Manifest) -> _Found:
        """Measure the challenger, version ``number``, its opponent and the anchor; who is known to any is left out."""
        ours = self.gate.measure(self.challenger)
        opponent = anchor = None
        if self.standing.champion is not None and self.standing.champion != number:
            opponent = self._opponent()
            anchor = self._anchor(opponent)
        elif self.standing.champion is None and self.base is not None:
            opponent = self._measure(self.base, config_of(self.base.name))
        if learned.unknown and opponent is not None and opponent.scores is not None:
            why = f"who the challenger learned from is not known ({learned.unknown}): {_LEFT_TO_A_PERSON}"
            opponent = replace(opponent, scores=None, obstacle=why)
        others = [each for each in (opponent, anchor) if each is not None and each.scores is not None]
        marks = marks_of(faces, self.key)
        kept = unseen(marks, [learned, *(self._learned[each.label] for each in others)])
        there = _faces_of(ours)
        if there.isdisjoint(kept):
            if opponent is not None and opponent.scores is not None:
                why = f"of the gate's {len(there)} faces none is left that no model learned from: give more people"
                opponent = replace(opponent, scores=None, obstacle=why)
        else:
            ours, opponent, anchor = ours.only(kept), _only(opponent, kept), _only(anchor, kept)
        face_set = self.gate.rule.on({key.face_set for key in ours.keys}, False).face_set
        people = marks["person"].reindex(sorted(_faces_of(ours, face_set))).dropna().unique()
        return _Found(ours, opponent, anchor, len(there - kept), tuple(sorted(map(str, people))))

    def _opponent(self) -> Opponent:
        """The champion; if its figures are no finite numbers, the newest former one whose are.

        Where no former champion's are either it is the champion itself, which leaves the decision to a person.
        """
        assert self.standing.champion is not None
        champion, config = self._version(self.standing.champion), config_of(self.name)
        if champion.scores is None or not (why := unfit(champion.scores, self.gate.rule)):
            return champion
        for number in dict.fromkeys(reversed(self.standing.champions)):
            if number != champion.number and self._is_fit(number):
                LOG.warning("version %d, the champion of %s, is no opponent: %s", champion.number, config, why)
                return replace(self._version(number), instead_of=champion.number, why=why)
        LOG.warning(
            "version %d, the champion of %s, can be compared with no model: %s; say by `facerecon promote` which "
            "version is champion",
            *(champion.number, config, why),
        )
        return champion

    def _anchor(self, opponent: Opponent) -> Opponent | None:
        """The anchor; where there is none yet, the oldest former champion that can be compared with."""
        if (number := self.standing.anchor) is None:
            champions = dict.fromkeys((*self.standing.champions, opponent.number))
            number = next((number for number in champions if self._is_fit(number)), None)
            return None if number is None else self._version(number)
        anchor = self._version(number)
        if anchor.scores is not None and (why := unfit(anchor.scores, self.gate.rule)):
            anchor = Opponent(number, None, why)
        if anchor.obstacle:
            remedy = "say by `facerecon promote VERSION --anchor` which version is the anchor"
            return replace(anchor, obstacle=f"{anchor.obstacle}; {remedy}")
        return anchor

    def _is_fit(self, number: int) -> bool:
        """Whether a former champion can be compared with in another's place."""
        if _not_again(self._held.get(number)):
            return False
        scores = self._version(number).scores
        return scores is not None and not unfit(scores, self.gate.rule)

    def _version(self, number: int) -> Opponent:
        """A version measured at today's gate, or why it cannot be."""
        if number not in self._measured:
            version = self._held.get(number)
            self._measured[number] = (
                Opponent(number, None, "it was deleted in MLflow") if version is None else self._measure(version)
            )
        return self._measured[number]

    def _measure(self, version: ModelVersion, model: str = "") -> Opponent:
        """A version, of another ``model`` if that is named."""
        opponent = Opponent(int(version.version), None, model=model)
        try:
            return replace(opponent, scores=self._scores(version, opponent.label))
        except FaceReconError as error:
            return replace(opponent, obstacle=error.message)

    def _scores(self, version: ModelVersion, label: str) -> Scores:
        trained = weights_of(version)
        for what, theirs, ours in (
            ("task", trained.task, self.challenger.task),
            ("face size in px", trained.size, self.challenger.size),
        ):
            if theirs != ours:
                raise FaceReconError(
                    f"it was trained with another {what} ({theirs}, the challenger has {ours}): "
                    "give the config another name, or decide by `facerecon promote`"
                )
        self._learned[label] = learned_of(version, self.key)
        if why := self._learned[label].unknown:
            raise FaceReconError(f"who it learned from is not known ({why}): {_LEFT_TO_A_PERSON}")
        return self.gate.measure(trained)


def _base(client: MlflowClient, name: str, standing: Standing, parent: str | None) -> ModelVersion | None:
    """The newest version of another model that holds the weights ``parent``, where a model had no champion yet."""
    if parent is None or standing.champion is not None or standing.champions:
        return None
    others = (model for model in registered_models(client) if model.name != name)
    held = (version_of(client, model.name, parent) for model in others)
    return max((v for v in held if v is not None), key=lambda version: version.creation_timestamp, default=None)


_LEFT_TO_A_PERSON = "decide by `facerecon promote`"


def _faces_of(scores: Scores, face_set: str | None = None) -> set[str]:
    return {face for key, method in scores if face_set in (None, key.face_set) for face in scores.faces(key, method)}


def _only(opponent: Opponent | None, faces: frozenset[str]) -> Opponent | None:
    if opponent is None or opponent.scores is None:
        return opponent
    return replace(opponent, scores=opponent.scores.only(faces))


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
    if standing.champion is not None:
        return decision
    if standing.champions:
        happened = f"the champion, version {standing.champions[-1]}, was removed in MLflow"
    elif (number := journal.past_champion(decision.registered_model)) is not None:
        happened = (
            f"{decision.registered_model} had a champion, version {number}, as the journal knows, "
            "and was renamed or deleted in MLflow"
        )
    else:
        return decision
    said = f"{happened}, so there is nothing to compare with: say by `facerecon promote` which version is champion"
    return decision.refused(Check(name="champion known", passed=False, said=said))


def _with(champions: tuple[int, ...], number: int) -> tuple[int, ...]:
    return champions if champions[-1:] == (number,) else (*champions, number)[-REMEMBERED:]


def _legible_record(version: ModelVersion) -> Decision | None:
    """``record_of``; None, and a warning, where the decision cannot be read: the model is decided on anew."""
    try:
        return record_of(version)
    except FaceReconError as error:
        LOG.warning("%s; it is decided on anew", error.message)
        return None


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


def _unreadable(version: ModelVersion) -> str:
    """Why the weights of a version cannot be read; "" if they can."""
    try:
        check_weights(version)
    except FaceReconError as error:
        return error.message
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= TAG_LENGTH else text[: TAG_LENGTH - 1] + "…"


def _given(reason: str) -> str:
    if not reason.strip():
        raise FaceReconError("no reason is given: say with --reason why, it goes into the journal")
    return check_text("the reason", " ".join(reason.split()), REASON_LENGTH)
