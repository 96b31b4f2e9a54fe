"""A stack is registered whole or not at all; what ZenML itself would overlook or stumble over is one line."""

from pathlib import Path

import pytest
from zenml.client import Client
from zenml.enums import StackComponentType

from facerecon.errors import FaceReconError
from ops.stack import files, registering, tracker
from ops.stack.registering import register_stack, stack_name


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root of its own, with a folder of stacks."""
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ZENML_REPOSITORY_PATH", str(tmp_path))
    for module in (files, registering, tracker):
        monkeypatch.setattr(module, "PROJECT", tmp_path)
    (tmp_path / "stacks").mkdir()
    local = (files.FOLDER / "local.yaml").read_text()
    (tmp_path / "stacks" / "local.yaml").write_text(local)
    monkeypatch.setattr(files, "FOLDER", tmp_path / "stacks")
    yield tmp_path
    Client._reset_instance()


def component(kind: StackComponentType):
    (found,) = Client().list_stack_components(name=stack_name(), type=kind).items
    return found


def test_repeated_it_changes_only_what_differs(checkout: Path) -> None:
    assert register_stack() == stack_name()
    store = component(StackComponentType.ARTIFACT_STORE)
    assert store.configuration == {"path": f"{checkout}/state/artifacts"}
    register_stack()
    assert component(StackComponentType.ARTIFACT_STORE).id == store.id
    file = checkout / "stacks" / "local.yaml"
    (checkout / "elsewhere").mkdir()
    file.write_text(file.read_text().replace("${FACERECON_STATE}/artifacts", f"{checkout}/elsewhere"))
    register_stack()
    changed = component(StackComponentType.ARTIFACT_STORE)
    assert (changed.id, changed.configuration) == (store.id, {"path": f"{checkout}/elsewhere"})
    assert Client().active_stack_model.name == stack_name()
    assert tracker.is_local()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      path:", "      paht:", r"components.artifact_store: ZenML does not accept it: .*paht"),
        (
            "  artifact_store:\n    flavor: local",
            "  artifact_store:\n    flavor: lokal",
            "components.artifact_store: .*lokal",
        ),
        (
            "  orchestrator:",
            "  modle_registry:\n    flavor: mlflow\n  orchestrator:",
            "modle_registry: no such kind; allowed",
        ),
    ],
)
def test_of_a_file_with_a_slip_nothing_is_registered(checkout: Path, old: str, new: str, said: str) -> None:
    file = checkout / "stacks" / "local.yaml"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(FaceReconError, match=said) as raised:
        register_stack()
    assert "\n" not in raised.value.message
    for kind in StackComponentType:
        assert not Client().list_stack_components(name=stack_name(), type=kind).items
    assert not Client().list_stacks(name=stack_name()).items
