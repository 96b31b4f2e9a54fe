"""What an evaluation of landmarks has beside scores: how far confidence is trusted, what truth the figures rest on."""

from enum import StrEnum

from pydantic import Field

from facerecon.evaluation.evaluation import Details
from facerecon.evaluation.trust import Trust
from facerecon.settings import Settings


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


class FitRow(Settings):
    """How the morphable model was fitted to the network's points in ``faces`` under one condition: ``refused`` of the
    fits gave the mean face; ``reprojection`` is the mean distance (root mean square over a face's points) of the fitted
    points to those of the network, in per cent of the box, None without a face."""

    case: str
    faces: int
    refused: int
    reprojection: float | None


class Shape(Settings):
    """The shape in 3D of the faces of one set, beside the vertex errors among the scores.

    ``exact`` is the mean vertex error in mm of the model fitted to the exact points; ``exact_refused`` of these fits
    gave the mean face. ``explained`` is the share of drawn people's variance that the model holds. None where no
    vertices are known.
    """

    rows: tuple[FitRow, ...]
    explained: float | None = None
    exact: float | None = None
    exact_refused: int = 0


class LandmarkDetails(Details):
    """``truths`` are those of the face sets, the headline's first. ``left_out`` counts the faces that no crop could be
    cut for, by why. ``not_found`` is the share of faces in which MediaPipe finds none, by case.
    ``shapes`` has what is told of shape in 3D, by face set.
    """

    truths: dict[str, Truth]
    left_out: dict[str, int]
    not_found: dict[str, float]
    confidence: tuple[Confidence, ...] = ()
    shapes: dict[str, Shape] = Field(default_factory=dict)

    @property
    def truth(self) -> Truth:
        """The headline's."""
        return next(iter(self.truths.values()))


DETAILS = LandmarkDetails
