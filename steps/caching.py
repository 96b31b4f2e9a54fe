"""When a step that ran before is run again."""

from zenml.config.cache_policy import CachePolicy

from ops.code import reached_files


def cache_of(module: str) -> CachePolicy:
    """The cache key of the step in ``module``: its parameters, its inputs by content, and the code it can reach."""
    return CachePolicy(include_step_code=False, file_dependencies=reached_files(module))
