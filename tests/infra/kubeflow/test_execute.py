"""What an IR file asks of containers: their order, and all that Docker is told; what cannot be is one line.

Containers are run by `make check-infra`.
"""

from pathlib import Path
from typing import Any

import pytest

from facerecon.errors import FaceReconError

SECRETS = {"facerecon.zenml-api-key": "the key"}


@pytest.fixture
def write(kubeflow_packages: None, tmp_path: Path) -> Any:
    """``write(configure)``: an IR of three steps in a row, whose names are in another order; the last is configured."""
    from kfp import dsl
    from kfp.compiler import Compiler

    def component(name: str) -> Any:
        def container() -> dsl.ContainerSpec:
            return dsl.ContainerSpec(image="localhost/any:1", command=["sh", "-c"], args=[f"echo {name}"])

        container.__name__ = name
        return dsl.container_component(container)

    def written(configure: Any = lambda task: task) -> Path:
        @dsl.pipeline(name="row")
        def row() -> None:
            first = component("first")()
            between = component("between")().after(first)
            configure(component("after_all")().after(first, between))

        Compiler().compile(row, str(tmp_path / "ir.yaml"))
        return tmp_path / "ir.yaml"

    return written


def arguments(ir: Path, claims: dict[str, Path]) -> dict[str, Any]:
    """What Docker is told of the last task."""
    from infra.kubeflow.execute import _arguments, _pods

    name, pod = list(_pods(ir).items())[-1]
    return _arguments(name, pod, claims, SECRETS, "executed-1")


def test_each_task_comes_after_those_it_depends_on(write) -> None:
    from infra.kubeflow.execute import _pods

    assert list(_pods(write())) == ["first", "between", "after-all"]


def test_docker_is_told_all_that_the_pod_is_given(write, tmp_path: Path) -> None:
    from kfp import kubernetes

    def configure(task) -> None:
        task.set_env_variable("PLAIN", "text").set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
        kubernetes.mount_pvc(task, "facerecon", "/state", "state")
        kubernetes.mount_pvc(task, "facerecon", "/again", "state")
        kubernetes.use_secret_as_env(task, "facerecon", {"zenml-api-key": "ZENML_STORE_API_KEY"})
        kubernetes.use_field_path_as_env(task, "KFP_RUN_ID", "metadata.labels['pipeline/runid']")
        kubernetes.empty_dir_mount(task, "memory", "/dev/shm", "Memory", "2Gi")
        kubernetes.empty_dir_mount(task, "scratch", "/scratch")
        kubernetes.add_node_selector(task, "accelerator", "a100")

    told = arguments(write(configure), {"facerecon": tmp_path / "claim"})
    assert (told["entrypoint"], told["command"]) == (["sh", "-c"], ["echo after_all"])
    assert told["environment"] == {"PLAIN": "text", "ZENML_STORE_API_KEY": "the key", "KFP_RUN_ID": "executed-1"}
    folder = str(tmp_path / "claim" / "state")
    assert [(each["Source"], each["Target"]) for each in told["mounts"]] == [(folder, "/state"), (folder, "/again")]
    assert Path(folder).is_dir()
    assert (told["shm_size"], told["tmpfs"]) == ("2g", {"/scratch": ""})


def test_what_is_not_given_or_cannot_be_done_here_is_one_line(write, tmp_path: Path) -> None:
    from kfp import kubernetes

    for configure, said in (
        (lambda task: kubernetes.mount_pvc(task, "data", "/data"), "needs the claim data: give --claim data=FOLDER"),
        (
            lambda task: kubernetes.use_secret_as_env(task, "data", {"key": "KEY"}),
            "needs the secret data.key: give --secret data.key=VARIABLE",
        ),
        (lambda task: kubernetes.use_field_path_as_env(task, "NODE", "spec.nodeName"), "NODE is spec.nodeName"),
        (lambda task: kubernetes.set_timeout(task, 60), "activeDeadlineSeconds: not known here"),
        (lambda task: task.set_env_variable("RUN", "{{$.pipeline_job_name}}"), "only Kubeflow fills that in"),
    ):
        with pytest.raises(FaceReconError, match=said) as raised:
            arguments(write(configure), {})
        assert "after-all" in raised.value.message


def test_another_file_is_one_line(write, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    for content in ("", "root: {}", "[", "a: 1\n---\nb: 2"):
        path.write_text(content)
        with pytest.raises(FaceReconError, match="no IR file of a pipeline of containers"):
            arguments(path, {})
