"""What ZenML gives Kubernetes for a run: the Job of its orchestrator, and what that makes of the steps."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from facerecon.workspace import PROJECT

SECRET = re.compile("key|secret|password", re.IGNORECASE)
STEPS = ("ingest", "align", "validate", "freeze_cases", "train", "evaluate", "export", "promote", "publish")
GPU = {
    "resources": {"gpu_count": 1, "memory": "16GB"},
    "orchestrator": {
        "pod_settings": {
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "volumes": [{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}],
            "image_pull_secrets": ["registry"],
        }
    },
}


@pytest.fixture(scope="module")
def ran(cluster, small_config) -> dict[str, dict[str, Any]]:
    """A training was started, and its orchestrator's pod has run: the Jobs by step, and that of the pod as ""."""
    poll = {"orchestrator": {"job_monitoring_interval": 0.1}}
    config = small_config("few", {"settings": poll, "steps": {"train": {"settings": GPU}}})
    begun = cluster.run("zenml", "pipeline", "run", "training", "-c", config)
    assert begun.returncode == 0, (begun.stdout + begun.stderr)[-3000:]
    assert "not yet supported" not in begun.stdout + begun.stderr
    (first,) = cluster.api.of("jobs", pipeline="training")
    done = cluster.run_pod(first)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    every = cluster.api.of("jobs", pipeline="training")
    return {each["metadata"]["annotations"].get("zenml.io/step-name", ""): each for each in every}


def pod(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(job)["containers"]
    return only


def variables(job: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container(job)["env"]}


def test_each_step_is_a_job_of_the_run(ran) -> None:
    assert set(ran) == {*STEPS, ""}
    assert len({job["metadata"]["labels"]["run_id"] for job in ran.values()}) == 1
    assert {container(job)["image"] for job in ran.values()} == {"registry.example.com/facerecon:c0ffee"}
    for job in ran.values():
        assert container(job)["command"][:3] == ["python", "-m", "ops.containers.entrypoint"]
    # a container whose image holds other code ends in one line
    assert all(variables(ran[step])["FACERECON_CODE"] for step in STEPS)


def test_all_that_zenml_makes_is_valid(ran, cluster, checked) -> None:
    kinds = [each["kind"] for each in cluster.api.created]
    assert kinds.count("Job") >= 10
    assert "Secret" in kinds
    for manifest in cluster.api.created:
        checked(manifest)


def test_only_the_orchestrator_may_ask_the_api_and_for_no_more_than_it_does(ran, cluster) -> None:
    accounts = {step: pod(job)["serviceAccountName"] for step, job in ran.items()}
    assert accounts.pop("") == "facerecon"
    assert set(accounts.values()) == {"facerecon-steps"}
    rules = next(
        each["rules"]
        for each in yaml.safe_load_all((PROJECT / "infra/kubernetes/rbac.yaml").read_text())
        if each["kind"] == "Role"
    )
    allowed = {(verb, name) for rule in rules for name in rule["resources"] for verb in rule["verbs"]}
    assert cluster.api.asked
    assert cluster.api.asked <= allowed


def test_what_a_step_asks_for_is_added_to_what_the_stack_says(ran) -> None:
    train, align = ran["train"], ran["align"]
    assert container(align)["resources"] == {"requests": {"cpu": "1", "memory": "4Gi"}}
    assert container(train)["resources"] == {
        "requests": {"cpu": "1", "memory": "15258Mi", "nvidia.com/gpu": "1"},
        "limits": {"nvidia.com/gpu": "1"},
    }
    assert pod(train)["tolerations"] == GPU["orchestrator"]["pod_settings"]["tolerations"]
    assert pod(train)["imagePullSecrets"] == [{"name": "registry"}]
    assert "tolerations" not in pod(align)
    sizes = {
        step: [volume["emptyDir"]["sizeLimit"] for volume in pod(ran[step])["volumes"] if "emptyDir" in volume]
        for step in ("train", "align")
    }
    assert sizes == {"train": ["16Gi"], "align": ["2Gi"]}
    for job in ran.values():
        assert [volume["name"] for volume in pod(job)["volumes"] if "persistentVolumeClaim" in volume] == ["facerecon"]
        folders = {Path(mount["mountPath"]).name for mount in container(job)["volumeMounts"]}
        assert folders == {"state", "weights", "data", "outputs", "collected", "inbox", "shm"}


def test_no_secret_stands_in_a_job(ran, cluster) -> None:
    tokens = [each for each in cluster.api.created if each["kind"] == "Secret"]
    assert tokens
    values = [base64.b64decode(value).decode() for each in tokens for value in each["data"].values()]
    secrets = [cluster.secret[key] for key in cluster.secret if SECRET.search(key)]
    assert len(secrets) == 8
    for job in ran.values():
        told = str(job)
        assert not any(secret in told for secret in (*values, *secrets))
        given = [each for each in container(job)["env"] if "valueFrom" in each]
        kept = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in given}
        assert kept["ZENML_STORE_API_KEY"] == {"name": "facerecon", "key": "zenml-api-key"}
        assert kept["ZENML_STORE_API_TOKEN"]["name"] == tokens[0]["metadata"]["name"]
        assert cluster.value({"valueFrom": {"secretKeyRef": kept["ZENML_STORE_API_KEY"]}}).startswith("ZENKEY_")
    assert not cluster.api.objects["secrets"], "a run's token goes with the run"
