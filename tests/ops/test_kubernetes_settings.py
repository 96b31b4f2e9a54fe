"""What a run says of its pods is added to what the stack says."""

from types import SimpleNamespace

import pytest

from ops.kubernetes_settings import added_values, without_nulls


@pytest.mark.parametrize(
    ("stack", "run", "both"),
    [
        ({"requests": {"cpu": "1"}}, {"requests": {"memory": "4Gi"}}, {"requests": {"cpu": "1", "memory": "4Gi"}}),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "4"}}, {"requests": {"cpu": "4"}}),
        (["registry"], ["other", "registry"], ["other", "registry"]),
        # the same name, and the same mount path, is the same thing
        (
            [{"name": "shm", "emptyDir": {}}, {"name": "claim"}],
            [{"name": "shm", "hostPath": {}}],
            [{"name": "claim"}, {"name": "shm", "hostPath": {}}],
        ),
        (
            [{"name": "claim", "mountPath": "/state"}, {"name": "claim", "mountPath": "/data"}],
            [{"name": "disk", "mountPath": "/data"}],
            [{"name": "claim", "mountPath": "/state"}, {"name": "disk", "mountPath": "/data"}],
        ),
        ([{"key": "gpu"}], [{"key": "spot"}], [{"key": "gpu"}, {"key": "spot"}]),
        ([{"key": "gpu"}], [{"key": "gpu"}], [{"key": "gpu"}]),
    ],
)
def test_mappings_by_key_and_lists_by_item(stack, run, both) -> None:
    assert added_values(stack, run) == both


def test_a_container_has_no_empty_keys() -> None:
    given = {"run_as_user": None, "privileged": False, "allowPrivilegeEscalation": False}
    containers = [SimpleNamespace(security_context=dict(given)), SimpleNamespace(security_context=None)]
    seen = []
    without_nulls(lambda **arguments: seen.append(arguments))(SimpleNamespace(containers=containers), "settings", {})
    assert seen[0]["settings"] == "settings"
    assert containers[0].security_context == {"privileged": False, "allowPrivilegeEscalation": False}
