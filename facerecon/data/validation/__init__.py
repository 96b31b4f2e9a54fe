"""Great Expectations on the manifest: what the data must fulfil before anything is trained on it."""

from facerecon.data.validation.check import Validation, validate
from facerecon.data.validation.outcomes import DataDocs, Outcome
from facerecon.data.validation.suites import resolve_suites

__all__ = ["DataDocs", "Outcome", "Validation", "resolve_suites", "validate"]
