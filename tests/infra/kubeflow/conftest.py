"""MLflow and ZenML as `make services` starts them, but on SQLite, S3, and a checkout on the stack `kubeflow`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from benchmarks.checkout import copy_working_tree
from infra.services.environment import S3, Environment, prepare, services_folder
from infra.services.programs import Service, mlflow, zenml
from infra.services.supervisor import start, stop
from tests.infra.conftest import create_buckets

GPU = {
    "resources": {"cpu_count": 4, "memory": "8GiB", "gpu_count": 2},
    "orchestrator": {
        "shared_memory": "16Gi",
        "node_selectors": {"accelerator": "a100"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "image_pull_secrets": ["registry"],
    },
}
"""What a run's YAML says of its step `train`."""

DRIVER = """
import json
from pathlib import Path
from zenml.client import Client
from facerecon.errors import FaceReconError
from infra.kubeflow.compile import check_stack, write_ir
from infra.kubeflow.execute import check_run
from ops.stack.files import read_stack
from ops.stack.registering import _check_components
from pipelines.retraining import retraining
from pipelines.training import training

def upstream(pipeline, path):
    made = pipeline.with_options(config_path=path)
    made.prepare(settings=made._file[1].settings.model_dump(mode="json"))
    return {name: sorted(invocation.upstream_steps) for name, invocation in made.invocations.items()}

def refused(asked, *arguments):
    try:
        asked(*arguments)
    except FaceReconError as error:
        return error.message

def stack(configuration, **changed):
    made = read_stack("kubeflow")
    wanted = made.components["orchestrator"]
    changed["configuration"] = wanted.configuration | configuration
    return made.model_copy(update={"components": {"orchestrator": wanted.model_copy(update=changed)}})

write_ir(training, Path("configs/gpu.yaml"), Path("outputs/kubeflow/gpu.yaml"))
client = Client()
claim = {"name": "facerecon", "mount_path": "/state"}
said = {
    "claims": refused(_check_components, stack({"claimz": []})),
    "sub_path": refused(_check_components, stack({"claims": [claim | {"subpath": "state"}]})),
    "mount_path": refused(_check_components, stack({"claims": [claim | {"mount_path": "state"}]})),
    "effect": refused(_check_components, stack({"tolerations": [{"key": "gpu", "effect": "NoExec"}]})),
    "pod_settings": refused(_check_components, stack({"pod_settings": {"node_selectors": {"a": "b"}}})),
    "api_key": refused(_check_components, stack({"secrets_as_env": {}})),
    "name": refused(_check_components, stack({}, flavor="kubeflow")),
    "source": refused(_check_components, stack({}, source="infra.kubeflow.flavors.KubeflowFlavor")),
}
client.activate_stack("default")
said["stack"] = refused(check_stack)
said["run"] = refused(check_run, "executed-0")
client.activate_stack("facerecon-kubeflow")
print(json.dumps({
    "upstream": {
        "training": upstream(training, "configs/ci.yaml"),
        "gpu": upstream(training, "configs/gpu.yaml"),
        "retraining": upstream(retraining, "configs/again.yaml"),
    },
    "runs": [str(run.id) for run in client.list_pipeline_runs().items],
    "snapshots": [str(snapshot.id) for snapshot in client.list_snapshots(named_only=False).items],
    "said": said,
    "flavors": {flavor.name: flavor.source for flavor in client.list_flavors(type="orchestrator").items},
}))
"""
"""Compiles for a GPU, and prints what ZenML knows of steps and of what is left of compiling."""


@dataclass(frozen=True)
class Compiled:
    """A checkout in which the pipelines were compiled, and the addresses and secrets of its servers."""

    root: Path
    environment: dict[str, str]
    known: dict[str, str]
    facts: dict[str, Any]

    def run(self, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """A command of the environment in the checkout."""
        program = Path(sys.executable).parent / command[0]
        done = subprocess.run(
            [str(program) if program.exists() else command[0], *command[1:]],
            cwd=self.root,
            env=self.environment | changed,
            capture_output=True,
            text=True,
            timeout=300,
        )
        done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (done.stdout, done.stderr))
        return done

    def path(self, name: str) -> Path:
        """The IR of the training, of the same for a ``gpu``, or of the retraining."""
        return self.root / "outputs" / "kubeflow" / f"{name}.yaml"

    def documents(self, name: str) -> list[dict[str, Any]]:
        """The pipeline's specification, and the platform's."""
        return list(yaml.safe_load_all(self.path(name).read_text()))

    def steps(self, name: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """By the step's name in ZenML: its container, and what is particular to Kubernetes."""
        pipeline, platform = self.documents(name)
        kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        containers = pipeline["deploymentSpec"]["executors"]
        found = {}
        for executor, of in containers.items():
            arguments = of["container"]["args"]
            step = arguments[arguments.index("--step_name") + 1]
            found[step] = (of["container"], kubernetes[executor])
        return found


@pytest.fixture(scope="session")
def compiled(
    kubeflow_packages: None, free_ports: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Compiled]:
    """The stack is registered, and both pipelines are compiled, training also with what a GPU needs."""
    from moto.server import ThreadedMotoServer

    folder = tmp_path_factory.mktemp("kubeflow")
    made = Compiled(folder / "facerecon", _environment(folder), {}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACERECON_STATE", made.environment["FACERECON_STATE"])
        with_secrets = prepare(free_ports())
        servers = _on_sqlite(folder, with_secrets)
        s3 = ThreadedMotoServer("127.0.0.1", with_secrets.port(S3), verbose=False)
        s3.start()
        try:
            create_buckets(with_secrets.clients)
            with ThreadPoolExecutor() as pool:
                starting = [pool.submit(start, [server], print) for server in servers]
                _write_checkout(made)
                for each in starting:
                    each.result()
            made.known.update(with_secrets.clients)
            _compile(made)
            yield made
        finally:
            for server in servers:
                stop(server.name)
            s3.stop()


def _environment(folder: Path) -> dict[str, str]:
    foreign = ("ZENML_", "MLFLOW_", "FACERECON_STATE", "FACERECON_OUTPUTS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # the copy's modules must win over those that the environment's editable install points to
        "PYTHONPATH": str(folder / "facerecon"),
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        "FACERECON_STATE": str(folder / "state"),
        "FACERECON_IMAGE": "registry.example.com/facerecon:c0ffee",
        # nobody listens there
        "FACERECON_KUBEFLOW_URL": "http://127.0.0.1:9",
    }


def _on_sqlite(folder: Path, made: Environment) -> tuple[Service, Service]:
    """MLflow and ZenML, whose databases are files."""
    tracker, server = mlflow(made), zenml(made)
    accounts = services_folder() / "mlflow.ini"
    accounts.write_text(
        re.sub("database_uri = .*", f"database_uri = sqlite:///{folder}/accounts.db", accounts.read_text())
    )
    runs = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db"}
    store = {"ZENML_STORE_URL": f"sqlite:///{folder}/zenml.db"}
    return (
        replace(tracker, variables=tracker.variables | runs),
        replace(server, variables=server.variables | store),
    )


def _write_checkout(made: Compiled) -> None:
    """A copy of the working tree with a few pictures, which are listed, not read, and the runs' YAML files."""
    copy_working_tree(made.root)
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "state under test"]):
        assert made.run("git", *command).returncode == 0
    for person in range(4):
        (made.root / "data" / "ci" / f"person_{person}").mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(made.root / "data" / "ci" / f"person_{person}" / "0.png")
    configs = made.root / "configs"
    settings = yaml.safe_load((configs / "ci.yaml").read_text())
    for_gpu = settings | {"steps": {"train": {"settings": GPU}}}
    (configs / "gpu.yaml").write_text(yaml.safe_dump(for_gpu))
    again = yaml.safe_load((configs / "retraining.yaml").read_text())
    again["parameters"]["data"]["path"] = "data/ci"
    (configs / "again.yaml").write_text(yaml.safe_dump(again))


def _compile(made: Compiled) -> None:
    configs = ("--training", "configs/ci.yaml", "--retraining", "configs/again.yaml")
    printed = ""
    for command in (
        ("facerecon", "stack", "kubeflow"),
        ("python", "-m", "infra.kubeflow", *configs),
        ("python", "-c", DRIVER),
    ):
        done = made.run(*command)
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    assert printed.splitlines()[1:-1] == [str(made.path(name)) for name in ("training", "retraining")]
    made.facts.update(json.loads(printed.splitlines()[-1]))
