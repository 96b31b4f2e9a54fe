"""How restoration tells of an evaluation: faces, gains, who is recognised, confidence, identity against LPIPS."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.presets import find_preset
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.image_metrics import CEILING, WHOLE_PSNR
from facerecon.evaluation.promotion import MODEL
from facerecon.report.base import TaskReport
from facerecon.report.formats import interval_text, signed_text
from facerecon.report.lighting import lighting_table
from facerecon.report.robustness import robustness_section
from facerecon.report.story import Story
from facerecon.report.used import used_rows
from facerecon.tasks.restoration.details import RestorationDetails
from facerecon.tasks.restoration.gate_settings import INPUT
from facerecon.tasks.restoration.report import pictures, plane

LOADED_FILES = ("templates/*",)
"""What this module's report reads beside itself."""

LIMITS = (
    "A restoration is a plausible guess. It is not evidence of who a person is: where the picture does not say, the "
    "network paints what is likely among the faces that it was trained on.",
    "Identity figures say how alike a network finds two pictures. They are no probability that it is the same person.",
    "Faces were aligned while they were clear, and degraded afterwards; in use they are found and aligned as they are. "
    "Real cameras degrade in ways that no table here has.",
    "PSNR rewards blur: a restoration can have the better PSNR and look worse. Read it beside LPIPS.",
)
CONFIDENCE_LIMIT = (
    "Confidence is learned on training faces. On pictures unlike those it can be wrong and sure of itself."
)


@dataclass(frozen=True)
class GainRow:
    """What the model changes in a figure of the input: shown texts; ``sure``: the interval lies on one side of 0."""

    case: str
    metric: str
    arrow: str
    mean: str
    interval: str
    ratio: str
    sure: bool


def details_of(evaluation: Evaluation) -> RestorationDetails:
    """The evaluation's details as those of restoration."""
    return cast(RestorationDetails, evaluation.details)


class RestorationReport(TaskReport):
    """The report of restoration."""

    purpose = "restores degraded images of aligned faces"
    package = "facerecon.tasks.restoration.report"
    sections: ClassVar[dict[str, tuple[str, ...]]] = {
        "faces": ("faces.html",),
        "figures": (
            "degradations.html",
            "as_used.html",
            "gains.html",
            "robustness.html",
            "lighting.html",
            "plane.html",
            "recognition.html",
        ),
        "after_figures": ("confidence.html",),
        "compared": ("compared.html",),
        "card_use": ("card_use.md.j2",),
        "card_figures": ("card_figures.md.j2", "lighting.md.j2"),
    }
    floors: ClassVar[frozenset[str]] = frozenset({"richardson_lucy"})
    disclaimer = "A restoration is a plausible guess. It is not evidence of who a person is."
    figure_notes = (
        "All figures are of whole aligned faces.",
        "Identity is the cosine between the judge's embeddings of the result and of the true face.",
        "Rank 1: in a gallery of one clear photo of each of the people, the share of the other photos whose nearest "
        "neighbour shows their own person.",
        "The row “input” is the faces as they were given, enlarged bicubically where the model enlarges.",
        "“Deconvolution, true kernel” is Richardson-Lucy with the kernel that truly blurred the face: no method, but "
        "what one that knew it could do.",
    )
    intended_use = (
        "Research on restoration and on what a camera does to a face.",
        "Making a photograph pleasant to view, where everybody who sees it is told that it was restored.",
        "Giving an investigator a first impression, with the original beside it, never instead of it.",
    )
    misuse = (
        "**As evidence.** A restoration must not identify, convict or exclude a person.",
        "**As input to face recognition.** Give recognition the face as it is: a restoration adds nothing that the "
        "picture did not hold, and may take the person for another; see rank 1.",
        "**Without the original.** Never pass a restoration on alone.",
        "On people who did not agree to it, or against the law of the place.",
    )

    def case_title(self, case: str) -> str:
        return case.replace("_", " ")

    def case_tag(self, story: Story, case: str) -> str:
        return "" if case in story.settings["degradations"]["training"] else "never trained on"

    def beside_headline(self, evaluation: Evaluation) -> list[str]:
        said = []
        for row in details_of(evaluation).gains:
            metric = evaluation.metric(row.metric)
            if row.case != evaluation.headline[1] or row.metric == evaluation.headline[0]:
                continue
            unit = f" {metric.unit}" if metric.unit else ""
            interval = "" if row.low is None else f" [{interval_text(row.low, row.high, 3)}]"
            said.append(f"{metric.label} {signed_text(row.mean, metric.digits)}{unit}{interval}")
        under = self.case_title(evaluation.headline[1])
        beside = [f"Against the input, under {under}: {'; '.join(said)}."] if said else []
        return [*beside, used_sentence(evaluation)]

    def shortfalls(self, evaluation: Evaluation) -> list[str]:
        said = []
        for row in details_of(evaluation).gains:
            metric = evaluation.metric(row.metric)
            if metric.gain(row.mean, 0) < 0:
                said.append(f"{metric.label} is worse than the input's under {self.case_title(row.case)}")
        useless = [
            self.case_title(row.case)
            for row in details_of(evaluation).confidence
            if round(row.brier, 3) >= round(row.brier_constant, 3)
        ]
        if useless:
            said.append(f"confidence is no better than one constant guess (Brier score) under {', '.join(useless)}")
        return said

    def limits(self, story: Story) -> list[str]:
        return [*LIMITS, *([CONFIDENCE_LIMIT] if details_of(story.evaluation).confidence else [])]

    def training_facts(self, story: Story) -> list[tuple[str, str]]:
        losses = story.settings["training"]["losses"]
        weights = ", ".join(
            f"{name.replace('_', ' ')} × {weight:g}"
            for name, weight in losses.items()
            if isinstance(weight, int | float) and weight and not name.endswith("_interval")
        )
        facts = [("degradations", ", ".join(story.settings["degradations"]["training"])), ("loss", weights)]
        if adversarial := story.settings["training"].get("adversarial"):
            facts.append(("discriminator", f"{adversarial['loss']}, weight {adversarial['weight']:g}"))
        return facts

    def charts(self, names: list[str]) -> list[tuple[str, list[str]]]:
        found = []
        for metric, title in (("lpips_vgg", "LPIPS"), ("whole_psnr", "whole PSNR, dB")):
            curves = sorted(name for name in names if name.startswith(f"val/{metric}/"))
            found.append((f"validation: {title}", curves))
        return found

    def anchors(self, story: Story) -> dict[str, tuple[str, str]]:
        found = {"faces": ("faces", "Faces")}
        if details_of(story.evaluation).confidence:
            found["after_figures"] = ("confidence", "Confidence")
        return found

    def sample_grid(self, evaluation: Evaluation) -> NDArray[np.uint8]:
        """Per face original, input, model, ridge regression, error."""
        samples = evaluation.samples
        # 64 of 255 is white: errors above look alike, smaller ones stay visible
        error = np.repeat(np.clip(samples["error"].astype(np.int16) * 4, 0, 255).astype(np.uint8)[..., None], 3, axis=3)
        columns = (samples["original"], samples["degraded"], samples["restored"], samples["ridge"], error)
        return np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)

    def context(self, story: Story) -> dict[str, Any]:
        evaluation, details = story.evaluation, details_of(story.evaluation)
        champion = story.decision.opponent
        distance, cosine = (
            evaluation.headline[0],
            next(m.name for m in evaluation.metrics if m.name.startswith("identity")),
        )
        cases = [case for case, _ in evaluation.split_cases]
        drawn = [
            plane.plane(evaluation, distance, cosine, self.case_title(case), case) for case in dict.fromkeys(cases)
        ]
        return {
            "gallery": pictures.gallery(evaluation.samples, story.comparison, details, champion),
            "degradations": [
                (self.case_title(case), find_preset(case).source)
                for case in dict.fromkeys(case for case, _ in evaluation.split_cases)
            ],
            "as_used": used_rows(evaluation, self, details.as_used),
            "gains": gain_rows(evaluation, self),
            "lighting": lighting_table(evaluation, self, WHOLE_PSNR, evaluation.headline[1], "degradation"),
            "robustness": robustness_section(evaluation, details.robustness, robustness_note(evaluation, self)),
            "planes": [each for each in drawn if each is not None],
            "drawing": plane,
            "keys": pictures,
        }


def robustness_note(evaluation: Evaluation, report: TaskReport) -> str:
    """What is given to the network where its input is disturbed."""
    return (
        "JPEG, H.264 and noise are each done alone to the clear face, with frozen pixels; undisturbed it is given as "
        f"it is, and PSNR of equal pictures counts as {CEILING:.2f} dB: an input without fault loses more by a "
        "step than a network that changes even a clear face. The attack and the noise beside it are on "
        f"faces under {report.case_title(evaluation.headline[1])}."
    )


def gain_rows(evaluation: Evaluation, report: TaskReport) -> list[GainRow]:
    """What the model changes in each figure of the input, a row a degradation and metric."""
    rows = []
    for row in details_of(evaluation).gains:
        metric = evaluation.metric(row.metric)
        unit = f" {metric.unit}" if metric.unit else ""
        rows.append(
            GainRow(
                case=report.case_title(row.case),
                metric=metric.titled,
                arrow=metric.arrow,
                mean=f"{signed_text(row.mean, metric.digits)}{unit}",
                interval=interval_text(row.low, row.high, 3),
                ratio="–" if row.ratio is None else f"{row.ratio:.2f}",
                sure=row.low is not None and row.high is not None and (row.low > 0 or row.high < 0),
            )
        )
    return rows


def used_sentence(evaluation: Evaluation) -> str:
    """What the headline's figures become as used, in one sentence."""
    details, (name, case) = details_of(evaluation), evaluation.headline
    metric = evaluation.metric(name)
    rows = {row.method: row for row in details.as_used if (row.case, row.metric) == (case, name)}
    if MODEL not in rows:
        return f"As used: not measured ({details.as_used_note})."
    ours, theirs = rows[MODEL], rows[INPUT]
    missing = f"{ours.not_found} of {ours.faces} faces were not found"
    if ours.used is None or ours.before is None or theirs.used is None:
        return f"As used, each photograph degraded before the face is found, {missing}."
    return (
        f"As used, each photograph degraded before the face is found, the model's {metric.label} under {case} is "
        f"{ours.used:.{metric.digits}f} where it is {ours.before:.{metric.digits}f} (the input's "
        f"{theirs.used:.{metric.digits}f}); {missing}."
    )


REPORT = RestorationReport()
