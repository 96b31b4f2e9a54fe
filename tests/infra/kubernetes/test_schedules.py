"""Retraining on a schedule that Kubernetes keeps: registered once, paused, deleted; and what a slot runs."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.shared.lease import lease
from ops.shared.s3 import Bucket

pytestmark = pytest.mark.slow

NAME = "facerecon-kubernetes-night"
OLD = "01d" * 13 + "0"
RETRAINING = {
    "inbox": {"settle": 0},
    "collect": {"licence": "drawn by this project, MIT"},
    "decision": {"force": True},
}
COMMANDS = """
import json, sys
import cli.main
from facerecon.errors import FaceReconError
for arguments in json.loads(sys.argv[1]):
    print("$", *arguments, flush=True)
    try:
        if arguments[0] == "zenml":
            from pipelines.retraining import retraining
            retraining.with_options(config_path=arguments[-1])()
        else:
            cli.main.cli(arguments[1:], standalone_mode=False)
    except FaceReconError as error:
        print("Error:", error.message, flush=True)
"""


def night(cron: str = "0 3 * * *", **changed: Any) -> dict[str, Any]:
    """What a config says that is run by night, beside a training."""
    kept = {"settings": {"resources": {"memory": "8GB"}}, "parameters": {"retraining": RETRAINING}}
    return {"schedule": {"cron_expression": cron}, **kept, **changed}


def said(cluster, *commands: tuple[str, ...]) -> list[str]:
    """What commands print, one after the other in one process."""
    done = cluster.run("python", "-c", COMMANDS, json.dumps(commands))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return [text.partition("\n")[2].strip() for text in done.stdout.split("$ ")[1:]]


@pytest.fixture(scope="module")
def registered(cluster, small_config) -> dict[str, Any]:
    """The CronJob of a config with a schedule."""
    (cluster.image / "inbox").mkdir()
    config = small_config("night", night())
    done = cluster.run("zenml", "pipeline", "run", "retraining", "-c", config)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert f"registered the schedule {NAME}: 0 3 * * *, by the cluster's clock" in done.stdout + done.stderr
    (cron_job,) = cluster.api.of("cronjobs")
    return cron_job


def test_a_slot_that_was_missed_is_made_up_for_and_two_do_not_overlap(registered, checked) -> None:
    spec = registered["spec"]
    assert spec["schedule"] == "0 3 * * *"
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 21600)
    checked(registered)


def test_no_secret_stands_in_it_and_no_code_is_asked_for(registered, cluster) -> None:
    told = str(registered)
    assert cluster.secret["zenml-api-key"] not in told
    assert "'name': 'ZENML_STORE_API_KEY', 'valueFrom'" in told
    assert "'name': 'ZENML_STORE_API_TOKEN', 'valueFrom'" in told
    assert "FACERECON_CODE" not in told


def slot(cluster, cron_job: dict[str, Any], number: int) -> dict[str, Any]:
    """The Job of the one step that a slot makes."""
    done = cluster.run_pod(cluster.api.start(cron_job, number))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    made = cluster.api.of("jobs", pipeline="scheduled_retraining")
    steps = [job for job in made if job["metadata"]["annotations"].get("zenml.io/step-name") == "retrain"]
    assert len(steps) == number
    return steps[-1]


@contextmanager
def image_of(cluster, commit: str) -> Iterator[None]:
    """The image says that it was made of another commit."""
    about = cluster.image / ".image" / "about.json"
    known = about.read_text()
    about.write_text(json.dumps({"commit": commit}))
    yield
    about.write_text(known)


def test_a_slot_while_another_machine_retrains_ends_well_and_says_so(registered, cluster, checked) -> None:
    step = slot(cluster, registered, 1)
    checked(step)
    container = step["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "7629Mi"}
    where = {"endpoint_url": cluster.secret["FACERECON_S3_URL"], "region_name": "us-east-1"}
    secrets = {"key": cluster.secret["FACERECON_S3_KEY"], "secret": cluster.secret["FACERECON_S3_SECRET"]}
    place = Bucket.of("s3://state", {**secrets, "client_kwargs": where})
    with lease(place, "retraining"), image_of(cluster, OLD):
        done = cluster.run_pod(step)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-3000:]
    assert "retraining under way elsewhere: its lease" in told
    assert "old code: this image was made of commit 01d01d01d01d, and the stack expects c0ffee000000" in told


def test_each_slot_starts_from_the_champion_there_is(registered, cluster, monkeypatch) -> None:
    """Slow: a model is trained. The first slot promotes the first champion, and the second knows it."""
    import mlflow

    shutil.rmtree(cluster.image / "data" / "few")
    sample = ("--folder", "data/few", "--identities", "12", "--photos", "2", "--size", "192", "--workers", "2")
    drawn = cluster.run("facerecon", "sample", *sample)
    assert drawn.returncode == 0, drawn.stderr
    with image_of(cluster, OLD):
        first = cluster.run_pod(slot(cluster, registered, 2))
    assert first.returncode == 0, (first.stdout + first.stderr)[-3000:]
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", cluster.secret["FACERECON_MLFLOW_USER"])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", cluster.secret["FACERECON_MLFLOW_PASSWORD"])
    client = mlflow.MlflowClient(cluster.secret["FACERECON_MLFLOW_URL"])
    version = client.get_model_version_by_alias("facerecon-night", "champion")
    tags = client.get_run(version.run_id).data.tags
    assert (tags["git_commit"], tags["git_commit_expected"]) == (OLD, cluster.commit)
    second = cluster.run_pod(slot(cluster, registered, 3))
    assert second.returncode == 0, (second.stdout + second.stderr)[-3000:]
    assert "nothing to do: inbox/ holds no new clip" in second.stdout + second.stderr


def test_a_schedule_is_there_once_is_paused_and_deleted(registered, cluster, small_config) -> None:
    config = small_config("night", night("30 4 * * 1"))
    bad = small_config("bad", night(steps={"train": {"settings": {"resources": {"gpu_count": 1}}}}))
    show, run = ("facerecon", "schedule", "show"), ("zenml", "-c")
    before = registered["metadata"]["name"]
    replaced, refused, listed, _, paused, unknown = said(
        cluster,
        (*run, config),
        (*run, bad),
        show,
        ("facerecon", "schedule", "pause", NAME),
        show,
        ("facerecon", "schedule", "pause", "nightly"),
    )
    assert f"replaced the schedule {NAME}: 30 4 * * 1" in replaced
    assert "configs/bad.yaml: steps.train.settings: a scheduled run has one container" in refused
    (cron_job,) = cluster.api.of("cronjobs")
    name = cron_job["metadata"]["name"]
    assert name != before
    assert cron_job["spec"]["schedule"] == "30 4 * * 1"
    assert listed == f"{NAME}, 30 4 * * 1: active, {name} in the cluster\n  no run so far"
    assert paused == f"{NAME}, 30 4 * * 1: paused, {name} in the cluster\n  no run so far"
    assert cron_job["spec"]["suspend"] is True
    assert f"Error: 'nightly' is no schedule of the active stack; it has {NAME}" in unknown
    assert len(cluster.api.objects["secrets"]) == 1, "the token of the one that was replaced has gone"
    _, resumed, _, none = said(
        cluster, ("facerecon", "schedule", "resume", NAME), show, ("facerecon", "schedule", "delete", NAME), show
    )
    assert f"{NAME}, 30 4 * * 1: active" in resumed
    assert none == "no schedule: `facerecon schedule install` makes one"
    assert not cluster.api.of("cronjobs")
    assert not cluster.api.objects["secrets"]
