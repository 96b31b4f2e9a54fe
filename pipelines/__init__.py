"""Wiring only: which step feeds which."""

import ops  # noqa: F401  # switches telemetry and chatter off before any tool is imported
