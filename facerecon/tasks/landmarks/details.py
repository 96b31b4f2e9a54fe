"""What an evaluation of landmarks has beside scores: how far confidence is trusted, what truth the figures rest on."""

from enum import StrEnum

from facerecon.evaluation.as_used import UsedFigure
from facerecon.evaluation.evaluation import Details
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.trust import Trust
from facerecon.settings import Settings

MEDIAPIPE, MTCNN = "mediapipe", "mtcnn_box"

AS_USED = {
    MODEL: "model, face found as in use",
    MTCNN: "model, face found by MTCNN alone",
    MEDIAPIPE: "MediaPipe on the whole photograph",
}
"""What is measured as used, by label."""


class Truth(StrEnum):
    """What the true points of a face are, and so what figures that rest on them tell."""

    EXACT = "exact"
    """As drawn: accuracy."""
    GIVEN = "given"
    """Those that a data set brings, which a program has found: agreement with these."""
    MEDIAPIPE = "mediapipe"
    """MediaPipe's on the clear photograph: agreement with it."""


class Confidence(Trust):
    """How far the confidence of so many ``points`` can be trusted under one condition."""

    points: int


class AsUsed(Settings):
    """What was measured as used on a face set; ``note`` says what was not, and why, "" if all was."""

    face_set: str
    rows: tuple[UsedFigure, ...] = ()
    note: str = ""


class LandmarkDetails(Details):
    """``truths`` are those of the face sets, the headline's first. ``left_out`` counts the faces that no crop could be
    cut for, by why. ``not_found`` is the share of faces in which MediaPipe finds none, by case.
    """

    truths: dict[str, Truth]
    left_out: dict[str, int]
    not_found: dict[str, float]
    confidence: tuple[Confidence, ...] = ()
    as_used: tuple[AsUsed, ...] = ()

    @property
    def truth(self) -> Truth:
        """The headline's."""
        return next(iter(self.truths.values()))

    def figures(self, face_set: str) -> dict[MetricKey, float]:
        """What the model reaches as used, by how much that differs, and the share of faces that were not found."""
        return {
            MetricKey(face_set, f"{row.metric}{what}", row.case): value
            for each in self.as_used
            for row in each.rows
            if row.method == MODEL and each.face_set == face_set
            for what, value in row.figures.items()
        }


DETAILS = LandmarkDetails
