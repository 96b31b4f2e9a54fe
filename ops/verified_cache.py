"""ZenML's cache, distrusted: an earlier step is taken only if all that it made is still there and unchanged."""

import logging
from datetime import UTC, datetime
from typing import Protocol

from zenml.client import Client
from zenml.models import ArtifactVersionResponse, StepRunResponse
from zenml.utils import source_utils

LOG = logging.getLogger(__name__)


class Search(Protocol):
    """The newest step with a cache key that has not expired."""

    def __call__(self, cache_key: str) -> StepRunResponse | None: ...


def verified(search: Search) -> Search:
    """``search``, but steps whose artifacts are gone or damaged expire.

    ZenML itself asks its database only, and a run would end in a step that cannot read its inputs.
    """

    def find(cache_key: str) -> StepRunResponse | None:
        while (found := search(cache_key)) and not _is_whole(found):
            LOG.warning("step %s is computed again: what it made in an earlier run is gone or damaged", found.name)
            Client().update_step_run(found.id, cache_expires_at=datetime.now(UTC))
        return found

    return find


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
