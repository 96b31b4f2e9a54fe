"""An IR file is executed in containers: what pods would be given is there, and no container's end is overlooked."""

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from facerecon.errors import FaceReconError
from tests.pipelines.conftest import succeed
from tests.pipelines.containers.conftest import IMAGE

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]

KEY = "facerecon.zenml-api-key"


@pytest.fixture
def execute(infra: None, base: str, tmp_path: Path) -> Any:
    """``execute(first, second)``: two scripts as the steps of a pipeline, in containers; what they say."""
    from kfp import dsl, kubernetes
    from kfp.compiler import Compiler

    from infra.kubeflow.execute import execute

    def component(name: str, script: str) -> Any:
        def container() -> dsl.ContainerSpec:
            return dsl.ContainerSpec(image=base, command=["sh", "-c"], args=[script])

        container.__name__ = name
        return dsl.container_component(container)

    def executed(first: str, second: str) -> list[str]:
        @dsl.pipeline(name="two")
        def two() -> None:
            begin = component("zero", first)()
            end = component("after", second)().after(begin)
            for task in (begin, end):
                kubernetes.mount_pvc(task, "facerecon", "/state", "state")
                kubernetes.mount_pvc(task, "facerecon", "/out", "outputs")
                kubernetes.use_secret_as_env(task, "facerecon", {"zenml-api-key": "KEY"})
                kubernetes.use_field_path_as_env(task, "KFP_RUN_ID", "metadata.labels['pipeline/runid']")
                kubernetes.empty_dir_mount(task, "memory", "/dev/shm", "Memory", "256Mi")
            begin.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)

        Compiler().compile(two, str(tmp_path / "ir.yaml"))
        said: list[str] = []
        run = execute(tmp_path / "ir.yaml", {"facerecon": tmp_path / "claim"}, {KEY: "the key"}, said.append)
        return [*said, run]

    return executed


def test_pods_find_their_folders_their_secret_and_shared_memory(execute, tmp_path: Path) -> None:
    look = "echo $KEY, $KFP_RUN_ID; stat -f -c '%b*%S' /dev/shm; echo made > /state/file; id -u"
    *said, run = execute(look, "cat /state/file; cp /state/file /out/")
    ignored, secret, memory, user, read = said
    assert "zero: not kept to on this machine: resources" in ignored
    assert "nvidia.com/gpu" in ignored
    assert secret == f"zero: the key, {run}"
    blocks, size = memory.removeprefix("zero: ").split("*")
    assert int(blocks) * int(size) == 256 << 20
    assert user == f"zero: {os.getuid()}"
    assert read == "after: made"
    assert (tmp_path / "claim/outputs/file").read_text() == "made\n"


def test_a_container_that_fails_is_one_line_and_nothing_follows(execute, tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match="the container of zero has ended with status 3: nothing is right"):
        execute("echo 'Error: nothing is right' >&2; exit 3", "touch /out/began")
    assert not (tmp_path / "claim/outputs/began").exists()


@pytest.mark.parametrize("end", [["kill"], ["rm", "--force"]], ids=["killed", "removed"])
def test_a_container_that_is_gone_has_failed(execute, tmp_path: Path, end: list[str]) -> None:
    def make_it_go() -> None:
        while not (tmp_path / "claim/state/began").exists():
            time.sleep(0.1)
        command = ["podman", "ps", "--quiet", "--filter", f"volume={tmp_path}/claim/state"]
        [container] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["podman", *end, container], check=True, stdout=subprocess.DEVNULL)

    thread = threading.Thread(target=make_it_go)
    thread.start()
    try:
        with pytest.raises(FaceReconError, match=r"the container of zero (has ended with status 137|is gone)"):
            execute("touch /state/began; sleep 60", "touch /out/began")
    finally:
        thread.join()
    assert not (tmp_path / "claim/outputs/began").exists()


def test_the_whole_pipeline_runs_as_kubeflow_is_given_it(served, tmp_path: Path) -> None:
    """ZenML's status is the judge: `python -m infra.kubeflow.execute` fails where it is another than completed."""
    there = {"FACERECON_IMAGE": IMAGE, "FACERECON_KUBEFLOW_URL": "http://127.0.0.1:9"}
    known = served.root / ".facerecon/services/environment"
    key = next(line for line in known.read_text().splitlines() if line.startswith("FACERECON_ZENML_API_KEY="))
    claim = tmp_path / "claim"
    for folder, name in ((served.root / "data", "data"), (weights(served), "weights")):
        claim.mkdir(exist_ok=True)
        (claim / name).symlink_to(folder)
    assert "facerecon-kubeflow" in succeed(served, "facerecon", "stack", "kubeflow", **there)
    succeed(served, "python", "-m", "infra.kubeflow", "--training", "configs/ci.yaml", **there)
    file = f"{served.root}/outputs/kubeflow/training.yaml"
    command = ("python", "-m", "infra.kubeflow.execute", file, "--claim", f"facerecon={claim}")
    secret = ("--secret", f"{KEY}=FACERECON_ZENML_API_KEY")
    succeed(served, *command, *secret, FACERECON_ZENML_API_KEY=key.partition("=")[2])
    assert (claim / "outputs/ci/model.onnx").is_file()
    assert "ci/" in succeed(served, "facerecon", "models")


def weights(made) -> Path:
    """Where the checkout has the pretrained weights."""
    said = succeed(made, "python", "-c", "from facerecon.weights import weights_folder; print(weights_folder())")
    return Path(said.strip().splitlines()[-1])
