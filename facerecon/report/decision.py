"""The promotion decision in words and rows: what was asked of the challenger, and how it stands beside the champion."""

from dataclasses import dataclass
from typing import Any

from facerecon.report import tables as table
from facerecon.report.formats import signed_text

MEAN_OVER_LEVELS = "mean over levels"


@dataclass(frozen=True)
class Score:
    """One level (None: the mean over levels): texts of the challenger's mean, the champion's, and their difference.

    ``standing`` is "better" or "worse" where the whole ``interval`` of the difference is on one side of zero, "not
    certain" where it is on both, "cannot be told" where too few people gave no interval, empty without a difference.
    """

    level: int | None
    label: str
    challenger: str
    champion: str
    difference: str
    interval: str
    standing: str


@dataclass(frozen=True)
class ScoreGroup:
    """One measure under one mask family. ``people`` stand behind every interval; 0 where nothing was compared."""

    family: str
    title: str
    metric: table.Metric
    people: int
    rows: tuple[Score, ...]


def outcome(decision: dict[str, Any]) -> str:
    """The outcome without its reason: ``Version 4 stays a challenger; it had to beat version 3``"""
    said = f"Version {decision['version']} {'is champion' if decision['champion'] else 'stays a challenger'}"
    before = decision["champion_version"]
    return said if before is None else f"{said}; it had to beat version {before}"


def standing(decision: dict[str, Any]) -> str:
    """The outcome in one sentence with its reason: ``Version 4 stays a challenger; it had to beat version 3: ...``"""
    return f"{outcome(decision)}: {decision['reason'].rstrip('.')}."


def verdict(decision: dict[str, Any]) -> str:
    """``standing``, without the reason of a refusal: that is among the ``failed_checks``, which stand beside it."""
    refused = failed_checks(decision) and not decision["champion"]
    return f"{outcome(decision)}." if refused else standing(decision)


def failed_checks(decision: dict[str, Any]) -> list[str]:
    """The conditions that the challenger does not meet, and what they say."""
    return [f"{check['name']}: {check['said']}" for check in decision["checks"] if not check["passed"]]


def setbacks(decision: dict[str, Any]) -> list[str]:
    """One sentence for every measure and mask family by which the model is certainly worse than the champion.

    Certain is where the whole bootstrap interval of the difference is on the wrong side. A promoted model can have
    setbacks too.
    """
    said = []
    for group in score_groups(decision):
        worse = [row.level for row in group.rows if row.standing == "worse"]
        levels = [level for level in worse if level is not None]
        where = ([f"at {table.level_list(levels)}"] if levels else []) + (["on average"] if None in worse else [])
        if where:
            said.append(
                f"{group.metric.label} under {group.title} masks is worse than that of version "
                f"{decision['champion_version']} {' and '.join(where)}"
            )
    return said


def score_groups(decision: dict[str, Any]) -> list[ScoreGroup]:
    """The scores on the gate split, one group a measure and mask family; brush masks, which decide, first."""
    levels: dict[str, list[int]] = {}
    for key in decision["challenger"]:
        family, _, level = key.rpartition("/level_")
        levels.setdefault(family, []).append(int(level))
    groups = []
    for family in sorted(levels, key=lambda family: (family != table.MAIN_FAMILY, family)):
        for metric in table.METRICS:
            if group := _group(decision, family, sorted(levels[family]), metric):
                groups.append(group)
    return groups


def _group(decision: dict[str, Any], family: str, levels: list[int], metric: table.Metric) -> ScoreGroup | None:
    """None where the gate does not measure ``metric`` under this family."""
    ours, theirs = (
        {
            level: each[metric.key]
            for level in levels
            if metric.key in (each := scores.get(f"{family}/level_{level}", {}))
        }
        for scores in (decision["challenger"], decision["champion_before"] or {})
    )
    if not ours:
        return None
    differences = {
        row["level"]: row for row in decision["differences"] if (row["family"], row["metric"]) == (family, metric.key)
    }
    rows = [_score(level, metric, ours[level], theirs.get(level), differences.get(level)) for level in ours]
    if None in differences:
        rows.append(_score(None, metric, _mean(ours), _mean(theirs), differences[None]))
    people = next((row["identities"] for row in differences.values()), 0)
    return ScoreGroup(family, table.family_title(family), metric, people, tuple(rows))


def _mean(scores: dict[int, float | None]) -> float | None:
    values = [value for value in scores.values() if value is not None]
    return sum(values) / len(values) if values and len(values) == len(scores) else None


def _score(
    level: int | None,
    metric: table.Metric,
    ours: float | None,
    theirs: float | None,
    difference: dict[str, Any] | None,
) -> Score:
    gap, interval, found = "–", "–", ""
    if difference:
        # one digit more than the figures: what decides is often smaller than their last one
        digits, low, high = metric.digits + 1, difference["low"], difference["high"]
        gap, found = signed_text(difference["difference"], digits), "cannot be told"
        if low is not None and high is not None:
            interval = f"{signed_text(low, digits)} to {signed_text(high, digits)}"
            found = "not certain" if low <= 0 <= high else _side(low > 0, metric)
    return Score(
        level=level,
        label=MEAN_OVER_LEVELS if level is None else f"level {level}",
        challenger=_figure(ours, metric),
        champion=_figure(theirs, metric),
        difference=gap,
        interval=interval,
        standing=found,
    )


def _side(above: bool, metric: table.Metric) -> str:
    return "better" if above == metric.higher_is_better else "worse"


def _figure(value: float | None, metric: table.Metric) -> str:
    """A mean as shown, "–" for what the gate could not measure; no figure of the gate is infinite."""
    return "–" if value is None else f"{value:.{metric.digits}f}"
