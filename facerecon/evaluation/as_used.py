"""Figures as used beside those that are measured else, over the same faces."""

from collections.abc import Mapping
from typing import Any

from facerecon.evaluation.paired import change
from facerecon.settings import Settings


class Used(Settings):
    """A figure of a ``method`` under one ``case``, as used and as it is measured else.

    Of ``faces``, ``found`` were found in their damaged photographs. Over these are all means: ``before``, damaged after
    they were aligned, ``used``, found and aligned as they are, and their ``difference`` with the interval ``low`` to
    ``high`` of a bootstrap over ``identities`` people. None where no face was found, or, of the interval, where too few
    people can tell.
    """

    case: str
    method: str
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
        """How many faces were not found."""
        return self.faces - self.found

    @property
    def figures(self) -> dict[str, float]:
        """What trackers keep, by what stands behind the metric's name."""
        values = {"": self.used, "_difference": self.difference, "_not_found": self.not_found / self.faces}
        return {f"_as_used{what}": value for what, value in values.items() if value is not None}


class UsedFigure(Used):
    """A ``metric`` as used: with the photographs degraded."""

    metric: str


def paired(before: Mapping[str, float], used: Mapping[str, float], people: Mapping[str, str]) -> dict[str, Any]:
    """The fields of ``Used`` that follow from the figure of each face that was found; ``people`` names each face's.

    ``before`` has those of other faces, too.
    """
    if not used:
        return {"found": 0}
    found = change(before, used, people)
    return {
        **{"found": found.faces, "identities": found.identities, "difference": found.difference},
        **{"before": found.before, "used": found.after, "low": found.low, "high": found.high},
    }
