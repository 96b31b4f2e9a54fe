"""What came of the checks."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["fail", "warn"]


@dataclass(frozen=True)
class Outcome:
    """One expectation of a ``table``: its name, whether it was met, what was seen, the first rows that break it, what
    follows if it is not met, and whether it could be checked at all."""

    table: str
    expectation: str
    success: bool
    observed: str
    rows: list[str]
    severity: Severity = "fail"
    checked: bool = True

    @property
    def said(self) -> str:
        """What was seen where it was not met, on one line."""
        rows = f"; first rows: {', '.join(self.rows[:3])}" if self.rows else ""
        return " ".join(f"{self.table}: {self.expectation} failed: {self.observed}{rows}".split())


@dataclass(frozen=True)
class DataDocs:
    """The outcome of every expectation, and Great Expectations' pages about them: HTML by file name, ``index.html``
    among them, that need no network, run no script, and are the same for the same data."""

    outcomes: list[Outcome]
    pages: dict[str, str]

    @property
    def warnings(self) -> list[Outcome]:
        """Expectations that were not met, of severity ``warn``."""
        return [outcome for outcome in self.outcomes if not outcome.success]

    def summary(self) -> list[dict[str, Any]]:
        """The outcomes as plain values, for JSON."""
        return [asdict(outcome) for outcome in self.outcomes]
