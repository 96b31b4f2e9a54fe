"""What an evaluation of restoration has beside scores: who is recognised, how far confidence is trusted, use."""

from facerecon.evaluation.evaluation import Details
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.settings import Settings


class AsUsed(Settings):
    """Of a method under one degradation, means as used and as measured else, over the same faces.

    Of ``faces``, with their photographs degraded, ``found`` were found again. ``before`` and ``used`` are in the
    metric's unit, ``difference`` with the interval ``low`` to ``high`` of a bootstrap over ``identities`` people; None
    where no face was found, or, of the interval, where too few people can tell.
    """

    case: str
    method: str
    metric: str
    faces: int
    found: int
    identities: int = 0
    before: float | None = None
    used: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def not_found(self) -> int:
        """How many faces were not found again."""
        return self.faces - self.found


class Gain(Settings):
    """The model's figure less that of the degraded input, mean and interval over people; ``ratio`` of the means."""

    case: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    ratio: float | None
    identities: int


class Confidence(Settings):
    """How far the confidence can be trusted under one degradation; as ``evaluation.calibration`` defines it."""

    case: str
    pixels: int
    brier: float
    brier_constant: float
    calibration_error: float
    mean_confidence: float
    share_right: float


class RestorationDetails(Details):
    """``gallery`` people and ``probes`` faces of ``recognised`` people with two photos or more made rank 1.

    ``scale``: how many times as large the model makes its input; ``threshold``: the error, of 255, up to which a pixel
    is right for the confidence. ``as_used_note`` says what was not measured as used, and why; "" if all was.
    """

    scale: int
    threshold: int
    gallery: int
    probes: int
    recognised: int
    gains: tuple[Gain, ...] = ()
    confidence: tuple[Confidence, ...] = ()
    as_used: tuple[AsUsed, ...] = ()
    as_used_note: str = ""

    def figures(self, face_set: str) -> dict[MetricKey, float]:
        """What the model reaches as used, by how much that differs, and the share of faces that were not found."""
        found = {}
        for row in self.as_used:
            if row.method != MODEL:
                continue
            values = {"": row.used, "_difference": row.difference, "_not_found": row.not_found / row.faces}
            for what, value in values.items():
                if value is not None:
                    found[MetricKey(face_set, f"{row.metric}_as_used{what}", row.case)] = value
        return found


DETAILS = RestorationDetails
