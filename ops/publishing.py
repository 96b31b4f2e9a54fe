"""What a run leaves in one folder, for people and for DVC, and what the terminal says last."""

import csv
import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Console

from facerecon.data.manifest import Manifest
from facerecon.data.quarantine import Code
from facerecon.data.validation.outcomes import DataDocs
from facerecon.evaluation.evaluate import Evaluation
from facerecon.export.onnx import ExportedModel
from facerecon.files import atomic_path, write_json, write_text
from facerecon.report import Story, render_report
from facerecon.report.model_card import render_model_card
from facerecon.report.tables import confidence_lines, console_table, main_levels, main_rows, verdict
from facerecon.run import RunSettings
from facerecon.training.checkpoints import Row, Training
from facerecon.weights import table
from facerecon.workspace import PROJECT
from ops.tracking import DATA_DOCS, best_metrics, figure_metrics, gate_metrics

DIGITS = 4
"""Decimals of a figure in what DVC compares; ``metrics.json`` has them all."""


def write_outputs(
    folder: Path,
    settings: RunSettings,
    faces: Manifest,
    data_docs: DataDocs,
    training: Training,
    evaluation: Evaluation,
    exported: ExportedModel,
    decision: dict[str, Any],
    comparison: dict[str, NDArray[Any]],
    tags: dict[str, str],
) -> Path:
    """Write ``model.onnx``, ``metrics.json``, ``report.html`` and ``model_card.md``, each in one step.

    Beside them lie ``figures/`` and ``plots/`` for `dvc metrics` and `dvc plots`: see ``write_figures``; and the pages
    of ``data_docs/``. ``decision`` and ``comparison`` are the promotion step's two outputs.
    """
    story = Story(
        name=settings.name,
        settings=settings.model_dump(mode="json"),
        figures=evaluation.figures,
        samples=evaluation.samples,
        comparison=comparison,
        history=training.history,
        counts=faces.counts(),
        expectations=data_docs.summary(),
        quarantine=dict(Counter(Code(code).meaning for code in faces.quarantine["code"])),
        licences=faces.licences(),
        export=exported.report,
        decision=decision,
        provenance=tags,
        weights=table(),
    )
    write_pages(folder / DATA_DOCS, data_docs.pages)
    with atomic_path(folder / "model.onnx") as temporary:
        temporary.write_bytes(exported.content)
    write_json(folder / "metrics.json", evaluation.figures)
    write_text(folder / "report.html", render_report(story))
    write_text(folder / "model_card.md", render_model_card(story))
    write_figures(folder, evaluation.figures, training.history, decision)
    return folder


def write_figures(folder: Path, figures: dict[str, Any], history: list[Row], decision: dict[str, Any]) -> None:
    """The figures that MLflow has, as `dvc metrics` and `dvc plots` read them; equal trainings give equal bytes.

    ``figures/test/<case>.json``, ``figures/gate/<case>.json`` and ``figures/best_validation.json``: a file a case, so
    that `dvc metrics show` makes a row of it. ``plots/training.csv``: the loss terms over the steps,
    ``plots/validation.csv``: the validation figures over the steps, ``plots/hole_psnr.csv``: all methods over levels.
    """
    cases: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in (figure_metrics(figures) | gate_metrics(decision)).items():
        split, metric, case = name.split("/")
        cases[f"{split}/{case}"][metric] = round(value, DIGITS)
    cases["best_validation"] = {name: round(value, DIGITS) for name, value in best_metrics(history).items()}
    written = {folder / "figures" / f"{case}.json": values for case, values in cases.items()}
    for path, values in written.items():
        write_json(path, values)
    for path in set((folder / "figures").rglob("*.json")) - set(written):
        path.unlink()  # of a case that an earlier run had
    write_csv(folder / "plots" / "training.csv", _columns(history, "loss/"))
    write_csv(folder / "plots" / "validation.csv", _columns(history, "val/"))
    levels = [(level, main_rows(figures, level)) for level in main_levels(figures)]
    write_csv(
        folder / "plots" / "hole_psnr.csv",
        [
            # what is known of the masked input is its identity alone
            {"level": level} | {name: row["hole_psnr"]["mean"] for name, row in rows.items() if "hole_psnr" in row}
            for level, rows in levels
        ],
    )


def _columns(history: list[Row], prefix: str) -> list[dict[str, Any]]:
    """The step and what begins with ``prefix``, without it, of the rows that have such; never the time that it took."""
    rows = [{name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)} for row in history]
    return [{"step": int(point["step"])} | row for point, row in zip(history, rows, strict=True) if row]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``rows`` in one step; a cell is empty where a row has no such value."""
    text = io.StringIO(newline="")
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_pages(folder: Path, pages: dict[str, str]) -> None:
    """Write the Data Docs; what another run left there and these do not have is removed."""
    for name, page in pages.items():
        write_text(folder / name, page)
    for path in folder.glob("*.html"):
        if path.name not in pages:
            path.unlink()


def announce(
    console: Console, folder: Path, evaluation: Evaluation, decision: dict[str, Any], data_docs: DataDocs
) -> None:
    """Print the table, the verdict, the warnings about the data, and where everything is."""
    console.print(console_table(evaluation.figures))
    for line in verdict(evaluation.figures):
        console.print(line, highlight=False)
    for line in confidence_lines(evaluation.figures):
        console.print(line, highlight=False)
    standing = "champion" if decision["champion"] else "challenger"
    console.print(
        f"Version {decision['version']} of {decision['registered_model']} is {standing}: {decision['reason']}"
    )
    for warning in data_docs.warnings:
        console.print(f"Warning: {warning.said}", highlight=False, markup=False)
    shown = folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder
    console.print(f"Report      {shown / 'report.html'}\nONNX model  {shown / 'model.onnx'}\nUIs         make ui")
