"""What an evaluation of landmarks has beside scores: how far confidence is trusted, what truth the figures rest on."""

from enum import StrEnum

from pydantic import Field

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
    """How far the confidence of so many ``points`` of a face set can be trusted under one condition."""

    face_set: str
    points: int


class FitRow(Settings):
    """How the morphable model was fitted to the network's points in ``faces`` under one condition: ``refused`` of the
    fits gave the mean face; ``reprojection`` is the mean distance (root mean square over a face's points) of the fitted
    points to those of the network, in per cent of the box, None without a face."""

    case: str
    faces: int
    refused: int
    reprojection: float | None


class Shape(Settings):
    """The shape in 3D of the faces of a set, beside the vertex errors among the scores.

    ``exact`` is the mean vertex error in mm of the model fitted to the exact points; ``exact_refused`` of these fits
    gave the mean face. ``explained`` is the share of drawn people's variance that the model holds. None where no
    vertices are known.
    """

    face_set: str
    rows: tuple[FitRow, ...] = ()
    explained: float | None = None
    exact: float | None = None
    exact_refused: int = 0


class AsUsed(Settings):
    """What was measured as used on a face set; ``note`` says what was not, and why, "" if all was.

    Of ``beside`` crops of these photographs that show no face, so many were ``refused`` under each condition.
    """

    face_set: str
    rows: tuple[UsedFigure, ...] = ()
    note: str = ""
    beside: int = 0
    refused: dict[str, int] = Field(default_factory=dict)


class LandmarkDetails(Details):
    """``truths`` are those of the face sets, the headline's first. ``left_out`` counts the faces that no crop could be
    cut for, by why. ``not_found`` is the share of faces in which MediaPipe finds none, by case.
    ``shapes`` is what is told of the shape in 3D of each face set.
    """

    truths: dict[str, Truth]
    left_out: dict[str, int]
    not_found: dict[str, float]
    confidence: tuple[Confidence, ...] = ()
    as_used: tuple[AsUsed, ...] = ()
    shapes: tuple[Shape, ...] = ()

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
