"""How landmarks tell of an evaluation: faces with points and depth, error curves, confidence, what truth it has."""

from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.presets import find_preset
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.promotion import MODEL
from facerecon.report.album import in_budget
from facerecon.report.base import TaskReport
from facerecon.report.story import Story
from facerecon.report.used import used_rows
from facerecon.tasks.landmarks.details import AS_USED, LandmarkDetails, Truth
from facerecon.tasks.landmarks.gate_settings import ALL
from facerecon.tasks.landmarks.report import curves, pictures, shape

LOADED_FILES = ("templates/*",)
"""What this module's report reads beside itself."""

TRUTHS = {
    Truth.EXACT: "The truth is that of drawn faces, exact to the pixel's fraction; drawn faces are not photographs.",
    Truth.GIVEN: "The truth of these figures is the points that the data set brings, which a program has found: they "
    "tell agreement with these, not accuracy.",
    Truth.MEDIAPIPE: "The truth of these figures is MediaPipe's points on the clear photograph: they tell agreement "
    "with MediaPipe, not accuracy.",
}
"""What the figures of each truth tell."""


def details_of(evaluation: Evaluation) -> LandmarkDetails:
    """The evaluation's details as those of landmarks."""
    return cast(LandmarkDetails, evaluation.details)


def _truths_differ(evaluation: Evaluation) -> bool:
    return len(set(details_of(evaluation).truths.values())) > 1


class LandmarkReport(TaskReport):
    """The report of landmarks."""

    purpose = "finds the 68 points of a face in three dimensions and its depth"
    package = "facerecon.tasks.landmarks.report"
    sections: ClassVar[dict[str, tuple[str, ...]]] = {
        "faces": ("faces.html",),
        "figures": ("conditions.html", "curves.html", "landmarks_as_used.html"),
        "after_figures": ("shape.html", "confidence.html"),
        "card_use": ("card_use.md.j2",),
        "card_figures": ("card_figures.md.j2",),
    }
    floors: ClassVar[frozenset[str]] = frozenset({"mean_shape", "mean_face"})
    disclaimer = "Points and depth are an estimate. They are no measurement of a person's face."
    figure_notes = (
        "NME: the mean distance of the 68 points to the true ones, over the square root of the area of the true box.",
        "Failures: faces with an NME above 10 %, and those in which a method finds none. Such a face has no other "
        "figure, so that the means of a method that finds few are of the easy ones.",
        "Depth RMSE is taken inside the face after the scale and shift that suit it best.",
        "Vertex error: the mean distance of the 468 vertices of a face in 3D to the true ones, after the rotation, "
        "shift and scale that suit them best. The model's is that of the morphable model fitted to its points.",
    )
    intended_use = (
        "Research on faces in poor video.",
        "Telling where the parts of a face are, so that a person looks there.",
    )
    misuse = (
        "**As evidence.** The shape of a face that is drawn from few pixels is mostly the mean face: it must not "
        "identify, convict or exclude a person.",
        "**As a measurement.** Lengths on a face cannot be taken from these points.",
    )

    def case_title(self, case: str) -> str:
        return "all conditions" if case == ALL else case.replace("_", " ")

    def case_tag(self, story: Story, case: str) -> str:
        trained = story.settings["degradations"]["training"]
        return "" if case in (ALL, "clean", *trained) else "never trained on"

    def beside_headline(self, evaluation: Evaluation) -> list[str]:
        details = details_of(evaluation)
        said = [TRUTHS[details.truth]]
        if details.not_found:
            found = ", ".join(f"{share:.0%} under {self.case_title(case)}" for case, share in details.not_found.items())
            said.append(f"MediaPipe finds no face in {found}; its means are of the others.")
        return said

    def shortfalls(self, evaluation: Evaluation) -> list[str]:
        said, metric = [], evaluation.headline_metric
        for case, _ in evaluation.split_cases:
            ours = evaluation.summary(metric.name, case, -1, MODEL)
            for method, label in evaluation.methods.items():
                theirs = evaluation.summary(metric.name, case, -1, method)
                if method == MODEL or ours is None or theirs is None or ours.mean is None or theirs.mean is None:
                    continue
                if metric.gain(ours.mean, theirs.mean) < 0:
                    few = "" if theirs.n == ours.n else f", on the {theirs.n} faces of {ours.n} that it finds"
                    said.append(
                        f"under {self.case_title(case)} {label} has the smaller NME ({theirs.mean:.2f} % beside "
                        f"{ours.mean:.2f} %{few})"
                    )
        return said

    def limits(self, story: Story) -> list[str]:
        details = details_of(story.evaluation)
        lost = "; ".join(f"{count} faces: {reason}" for reason, count in sorted(details.left_out.items()))
        return [
            *([f"Left out of this task: {lost}."] if lost else []),
            "Crops of the tables are shifted, turned and scaled at random about the true box; in use a detector finds "
            "the face, or does not: see the figures as used.",
            TRUTHS[details.truth],
        ]

    def sets_title(self, evaluation: Evaluation) -> str:
        return "Faces of another truth" if _truths_differ(evaluation) else super().sets_title(evaluation)

    def sets_note(self, evaluation: Evaluation) -> str:
        if not _truths_differ(evaluation):
            return super().sets_note(evaluation)
        return "Figures that rest on other truths are measured apart, and nothing is averaged over both."

    def set_note(self, evaluation: Evaluation, face_set: str) -> str:
        return TRUTHS[details_of(evaluation).truths[face_set]] if _truths_differ(evaluation) else ""

    def set_cases(self, evaluation: Evaluation) -> list[str]:
        return list(dict.fromkeys(case for case, _ in evaluation.split_cases))

    def sample_grid(self, evaluation: Evaluation) -> NDArray[np.uint8]:
        """Per face the crop, the points by model, HOG and truth, and both depths."""
        return pictures.grid(evaluation.samples)

    def context(self, story: Story) -> dict[str, Any]:
        evaluation = story.evaluation
        cases = dict.fromkeys(case for case, _ in evaluation.split_cases)
        samples = evaluation.samples
        gallery, sides = in_budget(
            pictures.ZOOM * samples["image"].shape[1],
            lambda album: (pictures.gallery(album, samples), shape.sides(album, samples)),
        )
        return {
            "gallery": gallery,
            "sides": sides,
            "shapes": shape.tables(evaluation, details_of(evaluation)),
            "shape_methods": shape.METHODS,
            "conditions": [
                (self.case_title(case), "the mean over the others" if case == ALL else find_preset(case).source)
                for case in cases
            ],
            "curves": [curves.curves(evaluation, case, self.case_title(case)) for case in cases],
            "as_used": [
                (each, used_rows(evaluation, self, each.rows, AS_USED)) for each in details_of(evaluation).as_used
            ],
            "drawing": curves,
            "keys": pictures,
        }


REPORT = LandmarkReport()
