"""The figures of an evaluation as tables and plain sentences, the same for console, report and model card."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import Metric
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Summary
from facerecon.report.base import TaskReport
from facerecon.report.formats import signed_text

MEAN_OVER_LEVELS = "mean over levels"
"""What the row is called of a mean over the levels of a case."""


@dataclass(frozen=True)
class Cell:
    """One figure as shown: mean "∞" if every figure is infinite; ``infinite`` are left out of mean and spread.

    ``faces`` are those that the figure is of, where they are fewer than its line's; None else.
    """

    mean: str
    spread: str
    infinite: int
    best: bool
    faces: int | None = None

    @property
    def text(self) -> str:
        """On one line, for example ``18.94 ± 2.10 (3 × ∞)``, ``6.43 ± 2.59 (66 faces)``."""
        shown = f"{self.mean} ± {self.spread}" if self.spread else self.mean
        shown += "" if self.faces is None else f" ({self.faces} {'face' if self.faces == 1 else 'faces'})"
        return f"{shown} ({self.infinite} × ∞)" if self.infinite and self.spread else shown


@dataclass(frozen=True)
class Line:
    """One method's cells in the order of the metrics, None where it has no such figure; ``n`` faces."""

    method: str
    label: str
    n: int
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Group:
    """All methods at one level (-1: a case without levels); ``note`` stands beside its label."""

    level: int
    label: str
    note: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Block:
    """All groups of one case. Cases are never averaged, so nothing is wider than a block; ``part`` as in TaskReport."""

    case: str
    title: str
    part: bool
    groups: tuple[Group, ...]


def blocks(evaluation: Evaluation, report: TaskReport) -> list[Block]:
    """One block for every case, in the report's order."""
    found = list(dict.fromkeys(case for case, _ in evaluation.split_cases))
    return [case_block(evaluation, report, case) for case in report.order(found)]


def case_block(evaluation: Evaluation, report: TaskReport, case: str, face_set: str | None = None) -> Block:
    """The block of one case, on the headline's faces or another ``face_set``; KeyError if it was not measured."""
    levels = evaluation.levels(case, face_set)
    if not levels:
        raise KeyError(case)
    groups = tuple(_group(evaluation, report, case, level, face_set) for level in levels)
    return Block(case, report.case_title(case), report.is_part(case), groups)


Rows = dict[str, dict[str, Summary]]
"""Summaries by method and metric."""


def rows_of(evaluation: Evaluation, case: str, level: int, face_set: str | None = None) -> Rows:
    """What was measured of each method under one case and level; methods without any figure are left out."""
    rows: Rows = {}
    for method in evaluation.methods:
        found = {
            metric.name: evaluation.summary(metric.name, case, level, method, face_set) for metric in evaluation.metrics
        }
        if known := {name: summary for name, summary in found.items() if summary is not None}:
            rows[method] = known
    return rows


def _group(evaluation: Evaluation, report: TaskReport, case: str, level: int, face_set: str | None) -> Group:
    rows = rows_of(evaluation, case, level, face_set)
    best = {metric.name: best_methods(rows, metric, report.floors) for metric in evaluation.metrics}
    lines = []
    for method, row in rows.items():
        n = max(summary.n for summary in row.values())
        cells = tuple(
            _cell(row[metric.name], metric, method in best[metric.name], n) if metric.name in row else None
            for metric in evaluation.metrics
        )
        lines.append(Line(method, method_label(evaluation, method), n, cells))
    # a task's notes are of the headline's faces
    note = "" if face_set else report.row_note(evaluation, case, level)
    return Group(level, report.level_label(case, level), note, tuple(lines))


def method_label(evaluation: Evaluation, method: str) -> str:
    """A method's name as it is shown."""
    return evaluation.methods.get(method, method.replace("_", " "))


def cell_text(summary: Summary, metric: Metric) -> str:
    """A figure on one line."""
    return _cell(summary, metric, best=False, faces=summary.n).text


def _cell(summary: Summary, metric: Metric, best: bool, faces: int) -> Cell:
    """The figure in a line of so many ``faces``."""
    few = summary.n if summary.n < faces else None
    if summary.mean is None or summary.std is None:
        return Cell("∞" if summary.infinite else "–", "", summary.infinite, best, few)
    mean, spread = (f"{value:.{metric.digits}f}" for value in (summary.mean, summary.std))
    return Cell(mean, spread, summary.infinite, best, few)


def best_methods(rows: Rows, metric: Metric, floors: Iterable[str] = ()) -> set[str]:
    """The methods with the best figure, more than one if they are equal as shown; a floor is no method.

    Means leave out infinite figures, and faces of which there is none. Where methods have different numbers of these,
    their means are over different faces: a method is then best only if it has most infinite ones, figures of most
    faces, and also the best mean. There may be none.
    """
    standing = {
        method: _standing(row[metric.name], metric)
        for method, row in rows.items()
        if method not in set(floors) and metric.name in row
    }
    return {
        method
        for method, (infinite, mean) in standing.items()
        if all(infinite >= other and mean >= value for other, value in standing.values())
        and all(rows[method][metric.name].n >= rows[other][metric.name].n for other in standing)
    }


def _standing(summary: Summary, metric: Metric) -> tuple[int, float]:
    """How many figures are infinite, and the mean as it is shown, signed so that more is better."""
    if summary.mean is None:
        return summary.infinite, float("inf") if summary.infinite else float("-inf")
    mean = round(summary.mean, metric.digits)
    return summary.infinite, mean if metric.higher_is_better else -mean


@dataclass(frozen=True)
class SetRow:
    """The headline figure of the model and of the baseline on a face set, and the gain; ``label`` names the level."""

    label: str
    model: str
    baseline: str
    gain: str


@dataclass(frozen=True)
class SetGroup:
    """One face set: ``rows`` by level, the mean over the levels last. ``blocks`` have all methods under the cases that
    the task names, () for the headline's own set, whose blocks stand with the others. ``note`` stands beside them."""

    name: str
    faces: int
    people: int
    rows: tuple[SetRow, ...]
    blocks: tuple[Block, ...]
    note: str


def set_groups(evaluation: Evaluation, report: TaskReport) -> list[SetGroup]:
    """The face sets that are measured apart; [] where the split is one."""
    case, groups = evaluation.headline[1], []
    for each in evaluation.face_sets:
        levels: list[int | None] = list(evaluation.levels(case, each.name))
        rows = [_set_row(evaluation, report, each.name, level) for level in levels + ([None] if levels[1:] else [])]
        shown = () if each.name == evaluation.face_set else report.set_cases(evaluation)
        tables = tuple(case_block(evaluation, report, of, each.name) for of in shown)
        note = report.set_note(evaluation, each.name)
        groups.append(SetGroup(each.name, each.faces, each.identities, tuple(rows), tables, note))
    return groups


def _set_row(evaluation: Evaluation, report: TaskReport, face_set: str, level: int | None) -> SetRow:
    """The row of a level; of None that of the mean over the levels."""
    metric, (name, case), baseline = evaluation.headline_metric, evaluation.headline, evaluation.baseline
    if level is None:
        gain = evaluation.mean_gain(baseline, face_set)
        means = (evaluation.scores.mean_over_levels(face_set, name, case, of) for of in (MODEL, baseline))
        model, other = ("–" if mean is None else f"{mean:.{metric.digits}f}" for mean in means)
    else:
        gain = evaluation.gain(level, baseline, face_set)
        found = (evaluation.summary(name, case, level, of, face_set) for of in (MODEL, baseline))
        model, other = ("–" if summary is None else cell_text(summary, metric) for summary in found)
    label = MEAN_OVER_LEVELS if level is None else report.level_label(case, level)
    return SetRow(label, model, other, "–" if gain is None else signed_text(gain, metric.digits))


def set_lines(evaluation: Evaluation, report: TaskReport) -> list[str]:
    """A line for each face set beside the headline's: its mean over the levels, and the gain over the baseline."""
    metric, (name, case) = evaluation.headline_metric, evaluation.headline
    lines = []
    for each in evaluation.face_sets[1:]:
        mean = evaluation.scores.mean_over_levels(each.name, name, case, MODEL)
        gain = evaluation.mean_gain(evaluation.baseline, each.name)
        shown = "not comparable" if mean is None else amount(mean, metric)
        over = "" if gain is None else f", {compared(gain, metric)} {method_label(evaluation, evaluation.baseline)}"
        levels = f", {MEAN_OVER_LEVELS}" if evaluation.levels(case, each.name)[1:] else ""
        note = report.set_note(evaluation, each.name)
        beside = f" ({note.rstrip('.')})" if note else ""
        faces = f"{each.faces} {'face' if each.faces == 1 else 'faces'}"
        lines.append(f"{each.name}, {faces}{levels}: {metric.label} {shown}{over}{beside}")
    return lines


def main_levels(evaluation: Evaluation) -> list[int]:
    """The levels of the headline's case."""
    return evaluation.levels(evaluation.headline[1])


def verdict(evaluation: Evaluation, report: TaskReport) -> list[str]:
    """One plain sentence a level: the model's headline figure, beside the other methods.

    For example ``level 2 (30-50 % hidden): hole PSNR 18.9 dB, 1.3 dB better than Telea, 4.2 dB better than mean fill``.
    A worse model is said to be worse.
    """
    case = evaluation.headline[1]
    return [
        f"{report.level_label(case, level)}: {outcome(evaluation, report, level)}" for level in main_levels(evaluation)
    ]


def outcome(evaluation: Evaluation, report: TaskReport, level: int) -> str:
    """The sentence of ``verdict`` without its beginning, which names the level."""
    metric, (name, case) = evaluation.headline_metric, evaluation.headline
    ours = evaluation.summary(name, case, level, MODEL)
    assert ours is not None
    said = [f"every {metric.label} infinite" if ours.mean is None else f"{metric.label} {amount(ours.mean, metric)}"]
    for over in _others(evaluation, report):
        theirs = evaluation.summary(name, case, level, over)
        if theirs is None:
            continue
        difference, label = evaluation.gain(level, over), method_label(evaluation, over)
        if difference is None:
            said.append(
                f"not comparable with {label} (exact, so infinite, on {ours.infinite} of {ours.n} "
                f"faces; {label} on {theirs.infinite})"
            )
        else:
            said.append(f"{compared(difference, metric)} {label}")
    return ", ".join(said)


def _others(evaluation: Evaluation, report: TaskReport) -> list[str]:
    return [method for method in evaluation.methods if method != MODEL and method not in report.floors]


def _short(metric: Metric) -> int:
    """So many digits a metric has in sentences."""
    return max(1, metric.digits - 1)


def amount(value: float, metric: Metric) -> str:
    """A value in sentences: ``18.9 dB``."""
    shown = f"{value:.{_short(metric)}f}"
    return f"{shown} {metric.unit}" if metric.unit else shown


def compared(gain: float, metric: Metric) -> str:
    """A gain in words that end before the other's name: ``1.3 dB better than``."""
    digits = _short(metric)
    if round(gain, digits) == 0:
        return f"no better and no worse (to {amount(10**-digits, metric)}) than"
    return f"{amount(abs(gain), metric)} {'better' if gain > 0 else 'worse'} than"


def headline(evaluation: Evaluation) -> str:
    """The verdict on all levels in one sentence, beside the baseline, by the headline metric."""
    metric, baseline = evaluation.headline_metric, method_label(evaluation, evaluation.baseline)
    standing: dict[str, list[int]] = {}
    for level in main_levels(evaluation):
        difference = evaluation.gain(level, evaluation.baseline)
        if difference is None:
            said = "not comparable with"
        elif round(difference, _short(metric)) == 0:
            said = "no better than"
        else:
            said = "better than" if difference > 0 else "worse than"
        standing.setdefault(said, []).append(level)
    (said, levels), *others = standing.items()
    by = f"By {metric.label}, the model is"
    if not others:
        where = "" if levels == [-1] else " at every level" if len(levels) > 1 else f" at {level_list(levels)}"
        return f"{by} {said} {baseline}{where}."
    rest = [f"{word.rpartition(' ')[0]} at {level_list(levels)}" for word, levels in others]
    parts = [f"{said} {baseline} at {level_list(levels)}", *rest]
    return f"{by} {', '.join(parts[:-1])} and {parts[-1]}."


def shortfalls(evaluation: Evaluation, report: TaskReport) -> list[str]:
    """One sentence for every other measure by which a method without a network beats the model; none if none does.

    Floors count too: a result that is less like the person than the hidden face is a step back.
    """
    said = []
    for metric in evaluation.metrics:
        if metric == evaluation.headline_metric:
            continue
        parts = []
        for over in [*_others(evaluation, report), *sorted(report.floors)]:
            levels = [level for level in main_levels(evaluation) if _loses(evaluation, level, metric, over)]
            if levels:
                parts.append(f"of {_in_words(evaluation, report, over)}{_at(levels)}")
        if parts:
            said.append(f"{metric.label} is worse than that {', and that '.join(parts)}")
    return said + report.shortfalls(evaluation)


def _in_words(evaluation: Evaluation, report: TaskReport, method: str) -> str:
    label = method_label(evaluation, method)
    return f"the {label} itself" if method in report.floors else label


def _loses(evaluation: Evaluation, level: int, metric: Metric, over: str) -> bool:
    case = evaluation.headline[1]
    found = [evaluation.summary(metric.name, case, level, method) for method in (MODEL, over)]
    if found[0] is None or found[1] is None:
        return False
    ours, theirs = (_standing(summary, metric) for summary in found if summary is not None)
    # with more figures that are infinite and a better mean of the others, too, it is better whatever each counts
    return ours != theirs and all(mine <= their for mine, their in zip(ours, theirs, strict=True))


def _at(levels: list[int]) -> str:
    return "" if levels == [-1] else f" at {level_list(levels)}"


def level_list(levels: list[int]) -> str:
    """``level 1``, ``levels 1 and 3`` or ``levels 1, 2 and 3``."""
    if len(levels) == 1:
        return f"level {levels[0]}"
    return f"levels {', '.join(map(str, levels[:-1]))} and {levels[-1]}"


def judge_notes(evaluation: Evaluation) -> list[str]:
    """Which network stands behind each judged figure, and whether the model was trained to please it."""
    notes = []
    for judge in evaluation.judges:
        if judge.in_loss:
            how = "also in the loss: the model was trained on this very network, so the figure flatters it"
        else:
            how = "not in the loss"
        notes.append(f"{judge.label}: {judge.network}, {how}" + (f"; {judge.note}" if judge.note else ""))
    return notes


def console_table(evaluation: Evaluation, report: TaskReport, case: str | None = None) -> Table:
    """The block of one case, the headline's by default, for a terminal of 100 columns; the best of the methods is bold.

    Raises:
        KeyError: the case was not measured.
    """
    block = case_block(evaluation, report, case or evaluation.headline[1])
    table = Table(
        title=f"{block.title}, {evaluation.measured_on}, {evaluation.faces} faces, mean ± spread",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        title_style="bold",
        title_justify="left",
    )
    table.add_column("", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for metric in evaluation.metrics:
        table.add_column(f"{metric.label} {metric.arrow}", justify="right")
    for group in block.groups:
        lines = [line for line in group.lines if line.method not in report.floors]
        for index, line in enumerate(lines):
            cells = (_console_cell(cell) for cell in line.cells)
            label = group.label.partition(" (")[0] if index == 0 else ""
            table.add_row(label, line.label, *cells, end_section=index + 1 == len(lines))
    return table


def _console_cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text("–")
    shown = f"{cell.mean} ±{cell.spread}" if cell.spread else cell.mean
    infinite = f"\n{cell.infinite} × ∞" if cell.infinite and cell.spread else ""
    few = "" if cell.faces is None else f"\nof {cell.faces}"
    return Text(shown + infinite + few, style="bold" if cell.best else "")
