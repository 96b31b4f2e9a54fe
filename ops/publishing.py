"""What a run leaves in one folder, what MLflow and ZenML are told of it, and what the terminal says last."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Console

from facerecon.data.account import as_lines, from_rows
from facerecon.data.collected.collection import Collection
from facerecon.data.manifest import Manifest
from facerecon.data.quarantine import Code
from facerecon.data.settings import licence_text, licences_of
from facerecon.data.validation.outcomes import DataDocs
from facerecon.evaluation.comparison import Comparison
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.promotion import MODEL, Decision
from facerecon.export.result import ExportedModel
from facerecon.files import atomic_path, write_json, write_text
from facerecon.models.trained import Row, TrainingResult
from facerecon.report import Story, render_report
from facerecon.report.beside import beside_lines
from facerecon.report.model_card import render_model_card
from facerecon.report.story import RetrainingStory
from facerecon.report.tables import console_table, set_lines, verdict
from facerecon.retraining.plan import Plan
from facerecon.retraining.story import retraining_story
from facerecon.run import RunSettings
from facerecon.tasks import get_task
from facerecon.weights import table
from facerecon.workspace import PROJECT
from ops import tracking
from ops.cache_tags import cache_tags, show_in_zenml
from ops.comparing import comparisons
from ops.curves import log_curves
from ops.initial_weights import InitialWeights
from ops.lineage import pretrained_of
from ops.promotion import as_of_now
from ops.tracking import DATA_DOCS

DIGITS = 4
"""Decimals of a figure in what DVC compares; ``metrics.json`` has them all."""


@dataclass(frozen=True)
class Publication:
    """All that a run made, to be published.

    ``cases`` is the digest of the frozen cases; ``account`` says what became of every file of the data; ``code`` has
    the digest of the code that each step reaches, ``provenance`` what was known of the run before it started. Of a
    retraining, ``others`` are the models beside which it was measured.
    """

    settings: RunSettings
    faces: Manifest
    cases: str
    result: TrainingResult
    evaluation: Evaluation
    exported: ExportedModel
    recorded: Decision
    comparison: dict[str, NDArray[Any]]
    data_docs: DataDocs
    account: list[dict[str, Any]]
    code: dict[str, str]
    provenance: dict[str, str]
    others: Mapping[str, InitialWeights] = field(default_factory=dict)
    plan: Plan | None = None
    collection: Collection | None = None

    @cached_property
    def decision(self) -> Decision:
        """The decision, with the aliases as they stand now."""
        return as_of_now(self.recorded)

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The model beside the others on today's test."""
        return comparisons(self.evaluation, self.faces, self.settings.name, self.others)

    @property
    def retraining(self) -> RetrainingStory | None:
        """What is told of a retraining; None of another training."""
        if self.plan is None or self.collection is None:
            return None
        number, config = self.decision.anchor_version, self.settings.name
        anchor = "" if number is None else f"{config}/{number}"
        return retraining_story(self.plan, self.collection, self.decision, config, anchor)

    @cached_property
    def cached(self) -> dict[str, str]:
        """Which steps were served from the cache, and which run computed them."""
        return cache_tags()

    @cached_property
    def tags(self) -> dict[str, str]:
        """The tags of a run: equal tags on equal processors mean equal weights and figures."""
        return {
            **self.provenance,
            "manifest_digest": self.faces.digest,
            "cases_digest": self.cases,
            "weights_digest": self.result.best.digest,
            "teachers": ",".join(self.result.best.teachers) or "none",
            **{f"code_digest.{step}": digest for step, digest in self.code.items()},
            **{name: self.cached[name] for name in ("device", "threads", "precision", "trained_in_run")},
        }

    @property
    def story(self) -> Story:
        """What report and model card tell."""
        settings, faces = self.settings, self.faces
        return Story(
            name=settings.name,
            settings=settings.model_dump(mode="json"),
            report=get_task(settings.task).report,
            evaluation=self.evaluation,
            comparison=self.comparison,
            history=self.result.history,
            counts=faces.counts(),
            sources=", ".join(source.label for source in settings.data),
            licence=licence_text(licences_of(settings.data)),
            account=self.account,
            expectations=self.data_docs.summary(),
            quarantine=dict(Counter(Code(code).meaning for code in faces.quarantine["code"])),
            licences=faces.licences(),
            export=self.exported.report,
            decision=self.decision,
            provenance=self.tags,
            weights=table(),
            uses=pretrained_of(settings),
            comparisons=self.comparisons,
            retraining=self.retraining,
        )

    def write(self, folder: Path) -> None:
        """Write ``model.onnx``, ``metrics.json``, ``report.html`` and ``model_card.md``, each in one step.

        Beside them lie ``figures/`` and ``plots/`` for `dvc metrics` and `dvc plots`: see ``write_figures``; and the
        pages of ``data_docs/``.
        """
        write_pages(folder / DATA_DOCS, self.data_docs.pages)
        with atomic_path(folder / "model.onnx") as temporary:
            temporary.write_bytes(self.exported.content)
        compared = [each.model_dump(mode="json") for each in self.comparisons]
        write_json(folder / "metrics.json", self.evaluation.as_dict() | ({"comparisons": compared} if compared else {}))
        story = self.story
        write_text(folder / "report.html", render_report(story))
        write_text(folder / "model_card.md", render_model_card(story))
        write_figures(folder, self.evaluation, self.result, self.decision, self.comparisons)

    def log(self, folder: Path) -> None:
        """Tell MLflow and ZenML what was published in ``folder``."""
        tags, report = self.tags | self.cached, get_task(self.settings.task).report
        show_in_zenml(tags)
        tracking.log_settings(self.settings, tags)
        tracking.log_data(self.faces)
        log_curves(self.result.history)
        tracking.log_figures(self.evaluation, self.result, self.decision, self.comparisons)
        tracking.log_samples(self.evaluation, report)
        tracking.log_data_docs(self.data_docs, folder)
        tracking.log_folder(folder)
        tracking.describe(self.evaluation, self.decision, report)

    def announce(self, folder: Path) -> None:
        """Print the table, the verdict, what became of the data's files, its warnings, and where everything is."""
        console, decision, report = Console(), self.decision, get_task(self.settings.task).report
        console.print(console_table(self.evaluation, report))
        beside = beside_lines(self.evaluation, self.comparisons)
        said = report.beside_headline(self.evaluation)
        lines = (*verdict(self.evaluation, report), *said, *set_lines(self.evaluation, report), *beside)
        for line in (*lines, *report.console(self.evaluation)):
            console.print(line, highlight=False)
        standing = "champion" if decision.champion else "proposed" if decision.proposed else "challenger"
        console.print(
            f"Version {decision.version} of {decision.registered_model} is {standing}: {decision.reason}", markup=False
        )
        for line in as_lines(from_rows(self.account)):
            console.print(line, highlight=False, markup=False)
        for warning in self.data_docs.warnings:
            console.print(f"Warning: {warning.said}", highlight=False, markup=False)
        shown = folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder
        console.print(f"Report      {shown / 'report.html'}\nONNX model  {shown / 'model.onnx'}\nUIs         make ui")


def write_figures(
    folder: Path,
    evaluation: Evaluation,
    result: TrainingResult,
    decision: Decision,
    compared: tuple[Comparison, ...] = (),
) -> None:
    """The figures that MLflow has, as `dvc metrics` and `dvc plots` read them; equal trainings give equal bytes.

    ``figures/test/<case>.json``, ``figures/gate/<case>.json`` (or the face sets of both) and
    ``figures/best_validation.json``: a file a case, so that `dvc metrics show` makes a row of it.
    ``plots/training.csv``: the loss over the steps,
    ``plots/validation.csv``: the figure by which the checkpoint is chosen, ``plots/headline.csv``: the headline metric
    of the model and its baseline by level. The columns have the same names for every task.
    """
    cases: dict[str, dict[str, float]] = defaultdict(dict)
    figures = tracking.figure_metrics(evaluation) | tracking.gate_metrics(decision)
    for key, value in (figures | tracking.comparison_metrics(compared)).items():
        cases[f"{key.face_set}/{key.case_name}"][key.metric] = round(value, DIGITS)
    best = tracking.best_metrics(result)
    cases["best_validation"] = {name.removeprefix("best/"): round(value, DIGITS) for name, value in best.items()}
    written = {folder / "figures" / f"{case}.json": values for case, values in cases.items()}
    for path, values in written.items():
        write_json(path, values)
    for path in set((folder / "figures").rglob("*.json")) - set(written):
        path.unlink()  # of a case that an earlier run had
    write_csv(folder / "plots" / "training.csv", _curve(result.history, "loss/total", "loss"))
    write_csv(folder / "plots" / "validation.csv", _curve(result.history, result.checkpoint_key, "checkpoint_key"))
    name, case = evaluation.headline
    rows = []
    for level in evaluation.levels(case):
        found = [evaluation.summary(name, case, level, method) for method in (MODEL, evaluation.baseline)]
        means = [None if each is None else each.mean for each in found]
        rows.append({"level": max(level, 0), **dict(zip((MODEL, "baseline"), means, strict=True))})
    write_csv(folder / "plots" / "headline.csv", rows)


def _curve(history: list[Row], name: str, column: str) -> list[dict[str, Any]]:
    """The step and one curve's value, of the points that have it; never the time that it took."""
    return [{"step": int(row["step"]), column: row[name]} for row in history if name in row]


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
