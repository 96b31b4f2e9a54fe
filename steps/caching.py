"""The cache key of the steps: parameters, among them the code's digest, and inputs by content."""

from zenml.config.cache_policy import CachePolicy

CACHED = CachePolicy(include_step_code=False)
"""A step has its code's digest, with all that it reaches, as the parameter ``code``: the step's own source adds nothing."""
