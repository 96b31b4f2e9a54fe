"""The figures of an evaluation as tables and plain sentences, the same for console, report and model card."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from facerecon.corruption.masks import FAMILIES, LEVELS
from facerecon.report.formats import signed_text

Figures = dict[str, Any]
"""What metrics.json holds: ``Evaluation.figures``."""

MAIN_FAMILY = "brush"
"""Checkpoints, promotion and the verdict rest on these masks."""

PART_FAMILIES = ("features/", "parts/")
"""How the names begin of families that hide a part of the face: by its points, or as its source labels it."""

METHOD_LABELS = {"model": "model", "telea": "Telea", "mean_fill": "mean fill", "masked_input": "hidden input"}
FLOOR = "masked_input"
"""Not a method: what a judge says of the face with its holes left gray."""


@dataclass(frozen=True)
class Metric:
    """A figure's key in the rows, its name, its unit, how many digits are shown, and which direction is better."""

    key: str
    label: str
    unit: str
    digits: int
    higher_is_better: bool

    @property
    def arrow(self) -> str:
        """Points where better figures lie."""
        return "↑" if self.higher_is_better else "↓"


METRICS = (
    Metric("whole_psnr", "whole PSNR", "dB", 2, True),
    Metric("hole_psnr", "hole PSNR", "dB", 2, True),
    Metric("ssim", "SSIM", "", 3, True),
    Metric("lpips", "LPIPS", "", 3, False),
    Metric("identity", "identity", "", 3, True),
)


@dataclass(frozen=True)
class Cell:
    """One figure as shown: mean "∞" if every figure is infinite; ``infinite`` are left out of mean and spread."""

    mean: str
    spread: str
    infinite: int
    best: bool

    @property
    def text(self) -> str:
        """On one line, for example ``18.94 ± 2.10 (3 × ∞)``."""
        shown = f"{self.mean} ± {self.spread}" if self.spread else self.mean
        return f"{shown} ({self.infinite} × ∞)" if self.infinite and self.spread else shown


@dataclass(frozen=True)
class Line:
    """One method's cells in the order of METRICS, None where it has no such figure; ``n`` faces."""

    method: str
    label: str
    n: int
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Group:
    """All methods under one level (None for a part of the face). ``hole_ratio`` is the mean one, 0 to 1."""

    level: int | None
    label: str
    hole_ratio: float
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Block:
    """All groups of one mask family. Families are never averaged, so nothing is wider than a block."""

    family: str
    title: str
    groups: tuple[Group, ...]

    @property
    def is_feature(self) -> bool:
        """Whether it hides a part of the face, not a share of the picture."""
        return self.family.startswith(PART_FAMILIES)


@dataclass(frozen=True)
class ConfidenceRow:
    """How far the model's confidence can be trusted under one level or part: shown texts, "–" where undefined.

    ``says`` is the mean confidence in the holes, ``right`` the share of hole pixels with an error within the threshold;
    ``constant`` the Brier score of always saying ``right``. ``useless`` is set where ``brier`` is no better than that.
    """

    label: str
    level: int | None
    range: str
    faces: int
    pixels: int
    says: str
    right: str
    brier: str
    constant: str
    rank: str
    calibration: str
    useless: bool


@dataclass(frozen=True)
class ConfidenceBlock:
    """The confidence rows of one mask family, one a level."""

    family: str
    title: str
    rows: tuple[ConfidenceRow, ...]

    @property
    def is_feature(self) -> bool:
        """Whether it hides a part of the face, not a share of the picture."""
        return self.family.startswith(PART_FAMILIES)


@dataclass(frozen=True)
class LightingRow:
    """Hole PSNR of the model and of Telea on the ``faces`` of one brightness; ``luma`` is the range of 0 to 255."""

    condition: str
    luma: str
    faces: int
    model: str
    telea: str
    difference: str


@dataclass(frozen=True)
class LightingGroup:
    """The lighting rows of one level, dark first."""

    level: int
    label: str
    rows: tuple[LightingRow, ...]


def level_range(level: int) -> str:
    """The hole ratios of a level, for example ``30-50 %``."""
    low, high = LEVELS[level]
    return f"{low * 100:.0f}-{high * 100:.0f} %"


def families(figures: Figures) -> list[str]:
    """The mask families in the figures: brush first, those never trained on after it, parts of the face last."""
    found = list(dict.fromkeys(row["family"] for row in figures["table"]))

    def place(family: str) -> int:
        if family == MAIN_FAMILY:
            return 0
        return 3 if family.startswith(PART_FAMILIES) else 1 + (family in FAMILIES and not FAMILIES[family].trained)

    return sorted(found, key=place)


def family_block(figures: Figures, family: str) -> Block:
    """The block of one mask family.

    Raises:
        KeyError: the figures have no such family.
    """
    rows = [row for row in figures["table"] if row["family"] == family]
    if not rows:
        raise KeyError(family)
    title = family_title(family)
    levels = sorted({row["level"] for row in rows}, key=lambda level: level or 0)
    groups = tuple(_group(level, title, [row for row in rows if row["level"] == level]) for level in levels)
    return Block(family, title, groups)


def family_title(family: str) -> str:
    """A family's name as it is shown; of a part of the face the part's name."""
    if family.startswith("parts/"):
        return f"{family.removeprefix('parts/')} (outline)"
    return "all parts" if family == "features/all" else family.removeprefix("features/").replace("_", " ")


def blocks(figures: Figures) -> list[Block]:
    """One block for every mask family, in the order of ``families``."""
    return [family_block(figures, family) for family in families(figures)]


def _group(level: int | None, part: str, rows: list[dict[str, Any]]) -> Group:
    best = {metric.key: best_methods(rows, metric) for metric in METRICS}
    lines = []
    for row in rows:
        cells = tuple(
            _cell(row[metric.key], metric, row["method"] in best[metric.key]) if metric.key in row else None
            for metric in METRICS
        )
        n = max(row[metric.key]["n"] for metric in METRICS if metric.key in row)
        lines.append(Line(row["method"], method_label(row["method"]), n, cells))
    label = part if level is None else f"level {level} ({level_range(level)} hidden)"
    return Group(level, label, rows[0]["hole_ratio"], tuple(lines))


def method_label(method: str) -> str:
    """A method's name as it is shown."""
    return METHOD_LABELS.get(method, method.replace("_", " "))


def _cell(summary: dict[str, Any], metric: Metric, best: bool) -> Cell:
    if summary["mean"] is None:
        return Cell("∞" if summary["infinite"] else "–", "", summary["infinite"], best)
    mean, spread = (f"{summary[key]:.{metric.digits}f}" for key in ("mean", "std"))
    return Cell(mean, spread, summary["infinite"], best)


def best_methods(rows: Iterable[dict[str, Any]], metric: Metric) -> set[str]:
    """The methods with the best figure, more than one if they are equal as shown; the floor is no method.

    Means leave out infinite figures. Where methods have different numbers of these, their means are over different
    faces: a method is then best only if it has most infinite ones and also the best mean. There may be none.
    """
    standing = {}
    for row in rows:
        if row["method"] != FLOOR and metric.key in row:
            standing[row["method"]] = _standing(row[metric.key], metric)
    return {
        method
        for method, (infinite, mean) in standing.items()
        if all(infinite >= other and mean >= value for other, value in standing.values())
    }


def _standing(summary: dict[str, Any], metric: Metric) -> tuple[int, float]:
    """How many figures are infinite, and the mean as it is shown, signed so that more is better."""
    if summary["mean"] is None:
        return summary["infinite"], float("inf") if summary["infinite"] else float("-inf")
    mean = round(summary["mean"], metric.digits)
    return summary["infinite"], mean if metric.higher_is_better else -mean


def main_rows(figures: Figures, level: int) -> dict[str, dict[str, Any]]:
    """The rows of one level of the main family, by method."""
    rows = figures["table"]
    return {row["method"]: row for row in rows if (row["family"], row["level"]) == (MAIN_FAMILY, level)}


def main_levels(figures: Figures) -> list[int]:
    """The levels of the main family."""
    return sorted({row["level"] for row in figures["table"] if row["family"] == MAIN_FAMILY})


def gain(figures: Figures, level: int, over: str) -> float | None:
    """By how many dB the model's mean hole PSNR (main family) exceeds that of ``over``; negative if it is worse.

    None where the two do not compare: one of them has infinite figures that the other has not.
    """
    rows = main_rows(figures, level)
    return _difference(rows["model"]["hole_psnr"], rows[over]["hole_psnr"])


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float | None:
    """The difference of two summaries' means; None where their infinite figures keep them from comparing."""
    if ours["mean"] is None and theirs["mean"] is None:
        return 0.0
    if ours["mean"] is None or theirs["mean"] is None or ours["infinite"] != theirs["infinite"]:
        return None
    return float(ours["mean"] - theirs["mean"])


def verdict(figures: Figures) -> list[str]:
    """One plain sentence a level: what the model does in the holes of the main family, beside the other methods.

    For example ``level 2 (30-50 % hidden): 18.9 dB in the holes, 1.3 dB better than Telea, 4.2 dB better than mean
    fill``. A worse model is said to be worse.
    """
    return [f"level {level} ({level_range(level)} hidden): {outcome(figures, level)}" for level in main_levels(figures)]


def outcome(figures: Figures, level: int) -> str:
    """The sentence of ``verdict`` without its beginning, which names the level."""
    rows = main_rows(figures, level)
    ours = rows["model"]["hole_psnr"]
    words = ["every hole filled exactly" if ours["mean"] is None else f"{ours['mean']:.1f} dB in the holes"]
    for over in ("telea", "mean_fill"):
        difference, theirs = gain(figures, level, over), rows[over]["hole_psnr"]
        if difference is None:
            words.append(
                f"not comparable with {method_label(over)} (exact, so infinite, on {ours['infinite']} of {ours['n']} "
                f"faces; {method_label(over)} on {theirs['infinite']})"
            )
        else:
            words.append(f"{compared(difference)} {method_label(over)}")
    return ", ".join(words)


def compared(difference: float) -> str:
    """A difference in dB in words that end before the other's name: ``1.3 dB better than``."""
    if round(difference, 1) == 0:
        return "no better and no worse (to 0.1 dB) than"
    return f"{abs(difference):.1f} dB {'better' if difference > 0 else 'worse'} than"


def headline(figures: Figures) -> str:
    """The verdict on all levels in one sentence, beside Telea, by dB in the holes."""
    standing: dict[str, list[int]] = {}
    for level in main_levels(figures):
        difference = gain(figures, level, "telea")
        if difference is None:
            word = "not comparable with"
        elif round(difference, 1) == 0:
            word = "no better than"
        else:
            word = "better than" if difference > 0 else "worse than"
        standing.setdefault(word, []).append(level)
    (word, levels), *others = standing.items()
    if not others:
        where = "every level" if len(levels) > 1 else level_list(levels)
        return f"In the holes, the model is {word} Telea inpainting at {where}."
    rest = [f"{word.rpartition(' ')[0]} at {level_list(levels)}" for word, levels in others]
    parts = [f"{word} Telea inpainting at {level_list(levels)}", *rest]
    return f"In the holes, the model is {', '.join(parts[:-1])} and {parts[-1]}."


def shortfalls(figures: Figures) -> list[str]:
    """One sentence for every other measure by which a method without a network beats the model; none if none does.

    The floor counts too: a reconstruction that is less like the person than the hidden face is a step back. So does
    confidence that tells pixels apart no better than one number for all of them would.
    """
    said = []
    for metric in METRICS:
        if metric.key == "hole_psnr":
            continue
        parts = []
        for over in ("telea", "mean_fill", FLOOR):
            levels = [level for level in main_levels(figures) if _loses(figures, level, metric, over)]
            if levels:
                parts.append(f"of {_in_words(over)} at {level_list(levels)}")
        if parts:
            said.append(f"{metric.label} is worse than that {', and that '.join(parts)}")
    useless = [row.level for row in confidence_rows(figures, MAIN_FAMILY) if row.useless and row.level is not None]
    if useless:
        said.append(f"confidence is no better than one constant guess (Brier score) at {level_list(useless)}")
    return said


def _in_words(method: str) -> str:
    return "the hidden input itself" if method == FLOOR else method_label(method)


def _loses(figures: Figures, level: int, metric: Metric, over: str) -> bool:
    rows = main_rows(figures, level)
    if over not in rows or metric.key not in rows[over]:
        return False
    ours, theirs = (_standing(rows[method][metric.key], metric) for method in ("model", over))
    # with more figures that are infinite and a better mean of the others, too, it is better whatever each counts
    return ours != theirs and all(mine <= their for mine, their in zip(ours, theirs, strict=True))


def level_list(levels: list[int]) -> str:
    """``level 1``, ``levels 1 and 3`` or ``levels 1, 2 and 3``."""
    if len(levels) == 1:
        return f"level {levels[0]}"
    return f"levels {', '.join(map(str, levels[:-1]))} and {levels[-1]}"


def judge_notes(figures: Figures) -> list[str]:
    """Which network stands behind each judged figure, and whether the model was trained to please it."""
    notes = []
    for name, label in (("lpips", "LPIPS"), ("identity", "identity")):
        judge = figures["judges"][name]
        if judge["in_loss"]:
            how = "also in the loss: the model was trained on this very network, so the figure flatters it"
        else:
            how = "not in the loss"
        if judge.get("same_person"):
            how += f"; on photographs, a cosine of {judge['same_person']:.2f} tells one person from two"
        notes.append(f"{label}: {judge['network']}, {how}")
    return notes


def confidence_rows(figures: Figures, family: str) -> tuple[ConfidenceRow, ...]:
    """The confidence figures of one mask family, one row a level; none for a model that does not say how sure it is."""
    found = figures["confidence"]
    rows = [row for row in found["rows"] if row["family"] == family] if found else []
    return tuple(_confidence_row(row) for row in sorted(rows, key=lambda row: row["level"] or 0))


def _confidence_row(row: dict[str, Any]) -> ConfidenceRow:
    level = row["level"]
    return ConfidenceRow(
        label=family_title(row["family"]) if level is None else f"level {level} ({level_range(level)} hidden)",
        level=level,
        range="" if level is None else level_range(level),
        faces=row["faces"],
        pixels=row["pixels"],
        says=f"{row['mean_confidence']:.3f}",
        right=f"{row['share_right']:.3f}",
        brier=f"{row['brier']:.3f}",
        constant=f"{row['brier_constant']:.3f}",
        rank=_correlation(row["rank_correlation"], 3),
        calibration=f"{row['calibration_error']:.3f}",
        useless=round(row["brier"], 3) >= round(row["brier_constant"], 3),
    )


def _correlation(value: float | None, digits: int) -> str:
    """With a real minus; "–" where it is not defined, as under constant confidence."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def confidence_blocks(figures: Figures) -> list[ConfidenceBlock]:
    """The confidence figures of every mask family in the order of ``families``; none without a confidence head."""
    made = ((family, confidence_rows(figures, family)) for family in families(figures))
    return [ConfidenceBlock(family, family_title(family), rows) for family, rows in made if rows]


def confidence_lines(figures: Figures) -> list[str]:
    """One line a level of the main family: what the confidence says and what is so; none without a confidence head.

    For example ``confidence, level 2: says 0.62, right on 0.60 of the pixels; Brier 0.21 (a constant guess 0.24);
    rank correlation 0.35``.
    """
    found = figures["confidence"]
    rows = [row for row in found["rows"] if row["family"] == MAIN_FAMILY] if found else []
    return [
        f"confidence, level {row['level']}: says {row['mean_confidence']:.2f}, right on {row['share_right']:.2f} of "
        f"the pixels; Brier {row['brier']:.2f} (a constant guess {row['brier_constant']:.2f}); "
        f"rank correlation {_correlation(row['rank_correlation'], 2)}"
        for row in sorted(rows, key=lambda row: row["level"])
    ]


def lighting_groups(figures: Figures) -> list[LightingGroup]:
    """Hole PSNR by the faces' brightness, one group a level, dark before bright; none if it was not measured."""
    rows = figures["lighting"]
    groups = []
    for level in sorted({row["level"] for row in rows}):
        here = sorted((row for row in rows if row["level"] == level), key=lambda row: row["low"])
        conditions = list(dict.fromkeys(row["condition"] for row in here))
        lines = tuple(
            _lighting_row({row["method"]: row for row in here if row["condition"] == condition})
            for condition in conditions
        )
        groups.append(LightingGroup(level, f"level {level} ({level_range(level)} hidden)", lines))
    return groups


def _lighting_row(methods: dict[str, dict[str, Any]]) -> LightingRow:
    ours, theirs = methods["model"], methods["telea"]
    psnr = next(metric for metric in METRICS if metric.key == "hole_psnr")
    model, telea = (_cell(row["hole_psnr"], psnr, best=False).text for row in (ours, theirs))
    difference = _difference(ours["hole_psnr"], theirs["hole_psnr"])
    return LightingRow(
        condition=ours["condition"],
        luma=f"{ours['low']:g}-{ours['high']:g}",
        faces=ours["faces"],
        model=model,
        telea=telea,
        difference="–" if difference is None else signed_text(difference, 2),
    )


def console_table(figures: Figures, family: str = MAIN_FAMILY) -> Table:
    """The block of one mask family for a terminal of 100 columns; the best of the methods is bold.

    Raises:
        KeyError: the figures have no such family.
    """
    block = family_block(figures, family)
    faces = figures["split"]["faces"]
    table = Table(
        title=f"{block.family} masks, {figures['split']['name']} split, {faces} faces, mean ± spread",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        title_style="bold",
        title_justify="left",
    )
    table.add_column("hidden", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for metric in METRICS:
        table.add_column(f"{metric.label} {metric.arrow}", justify="right")
    for group in block.groups:
        label = block.title if group.level is None else f"{group.level}: {level_range(group.level)}"
        lines = [line for line in group.lines if line.method != FLOOR]
        for index, line in enumerate(lines):
            cells = (_console_cell(cell) for cell in line.cells)
            table.add_row(label if index == 0 else "", line.label, *cells, end_section=index + 1 == len(lines))
    return table


def _console_cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text("–")
    shown = f"{cell.mean} ±{cell.spread}" if cell.spread else cell.mean
    infinite = f"\n{cell.infinite} × ∞" if cell.infinite and cell.spread else ""
    return Text(shown + infinite, style="bold" if cell.best else "")
