"""The IR of the real pipelines: what Kubeflow reads, in ZenML's order, with what pods need, and without secrets."""

import re
import sqlite3
from contextlib import closing

import pytest

from tests.infra.kubeflow.conftest import Compiled

NAMES = ("training", "gpu", "retraining")
SECRETS = ("FACERECON_ZENML_API_KEY", "FACERECON_S3_KEY", "FACERECON_S3_SECRET", "FACERECON_MLFLOW_PASSWORD")
FOLDERS = {
    "/state": "state",
    "/weights": "weights",
    "/app/data": "data",
    "/app/outputs": "outputs",
    "/app/collected": "collected",
    "/app/inbox": "inbox",
}


@pytest.mark.parametrize("name", NAMES)
def test_kubeflows_own_library_reads_it(compiled: Compiled, name: str) -> None:
    from google.protobuf import json_format
    from kfp import components
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
    from kfp.pipeline_spec import pipeline_spec_pb2 as spec

    pipeline, platform = compiled.documents(name)
    read = json_format.ParseDict(pipeline, spec.PipelineSpec())
    assert len(read.root.dag.tasks) == len(compiled.facts["upstream"][name])
    json_format.ParseDict(platform, spec.PlatformSpec())
    for _, of in compiled.steps(name).values():
        json_format.ParseDict(of, kubernetes.KubernetesExecutorConfig())
    assert components.load_component_from_file(str(compiled.path(name))).name == read.pipeline_info.name


@pytest.mark.parametrize("name", NAMES)
def test_each_step_comes_after_those_that_zenml_has_before_it(compiled: Compiled, name: str) -> None:
    tasks = compiled.documents(name)[0]["root"]["dag"]["tasks"]
    before = {task: sorted(of.get("dependentTasks", [])) for task, of in tasks.items()}
    wanted = compiled.facts["upstream"][name]
    assert before == {
        step.replace("_", "-"): sorted(each.replace("_", "-") for each in upstream) for step, upstream in wanted.items()
    }
    assert before["publish"]
    assert before["evaluate"]


@pytest.mark.parametrize("name", NAMES)
def test_a_container_starts_its_step_of_a_snapshot_that_is_kept(compiled: Compiled, name: str) -> None:
    for step, (container, _) in compiled.steps(name).items():
        assert container["image"] == "registry.example.com/facerecon:c0ffee"
        assert container["command"] == ["python", "-m", "ops.containers.entrypoint", "zenml.entrypoints.entrypoint"]
        arguments = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
        assert arguments["--snapshot_id"] in compiled.facts["snapshots"], step


def test_no_run_is_left_and_the_flavor_is_known(compiled: Compiled) -> None:
    assert compiled.facts["runs"] == []
    assert compiled.facts["flavors"]["facerecon_kubeflow"] == "infra.kubeflow.flavor.KubeflowFlavor"


@pytest.mark.parametrize("name", NAMES)
def test_every_step_finds_the_claims_folders_its_key_and_the_id_of_its_run(compiled: Compiled, name: str) -> None:
    for step, (container, kubernetes) in compiled.steps(name).items():
        assert {mount["constant"] for mount in kubernetes["pvcMount"]} == {"facerecon"}
        assert {mount["mountPath"]: mount["subPath"] for mount in kubernetes["pvcMount"]} == FOLDERS, step
        (secret,) = kubernetes["secretAsEnv"]
        assert secret["secretName"] == "facerecon"
        assert secret["keyToEnv"] == [{"secretKey": "zenml-api-key", "envVar": "ZENML_STORE_API_KEY"}]
        # a placeholder in a variable is not filled by Kubeflow
        assert kubernetes["fieldPathAsEnv"] == [
            {"name": "KFP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
        ]
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        assert variables["ZENML_STORE_URL"] == compiled.known["FACERECON_ZENML_URL"]
        assert re.fullmatch("[0-9a-f]{64}", variables["FACERECON_CODE"])
        assert "KFP_RUN_ID" not in variables


def test_only_train_has_gpus_and_their_node_and_only_where_the_yaml_asks(compiled: Compiled) -> None:
    for name in NAMES:
        for step, (container, kubernetes) in compiled.steps(name).items():
            (memory,) = kubernetes["emptyDirMounts"]
            assert (memory["mountPath"], memory["medium"]) == ("/dev/shm", "Memory")
            if (name, step) == ("gpu", "train"):
                limits = container["resources"]
                assert limits["accelerator"]["resourceType"] == "nvidia.com/gpu"
                assert limits["accelerator"]["resourceCount"] == "2"
                assert (limits["resourceCpuLimit"], limits["resourceMemoryLimit"]) == ("4.0", str(8 << 30))
                assert memory["sizeLimit"] == "16Gi"
                assert kubernetes["nodeSelector"] == {"labels": {"accelerator": "a100"}}
                assert kubernetes["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
                assert [each["secretName"] for each in kubernetes["imagePullSecret"]] == ["registry"]
            else:
                assert "resources" not in container, (name, step)
                assert memory["sizeLimit"] == "2Gi"
                assert not kubernetes.keys() & {"nodeSelector", "tolerations", "imagePullSecret"}


@pytest.mark.parametrize("name", NAMES)
def test_no_token_and_no_secret_stands_in_the_clear(compiled: Compiled, name: str) -> None:
    text = compiled.path(name).read_text()
    for secret in SECRETS:
        assert compiled.known[secret] not in text, secret
    assert "API_TOKEN" not in text
    assert "eyJ" not in text  # so begins a JSON web token
    assert "PASSWORD" not in text.upper()


def test_a_submission_that_fails_is_one_line_and_a_failed_run(compiled: Compiled) -> None:
    done = compiled.run("zenml", "pipeline", "run", "training", "-c", "configs/ci.yaml")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert re.match(r"Error: Kubeflow at http://127\.0\.0\.1:9 refuses or does not answer \(", last)
    with closing(sqlite3.connect(compiled.root.parent / "zenml.db")) as store:
        assert store.execute("SELECT status FROM pipeline_run").fetchall() == [("failed",)]


def test_another_stack_is_refused_with_what_to_do(compiled: Compiled) -> None:
    said = compiled.facts["said"]["stack"]
    assert re.search("'default' has the orchestrator local, and none on Kubeflow: .*`facerecon stack kubeflow`", said)


def test_a_run_that_zenml_does_not_know_has_not_ended_well(compiled: Compiled) -> None:
    assert "of executed-0: none; expected one that is completed" in compiled.facts["said"]["run"]


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("claims", "Invalid configuration keys .*claimz"),
        ("sub_path", r"claims\.0\.subpath"),
        ("mount_path", r"claims\.0\.mount_path"),
        ("effect", r"tolerations\.0\.effect"),
        ("pod_settings", "Invalid configuration keys .*pod_settings"),
        ("api_key", "secrets_as_env: ZENML_STORE_API_KEY missing"),
        ("name", "is the flavor facerecon_kubeflow, and flavor says kubeflow"),
        ("source", "can not import"),
    ],
)
def test_what_a_stack_file_cannot_say_is_one_line(compiled: Compiled, what: str, pattern: str) -> None:
    said = compiled.facts["said"][what]
    assert said.startswith("infra/stacks/kubeflow.yaml: components.orchestrator: ")
    assert re.search(pattern, said), said
    assert "\n" not in said
