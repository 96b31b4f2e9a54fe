"""The project's own manifests: valid by the schemas of two versions, and in agreement with each other."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from facerecon.workspace import PROJECT
from ops.stack.files import stack_content

FOLDER = PROJECT / "infra" / "kubernetes"


def of_kind(manifests: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [each for each in manifests if each["kind"] in kinds]


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["spec"]["template"]["spec"]


def keys_of(found: Any) -> set[str]:
    """The keys of the Secret `facerecon` that a manifest or a stack file names."""
    return set(re.findall(r"'secretKeyRef': \{'name': 'facerecon', 'key': '([\w-]+)'\}", str(found)))


def secret_keys() -> set[str]:
    lines = (FOLDER / "facerecon.env").read_text().splitlines()
    return {line.split("=")[0] for line in lines if line and not line.startswith("#")}


def test_they_are_valid(manifests, checked) -> None:
    assert {each["kind"] for each in manifests} >= {"Deployment", "Job", "Namespace", "Role", "PersistentVolumeClaim"}
    for manifest in manifests:
        checked(manifest)


def test_a_misspelt_key_is_refused(manifests, checked) -> None:
    from kubernetes_validate import ValidationError

    for place in (lambda spec: spec, lambda spec: spec["securityContext"], lambda spec: spec["containers"][0]):
        job = copy.deepcopy(of_kind(manifests, "Job")[0])
        place(pod(job))["runAsNonRot"] = True
        with pytest.raises(ValidationError, match="runAsNonRot"):
            checked(job)


def test_kustomize_knows_all_files_and_one_image() -> None:
    images = []
    for folder in (FOLDER, FOLDER / "training"):
        content = yaml.safe_load((folder / "kustomization.yaml").read_text())
        assert set(content["resources"]) == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert content["namespace"] == "facerecon"
        images.append(content["images"])
    (image,) = images[0]
    assert images[1] == [image]
    assert f"FACERECON_IMAGE={image['newName']}:{image['newTag']}\n" in (FOLDER / "facerecon.env").read_text()
    texts = [path.read_text() for path in FOLDER.rglob("*.yaml")]
    assert {name for text in texts for name in re.findall(r"^ +image: (\S+)", text, re.MULTILINE)} == {image["name"]}


def test_what_they_name_is_there(manifests) -> None:
    accounts = {each["metadata"]["name"] for each in of_kind(manifests, "ServiceAccount")}
    claims = {each["metadata"]["name"] for each in of_kind(manifests, "PersistentVolumeClaim")}
    stack = stack_content("kubernetes")
    assert stack["variables"] is None
    orchestrator = stack["components"]["orchestrator"]["configuration"]
    for workload in of_kind(manifests, "Deployment", "Job"):
        assert pod(workload)["serviceAccountName"] in accounts
        for volume in pod(workload).get("volumes", ()):
            assert volume["persistentVolumeClaim"]["claimName"] in claims
    for service in of_kind(manifests, "Service"):
        (deployment,) = (
            each for each in of_kind(manifests, "Deployment") if each["metadata"]["name"] == service["metadata"]["name"]
        )
        assert deployment["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
        assert service["spec"]["ports"][0]["targetPort"] in {
            port["name"] for port in pod(deployment)["containers"][0]["ports"]
        }
    assert {orchestrator["service_account_name"], orchestrator["step_pod_service_account_name"]} <= accounts
    assert set(re.findall(r"claimName': '(\w+)'", str(orchestrator))) <= claims
    assert all(each["metadata"].get("namespace", "facerecon") == "facerecon" for each in manifests)
    assert orchestrator["kubernetes_namespace"] == "facerecon"


def test_the_secret_has_each_key_that_is_asked_for_and_no_other(manifests) -> None:
    assert keys_of(manifests) | keys_of(stack_content("kubernetes")) == secret_keys()


def test_who_starts_runs_has_the_variables_of_the_stack_file_and_its_folders(manifests) -> None:
    (job,) = of_kind(manifests, "Job")
    (container,) = pod(job)["containers"]
    given = {variable["name"] for variable in container["env"]}
    stack = stack_content("kubernetes")
    assert stack["variables"] is None
    secrets = [name for of in stack["components"].values() for name in of.get("secrets", {}).values()]
    wanted = {*re.findall(r"\$\{(\w+)\}", str(stack)), *secrets}
    assert given == {*wanted, "FACERECON_ZENML_API_KEY", "CONFIG"}
    mounts = stack["components"]["orchestrator"]["configuration"]["pod_settings"]["volume_mounts"]
    assert container["volumeMounts"] == [mount for mount in mounts if mount["mountPath"] != "/dev/shm"]


def test_servers_are_reached_by_the_addresses_in_the_secret(manifests) -> None:
    text = (FOLDER / "facerecon.env").read_text()
    ports = {each["metadata"]["name"]: each["spec"]["ports"][0]["port"] for each in of_kind(manifests, "Service")}
    for name in ("mlflow", "zenml"):
        assert f"FACERECON_{name.upper()}_URL=http://{name}.facerecon:{ports[name]}\n" in text
    assert "'mlflow:*,mlflow.facerecon:*," in (FOLDER / "mlflow.yaml").read_text(), "MLflow refuses other hosts"


def test_no_secret_stands_in_the_example() -> None:
    for line in (FOLDER / "facerecon.env").read_text().splitlines():
        key, _, value = line.partition("=")
        if not line.startswith("#") and re.search(r"PASSWORD|SECRET|S3_KEY|password$|key$", key):
            assert value == "", key


def test_the_folders_are_those_of_the_image() -> None:
    stack = stack_content("kubernetes")
    assert stack["variables"] is None
    pods = stack["components"]["orchestrator"]["configuration"]
    for kind in ("pod_settings", "orchestrator_pod_settings"):
        folders = {Path(mount["mountPath"]).name: mount.get("subPath") for mount in pods[kind]["volume_mounts"]}
        assert folders.pop("shm") is None
        assert folders == {name: name for name in ("state", "weights", "data", "outputs", "collected", "inbox")}
