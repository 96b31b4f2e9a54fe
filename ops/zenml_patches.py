"""All that rests on how ZenML works inside; ``tests/ops/test_zenml_patches.py`` tells when ZenML has changed there."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zenml
from zenml.entrypoints import base_entrypoint_configuration
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker
from zenml.integrations.registry import integration_registry
from zenml.orchestrators import cache_utils

from facerecon.errors import FaceReconError
from ops.faults import explain
from ops.kubernetes_settings import added, without_nulls
from ops.verified_cache import verified

LOG = logging.getLogger(__name__)

WRITTEN_FOR = "0.98."
"""The versions of ZenML that the patches were written for begin so."""

FRAMEWORKS = frozenset({"huggingface", "lightning", "pillow", "pytorch", "pytorch_lightning", "scipy", "sklearn"})
"""Integrations that only bring materializers, for whose sake ZenML would import whole frameworks before each run."""

ENTRYPOINT = "ops.containers.entrypoint"
"""The module that a container starts; its first argument is ZenML's."""
KUBERNETES = "zenml.integrations.kubernetes.orchestrators.kubernetes_orchestrator_entrypoint_configuration"


@contextmanager
def patched() -> Iterator[None]:
    """ZenML as the pipelines need it: a verified cache, no traceback of what a user can mend, no needless imports.

    Containers that it starts are patched, too.
    """
    if not zenml.__version__.startswith(WRITTEN_FOR):
        LOG.warning("ZenML %s may not run as patched: %s was written for %sx", zenml.__version__, __name__, WRITTEN_FOR)
    search, disable = cache_utils.get_cached_step_run, MLFlowExperimentTracker.disable_autologging
    activate = integration_registry.activate_integrations
    handlers = [handler for name in ("", "zenml") for handler in logging.getLogger(name).handlers]
    cache_utils.get_cached_step_run = verified(search)
    # it imports eight frameworks after each step, for seconds, and nothing here turns autologging on
    MLFlowExperimentTracker.disable_autologging = lambda self: None  # type: ignore[method-assign]
    # our steps name their materializers
    integration_registry.activate_integrations = _without_frameworks(activate)  # type: ignore[method-assign]
    command = base_entrypoint_configuration.DEFAULT_ENTRYPOINT_COMMAND
    base_entrypoint_configuration.DEFAULT_ENTRYPOINT_COMMAND = _through_ours(command)
    for handler in handlers:
        handler.addFilter(_without_traceback)
    try:
        with _kubernetes_patched():
            yield
    finally:
        base_entrypoint_configuration.DEFAULT_ENTRYPOINT_COMMAND = command
        integration_registry.activate_integrations = activate  # type: ignore[method-assign]
        cache_utils.get_cached_step_run = search
        MLFlowExperimentTracker.disable_autologging = disable  # type: ignore[method-assign]
        for handler in handlers:
            handler.removeFilter(_without_traceback)


def _through_ours(command: list[str]) -> list[str]:
    """``python -m MODULE`` as ``python -m ENTRYPOINT MODULE``."""
    return [*command[:-1], ENTRYPOINT, command[-1]]


@contextmanager
def _kubernetes_patched() -> Iterator[None]:
    """The orchestrator on Kubernetes, if the active stack has it or this is its pod: else no client is imported."""
    if KUBERNETES not in sys.modules and not sys.argv[0].startswith(KUBERNETES.partition(".orchestrators.")[0]):
        yield
        return
    from zenml.integrations.kubernetes import manifest_utils
    from zenml.integrations.kubernetes.orchestrators import KubernetesOrchestrator as Orchestrator

    kind = sys.modules[KUBERNETES].KubernetesOrchestratorEntrypointConfiguration
    before, add_pod_settings = kind.__dict__["get_entrypoint_command"], manifest_utils.add_pod_settings
    kind.get_entrypoint_command = staticmethod(lambda: _through_ours(before.__func__(kind)))
    manifest_utils.add_pod_settings = without_nulls(add_pod_settings)
    Orchestrator.get_settings = added(Orchestrator.get_settings)  # type: ignore[method-assign]
    # it would warn that they are ignored
    Orchestrator.requires_resources_in_orchestration_environment = staticmethod(lambda step: False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del Orchestrator.requires_resources_in_orchestration_environment, Orchestrator.get_settings
        manifest_utils.add_pod_settings = add_pod_settings
        kind.get_entrypoint_command = before


def _without_frameworks(activate: Callable[[], None]) -> Callable[[], None]:
    """``activate`` for all integrations but ``FRAMEWORKS``."""

    def activate_others() -> None:
        every = integration_registry.integrations
        try:
            integration_registry._integrations = {
                name: integration for name, integration in every.items() if name not in FRAMEWORKS
            }
            activate()
        finally:
            integration_registry._integrations = every

    return activate_others


def _without_traceback(record: logging.LogRecord) -> bool:
    """ZenML logs what a step raises with its traceback; what a user can mend the command line says in one line."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or os.environ.get("FACERECON_DEBUG"):
        return True
    if isinstance(error, FaceReconError | KeyboardInterrupt) or explain(error):
        record.exc_info = record.exc_text = None
    return True
