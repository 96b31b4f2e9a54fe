"""What a run's file says of its pods, made of it what it means; ZenML's Kubernetes orchestrator alone drops a part.

Its client is imported only where the active stack is on Kubernetes: see ``ops.zenml_patches``.
"""

from collections.abc import Callable
from typing import Any

from zenml.config.step_configurations import Step

POD_SETTINGS = ("pod_settings", "orchestrator_pod_settings")


def added(get_settings: Callable[..., Any]) -> Callable[..., Any]:
    """``get_settings`` of a component, with which a run or step adds to the stack's pods, and limits its own.

    In ZenML a step that asks for memory loses the stack's volumes, and its ``resources`` are ignored.
    """

    def get(self: Any, container: Any) -> Any:
        settings, stack = get_settings(self, container), self.config
        changed = {}
        for name in POD_SETTINGS:
            of_stack, chosen = getattr(stack, name), getattr(settings, name)
            if of_stack is not None and chosen is not None:
                values = added_values(of_stack.model_dump(exclude_unset=True), chosen.model_dump(exclude_unset=True))
                changed[name] = type(chosen).model_validate(values)
        if isinstance(container, Step) and not container.config.resource_settings.empty:
            pod = changed.get("pod_settings", settings.pod_settings)
            changed["pod_settings"] = _with_resources(pod, container.config.resource_settings)
        return settings.model_copy(update=changed)

    return get


def added_values(stack: Any, run: Any) -> Any:
    """What ``run`` says, added to what ``stack`` says: of mappings key by key, of lists item by item.

    An item takes the place of one of the same mount path or name.
    """
    if isinstance(stack, dict) and isinstance(run, dict):
        return stack | {key: added_values(stack[key], value) if key in stack else value for key, value in run.items()}
    if isinstance(stack, list) and isinstance(run, list):
        replaced = {_name(each) for each in run} - {None}
        return [each for each in stack if _name(each) not in replaced and each not in run] + run
    return run


def without_nulls(add_pod_settings: Callable[..., None]) -> Callable[..., None]:
    """``add_pod_settings`` whose containers hold no empty keys, in a spelling that Kubernetes does not know."""

    def add(pod_spec: Any, settings: Any, substitutions: dict[str, str]) -> None:
        add_pod_settings(pod_spec=pod_spec, settings=settings, substitutions=substitutions)
        for container in pod_spec.containers:
            if isinstance(given := container.security_context, dict):
                container.security_context = {key: value for key, value in given.items() if value is not None}

    return add


def _name(item: Any) -> str | None:
    return item.get("mountPath", item.get("name")) if isinstance(item, dict) else item


def _with_resources(pod: Any, resources: Any) -> Any:
    """Pod settings that ask for a step's ``resources``; of what the stack limits that is the limit, too."""
    from zenml.integrations.kubernetes.kube_utils import convert_resource_settings_to_k8s_format
    from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings

    pod = pod or KubernetesPodSettings()
    requests, limits, _ = convert_resource_settings_to_k8s_format(resources)
    limited = {name: value for name, value in requests.items() if name in pod.resources.get("limits", {})}
    wanted = {"requests": requests} | ({"limits": limited | limits} if limited or limits else {})
    return pod.model_copy(update={"resources": added_values(pod.resources, wanted)})
