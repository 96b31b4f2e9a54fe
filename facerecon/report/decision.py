"""The promotion decision in words and rows: what was asked of the challenger, and how it stands beside the champion."""

from dataclasses import dataclass

from facerecon.evaluation.keys import Metric
from facerecon.evaluation.promotion import Decision, Difference
from facerecon.report import tables
from facerecon.report.base import TaskReport
from facerecon.report.formats import signed_text


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
    """One metric under one case on a face set. ``people`` stand behind every interval; 0 where nothing was compared."""

    case: str
    title: str
    metric: Metric
    people: int
    rows: tuple[Score, ...]


def outcome(decision: Decision) -> str:
    """The outcome without its reason: ``Version 4 stays a challenger; it had to beat version 3``"""
    stands = "is champion" if decision.champion else "is proposed" if decision.proposed else "stays a challenger"
    said = f"Version {decision.version} {stands}"
    if decision.opponent:
        said += f"; it had to beat {decision.opponent}"
    if decision.no_opponent is not None:
        said += f", since the figures of the champion, version {decision.no_opponent}, are no finite numbers"
    return said


def standing(decision: Decision) -> str:
    """The outcome in one sentence with its reason: ``Version 4 stays a challenger; it had to beat version 3: ...``"""
    return f"{outcome(decision)}: {decision.reason.rstrip('.')}."


def verdict(decision: Decision) -> str:
    """``standing``, without the reason of a refusal: that is among the ``failed_checks``, which stand beside it."""
    refused = failed_checks(decision) and not decision.champion
    return f"{outcome(decision)}." if refused else standing(decision)


def failed_checks(decision: Decision) -> list[str]:
    """The conditions that the challenger does not meet, and what they say."""
    return [f"{check.name}: {check.said}" for check in decision.checks if not check.passed]


def judges(decision: Decision) -> str:
    """Which network judges what at the gate, for example ``LPIPS by lpips_vgg, identity by dlib``; "" without any."""
    return ", ".join(f"{metric.label} by {metric.judge}" for metric in decision.metrics if metric.judge)


def setbacks(decision: Decision, report: TaskReport) -> list[str]:
    """One sentence for every metric and case by which the model is certainly worse than the champion.

    Certain is where the whole interval of the difference is on the wrong side. A promoted model can have
    setbacks too.
    """
    said = []
    for group in score_groups(decision, report):
        worse = [row.level for row in group.rows if row.standing == "worse"]
        levels = [level for level in worse if level is not None and level >= 0]
        where = ([f"at {tables.level_list(levels)}"] if levels else []) + (["on average"] if None in worse else [])
        if worse:
            said.append(
                f"{group.metric.label} of {group.title} is worse than that of {decision.opponent} "
                f"{' and '.join(where)}".rstrip()
            )
    return said


def score_groups(decision: Decision, report: TaskReport) -> list[ScoreGroup]:
    """The scores at the gate, one group a face set, metric and case; the gate key's set and case first."""
    cases = sorted({row.case for row in decision.means}, key=lambda case: (case != decision.gate_case, case))
    sets = sorted(decision.face_sets, key=lambda name: (name != decision.face_set, name))
    groups = (
        _group(decision, report, name, case, metric) for name in sets for case in cases for metric in decision.metrics
    )
    return [group for group in groups if group is not None]


def baseline_gains(decision: Decision) -> list[str]:
    """What the challenger gains over each baseline in words: ``+1.25 dB of hole PSNR over telea on gate_new``."""
    metrics = {metric.name: metric for metric in decision.metrics}
    said = []
    for row in decision.baseline_gains:
        metric = metrics[decision.gate_metric]
        gain = f"{signed_text(row.gain, metric.digits)} {metric.unit}".rstrip()
        on = f" on {row.face_set}" if len(decision.face_sets) > 1 else ""
        said.append(f"{gain} of {metric.label} over {row.method.replace('_', ' ')}{on}")
    return said


def _group(decision: Decision, report: TaskReport, face_set: str, case: str, metric: Metric) -> ScoreGroup | None:
    """None where the gate does not measure ``metric`` under this case."""
    of = (face_set, case, metric.name)
    means = [row for row in decision.means if (row.face_set, row.case, row.metric) == of]
    if not means:
        return None
    differences = {row.level: row for row in decision.differences if (row.face_set, row.case, row.metric) == of}
    rows = [
        _score(
            row.level, _label(report, case, row.level), metric, row.challenger, row.champion, differences.get(row.level)
        )
        for row in sorted(means, key=lambda row: row.level)
    ]
    if None in differences and len(means) > 1:
        ours, theirs = (_mean([getattr(row, who) for row in means]) for who in ("challenger", "champion"))
        rows.append(_score(None, tables.MEAN_OVER_LEVELS, metric, ours, theirs, differences[None]))
    people = next((row.identities for row in differences.values()), 0)
    on = f" on {face_set}" if len(decision.face_sets) > 1 else ""
    return ScoreGroup(case, report.case_title(case) + on, metric, people, tuple(rows))


def _label(report: TaskReport, case: str, level: int) -> str:
    return report.case_title(case) if level < 0 else f"level {level}"


def _mean(scores: list[float | None]) -> float | None:
    values = [value for value in scores if value is not None]
    return sum(values) / len(values) if values and len(values) == len(scores) else None


def _score(
    level: int | None,
    label: str,
    metric: Metric,
    ours: float | None,
    theirs: float | None,
    difference: Difference | None,
) -> Score:
    gap, interval, found = "–", "–", ""
    if difference:
        # one digit more than the figures: what decides is often smaller than their last one
        digits, low, high = metric.digits + 1, difference.low, difference.high
        gap, found = signed_text(difference.mean, digits), "cannot be told"
        if low is not None and high is not None:
            interval = f"{signed_text(low, digits)} to {signed_text(high, digits)}"
            found = "not certain" if low <= 0 <= high else _side(low > 0, metric)
    return Score(level, label, _figure(ours, metric), _figure(theirs, metric), gap, interval, found)


def _side(above: bool, metric: Metric) -> str:
    return "better" if above == metric.higher_is_better else "worse"


def _figure(value: float | None, metric: Metric) -> str:
    """A mean as shown, "–" for what the gate could not measure; no figure of the gate is infinite."""
    return "–" if value is None else f"{value:.{metric.digits}f}"
