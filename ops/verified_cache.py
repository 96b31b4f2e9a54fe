"""ZenML's cache, distrusted: an earlier step is taken only if all that it made is still there and unchanged."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from zenml.client import Client
from zenml.models import ArtifactVersionResponse, StepRunResponse
from zenml.orchestrators import cache_utils
from zenml.utils import source_utils

LOG = logging.getLogger(__name__)


@contextmanager
def verified_cache() -> Iterator[None]:
    """Meanwhile ZenML's search for a step to repeat passes over those whose artifacts are gone or damaged.

    ZenML itself asks its database only, and a run would end in a step that cannot read its inputs.
    """
    search = cache_utils.get_cached_step_run

    def find(cache_key: str) -> StepRunResponse | None:
        while (found := search(cache_key)) and not _is_whole(found):
            LOG.warning("step %s is computed again: what it made in an earlier run is gone or damaged", found.name)
            Client().update_step_run(found.id, cache_expires_at=datetime.now(UTC))
        return found

    cache_utils.get_cached_step_run = find
    try:
        yield
    finally:
        cache_utils.get_cached_step_run = search


def _is_whole(step: StepRunResponse) -> bool:
    return all(_is_unchanged(artifact) for artifacts in step.outputs.values() for artifact in artifacts)


def _is_unchanged(artifact: ArtifactVersionResponse) -> bool:
    """Whether the artifact can be read and has the content hash that it was stored with."""
    try:
        content = artifact.load()
        kind = source_utils.load(artifact.materializer)
        return bool(kind(artifact.uri).compute_content_hash(content) == artifact.content_hash)
    except Exception as error:  # whatever a damaged file makes its reader say
        LOG.debug("artifact %s in %s cannot be read: %s", artifact.name, artifact.uri, error)
        return False
