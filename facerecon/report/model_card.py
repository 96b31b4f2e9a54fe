"""The model card: what a model is for, how to use its ONNX file, how good it is, and what it was made of."""

import re
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from facerecon.report import decision, tables
from facerecon.report.formats import bytes_text, count_text
from facerecon.report.render import loader, shared_context
from facerecon.report.story import Story

LOADED_FILES = ("templates/*.j2",)
"""What this module reads beside itself."""


def render_model_card(story: Story) -> str:
    """The model card as GitHub-flavoured Markdown. The same story gives the same bytes; everything is escaped."""
    context = shared_context(story) | {
        "sections": {slot: story.report.sections.get(slot, ()) for slot in ("card_use", "card_figures")},
        "sentences": tables.verdict(story.evaluation, story.report),
        "standing": decision.standing(story.decision),
    }
    content = _environment(story).get_template("model_card.md.j2").render(context)
    return re.sub(r"\n{3,}", "\n\n", content).rstrip() + "\n"


def _environment(story: Story) -> Environment:
    """Jinja in which every value is escaped for Markdown, unless a filter has said that it is safe where it stands."""
    made = Environment(
        loader=loader(story),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escaped,
    )
    # a task's own sentences are Markdown already
    made.filters |= {"count": count_text, "bytes": bytes_text, "code": code, "markdown": Markup}
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
