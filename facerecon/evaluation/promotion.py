"""The rule by which a challenger becomes champion: each condition is checked and says in plain words what it found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.evaluation.bootstrap import Interval, fewest_identities, paired_interval
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.scores import Scores
from facerecon.evaluation.sign_flip import sign_flip_interval
from facerecon.settings import Settings

GATE = "gate"
"""The face set on which promotion is decided."""

GATE_OLD, GATE_NEW = "gate_old", "gate_new"
"""The two in its place where data grows: on the new one a gain is asked for, on the old one that nothing is lost."""

MODEL = "model"
"""The method's name of the network itself among the methods of ``Scores``."""

CHAMPION = "champion"
"""What a relative guard compares with."""

ANCHOR = "anchor"
"""The version beside which losses may not add up: what a relative guard compares with too."""

CHANCE = 0.05
"""So probable it is at most that of all challengers of a model that gain nothing any is promoted."""

UNNAMED = frozenset({"", "unknown", "none", "n/a", "?"})
"""What names no licence, in whatever case."""


class PromotionSettings(Settings):
    """The rule by which a challenger becomes champion; it is asked on the gate split, of the same frozen cases.

    Differences are challenger minus champion, paired by face. The gain's interval comes from flipping signs, at a
    confidence that rises with each look at the gate (``gain_confidence``) and must lie above 0; the others, of
    ``confidence``, from drawing people with replacement ``resamples`` times. With fewer people than can tell at the
    gain's confidence (7 at the first look) no champion is replaced. In the mode ``propose`` a person makes champion
    what meets the rule.
    """

    mode: Literal["automatic", "propose"] = "automatic"
    margin: float = Field(0.05, ge=0, description="least gain in the gate key, in its unit")
    max_loss_old: float = Field(0.1, ge=0, description="of the gate key where the gate has old faces apart, interval")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="of all intervals but the gain's")
    resamples: int = Field(2000, ge=100, le=100_000)
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the resampling")
    max_faces: int = Field(200, ge=1)

    @property
    def judges(self) -> tuple[str, ...]:
        """The names of the pretrained weights that judge at the gate."""
        return ()


def gain_confidence(looks: int) -> float:
    """The confidence of the gain's interval at the ``looks``-th look at the same people, from 1.

    The looks' chances of a promotion without a gain, 0.05 / (k (k + 1)), sum to CHANCE however many they are.
    """
    return 1 - CHANCE / (looks * (looks + 1))


@dataclass(frozen=True)
class Guard:
    """What a challenger must not lose, or must gain.

    It is asked of ``metric`` under ``case`` on ``face_set``, mean over its levels; with ``case`` None of every case and
    level alone. ``against`` is CHAMPION, ANCHOR or the name of a baseline that was measured beside the model. At most
    ``max_loss`` is allowed, in the metric's unit; a negative one asks for a gain. ``interval`` takes the worse end of
    the interval for the loss, else the mean.
    """

    name: str
    metric: Metric
    case: str | None
    max_loss: float
    against: str = CHAMPION
    interval: bool = True
    face_set: str = GATE


@dataclass(frozen=True)
class Rule:
    """The gate key (``metric`` under ``case`` on ``face_set``, mean over its levels), the settings, and the guards."""

    metric: Metric
    case: str
    settings: PromotionSettings
    guards: tuple[Guard, ...]
    face_set: str = GATE

    def on(self, face_sets: Collection[str], anchor: bool) -> "Rule":
        """The rule as it is asked of a gate that has these face sets, with an ``anchor`` beside the champion or not.

        What may not be lost to the champion may not be lost to the anchor. With GATE_OLD and GATE_NEW the gain is asked
        on the new faces, all else on both; the anchor is compared with on the old ones alone, where the gate key's
        interval may reach ``max_loss_old`` below 0.
        """
        asked: list[Guard] = []
        if not {GATE_OLD, GATE_NEW} & set(face_sets):
            asked += self.guards
            asked += [_beside_anchor(guard) for guard in self.guards if anchor and guard.against == CHAMPION]
            return replace(self, guards=tuple(asked))
        for face_set in (GATE_NEW, GATE_OLD):
            asked += [
                replace(guard, name=f"{guard.name} on {face_set}", face_set=face_set)
                for guard in self.guards
                if face_set in face_sets
            ]
        if GATE_OLD in face_sets:
            name = f"{self.metric.label} on {GATE_OLD}"
            asked.append(Guard(name, self.metric, self.case, self.settings.max_loss_old, face_set=GATE_OLD))
        old = [guard for guard in asked if (guard.against, guard.face_set) == (CHAMPION, GATE_OLD)]
        asked += [_beside_anchor(guard) for guard in old if anchor]
        return replace(self, guards=tuple(asked), face_set=GATE_NEW)


def _beside_anchor(guard: Guard) -> Guard:
    return replace(guard, name=f"{guard.name}, beside the anchor", against=ANCHOR)


class Check(Settings):
    """One condition: its ``name``, whether it is met, and what is ``said`` about it, with figures."""

    name: str
    passed: bool
    said: str


class Difference(Settings):
    """Challenger minus champion of one metric under a case; ``level`` -1: no levels, None: the mean over them.

    ``low`` and ``high`` bound the interval; None where too few ``identities`` can tell. ``confidence`` is that of the
    row by which a gain is judged, from flipping signs; None of the others, which have the rule's.
    """

    metric: str
    case: str
    level: int | None
    mean: float
    low: float | None
    high: float | None
    identities: int
    face_set: str = GATE
    confidence: float | None = None


class GateMean(Settings):
    """Means over the gate's faces; None where one is not finite or was not measured."""

    metric: str
    case: str
    level: int
    challenger: float | None
    champion: float | None
    face_set: str = GATE


class BaselineGain(Settings):
    """What the challenger gains in the gate key over a baseline, positive if it is better; sets of different cameras
    compare by this, not by the gate key itself."""

    face_set: str
    method: str
    gain: float


@dataclass(frozen=True)
class Opponent:
    """The champion, or the anchor, version ``number``: its scores at today's gate, or the obstacle if there are none.

    Where there is no champion yet, it may be the version of another ``model`` that the challenger was trained on from.

    A champion whose figures are no finite numbers is no opponent: then it is a former champion, ``instead_of`` the
    version that is, and ``why`` says what is wrong with that one.
    """

    number: int
    scores: Scores | None
    obstacle: str = ""
    instead_of: int | None = None
    why: str = ""
    model: str = ""

    @property
    def label(self) -> str:
        """``version 3``, or of another model ``version 3 of restoration``."""
        return f"version {self.number} of {self.model}" if self.model else f"version {self.number}"


class Decision(Settings):
    """What the gate decided about a version, whole: it is kept as JSON beside the version and shown in reports.

    ``rule`` are the settings of the promotion, ``gate_metric`` and ``gate_case`` on ``face_set`` the gate key. Raised
    by one when the meaning of a field changes: ``schema_version``. ``champion_version`` is the opponent; where it is a
    former champion, ``no_opponent`` is the one that was champion. ``proposed``: it meets the rule, and a person is to
    make it champion. ``base`` names the opponent of a first model that was trained on from another one's version, as
    ``restoration/3``; "" else.

    ``looks`` counts the looks of this model's challengers at these people, this one included, and
    ``gain_confidence`` follows from it; both None where nothing was compared. ``left_out`` are the gate's faces that
    one of the models learned from, None in records of before that was known. ``gate_people`` are the marks of
    the people whom the gain was measured on, by the key of id ``people_key``: see ``facerecon.data.learned``.
    """

    schema_version: int = 3
    registered_model: str = ""
    version: int = 0
    champion: bool
    proposed: bool = False
    reason: str
    champion_version: int | None = None
    no_opponent: int | None = None
    base: str = ""
    anchor_version: int | None = None
    compared: bool = False
    looks: int | None = None
    gain_confidence: float | None = None
    left_out: int | None = None
    gate_people: tuple[str, ...] = ()
    people_key: str = ""
    rule: dict[str, Any] = Field(default_factory=dict)
    gate_metric: str
    gate_case: str
    face_set: str = GATE
    metrics: tuple[Metric, ...]
    checks: tuple[Check, ...]
    means: tuple[GateMean, ...]
    differences: tuple[Difference, ...] = ()
    baseline_gains: tuple[BaselineGain, ...] = ()

    @property
    def opponent(self) -> str:
        """What it was decided against, in words: ``version 3``, ``version 3 of restoration``; "" where nothing."""
        if self.base:
            model, _, number = self.base.rpartition("/")
            return f"version {number} of {model}"
        return "" if self.champion_version is None else f"version {self.champion_version}"

    @property
    def champion_then(self) -> int | None:
        """The version that was champion when it was decided, compared with or not."""
        return self.champion_version if self.no_opponent is None else self.no_opponent

    def refused(self, check: Check) -> Self:
        """The same decision against the challenger, for a reason that stands above the figures."""
        return self.model_copy(update={"champion": False, "reason": check.said, "checks": (*self.checks, check)})

    @property
    def face_sets(self) -> tuple[str, ...]:
        """The sets of gate faces that were measured on, in order of their names."""
        return tuple(sorted({row.face_set for row in self.means}))

    def gate_mean(self, metric: str, case: str | None = None, face_set: str | None = None) -> float | None:
        """The challenger's mean over the levels of a case on a face set (the gate key's if None); None if unknown."""
        wanted = (metric, case or self.gate_case, face_set or self.face_set)
        rows = [row for row in self.means if (row.metric, row.case, row.face_set) == wanted]
        known = [row.challenger for row in rows if row.challenger is not None]
        return float(np.mean(known)) if known and len(known) == len(rows) else None


def decide(
    challenger: Scores,
    champion: Opponent | None,
    identities: Mapping[str, str],
    rule: Rule,
    metrics: tuple[Metric, ...],
    data_licences: Mapping[str, str],
    weights_licences: Mapping[str, str],
    anchor: Opponent | None = None,
    looks: int = 1,
    left_out: int | None = None,
) -> Decision:
    """Decide between a challenger and the champion; with no champion yet, licences, figures and baselines decide.

    ``identities`` names each face's person; ``metrics`` are those of the scores; ``data_licences`` has the licence of
    each source of faces, ``weights_licences`` that of each pretrained weights file that was used, by its name.
    ``anchor`` is None where it is the champion itself, or there is none. ``looks`` counts the looks at these people,
    ``left_out`` the faces that were left out of all scores because a model learned from them.
    """
    face_sets = {key.face_set for key in challenger.keys}
    rule = rule.on(face_sets, champion is not None and anchor is not None)
    checks = [
        _data_licences(data_licences),
        _weights_licences(weights_licences),
        _complete("challenger", challenger, rule),
    ]
    complete = checks[-1].passed
    if complete:
        checks += [
            _beside_baseline(guard, challenger, identities, rule.settings)
            for guard in rule.guards
            if guard.against not in (CHAMPION, ANCHOR)
        ]
    differences: list[Difference] = []
    compared = False
    if champion is not None:
        comparable = _comparable(CHAMPION, challenger, champion, rule)
        if anchor is not None:
            comparable += _comparable(ANCHOR, challenger, anchor, rule)
        checks += comparable
        if left_out is not None and champion.scores is not None:
            checks.append(_left_out(left_out, challenger))
        if champion.scores is not None and complete and all(check.passed for check in comparable):
            compared = True
            differences = _differences(challenger, champion.scores, identities, rule, looks)
            checks += _compared(differences, champion, anchor, challenger, identities, rule, looks)
    theirs = champion.scores if champion is not None else None
    return Decision(
        champion=all(check.passed for check in checks),
        reason=_reason(checks, is_first=champion is None),
        champion_version=None if champion is None or champion.model else champion.number,
        base=f"{champion.model}/{champion.number}" if champion is not None and champion.model else "",
        no_opponent=None if champion is None else champion.instead_of,
        anchor_version=None if anchor is None else anchor.number,
        compared=theirs is not None,
        looks=looks if compared else None,
        gain_confidence=gain_confidence(looks) if compared else None,
        left_out=left_out,
        rule=rule.settings.model_dump(mode="json"),
        gate_metric=rule.metric.name,
        gate_case=rule.case,
        face_set=rule.face_set,
        metrics=metrics,
        checks=tuple(checks),
        means=_means(challenger, theirs),
        differences=tuple(differences),
        baseline_gains=_baseline_gains(challenger, rule),
    )


def _reason(checks: Sequence[Check], is_first: bool) -> str:
    """What decided: what is not met, or else the gain."""
    failed = [check for check in checks if not check.passed]
    if failed:
        others = ", ".join(check.name for check in failed[1:])
        reason = failed[0].said + (f" (also not met: {others})" if others else "")
    elif is_first:
        reason = "the first model, its figures are finite and all licences are named"
    else:
        reason = f"{next(check.said for check in checks if check.name == GAIN)}, and nowhere worse than allowed"
    return reason + "".join(f"; {check.said}" for check in checks if check.name == OPPONENT)


def _means(challenger: Scores, champion: Scores | None) -> tuple[GateMean, ...]:
    return tuple(
        GateMean(
            metric=key.metric,
            case=key.case,
            level=key.level,
            challenger=challenger.mean(key, MODEL),
            champion=None if champion is None else champion.mean(key, MODEL),
            face_set=key.face_set,
        )
        for key in challenger.keys
        if MODEL in challenger.methods(key)
    )


def _baseline_gains(ours: Scores, rule: Rule) -> tuple[BaselineGain, ...]:
    """What the model gains in the gate key over each baseline that was measured beside it."""
    found = []
    for face_set in sorted({key.face_set for key in ours.keys}):
        about = (face_set, rule.metric.name, rule.case)
        keys = [key for key in ours.keys if (key.face_set, key.metric, key.case) == about]
        mean = ours.mean_over_levels(*about, MODEL)
        for method in sorted({method for key in keys for method in ours.methods(key)} - {MODEL}):
            if mean is not None and (theirs := ours.mean_over_levels(*about, method)) is not None:
                found.append(BaselineGain(face_set=face_set, method=method, gain=rule.metric.gain(mean, theirs)))
    return tuple(found)


def _left_out(left_out: int, challenger: Scores) -> Check:
    """How many faces no model is measured on, because one of them has seen the person or the picture."""
    said = "no model learned from the people or pictures at the gate, or was selected by them"
    if left_out:
        keys = [key for key in challenger.keys if MODEL in challenger.methods(key)]
        total = left_out + len({face for key in keys for face in challenger.faces(key, MODEL)})
        said = f"{left_out} of {total} gate faces are left out: a model learned from the person or the picture"
    return Check(name="strangers", passed=True, said=said)


GAIN, OPPONENT = "gain", "opponent"


def unfit(champion: Scores, rule: Rule) -> str:
    """Why a champion of these scores is no opponent: figures that are missing or no finite numbers; "" if it is one."""
    check = _complete("champion", champion, rule.on({key.face_set for key in champion.keys}, anchor=False))
    return "" if check.passed else check.said


def _data_licences(licences: Mapping[str, str]) -> Check:
    if unnamed := sorted(name for name, licence in licences.items() if _unnamed(licence)):
        which = f" from {', '.join(unnamed)}" if len(licences) > 1 else ""
        said = f"no licence is named for the data{which}: state it as data.licence in the config"
        return Check(name="data licence", passed=False, said=said)
    named = "; ".join(licence.strip() for licence in licences.values())
    return Check(name="data licence", passed=True, said=f"the data's licence is named: {named}")


def _weights_licences(licences: Mapping[str, str]) -> Check:
    if unnamed := sorted(name for name, licence in licences.items() if _unnamed(licence)):
        said = f"no licence is named for the pretrained weights {', '.join(unnamed)}"
        return Check(name="weights licences", passed=False, said=said)
    named = ", ".join(f"{name} ({licence})" for name, licence in sorted(licences.items())) or "none was used"
    return Check(name="weights licences", passed=True, said=f"the pretrained weights' licences are named: {named}")


def _unnamed(licence: str) -> bool:
    return licence.strip().casefold() in UNNAMED


def _complete(who: str, scores: Scores, rule: Rule) -> Check:
    """Every figure is there, of every face, and finite; all that a case is asked for is there at each of its levels."""
    name = f"{who}'s figures"
    keys = [key for key in scores.keys if MODEL in scores.methods(key)]
    of_rule = (rule.face_set, rule.metric, rule.case)
    expected = dict.fromkeys([of_rule, *((guard.face_set, guard.metric, guard.case) for guard in rule.guards)])
    if {key.face_set for key in keys} == {GATE_OLD}:
        del expected[of_rule]  # nobody is new: that is told as too few people
    missing = []
    for face_set, metric, case in expected:
        there, on = [key for key in keys if key.face_set == face_set], _on(face_set)
        known = [key for key in there if key.metric == metric.name and case in (None, key.case)]
        if not known:
            missing.append(f"{metric.name} of {case or 'any case'}{on}")
        elif case is not None:
            asked = {other.name for where, other, of in expected if (where, of) == (face_set, case)}
            levels = {key.level for key in there if key.case == case and key.metric in asked}
            lacking = sorted(levels - {key.level for key in known})
            missing += [f"{metric.name} of {_case(case, level)}{on}" for level in lacking]
            if len({scores.faces(key, MODEL) for key in known}) > 1:
                missing.append(f"{metric.name} of {case}{on}, whose levels have different faces")
    bad = [key for key in keys if not np.isfinite(scores.values(key, MODEL)).all()]
    if missing or bad:
        which = ", ".join([*missing, *map(_name, bad)])
        said = f"not all gate figures of the {who} are finite numbers: {which}"
        return Check(name=name, passed=False, said=said)
    return Check(name=name, passed=True, said=f"all {len(keys)} gate figures of the {who} are finite numbers")


def _name(key: MetricKey) -> str:
    return f"{key.metric} of {_case(key.case, key.level)}{_on(key.face_set)}"


def _on(face_set: str) -> str:
    return "" if face_set == GATE else f" on {face_set}"


def _case(case: str, level: int | None) -> str:
    return case if level is None or level < 0 else f"{case} level {level}"


def _comparable(who: str, challenger: Scores, opponent: Opponent, rule: Rule) -> list[Check]:
    """The champion, or the anchor, was measured on the same faces under the same cases."""
    if opponent.scores is None:
        said = f"the {who}, {opponent.label}, cannot be measured: {opponent.obstacle}"
        return [Check(name=f"{who}'s figures", passed=False, said=said)]
    theirs = opponent.scores
    keys = [key for key in challenger.keys if MODEL in challenger.methods(key)]
    same = all(
        (key, MODEL) in set(theirs) and challenger.faces(key, MODEL) == theirs.faces(key, MODEL) for key in keys
    ) and len(keys) == len([key for key in theirs.keys if MODEL in theirs.methods(key)])
    faces = max((len(challenger.faces(key, MODEL)) for key in keys), default=0)
    said = f"both were measured on the same {faces} faces under the same cases"
    instead = (
        f"the champion, version {opponent.instead_of}, is no opponent ({opponent.why}): version {opponent.number} is, "
        "the newest former champion whose figures are"
    )
    return [
        *([] if opponent.instead_of is None else [Check(name=OPPONENT, passed=True, said=instead)]),
        _complete(who, theirs, rule),
        Check(
            name="same faces" if who == CHAMPION else f"same faces, {who}",
            passed=same,
            said=said if same else "the two were not measured on the same faces under the same cases",
        ),
    ]


def _beside_baseline(guard: Guard, ours: Scores, people: Mapping[str, str], settings: PromotionSettings) -> Check:
    """A guard against a baseline, whose figures must be those of the same faces, and finite."""
    theirs = Scores()
    for key in ours.keys:
        asked = (key.face_set, key.metric) == (guard.face_set, guard.metric.name) and guard.case in (None, key.case)
        if not asked or MODEL not in ours.methods(key):
            continue
        if guard.against not in ours.methods(key) or ours.faces(key, guard.against) != ours.faces(key, MODEL):
            said = f"{guard.against} was not measured on the same faces: {_name(key)}"
            return Check(name=guard.name, passed=False, said=said)
        values = ours.values(key, guard.against)
        if not np.isfinite(values).all():
            said = f"not all gate figures of {guard.against} are finite numbers: {_name(key)}"
            return Check(name=guard.name, passed=False, said=said)
        theirs.add(key, MODEL, ours.faces(key, MODEL), values)
    return _guarded(guard, ours, theirs, people, settings, f" beside {guard.against}")


def _interval(
    values: NDArray[np.float64], faces: tuple[str, ...], identities: Mapping[str, str], settings: PromotionSettings
) -> Interval:
    people = [identities[face] for face in faces]
    return paired_interval(values, people, settings.resamples, settings.confidence, settings.seed)


Measure = tuple[str, str, str]
"""A face set, a metric's name, a case."""


def _values_over_levels(ours: Scores, theirs: Scores, of: Measure) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Ours minus theirs, mean over the levels of a case, [N], and the faces."""
    key = MetricKey(*of, ours.levels(*of)[0])
    return ours.over_levels(*of, MODEL) - theirs.over_levels(*of, MODEL), ours.faces(key, MODEL)


def _over_levels(
    ours: Scores, theirs: Scores, of: Measure, people: Mapping[str, str], settings: PromotionSettings
) -> Difference:
    """Ours minus theirs, mean over the levels of a case."""
    return _difference(of, None, _interval(*_values_over_levels(ours, theirs, of), people, settings))


def _differences(ours: Scores, theirs: Scores, people: Mapping[str, str], rule: Rule, looks: int) -> list[Difference]:
    """Challenger minus champion: the gain, means over levels of what the guards ask, then every key."""
    gain, rows = (rule.face_set, rule.metric.name, rule.case), []
    if ours.levels(*gain):
        values, faces = _values_over_levels(ours, theirs, gain)
        confidence = gain_confidence(looks)
        found = sign_flip_interval(values, [people[face] for face in faces], confidence)
        rows.append(_difference(gain, None, found).model_copy(update={"confidence": confidence}))
    guards = [guard for guard in rule.guards if guard.against == CHAMPION]
    asked = dict.fromkeys((g.face_set, g.metric.name, g.case) for g in guards if g.case is not None)
    rows += [_over_levels(ours, theirs, of, people, rule.settings) for of in asked if of != gain]
    for key in sorted(key for key in ours.keys if MODEL in ours.methods(key)):
        difference = ours.values(key, MODEL) - theirs.values(key, MODEL)
        found = _interval(difference, ours.faces(key, MODEL), people, rule.settings)
        rows.append(_difference((key.face_set, key.metric, key.case), key.level, found))
    return rows


def _difference(of: Measure, level: int | None, found: Interval) -> Difference:
    face_set, metric, case = of
    return Difference(
        metric=metric,
        case=case,
        level=level,
        mean=found.mean,
        low=found.low,
        high=found.high,
        identities=found.identities,
        face_set=face_set,
    )


def _compared(
    differences: list[Difference],
    champion: Opponent,
    anchor: Opponent | None,
    ours: Scores,
    people: Mapping[str, str],
    rule: Rule,
    looks: int,
) -> list[Check]:
    """The conditions that compare the challenger with the champion and the anchor."""
    settings = rule.settings
    gain = next((row for row in differences if row.confidence is not None), None)
    checks = [_enough(0 if gain is None else gain.identities, looks, rule)]
    if gain is not None:
        checks += _gained(gain, champion, rule, looks)
    for guard in rule.guards:
        theirs = {CHAMPION: champion, ANCHOR: anchor}.get(guard.against)
        if theirs is None:
            continue
        assert theirs.scores is not None
        beside = f" beside the anchor, version {theirs.number}" if guard.against == ANCHOR else ""
        known = differences if guard.against == CHAMPION else []
        checks.append(_guarded(guard, ours, theirs.scores, people, settings, beside, known))
    return checks


def _gained(found: Difference, champion: Opponent, rule: Rule, looks: int) -> list[Check]:
    """The gain is large enough, and more than chance gives at so many looks."""
    metric, settings = rule.metric, rule.settings
    gain = metric.gain(found.mean, 0)
    low = (
        None if found.low is None or found.high is None else min(metric.gain(found.low, 0), metric.gain(found.high, 0))
    )
    unit = f" {metric.unit}" if metric.unit else ""
    return [
        Check(
            name=GAIN,
            passed=gain >= settings.margin,
            said=f"{found.mean:+.3f}{unit} of {metric.label}{_on(rule.face_set)} ({_range(found)}) against "
            f"{champion.label}, {settings.margin:g} {'more' if metric.higher_is_better else 'less'} needed",
        ),
        Check(
            name="gain beyond chance",
            passed=low is not None and low > 0,
            said=f"the interval of the difference{f' in{unit}' if unit else ''} at {_level(looks)}, look {looks} at "
            f"these people: {_range(found)}; all of it must lie {'above' if metric.higher_is_better else 'below'} 0",
        ),
    ]


def _level(looks: int) -> str:
    """A confidence with as many digits as tell it from 1."""
    return f"{gain_confidence(looks):.6f}".rstrip("0")


def _guarded(
    guard: Guard,
    ours: Scores,
    theirs: Scores,
    people: Mapping[str, str],
    settings: PromotionSettings,
    beside: str,
    differences: Collection[Difference] = (),
) -> Check:
    """What a guard finds ``beside`` whom, in words; ``differences`` are reused where they were computed already."""
    metric = guard.metric
    asked = _asked(guard)
    if guard.case is None:
        rows = [
            (key.case, key.level, float(np.mean(ours.values(key, MODEL) - theirs.values(key, MODEL))))
            for key in sorted(ours.keys)
            if (key.face_set, key.metric) == (guard.face_set, metric.name) and MODEL in ours.methods(key)
        ]
        case, level, mean = min(rows, key=lambda row: metric.gain(row[2], 0))
        unit = f" {metric.unit}" if metric.unit else ""
        said = (
            f"of {len(rows)} cases and levels {_case(case, level)} fares worst with {mean:+.3f}{unit}{beside}; {asked}"
        )
        return Check(name=guard.name, passed=metric.gain(mean, 0) >= -guard.max_loss, said=said)
    of = (guard.face_set, metric.name, guard.case)
    known = (row for row in differences if row.level is None and row.confidence is None)
    found = next((row for row in known if (row.face_set, row.metric, row.case) == of), None)
    found = found or _over_levels(ours, theirs, of, people, settings)
    if guard.interval:
        ends = [] if found.low is None or found.high is None else [found.low, found.high]
        worst = min((metric.gain(end, 0) for end in ends), default=None)
    else:
        worst = metric.gain(found.mean, 0)
    return Check(
        name=guard.name,
        passed=worst is not None and worst >= -guard.max_loss,
        said=f"{metric.label} {found.mean:+.4f} ({_range(found, 4)}){beside}; {asked}",
    )


def _asked(guard: Guard) -> str:
    """What a guard asks for, in words."""
    better, worse = ("higher", "lower") if guard.metric.higher_is_better else ("lower", "higher")
    unit = f" {guard.metric.unit}" if guard.metric.unit else ""
    if guard.max_loss < 0:
        return f"at least {-guard.max_loss:g}{unit} {better} is asked for"
    return f"no more than {guard.max_loss:g}{unit} {worse} is allowed"


def _enough(people: int, looks: int, rule: Rule) -> Check:
    needed = fewest_identities(gain_confidence(looks))
    said = f"{people} people at the gate{_on(rule.face_set)}"
    if people < needed:
        said += (
            f" are too few to tell a gain from chance at {_level(looks)}, look {looks} at these people: {needed} are "
            "needed, give more people"
        )
    return Check(name="enough people", passed=people >= needed, said=said)


def _range(found: Difference, digits: int = 3) -> str:
    if found.low is None or found.high is None:
        return "cannot be told"
    return f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
