"""The service: what the command does, over HTTP, for whoever may."""

import ops  # noqa: F401  # switches telemetry off before any tool is imported
