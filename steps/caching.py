"""The cache key of the steps: parameters, among them the code's digest, and inputs by content."""

from zenml.config.cache_policy import CachePolicy

CACHED = CachePolicy(include_step_code=False)
"""A step's parameter ``code`` is the digest of its code with all that it reaches: its own source adds nothing."""
