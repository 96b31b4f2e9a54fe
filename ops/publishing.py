"""What a run leaves for people: four files in one folder, and what the terminal says last."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Console

from facerecon.config.run import RunSettings
from facerecon.data.manifest import Manifest
from facerecon.evaluation.evaluate import Evaluation
from facerecon.evaluation.report import Story, render_report
from facerecon.evaluation.table import confidence_lines, console_table, verdict
from facerecon.export.model_card import render_model_card
from facerecon.export.onnx import ExportedModel
from facerecon.files import atomic_path, write_json, write_text
from facerecon.training.checkpoints import Training
from facerecon.weights import table
from ops.paths import PROJECT


def write_outputs(
    folder: Path,
    settings: RunSettings,
    faces: Manifest,
    training: Training,
    evaluation: Evaluation,
    exported: ExportedModel,
    decision: dict[str, Any],
    comparison: dict[str, NDArray[Any]],
    tags: dict[str, str],
) -> Path:
    """Write ``model.onnx``, ``metrics.json``, ``report.html`` and ``model_card.md``, each in one step.

    ``decision`` and ``comparison`` are the promotion step's two outputs.
    """
    story = Story(
        name=settings.name,
        settings=settings.model_dump(mode="json"),
        figures=evaluation.figures,
        samples=evaluation.samples,
        comparison=comparison,
        history=training.history,
        counts=faces.counts(),
        quarantine=dict(Counter(kind_of(reason) for reason in faces.quarantine["reason"])),
        export=exported.report,
        decision=decision,
        provenance=tags,
        weights=table(),
    )
    with atomic_path(folder / "model.onnx") as temporary:
        temporary.write_bytes(exported.content)
    write_json(folder / "metrics.json", evaluation.figures)
    write_text(folder / "report.html", render_report(story))
    write_text(folder / "model_card.md", render_model_card(story))
    return folder


def kind_of(reason: str) -> str:
    """A quarantine reason without what is particular to one photo: numbers, names, a decoder's words."""
    several = re.sub(r"^\d+ faces found$", "several faces found", reason)
    return re.sub(r" of .*|: .*", "", several, flags=re.DOTALL)


def announce(console: Console, folder: Path, evaluation: Evaluation, decision: dict[str, Any]) -> None:
    """Print the table, the verdict and where everything is."""
    console.print(console_table(evaluation.figures))
    for line in verdict(evaluation.figures):
        console.print(line, highlight=False)
    for line in confidence_lines(evaluation.figures):
        console.print(line, highlight=False)
    standing = "champion" if decision["champion"] else "challenger"
    console.print(
        f"Version {decision['version']} of {decision['registered_model']} is {standing}: {decision['reason']}"
    )
    shown = folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder
    console.print(f"Report      {shown / 'report.html'}\nONNX model  {shown / 'model.onnx'}\nUIs         make ui")
