"""What a retraining promises, found in seconds before it is begun."""

from facerecon.settings import Settings


class Probe(Settings):
    """The gain of what is fitted in closed form, refitted to all training faces, over the champion's.

    ``mean`` over the val faces of a source, in ``unit`` of ``metric`` (a label); None where there is nobody. ``low``
    and ``high``, the ends of its interval over ``people`` at ``confidence``; None where too few people can tell.
    """

    metric: str
    unit: str
    mean: float | None
    low: float | None
    high: float | None
    people: int
    faces: int
    confidence: float

    @property
    def said(self) -> str:
        """The figures in words."""
        if self.mean is None:
            return f"no {self.metric}, for no new person is in val"
        interval = "cannot be told" if self.low is None else f"{self.low:+.2f} to {self.high:+.2f}"
        return f"{self.mean:+.2f} {self.unit} of {self.metric} ({interval}) on {self.people} new people"
