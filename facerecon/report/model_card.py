"""The model card: what a model is for, how to use its ONNX file, how good it is, and what it was made of."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facerecon.report import Story, decision
from facerecon.report import tables as table
from facerecon.report.formats import bytes_text, count_text

LOADED_FILES = ("model_card.md.j2",)
"""What this module reads beside itself."""


def render_model_card(story: Story) -> str:
    """The model card as GitHub-flavoured Markdown. The same story gives the same bytes; everything is escaped."""
    figures, outcome = story.figures, story.decision
    content = (
        _environment()
        .get_template("model_card.md.j2")
        .render(
            story=story,
            figures=figures,
            model=figures["model"],
            split=figures["split"],
            headline=table.headline(figures),
            verdict=table.verdict(figures),
            shortfalls=table.shortfalls(figures),
            judges=table.judge_notes(figures),
            blocks=table.blocks(figures),
            metrics=table.METRICS,
            confidence={block.family: block for block in table.confidence_blocks(figures)},
            lighting=table.lighting_groups(figures),
            decision=outcome,
            standing=decision.standing(outcome),
            promotion=decision.verdict(outcome),
            failed=decision.failed_checks(outcome),
            setbacks=decision.setbacks(outcome),
            scores=decision.score_groups(outcome),
        )
    )
    return re.sub(r"\n{3,}", "\n\n", content).rstrip() + "\n"


def _environment() -> Environment:
    """Jinja in which every value is escaped for Markdown, unless a filter has said that it is safe where it stands."""
    made = Environment(
        loader=PackageLoader("facerecon.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escaped,
    )
    made.filters |= {"count": count_text, "bytes": bytes_text, "code": code}
    return made


def _escaped(value: Any) -> str:
    return value if isinstance(value, Markup) else escape_markdown(str(value))


def escape_markdown(text: str) -> str:
    """``text`` as one line that Markdown shows literally, in a paragraph and in a table's cell; no HTML passes."""
    line = re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # an underscore inside a word is literal as it is, and names stay readable in the source
    return re.sub(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w))", r"\\\1", line)


def code(value: Any) -> Markup:
    """``value`` for inside a code span: one line, without the two characters that would end the span or the cell."""
    line = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return Markup(line)
