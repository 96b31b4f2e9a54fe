"""The report as HTML, from its parts."""

import json
import math
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined

from facerecon.evaluation import comparison
from facerecon.report import beside, charts, decision, tables
from facerecon.report.formats import bytes_text, count_text, gradient, signed_text
from facerecon.report.story import Story

LOADED_FILES = ("templates/*.html",)
"""What this module reads beside itself."""

SLOTS = ("faces", "figures", "after_figures", "compared", "after_promotion")
"""Where a task's own sections stand."""


def loader(story: Story) -> BaseLoader:
    """Finds the templates of this package, and the task's own."""
    package = story.report.package
    own = [] if package is None else [PackageLoader(package, "templates")]
    return ChoiceLoader([PackageLoader("facerecon.report", "templates"), *own])


def render_report(story: Story) -> str:
    """The whole report as HTML. The same story gives the same bytes; everything in it is escaped."""
    environment = Environment(
        loader=loader(story), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": count_text, "bytes": bytes_text, "gradient": gradient}
    return environment.get_template("report.html").render(_context(story)) + "\n"


def shared_context(story: Story) -> dict[str, Any]:
    """What the templates of report and card name alike."""
    evaluation, ruled, report = story.evaluation, story.decision, story.report
    comparisons = story.comparisons
    return {
        "story": story,
        "report": report,
        "evaluation": evaluation,
        "details": evaluation.details,
        "model": evaluation.model,
        "decision": ruled,
        "headline": tables.headline(evaluation),
        "beside_headline": report.beside_headline(evaluation),
        "headline_metric": evaluation.headline_metric,
        "shortfalls": tables.shortfalls(evaluation, report),
        "judges": tables.judge_notes(evaluation),
        "blocks": tables.blocks(evaluation, report),
        "set_groups": tables.set_groups(evaluation, report),
        "set_lines": tables.set_lines(evaluation, report),
        "beside": beside.beside(evaluation, comparisons, report),
        "beside_lines": beside.beside_lines(evaluation, comparisons),
        "confidence_of_intervals": comparison.CONFIDENCE,
        "verdict": decision.verdict(ruled),
        "failed": decision.failed_checks(ruled),
        "setbacks": decision.setbacks(ruled, report),
        "scores": decision.score_groups(ruled, report),
        "gate_judges": decision.judges(ruled),
        "baseline_gains": decision.baseline_gains(ruled),
        **report.context(story),
    }


def _context(story: Story) -> dict[str, Any]:
    """Everything that the report's templates name."""
    report = story.report
    sections = {slot: report.sections.get(slot, ()) for slot in SLOTS}
    return {
        **shared_context(story),
        "sections": sections,
        "anchors": _anchors(story),
        "cards": _cards(story),
        "figure_notes": report.figure_notes,
        "parts_title": report.parts_title,
        "charts": charts.training_charts(story.history, story.evaluation.model.step, report),
        "sizes": charts,
        "outcome": decision.outcome(story.decision),
        "settings": json.dumps(story.settings, indent=2, ensure_ascii=False),
    }


def _anchors(story: Story) -> list[tuple[str, str]]:
    """Anchor and title of every section, in the page's order."""
    own = story.report.anchors(story)
    retraining = [("retraining", "Retraining")] if story.retraining else []
    found = [
        *retraining,
        *(own.get("faces"), ("figures", "Figures"), own.get("after_figures"), ("promotion", "Promotion")),
        *(own.get("after_promotion"), ("training", "Training"), ("data", "Data"), ("model", "Model")),
        *(("limits", "Limits"), ("licences", "Licences"), ("provenance", "Provenance")),
    ]
    return [anchor for anchor in found if anchor is not None]


def _cards(story: Story) -> list[dict[str, Any]]:
    """One card a level: the gain over the baseline, the outcome, and all methods as dots on one scale for all cards."""
    evaluation, report = story.evaluation, story.report
    metric, (name, case) = evaluation.headline_metric, evaluation.headline
    levels = tables.main_levels(evaluation)
    methods = [method for method in evaluation.methods if method not in report.floors]
    means: dict[int, dict[str, float | None]] = {}
    for level in levels:
        found = {method: evaluation.summary(name, case, level, method) for method in methods}
        means[level] = {method: summary.mean for method, summary in found.items() if summary is not None}
    finite = [mean for row in means.values() for mean in row.values() if mean is not None]
    low, high = _bounds(finite, metric.digits)
    cards = []
    for level in levels:
        difference = evaluation.gain(level, evaluation.baseline)
        digits = max(1, metric.digits - 1)
        rounded = None if difference is None else round(difference, digits)
        dots = [
            {
                "method": method,
                "label": tables.method_label(evaluation, method),
                "text": "∞" if mean is None else f"{mean:.{digits}f}",
                "place": 100 if mean is None else round(100 * (mean - low) / (high - low), 2),
            }
            for method, mean in means[level].items()
        ]
        cards.append(
            {
                "title": report.level_label(case, level),
                "unit": metric.unit,
                "outcome": tables.outcome(evaluation, report, level),
                "difference": "–" if difference is None else signed_text(difference, digits),
                "tone": "even" if not rounded else "better" if rounded > 0 else "worse",
                "dots": dots,
                "low": f"{low:g} {metric.unit}".strip(),
                "high": f"{high:g} {metric.unit}".strip(),
            }
        )
    return cards


def _bounds(values: list[float], digits: int) -> tuple[float, float]:
    """Round numbers that enclose the values."""
    if not values:
        return 0.0, 1.0
    unit = 10.0 ** -(digits - 2)
    return math.floor(min(values) / unit) * unit, math.ceil(max(values) / unit + 0.01) * unit
