"""How inpainting tells of an evaluation: faces, masks, confidence, lighting, and what a mask hides."""

from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.masks import FAMILIES
from facerecon.evaluation.evaluation import Evaluation
from facerecon.report import tables
from facerecon.report.base import TaskReport
from facerecon.report.lighting import lighting_table
from facerecon.report.robustness import robustness_section
from facerecon.report.story import Story
from facerecon.tasks.inpainting.details import InpaintingDetails
from facerecon.tasks.inpainting.metrics import HOLE_PSNR, MAIN_CASE
from facerecon.tasks.inpainting.report import as_used, degraded, pictures, reliability
from facerecon.tasks.inpainting.report.pictures import level_range

LOADED_FILES = ("templates/*",)
"""What this module's report reads beside itself."""

LIMITS = (
    "A reconstruction is a plausible guess. It is not evidence of who a person is: the network invents what it "
    "cannot see, and paints the same for everyone who looks alike outside the hole.",
    "Identity figures say how alike a network finds two pictures. They are no probability that it is the same person.",
    "The figures hold for these frozen masks on this test split. Real occlusions, other cameras, other "
    "compression, other poses and other people can give others.",
    "PSNR rewards blur: a reconstruction can have the better PSNR and look worse. Read it beside LPIPS.",
)
CONFIDENCE_LIMIT = (
    "Confidence is learned on training faces. On pictures unlike those it can be wrong and sure of itself."
)
PRIOR_LIMIT = (
    "Holes are first filled with what the training faces have in common, place by place: faces that are aligned "
    "otherwise, and people unlike those, are filled worse, and all are drawn towards the mean of those."
)
ATTENTION_LIMIT = (
    "Attention maps show how strongly the network's gates let features through. They do not explain why it paints what "
    "it paints."
)

ROBUSTNESS_NOTE = (
    "Brush masks of the middle level hide the faces, and what is known comes from the damaged picture. JPEG, H.264 and "
    "noise are each alone, with frozen pixels, and done to the whole face before it is hidden: codecs carry a little "
    "of what is hidden across the rim of the hole. LPIPS and identity are of the whole composite, whose known pixels "
    "are damaged, too."
)
"""What is given to the network where its input is disturbed."""

PART_CASES = ("features/", "parts/")
"""How the names begin of cases that hide a part of the face: by its points, or as its source labels it."""


def details_of(evaluation: Evaluation) -> InpaintingDetails:
    """The evaluation's details as those of inpainting."""
    return cast(InpaintingDetails, evaluation.details)


class InpaintingReport(TaskReport):
    """The report of inpainting."""

    purpose = "puts hidden parts of an aligned face back"
    package = "facerecon.tasks.inpainting.report"
    sections: ClassVar[dict[str, tuple[str, ...]]] = {
        "faces": ("faces.html",),
        "figures": ("as_used.html", "robustness.html", "lighting.html"),
        "after_figures": ("confidence.html",),
        "compared": ("compared.html",),
        "after_promotion": ("masks.html",),
        "card_use": ("card_use.md.j2",),
        "card_figures": ("card_figures.md.j2", "lighting.md.j2"),
    }
    floors: ClassVar[frozenset[str]] = frozenset({"masked_input"})
    disclaimer = "A reconstruction is a plausible guess. It is not evidence of who a person is."
    parts_title = "Parts of the face, each hidden alone"
    figure_notes = (
        "All figures are of composites: the network's output inside the hole, the photograph outside it.",
        "Whole PSNR counts all pixels, hole PSNR only hidden ones.",
        "Identity is the cosine between the judge's embeddings of the result and of the true face. The row “hidden "
        "input” is its floor: the face with its holes left gray.",
        "Parts of the face are drawn from each face's own landmarks. They cover too little of the picture to have "
        "levels; left and right are the picture's.",
    )
    intended_use = (
        "Research on inpainting and on what occlusion does to a face.",
        "Restoring a photograph for viewing, where everybody who sees it is told which parts are invented.",
        "Giving an investigator a first impression, with the original and the mask beside it, never instead of them.",
    )
    misuse = (
        "**As evidence.** A reconstruction must not identify, convict or exclude a person. What was hidden is gone; "
        "the model paints what is likely on average among the faces it has seen.",
        "**As input to face recognition.** A match with a reconstruction is a match with a guess.",
        "**Without its mask.** Never pass a reconstruction on without showing which pixels it invented.",
        "On people who did not agree to it, or against the law of the place.",
    )

    def case_title(self, case: str) -> str:
        if case.startswith("parts/"):
            return f"{case.removeprefix('parts/')} (outline)"
        if case.startswith("features/"):
            return "all parts" if case == "features/all" else case.removeprefix("features/").replace("_", " ")
        if degraded.is_degraded(case):
            return f"brush masks over faces degraded by {degraded.preset_of(case)}"
        return f"{case.replace('_', ' ')} masks"

    def level_label(self, case: str, level: int) -> str:
        return self.case_title(case) if level < 0 else f"level {level} ({level_range(level)} hidden)"

    def row_note(self, evaluation: Evaluation, case: str, level: int) -> str:
        return f"{details_of(evaluation).hole_ratio(case, level) * 100:.1f} % of the picture on average"

    def order(self, cases: list[str]) -> list[str]:
        """Brush first, families never trained on after the others, then degraded faces; parts of the face last."""

        def place(case: str) -> tuple[int, int]:
            if degraded.is_degraded(case):
                return 3, degraded.rank_of(case)
            if case == MAIN_CASE:
                return 0, 0
            return 4 if self.is_part(case) else 1 + (case in FAMILIES and not FAMILIES[case].trained), 0

        return sorted(cases, key=place)

    def is_part(self, case: str) -> bool:
        return case.startswith(PART_CASES)

    def case_tag(self, story: Story, case: str) -> str:
        masks = story.settings["masks"]
        if degraded.is_degraded(case):
            return "" if degraded.preset_of(case) in story.settings["degradations"]["training"] else "never trained on"
        trained = masks["feature_share"] > 0 if self.is_part(case) else case in masks["training_families"]
        return "" if trained else "never trained on"

    def beside_headline(self, evaluation: Evaluation) -> list[str]:
        return [as_used.used_sentence(evaluation, details_of(evaluation))]

    def shortfalls(self, evaluation: Evaluation) -> list[str]:
        rows = reliability.confidence_rows(details_of(evaluation), MAIN_CASE, self)
        useless = [row.level for row in rows if row.useless]
        if not useless:
            return []
        where = tables.level_list(useless)
        return [f"confidence is no better than one constant guess (Brier score) at {where}"]

    def console(self, evaluation: Evaluation) -> list[str]:
        return [*degraded.degraded_lines(evaluation), *reliability.confidence_lines(details_of(evaluation))]

    def limits(self, story: Story) -> list[str]:
        details, said = details_of(story.evaluation), list(LIMITS)
        if details.confidence:
            said.append(CONFIDENCE_LIMIT)
        if story.evaluation.model.fitted:
            said.append(PRIOR_LIMIT)
        if details.attention:
            said.append(ATTENTION_LIMIT)
        if any(degraded.is_degraded(case) for case, _ in story.evaluation.split_cases):
            said.append(degraded.LIMIT)
        return said

    def training_facts(self, story: Story) -> list[tuple[str, str]]:
        masks, losses = story.settings["masks"], story.settings["training"]["losses"]
        share = f"; {masks['feature_share'] * 100:.0f} % hide a part of the face" if masks["feature_share"] else ""
        weights = ", ".join(
            f"{name.replace('_', ' ')} × {weight:g}"
            for name, weight in losses.items()
            if isinstance(weight, int | float) and weight and not name.endswith("_interval")
        )
        facts = [("masks", f"{', '.join(masks['training_families'])}{share}"), ("loss", weights)]
        if chosen := story.settings.get("degradations"):
            clean = f"; {chosen['clean_share'] * 100:.0f} % of the faces are left as they are"
            facts.insert(1, ("degradations", f"{', '.join(chosen['training'])}{clean}"))
        if fitted := story.evaluation.model.fitted:
            said = f"starts from what the training faces have in common: up to {fitted:,} numbers computed from them"
            facts.insert(0, ("prior", f"{said}, not trained"))
        return facts

    def charts(self, names: list[str]) -> list[tuple[str, list[str]]]:
        levels = sorted(name for name in names if name.startswith("val/hole_psnr/"))
        return [("validation: hole PSNR, dB", levels), ("validation: hole L1", [f"val/hole_l1/{MAIN_CASE}"])]

    def anchors(self, story: Story) -> dict[str, tuple[str, str]]:
        found = {"faces": ("faces", "Faces"), "after_promotion": ("masks", "Masks")}
        if details_of(story.evaluation).confidence:
            found["after_figures"] = ("confidence", "Confidence")
        return found

    def sample_grid(self, evaluation: Evaluation) -> NDArray[np.uint8]:
        """Per face original, corrupted (hole in magenta), reconstructed, Telea, error."""
        samples = evaluation.samples
        hole = samples["mask"][..., None] == 1
        corrupted = np.where(hole, np.array([255, 0, 255], np.uint8), samples["original"])
        # 64 of 255 is white: errors above look alike, smaller ones stay visible
        error = np.repeat(np.clip(samples["error"].astype(np.int16) * 4, 0, 255).astype(np.uint8)[..., None], 3, axis=3)
        columns = (samples["original"], corrupted, samples["reconstructed"], samples["telea"], error)
        return np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)

    def context(self, story: Story) -> dict[str, Any]:
        evaluation, details = story.evaluation, details_of(story.evaluation)
        champion = story.decision.opponent
        return {
            "confidence": reliability.confidence_blocks(evaluation, details, self),
            "as_used": as_used.used_groups(evaluation, details, self),
            "robustness": robustness_section(evaluation, details.robustness, ROBUSTNESS_NOTE),
            "lighting": lighting_table(evaluation, self, HOLE_PSNR, MAIN_CASE, "hidden"),
            "reliability": reliability.reliability_charts(details),
            "gallery": pictures.gallery(evaluation.samples, story.comparison, details, champion),
            "keys": pictures,
            "squares": reliability,
            "masks": pictures.mask_examples(tables.blocks(evaluation, self)),
        }


REPORT = InpaintingReport()
