"""What an evaluation of landmarks has beside scores: how far confidence is trusted, what truth the figures rest on."""

from enum import StrEnum

from facerecon.evaluation.evaluation import Details
from facerecon.evaluation.trust import Trust


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


class LandmarkDetails(Details):
    """``truths`` are those of the face sets, the headline's first. ``left_out`` counts the faces that no crop could be
    cut for, by why. ``not_found`` is the share of faces in which MediaPipe finds none, by case.
    """

    truths: dict[str, Truth]
    left_out: dict[str, int]
    not_found: dict[str, float]
    confidence: tuple[Confidence, ...] = ()

    @property
    def truth(self) -> Truth:
        """The headline's."""
        return next(iter(self.truths.values()))


DETAILS = LandmarkDetails
