"""Execute an IR file in containers of this machine: what Kubeflow would start, without a cluster.

python -m infra.kubeflow.execute outputs/kubeflow/training.yaml --claim facerecon=FOLDER \
    --secret facerecon.zenml-api-key=FACERECON_ZENML_API_KEY
"""

import os
from collections.abc import Callable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import docker
import yaml
from docker.errors import DockerException
from docker.types import Mount

import ops  # noqa: F401  # switches telemetry off before any tool is imported
from facerecon.errors import FaceReconError
from infra.kubeflow.orchestrator import RUN_ID
from ops.containers.engine import engine_run

PATIENCE = 86_400
"""Seconds for which a step may say nothing."""
FILLED = "{{$"
"""So begins what Kubeflow fills in."""
NEEDLESS = frozenset({"nodeSelector", "tolerations", "imagePullSecret", "resources"})
"""What one machine does not keep to."""
KNOWN = NEEDLESS | {"image", "command", "args", "env", "pvcMount", "secretAsEnv", "emptyDirMounts", "fieldPathAsEnv"}


def execute(
    ir: Path, claims: Mapping[str, Path], secrets: Mapping[str, str], say: Callable[[str], None] = click.echo
) -> str:
    """Execute the tasks of an IR file one by one, each after those it depends on; returns the id of the run.

    ``claims`` has the folder for each claim, ``secrets`` the value of each ``secret.key``. Containers use this
    machine's network and run as this user. Limits, nodes and tolerations are told of and not kept to.

    Raises:
        FaceReconError: the file cannot be executed here, a container does not end with status 0, or it vanishes.
    """
    pods, run = _pods(ir), f"executed-{uuid4().hex}"
    prepared = {name: _arguments(name, pod, claims, secrets, run) for name, pod in pods.items()}
    for name, arguments in prepared.items():
        for key in sorted(NEEDLESS & pods[name].keys()):
            say(f"{name}: not kept to on this machine: {key} {pods[name][key]}")
        for line in _output(name, pods[name]["image"], arguments):
            say(f"{name}: {line}")
    return run


def check_run(run: str) -> None:
    """See that ZenML has the run that Kubeflow, or ``execute``, gave this id, and that it is completed.

    Raises:
        FaceReconError: it has not, whatever the containers' exit statuses were.
    """
    from zenml.client import Client

    found = Client().list_pipeline_runs(orchestrator_run_id=run).items
    if [each.status.value for each in found] != ["completed"]:
        said = ", ".join(f"{each.name} {each.status.value}" for each in found) or "none"
        raise FaceReconError(
            f"runs that ZenML has of {run}: {said}; expected one that is completed: see its steps' logs"
        )


def _pods(ir: Path) -> dict[str, dict[str, Any]]:
    """By task, in an order in which each comes after those it depends on: its container, and what Kubernetes adds.

    Raises:
        FaceReconError: the file is no IR, or its tasks pass values to each other.
    """
    try:
        pipeline, *platform = yaml.safe_load_all(ir.read_text(encoding="utf-8"))
        tasks = pipeline["root"]["dag"]["tasks"]
        kubernetes = platform[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if platform else {}
        pods = {}
        for name in TopologicalSorter(
            {name: of.get("dependentTasks", ()) for name, of in tasks.items()}
        ).static_order():
            executor = pipeline["components"][tasks[name]["componentRef"]["name"]]["executorLabel"]
            container = pipeline["deploymentSpec"]["executors"][executor]["container"]
            pods[name] = {**container, **kubernetes.get(executor, {})}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise FaceReconError(f"{ir}: no IR file of a pipeline of containers ({error!r}): make it anew") from error
    for name, pod in pods.items():
        if unknown := sorted(pod.keys() - KNOWN):
            raise FaceReconError(
                f"{ir}: {name}: {', '.join(unknown)}: not known here; known: {', '.join(sorted(KNOWN))}"
            )
        if FILLED in str(pod):
            raise FaceReconError(f"{ir}: {name}: holds {FILLED}…, and only Kubeflow fills that in: run it there")
    return pods


def _arguments(
    name: str, pod: dict[str, Any], claims: Mapping[str, Path], secrets: Mapping[str, str], run: str
) -> dict[str, Any]:
    """What Docker is told of a task's container.

    Raises:
        FaceReconError: a claim or a secret was not given.
    """
    environment = {variable["name"]: variable["value"] for variable in pod.get("env", ())}
    for field in pod.get("fieldPathAsEnv", ()):
        if field["fieldPath"] != RUN_ID:
            raise FaceReconError(f"{name}: {field['name']} is {field['fieldPath']}: known here is only {RUN_ID}")
        environment[field["name"]] = run
    for secret in pod.get("secretAsEnv", ()):
        for key in secret["keyToEnv"]:
            wanted = f"{secret['secretName']}.{key['secretKey']}"
            if wanted not in secrets:
                raise FaceReconError(f"{name} needs the secret {wanted}: give --secret {wanted}=VARIABLE")
            environment[key["envVar"]] = secrets[wanted]
    made: dict[str, Any] = {"environment": environment, "mounts": [], "tmpfs": {}}
    for mount in pod.get("pvcMount", ()):
        if mount["constant"] not in claims:
            raise FaceReconError(f"{name} needs the claim {mount['constant']}: give --claim {mount['constant']}=FOLDER")
        folder = (claims[mount["constant"]] / mount.get("subPath", "")).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        made["mounts"].append(Mount(mount["mountPath"], str(folder), type="bind"))
    for mount in pod.get("emptyDirMounts", ()):
        # Docker's units are powers of 1024, too
        size = mount.get("sizeLimit", "").removesuffix("i").lower()
        if mount["mountPath"] == "/dev/shm":
            made["shm_size"] = size
        else:
            made["tmpfs"][mount["mountPath"]] = f"size={size}" if size else ""
    return {**made, "entrypoint": pod.get("command"), "command": pod.get("args")}


def _output(name: str, image: str, arguments: dict[str, Any]) -> Iterator[str]:
    """The lines that a container writes; it is removed when it has ended, or is no longer waited for.

    Raises:
        FaceReconError: it does not end with status 0, or vanishes.
    """
    last = ""
    try:
        with engine_run(image, arguments) as given:
            client = docker.from_env(timeout=PATIENCE)
            container = client.containers.run(
                image, detach=True, network_mode="host", user=f"{os.getuid()}:{os.getgid()}", **given
            )
            for line in _lines(container.logs(stream=True, follow=True)):
                last = line
                yield line
            status = container.wait()["StatusCode"]
            container.remove()
    except DockerException as error:
        said = " ".join(str(error).split())[:300]
        raise FaceReconError(f"the container of {name} is gone, or was never there ({said}): run it again") from error
    if status:
        raise FaceReconError(f"the container of {name} has ended with status {status}: {last.removeprefix('Error: ')}")


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Whole lines of a stream that comes in pieces."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace")


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise click.BadParameter(f"'{name}{sign}{value}': expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


@click.command()
@click.argument("ir", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--claim", "claims", multiple=True, callback=_pairs, metavar="CLAIM=FOLDER", help="what a claim holds")
@click.option(
    "--secret", "secrets", multiple=True, callback=_pairs, metavar="SECRET.KEY=VARIABLE", help="where its value is"
)
def main(ir: Path, claims: dict[str, str], secrets: dict[str, str]) -> None:
    """Execute an IR file of `make kubeflow` in containers; ZenML's status of the run is the judge."""
    if absent := [variable for variable in secrets.values() if variable not in os.environ]:
        raise FaceReconError(f"the environment variable {absent[0]} is not set: it must hold the secret's value")
    values = {name: os.environ[variable] for name, variable in secrets.items()}
    check_run(execute(ir, {name: Path(folder) for name, folder in claims.items()}, values))


if __name__ == "__main__":
    main()
