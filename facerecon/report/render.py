"""The report as HTML, from its parts."""

import json
import math
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from facerecon.report import charts, decision, pictures
from facerecon.report import tables as table
from facerecon.report.formats import bytes_text, count_text, signed_text
from facerecon.report.story import Story

LOADED_FILES = ("*.html",)
"""What this module reads beside itself."""

PAGE, MACROS, STYLE = "report.html", "macros.html", "style.html"

SECTIONS = (
    "faces.html",
    "figures.html",
    "confidence.html",
    "promotion.html",
    "masks.html",
    "training.html",
    "background.html",
)
"""In the order of the page. A section with nothing to tell leaves nothing behind."""


def render_report(story: Story) -> str:
    """The whole report as HTML. The same story gives the same bytes; everything in it is escaped."""
    return _environment().get_template(PAGE).render(_context(story)) + "\n"


def _context(story: Story) -> dict[str, Any]:
    """Everything that the templates name."""
    figures, ruled = story.figures, story.decision
    blocks = table.blocks(figures)
    return {
        "story": story,
        "figures": figures,
        "model": figures["model"],
        "split": figures["split"],
        "decision": ruled,
        "macros_file": MACROS,
        "style_file": STYLE,
        "sections": SECTIONS,
        "metrics": table.METRICS,
        "headline": table.headline(figures),
        "cards": _cards(figures),
        "shortfalls": table.shortfalls(figures),
        "judges": table.judge_notes(figures),
        "blocks": [block for block in blocks if not block.is_feature],
        "features": [block for block in blocks if block.is_feature],
        "confidence": table.confidence_blocks(figures),
        "lighting": table.lighting_groups(figures),
        "reliability": charts.reliability_charts(figures),
        "gallery": pictures.gallery(story.samples, story.comparison, figures, f"version {ruled['champion_version']}"),
        "keys": pictures,
        "masks": pictures.mask_examples(blocks),
        "charts": charts.training_charts(story.history, figures["model"]["step"]),
        "sizes": charts,
        "outcome": decision.outcome(ruled),
        "verdict": decision.verdict(ruled),
        "failed": decision.failed_checks(ruled),
        "setbacks": decision.setbacks(ruled),
        "scores": decision.score_groups(ruled),
        "settings": json.dumps(story.settings, indent=2, ensure_ascii=False),
    }


def _environment() -> Environment:
    """Jinja with escaping on, and an error for a name that a template got no value for."""
    made = Environment(
        loader=PackageLoader("facerecon.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": count_text, "bytes": bytes_text, "gradient": pictures.gradient}
    return made


def _cards(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """One card a level: the difference from Telea, the outcome, and all methods as dots on one scale for all cards."""
    levels = table.main_levels(figures)
    methods = ("model", "telea", "mean_fill")
    means = {level: {m: table.main_rows(figures, level)[m]["hole_psnr"]["mean"] for m in methods} for level in levels}
    finite = [mean for row in means.values() for mean in row.values() if mean is not None]
    low, high = (math.floor(min(finite)), math.ceil(max(finite) + 0.01)) if finite else (0, 1)
    cards = []
    for level in levels:
        difference = table.gain(figures, level, "telea")
        rounded = None if difference is None else round(difference, 1)
        dots = [
            {
                "method": method,
                "label": table.method_label(method),
                "text": "∞" if mean is None else f"{mean:.1f}",
                "place": 100 if mean is None else round(100 * (mean - low) / (high - low), 2),
            }
            for method, mean in means[level].items()
        ]
        cards.append(
            {
                "level": level,
                "range": table.level_range(level),
                "outcome": table.outcome(figures, level),
                "difference": "–" if difference is None else signed_text(difference),
                "tone": "even" if not rounded else "better" if rounded > 0 else "worse",
                "dots": dots,
                "low": low,
                "high": high,
            }
        )
    return cards
