"""The cache key that all steps share beside their parameters and inputs."""

from zenml.config.cache_policy import CachePolicy

CACHE = CachePolicy(include_step_code=False, cache_func="ops.lineage.code_digest")
"""Code and lock file through their digest; inputs by content, so that equal inputs made twice still hit."""
