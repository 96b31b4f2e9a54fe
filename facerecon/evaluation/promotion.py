"""The rule by which a challenger becomes champion: each condition is checked and says in plain words what it found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.evaluation.bootstrap import Interval, fewest_identities, paired_interval
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.scores import Scores
from facerecon.settings import Settings

GATE = "gate"
"""The face set on which promotion is decided."""

MODEL = "model"
"""The method's name of the network itself among the methods of ``Scores``."""

CHAMPION = "champion"
"""What a relative guard compares with."""

UNNAMED = frozenset({"", "unknown", "none", "n/a", "?"})
"""What names no licence, in whatever case."""


class PromotionSettings(Settings):
    """The rule by which a challenger becomes champion; it is asked on the gate split, of the same frozen cases.

    Differences are challenger minus champion, paired by face; their intervals of ``confidence`` come from drawing
    people with replacement ``resamples`` times. With fewer people than can tell at that confidence (6 at 0.95) no
    champion is replaced.
    """

    margin: float = Field(0.05, ge=0, description="least gain in the gate key, in its unit")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="of the intervals; the gain's must lie above 0")
    resamples: int = Field(2000, ge=100, le=100_000)
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the resampling")
    max_faces: int = Field(200, ge=1)

    @property
    def judges(self) -> tuple[str, ...]:
        """The names of the pretrained weights that judge at the gate."""
        return ()


@dataclass(frozen=True)
class Guard:
    """What a challenger must not lose, or must gain.

    It is asked of ``metric`` under ``case``, mean over its levels; with ``case`` None of every case and level alone.
    ``against`` is CHAMPION or the name of a baseline that was measured beside the model. At most ``max_loss`` is
    allowed, in the metric's unit; a negative one asks for a gain. ``interval`` takes the worse end of the interval for
    the loss, else the mean.
    """

    name: str
    metric: Metric
    case: str | None
    max_loss: float
    against: str = CHAMPION
    interval: bool = True


@dataclass(frozen=True)
class Rule:
    """The gate key (``metric`` under ``case``, mean over its levels), the settings, and the guards."""

    metric: Metric
    case: str
    settings: PromotionSettings
    guards: tuple[Guard, ...]


class Check(Settings):
    """One condition: its ``name``, whether it is met, and what is ``said`` about it, with figures."""

    name: str
    passed: bool
    said: str


class Difference(Settings):
    """Challenger minus champion of one metric under a case; ``level`` -1: no levels, None: the mean over them.

    ``low`` and ``high`` bound the interval; None where too few ``identities`` can tell.
    """

    metric: str
    case: str
    level: int | None
    mean: float
    low: float | None
    high: float | None
    identities: int


class GateMean(Settings):
    """Means over the gate's faces; None where one is not finite or was not measured."""

    metric: str
    case: str
    level: int
    challenger: float | None
    champion: float | None


@dataclass(frozen=True)
class Opponent:
    """The champion, version ``number``: its scores at today's gate, or the obstacle if they cannot be had.

    A champion whose figures are no finite numbers is no opponent: then it is a former champion, ``instead_of`` the
    version that is, and ``why`` says what is wrong with that one.
    """

    number: int
    scores: Scores | None
    obstacle: str = ""
    instead_of: int | None = None
    why: str = ""


class Decision(Settings):
    """What the gate decided about a version, whole: it is kept as JSON beside the version and shown in reports.

    ``rule`` are the settings of the promotion, ``gate_metric`` and ``gate_case`` the gate key. Raised by one when the
    meaning of a field changes: ``schema_version``. ``champion_version`` is the opponent; where it is a former champion,
    ``no_opponent`` is the one that was champion.
    """

    schema_version: int = 2
    registered_model: str = ""
    version: int = 0
    champion: bool
    reason: str
    champion_version: int | None = None
    no_opponent: int | None = None
    compared: bool = False
    rule: dict[str, Any] = Field(default_factory=dict)
    gate_metric: str
    gate_case: str
    metrics: tuple[Metric, ...]
    checks: tuple[Check, ...]
    means: tuple[GateMean, ...]
    differences: tuple[Difference, ...] = ()

    @property
    def champion_then(self) -> int | None:
        """The version that was champion when it was decided, compared with or not."""
        return self.champion_version if self.no_opponent is None else self.no_opponent

    def refused(self, check: Check) -> Self:
        """The same decision against the challenger, for a reason that stands above the figures."""
        return self.model_copy(update={"champion": False, "reason": check.said, "checks": (*self.checks, check)})

    def gate_mean(self, metric: str, case: str | None = None) -> float | None:
        """The challenger's mean over the levels of a case (the gate key's if None); None if it is not known."""
        rows = [row for row in self.means if (row.metric, row.case) == (metric, case or self.gate_case)]
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
) -> Decision:
    """Decide between a challenger and the champion; with no champion yet, licences, figures and baselines decide.

    ``identities`` names each face's person; ``metrics`` are those of the scores; ``data_licences`` has the licence of
    each source of faces, ``weights_licences`` that of each pretrained weights file that was used, by its name.
    """
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
            if guard.against != CHAMPION
        ]
    differences: list[Difference] = []
    if champion is not None:
        comparable = _comparable(challenger, champion, rule)
        checks += comparable
        if champion.scores is not None and complete and all(check.passed for check in comparable):
            differences = _differences(challenger, champion.scores, identities, rule)
            checks += _compared(differences, champion, challenger, identities, rule)
    failed = [check for check in checks if not check.passed]
    if failed:
        others = ", ".join(check.name for check in failed[1:])
        reason = failed[0].said + (f" (also not met: {others})" if others else "")
    elif champion is None:
        reason = "the first model, its figures are finite and all licences are named"
    else:
        reason = f"{next(check.said for check in checks if check.name == GAIN)}, and nowhere worse than allowed"
    reason += "".join(f"; {check.said}" for check in checks if check.name == OPPONENT)
    theirs = champion.scores if champion is not None else None
    return Decision(
        champion=not failed,
        reason=reason,
        champion_version=None if champion is None else champion.number,
        no_opponent=None if champion is None else champion.instead_of,
        compared=theirs is not None,
        rule=rule.settings.model_dump(mode="json"),
        gate_metric=rule.metric.name,
        gate_case=rule.case,
        metrics=metrics,
        checks=tuple(checks),
        means=tuple(
            GateMean(
                metric=key.metric,
                case=key.case,
                level=key.level,
                challenger=challenger.mean(key, MODEL),
                champion=None if theirs is None else theirs.mean(key, MODEL),
            )
            for key in challenger.keys
            if MODEL in challenger.methods(key)
        ),
        differences=tuple(differences),
    )


GAIN, OPPONENT = "gain", "opponent"


def unfit(champion: Scores, rule: Rule) -> str:
    """Why a champion of these scores is no opponent: figures that are missing or no finite numbers; "" if it is one."""
    check = _complete("champion", champion, rule)
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
    expected = dict.fromkeys([(rule.metric, rule.case), *((guard.metric, guard.case) for guard in rule.guards)])
    missing = []
    for metric, case in expected:
        known = [key for key in keys if key.metric == metric.name and case in (None, key.case)]
        if not known:
            missing.append(f"{metric.name} of {case or 'any case'}")
        elif case is not None:
            asked = {other.name for other, of in expected if of == case}
            levels = {key.level for key in keys if key.case == case and key.metric in asked}
            missing += [f"{metric.name} of {_case(case, k)}" for k in sorted(levels - {key.level for key in known})]
            if len({scores.faces(key, MODEL) for key in known}) > 1:
                missing.append(f"{metric.name} of {case}, whose levels have different faces")
    bad = [key for key in keys if not np.isfinite(scores.values(key, MODEL)).all()]
    if missing or bad:
        which = ", ".join([*missing, *map(_name, bad)])
        said = f"not all gate figures of the {who} are finite numbers: {which}"
        return Check(name=name, passed=False, said=said)
    return Check(name=name, passed=True, said=f"all {len(keys)} gate figures of the {who} are finite numbers")


def _name(key: MetricKey) -> str:
    return f"{key.metric} of {_case(key.case, key.level)}"


def _case(case: str, level: int | None) -> str:
    return case if level is None or level < 0 else f"{case} level {level}"


def _comparable(challenger: Scores, champion: Opponent, rule: Rule) -> list[Check]:
    """The champion was measured on the same faces under the same cases."""
    if champion.scores is None:
        said = f"the champion, version {champion.number}, cannot be measured: {champion.obstacle}"
        return [Check(name="champion's figures", passed=False, said=said)]
    theirs = champion.scores
    keys = [key for key in challenger.keys if MODEL in challenger.methods(key)]
    same = all(
        (key, MODEL) in set(theirs) and challenger.faces(key, MODEL) == theirs.faces(key, MODEL) for key in keys
    ) and len(keys) == len([key for key in theirs.keys if MODEL in theirs.methods(key)])
    faces = max((len(challenger.faces(key, MODEL)) for key in keys), default=0)
    said = f"both were measured on the same {faces} faces under the same cases"
    instead = (
        f"the champion, version {champion.instead_of}, is no opponent ({champion.why}): version {champion.number} is, "
        "the newest former champion whose figures are"
    )
    return [
        *([] if champion.instead_of is None else [Check(name=OPPONENT, passed=True, said=instead)]),
        _complete("champion", theirs, rule),
        Check(
            name="same faces",
            passed=same,
            said=said if same else "the two were not measured on the same faces under the same cases",
        ),
    ]


def _beside_baseline(guard: Guard, ours: Scores, people: Mapping[str, str], settings: PromotionSettings) -> Check:
    """A guard against a baseline, whose figures must be those of the same faces, and finite."""
    theirs = Scores()
    for key in ours.keys:
        if key.metric != guard.metric.name or guard.case not in (None, key.case) or MODEL not in ours.methods(key):
            continue
        if guard.against not in ours.methods(key) or ours.faces(key, guard.against) != ours.faces(key, MODEL):
            said = f"{guard.against} was not measured on the same faces: {_name(key)}"
            return Check(name=guard.name, passed=False, said=said)
        values = ours.values(key, guard.against)
        if not np.isfinite(values).all():
            said = f"not all gate figures of {guard.against} are finite numbers: {_name(key)}"
            return Check(name=guard.name, passed=False, said=said)
        theirs.add(key, MODEL, ours.faces(key, MODEL), values)
    return _guarded(guard, ours, theirs, people, settings)


def _interval(
    values: NDArray[np.float64], faces: tuple[str, ...], identities: Mapping[str, str], settings: PromotionSettings
) -> Interval:
    people = [identities[face] for face in faces]
    return paired_interval(values, people, settings.resamples, settings.confidence, settings.seed)


def _over_levels(
    ours: Scores, theirs: Scores, metric: str, case: str, people: Mapping[str, str], settings: PromotionSettings
) -> Interval:
    """Ours minus theirs, mean over the levels of a case."""
    key = MetricKey(GATE, metric, case, ours.levels(GATE, metric, case)[0])
    difference = ours.over_levels(GATE, metric, case, MODEL) - theirs.over_levels(GATE, metric, case, MODEL)
    return _interval(difference, ours.faces(key, MODEL), people, settings)


def _differences(ours: Scores, theirs: Scores, people: Mapping[str, str], rule: Rule) -> list[Difference]:
    """Challenger minus champion: means over levels of what the rule asks, then every key."""
    asked = dict.fromkeys(
        [
            (rule.metric.name, rule.case),
            *((g.metric.name, g.case) for g in rule.guards if g.case is not None and g.against == CHAMPION),
        ]
    )
    rows = [
        _difference(metric, case, None, _over_levels(ours, theirs, metric, case, people, rule.settings))
        for metric, case in asked
    ]
    for key in sorted(key for key in ours.keys if MODEL in ours.methods(key)):
        values = ours.values(key, MODEL) - theirs.values(key, MODEL)
        found = _interval(values, ours.faces(key, MODEL), people, rule.settings)
        rows.append(_difference(key.metric, key.case, key.level, found))
    return rows


def _difference(metric: str, case: str, level: int | None, found: Interval) -> Difference:
    return Difference(
        metric=metric,
        case=case,
        level=level,
        mean=found.mean,
        low=found.low,
        high=found.high,
        identities=found.identities,
    )


def _compared(
    differences: list[Difference], champion: Opponent, ours: Scores, people: Mapping[str, str], rule: Rule
) -> list[Check]:
    """The conditions that compare the two models."""
    metric, settings = rule.metric, rule.settings
    found = next(row for row in differences if (row.metric, row.case, row.level) == (metric.name, rule.case, None))
    gain = metric.gain(found.mean, 0)
    low = (
        None if found.low is None or found.high is None else min(metric.gain(found.low, 0), metric.gain(found.high, 0))
    )
    unit = f" {metric.unit}" if metric.unit else ""
    checks = [
        _enough(found, settings.confidence),
        Check(
            name=GAIN,
            passed=gain >= settings.margin,
            said=f"{found.mean:+.3f}{unit} of {metric.label} ({_range(found)}) against version {champion.number}, "
            f"{settings.margin:g} {'more' if metric.higher_is_better else 'less'} needed",
        ),
        Check(
            name="gain beyond chance",
            passed=low is not None and low > 0,
            said=f"the interval of the difference{f' in{unit}' if unit else ''} at {settings.confidence:.4g}: "
            f"{_range(found)}; all of it must lie {'above' if metric.higher_is_better else 'below'} 0",
        ),
    ]
    theirs = champion.scores
    assert theirs is not None
    return checks + [
        _guarded(guard, ours, theirs, people, settings, differences)
        for guard in rule.guards
        if guard.against == CHAMPION
    ]


def _guarded(
    guard: Guard,
    ours: Scores,
    theirs: Scores,
    people: Mapping[str, str],
    settings: PromotionSettings,
    differences: list[Difference] | None = None,
) -> Check:
    """What a guard finds; ``differences`` are reused where they were computed already."""
    metric, other = guard.metric, "" if guard.against == CHAMPION else f" beside {guard.against}"
    asked = _asked(guard)
    if guard.case is None:
        rows = [
            (key.case, key.level, float(np.mean(ours.values(key, MODEL) - theirs.values(key, MODEL))))
            for key in sorted(ours.keys)
            if key.metric == metric.name and MODEL in ours.methods(key)
        ]
        case, level, mean = min(rows, key=lambda row: metric.gain(row[2], 0))
        unit = f" {metric.unit}" if metric.unit else ""
        said = (
            f"of {len(rows)} cases and levels {_case(case, level)} fares worst with {mean:+.3f}{unit}{other}; {asked}"
        )
        return Check(name=guard.name, passed=metric.gain(mean, 0) >= -guard.max_loss, said=said)
    key = (metric.name, guard.case, None)
    known = next((row for row in differences or () if (row.metric, row.case, row.level) == key), None)
    found = known or _difference(*key, _over_levels(ours, theirs, metric.name, guard.case, people, settings))
    if guard.interval:
        ends = [] if found.low is None or found.high is None else [found.low, found.high]
        worst = min((metric.gain(end, 0) for end in ends), default=None)
    else:
        worst = metric.gain(found.mean, 0)
    return Check(
        name=guard.name,
        passed=worst is not None and worst >= -guard.max_loss,
        said=f"{metric.label} {found.mean:+.4f} ({_range(found, 4)}){other}; {asked}",
    )


def _asked(guard: Guard) -> str:
    """What a guard asks for, in words."""
    better, worse = ("higher", "lower") if guard.metric.higher_is_better else ("lower", "higher")
    unit = f" {guard.metric.unit}" if guard.metric.unit else ""
    if guard.max_loss < 0:
        return f"at least {-guard.max_loss:g}{unit} {better} is asked for"
    return f"no more than {guard.max_loss:g}{unit} {worse} is allowed"


def _enough(found: Difference, confidence: float) -> Check:
    needed = fewest_identities(confidence)
    said = f"{found.identities} people at the gate"
    if found.identities < needed:
        said += f" are too few to tell a gain from chance at {confidence:.4g}: {needed} are needed, give more people"
    return Check(name="enough people", passed=found.identities >= needed, said=said)


def _range(found: Difference, digits: int = 3) -> str:
    if found.low is None or found.high is None:
        return "cannot be told"
    return f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
