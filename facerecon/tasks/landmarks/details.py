"""What an evaluation of landmarks has beside scores: how far confidence is trusted, what truth the figures rest on."""

from facerecon.evaluation.evaluation import Details
from facerecon.evaluation.trust import Trust


class Confidence(Trust):
    """How far the confidence of so many ``points`` can be trusted under one condition."""

    points: int


class LandmarkDetails(Details):
    """``exact``: the truth is as drawn, else the figures are of agreement with MediaPipe. ``left_out`` counts the faces
    that no crop could be cut for, by why. ``not_found`` is the share of faces in which MediaPipe finds none, by case.
    """

    exact: bool
    left_out: dict[str, int]
    not_found: dict[str, float]
    confidence: tuple[Confidence, ...] = ()


DETAILS = LandmarkDetails
