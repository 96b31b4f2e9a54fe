"""Stack files: what they may say, and what is refused in one line."""

from pathlib import Path

import pytest
import yaml

from facerecon.errors import FaceReconError
from ops.stack import files
from ops.stack.files import read_stack, stack_names

SERVERS = {
    "FACERECON_ZENML_URL": "http://127.0.0.1:1",
    "FACERECON_ZENML_API_KEY": "ZENKEY_x",
    "FACERECON_MLFLOW_URL": "http://127.0.0.1:2",
    "FACERECON_MLFLOW_USER": "ann",
    "FACERECON_MLFLOW_PASSWORD": "secret-password",
    "FACERECON_S3_URL": "http://127.0.0.1:3",
    "FACERECON_S3_KEY": "s3-key",
    "FACERECON_S3_SECRET": "s3-secret",
}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))
    for name in SERVERS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "state"


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, base: str, **changed) -> None:
    """A stack file ``mine`` in a folder of its own: that of ``base`` with keys changed; None takes one out."""
    content = yaml.safe_load((files.FOLDER / f"{base}.yaml").read_text())
    for path, value in changed.items():
        *way, last = path.split("__")
        part = content
        for key in way:
            part = part[key]
        if value is None:
            del part[last]
        else:
            part[last] = value
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(files, "FOLDER", folder)
    monkeypatch.setattr(files, "PROJECT", folder.parent)


def test_the_local_stack_lies_in_the_state_folder(state: Path) -> None:
    stack = read_stack("local")
    assert stack.server is None
    assert stack.components["artifact_store"].configuration == {"path": f"{state}/artifacts"}
    assert stack.components["experiment_tracker"].configuration == {"tracking_uri": f"sqlite:///{state}/mlflow.db"}


def test_variables_come_from_the_file_of_the_services_and_set_ones_win(state: Path, monkeypatch) -> None:
    (state / "services").mkdir(parents=True)
    lines = [f"{name}={value}" for name, value in SERVERS.items()]
    (state / "services/environment").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("FACERECON_MLFLOW_URL", "https://mlflow.example.com")
    stack = read_stack("services")
    assert stack.server == "http://127.0.0.1:1"
    assert stack.key == "ZENKEY_x"
    assert stack.components["experiment_tracker"].configuration == {"tracking_uri": "https://mlflow.example.com"}
    assert stack.values["artifact_store"] == {"key": "s3-key", "secret": "s3-secret"}


def test_no_secret_is_shown_or_part_of_a_configuration(state: Path, monkeypatch) -> None:
    for name, value in SERVERS.items():
        monkeypatch.setenv(name, value)
    stack = read_stack("services")
    shown = repr(stack) + str({kind: component.model_dump() for kind, component in stack.components.items()})
    for secret in ("ZENKEY_x", "secret-password", "s3-secret"):
        assert secret not in shown


def test_a_stack_is_said_on_top_of_another(state: Path, monkeypatch) -> None:
    for name, value in SERVERS.items():
        monkeypatch.setenv(name, value)
    below, above = read_stack("services"), read_stack("docker")
    for kind in ("artifact_store", "experiment_tracker"):
        assert above.components[kind] == below.components[kind]
    assert (above.server, above.shared, above.values) == (below.server, below.shared, below.values)
    assert (below.components["orchestrator"].flavor, above.components["orchestrator"].flavor) == (
        "local",
        "local_docker",
    )
    volumes = above.components["orchestrator"].configuration["run_args"]["volumes"]
    assert volumes[str(state)] == {"bind": "/state", "mode": "rw"}


@pytest.mark.parametrize("other", ["nowhere", "docker", "mine", ["local"]])
def test_what_cannot_be_extended_is_one_line(state: Path, tmp_path: Path, monkeypatch, other) -> None:
    written(tmp_path / "stacks", monkeypatch, "services", extends=other)
    (tmp_path / "stacks" / "docker.yaml").write_text("extends: services\n")
    with pytest.raises(FaceReconError, match=r"mine.yaml: extends = .*: expected a stack that extends none"):
        read_stack("mine")


def test_an_absent_variable_is_named_with_the_remedy(state: Path) -> None:
    with pytest.raises(FaceReconError, match=r"FACERECON_ZENML_URL is not set: set it, or start .* `make services`"):
        read_stack("services")


def test_an_unknown_stack_is_refused_with_those_there_are(state: Path) -> None:
    with pytest.raises(FaceReconError, match=f"'lokal' is no stack; infra/stacks/ has {', '.join(stack_names())}"):
        read_stack("lokal")
    with pytest.raises(FaceReconError, match="is no stack"):
        read_stack("../stacks/local")


@pytest.mark.parametrize(
    ("base", "changed", "said"),
    [
        ("local", {"componets": {}}, "componets: no such key; allowed here: .*components"),
        ("local", {"components__orchestrator__flavour": "local"}, "flavour: no such key; allowed here: flavor"),
        ("local", {"components__experiment_tracker": None}, "components: experiment_tracker missing"),
        (
            "local",
            {"components__orchestrator__flavor": "kubernetes"},
            "server: missing: what the orchestrator kub",
        ),
        (
            "local",
            {"components__experiment_tracker__configuration__tracking_uri": "http://127.0.0.1:2"},
            "server: missing: a tracker that machines share",
        ),
        ("local", {"shared": "s3://state"}, "shared: a stack without server"),
        ("services", {"shared": None}, "shared: missing"),
        ("services", {"shared": "/mnt/state"}, "shared = '/mnt/state'"),
        ("services", {"components__artifact_store__flavor": "local"}, "with a ZenML server artifacts lie in S3"),
        (
            "services",
            {"components__experiment_tracker__configuration__tracking_uri": "sqlite:////tmp/mlflow.db"},
            "with a ZenML server the tracker must be one, too",
        ),
    ],
)
def test_what_cannot_work_is_one_line(state: Path, tmp_path: Path, monkeypatch, base, changed, said) -> None:
    for name, value in SERVERS.items():
        monkeypatch.setenv(name, value)
    written(tmp_path / "stacks", monkeypatch, base, **changed)
    with pytest.raises(FaceReconError, match=said) as raised:
        read_stack("mine")
    assert "\n" not in raised.value.message
    assert str(tmp_path / "stacks" / "mine.yaml") in raised.value.message
