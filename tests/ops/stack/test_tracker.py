"""Which tracker commands speak to: this machine's, unless the active stack is another."""

from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from facerecon.errors import FaceReconError
from ops.stack import tracker
from ops.stack.tracker import REGISTRY, choose, create_experiment, is_local, local_uri, use_tracker


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("ZENML_ACTIVE_STACK_ID", raising=False)
    monkeypatch.setattr(tracker, "PROJECT", tmp_path)
    (tmp_path / ".zen").mkdir()
    yield tmp_path
    mlflow.set_tracking_uri(None)


def activate(checkout: Path, number: str) -> None:
    (checkout / ".zen" / "config.yaml").write_text(f"active_stack_id: {number}\n")


def test_without_a_choice_it_is_this_machines(checkout: Path) -> None:
    assert is_local()
    assert use_tracker() == local_uri() == f"sqlite:///{checkout}/state/mlflow.db"
    assert mlflow.get_tracking_uri() == local_uri()


def test_the_stack_that_is_active_in_zenml_counts(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose("local", "one")
    activate(checkout, "one")
    assert is_local()
    activate(checkout, "two")  # by `zenml stack set`
    assert not is_local()
    activate(checkout, "one")
    monkeypatch.setenv("ZENML_ACTIVE_STACK_ID", "two")
    assert not is_local()


def test_a_stack_of_servers_is_not_this_machines(checkout: Path) -> None:
    choose("services", "one")
    activate(checkout, "one")
    assert not is_local()


def test_an_experiment_says_once_which_registry_it_is(checkout: Path) -> None:
    create_experiment()
    client = mlflow.MlflowClient(local_uri())
    first = tracker.registry_of(client)
    assert first
    create_experiment()
    assert tracker.registry_of(client) == first
    assert client.get_experiment_by_name("facerecon").tags[REGISTRY] == first


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("f" * 32, "holds the registry .*, and this stack belongs to ffffffff: .*`facerecon stack services`"),
        (None, "belongs to no registry yet: describe it in a file of infra/stacks/"),
    ],
)
def test_another_registry_than_the_stacks_is_refused(checkout: Path, monkeypatch, wanted, said) -> None:
    create_experiment()
    choose("services", "one")
    monkeypatch.setattr(tracker, "labels", lambda: {REGISTRY: wanted} if wanted else {})
    mlflow.set_tracking_uri(local_uri())
    with pytest.raises(FaceReconError, match=said):
        tracker.check_registry()


def test_an_empty_registry_is_refused(checkout: Path, monkeypatch) -> None:
    create_experiment()
    client = mlflow.MlflowClient(local_uri())
    client.rename_experiment(client.get_experiment_by_name("facerecon").experiment_id, "elsewhere")
    monkeypatch.setattr(tracker, "labels", lambda: {REGISTRY: "f" * 32})
    mlflow.set_tracking_uri(local_uri())
    with pytest.raises(FaceReconError, match="holds no registry of this project"):
        tracker.check_registry()


def test_a_stack_without_mlflow_is_refused_with_the_remedy(checkout: Path, monkeypatch) -> None:
    choose("services", "one")
    stack = SimpleNamespace(name="mine", experiment_tracker=None)
    monkeypatch.setattr(tracker, "_client", lambda: SimpleNamespace(active_stack=stack))
    with pytest.raises(FaceReconError, match="'mine' has no experiment tracker: run `facerecon stack services`"):
        use_tracker()
