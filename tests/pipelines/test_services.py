"""The same pipeline with only the stack changed: on PostgreSQL, S3, MLflow, MariaDB and ZenML's servers."""

import itertools
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from ops.stack.files import read_variables
from tests.pipelines.conftest import refused, succeed

RUN = ("zenml", "pipeline", "run", "training", "-c", "configs/ci.yaml")
SECRETS = ("FACERECON_MLFLOW_PASSWORD", "FACERECON_S3_SECRET", "FACERECON_ZENML_API_KEY")
SERVERS = ("PostgreSQL", "MariaDB", "SeaweedFS", "MLflow", "ZenML")


def set_seed(clone, seed: int) -> None:
    content = yaml.safe_load((clone.root / "configs/ci.yaml").read_text())
    content["parameters"]["seed"] = seed
    (clone.root / "configs/ci.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def first_port(free_ports: Callable[[], int]) -> int:
    """The first port of this module's servers."""
    return free_ports()


@pytest.fixture(scope="module")
def served(infra, clone, another_checkout, first_port) -> Iterator:
    """A checkout whose servers run, and what `up` said. Ended, they leave no process, port or socket."""
    made = another_checkout("served")
    shutil.copytree(clone.root / "data" / "ci", made.root / "data" / "ci")
    said = succeed(made, "python", "-m", "infra.services", "up", "--first-port", str(first_port))
    try:
        yield made, said
    finally:
        pids = [json.loads(file.read_text())["pid"] for file in folder(made).glob("*.pid")]
        ended = succeed(made, "python", "-m", "infra.services", "down")
        assert all(name in ended for name in SERVERS)
        left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        assert all(process.status() == psutil.STATUS_ZOMBIE for process in left)  # ended, and reaped by nobody here
        assert not list(Path("/tmp").glob(f"seaweedfs-*{str(first_port)[-4:-1]}?.sock"))


@pytest.fixture(scope="module")
def trained(served):
    """The stack is registered, and one model was trained on it."""
    made, _ = served
    assert "active ZenML stack: facerecon-services" in succeed(made, "facerecon", "stack", "services")
    return made, succeed(made, *RUN)


def folder(clone) -> Path:
    return clone.root / ".facerecon" / "services"


def variables(clone) -> dict[str, str]:
    return read_variables(folder(clone) / "environment") | read_variables(folder(clone) / "servers")


def query(clone, statement: str, database: str = "mlflow") -> list[tuple]:
    """Rows of a database of PostgreSQL."""
    import psycopg2

    known = variables(clone)
    port = int(known["FIRST_PORT"]) + 3
    with (
        psycopg2.connect(
            host="127.0.0.1", port=port, user="facerecon", password=known["POSTGRES_PASSWORD"], dbname=database
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchall()


def s3(clone, **changed: str):
    import boto3

    known = variables(clone) | changed
    return boto3.client(
        "s3",
        endpoint_url=known["FACERECON_S3_URL"],
        aws_access_key_id=known["FACERECON_S3_KEY"],
        aws_secret_access_key=known["FACERECON_S3_SECRET"],
        region_name="us-east-1",
    )


def keys(clone, bucket: str) -> list[str]:
    pages = s3(clone).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def champion(clone) -> int:
    (row,) = query(clone, "SELECT version FROM registered_model_aliases WHERE alias = 'champion'")
    return int(row[0])


def journal(clone) -> list[dict]:
    content = s3(clone).get_object(Bucket="state", Key="promotions.jsonl")["Body"].read()
    return [json.loads(line) for line in content.splitlines()]


def test_all_five_answer_and_say_where(served, first_port: int) -> None:
    made, said = served
    for name in SERVERS:
        assert re.search(rf"^{name} .*127\.0\.0\.1:{first_port // 10}", said, re.MULTILINE), name
    again = succeed(made, "python", "-m", "infra.services", "up")
    assert said.splitlines()[-6:] == again.splitlines()[-6:]
    assert all(
        oct(file.stat().st_mode)[-3:] == "600" for file in (folder(made) / "environment", folder(made) / "servers")
    )


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_line_and_nothing_is_started(served, another_checkout, first_port: int) -> None:
    other = another_checkout("busy")
    line = refused(other, "python", "-m", "infra.services", "up", "--first-port", str(first_port))
    assert "of PostgreSQL is taken by another program" in line
    assert not list(folder(other).glob("*.pid"))


def test_with_only_the_stack_changed_it_trains_and_promotes(trained) -> None:
    made, said = trained
    assert "Version 1 is champion" in said or "champion" in said
    assert champion(made) == 1
    assert any(key.endswith("model.onnx") for key in keys(made, "mlflow"))
    assert any(key.endswith("model.safetensors") for key in keys(made, "zenml"))
    assert [line["kind"] for line in journal(made)] == ["intent", "done"]
    # nothing went where the local stack keeps it
    assert not (made.root / ".facerecon/promotions.jsonl").exists()
    assert not (made.root / ".facerecon/people.key").exists()


def test_a_wrong_key_is_refused(trained) -> None:
    import botocore.exceptions

    made, _ = trained
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
        s3(made, FACERECON_S3_SECRET="wrong").list_buckets()
    for name, who in (
        ("FACERECON_S3_SECRET", "the S3 server of s3://zenml refuses"),
        ("FACERECON_MLFLOW_PASSWORD", "the MLflow server at .* refuses"),
        ("FACERECON_ZENML_API_KEY", "the ZenML server at .* refuses"),
    ):
        assert re.search(who, refused(made, "facerecon", "stack", "services", **{name: "wrong"})), name
    # and what was registered is as it was, and speaks to the servers
    assert "ci/1" in succeed(made, "facerecon", "models")


def test_no_secret_lies_in_the_tree_or_in_a_registered_configuration(trained) -> None:
    made, _ = trained
    secrets = [variables(made)[name].encode() for name in SECRETS]
    for path in made.root.rglob("*"):
        if path.is_file() and folder(made) not in path.parents:
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path
    ask = (
        "from zenml.client import Client; client = Client(); print(client.active_stack_model.model_dump_json(), "
        "[component.model_dump_json() for component in client.list_stack_components(hydrate=True)])"
    )
    shown = succeed(made, "python", "-c", ask)
    assert "facerecon-services.artifact_store_secret" in shown
    assert not any(secret.decode() in shown for secret in secrets)


def test_commands_speak_to_the_stacks_servers(trained) -> None:
    made, _ = trained
    report = Path(succeed(made, "facerecon", "report", "ci@champion").strip().splitlines()[-1])
    assert report.is_file()
    assert re.search(r"MLflow +http://127", succeed(made, "facerecon", "ui"))
    assert "holds the registry of this stack" in " ".join(made.run("facerecon", "doctor").stdout.split())


SECOND = """
import dataclasses

from zenml.io import fileio

from ops.registry import find_version, register, weights_of

first = find_version("ci/1")
trained = weights_of(first)
other = dataclasses.replace(trained, weights={name: value + 1 for name, value in trained.weights.items()})
uri = first.tags["weights_uri"].replace("model.safetensors", "second.safetensors")
with fileio.open(uri, "wb") as stream:
    stream.write(other.to_bytes())
tags = first.tags | {"weights_uri": uri, "weights_digest": other.digest}
print("registered", register(first.name, first.source, tags).version)
"""
"""Registers a second version, with other weights and what else stands on the first."""


@pytest.fixture(scope="module")
def two_versions(trained):
    """There are two versions, of which the first was trained."""
    made, _ = trained
    assert "registered 2" in succeed(made, "python", "-c", SECOND)
    return made


@pytest.fixture(scope="module")
def trained_twice(trained):
    """One more version was trained, with another seed."""
    made, _ = trained
    set_seed(made, 1)
    succeed(made, *RUN)
    return made


def test_it_is_promoted_by_hand_and_rolled_back(two_versions) -> None:
    made = two_versions
    before = champion(made)
    other = 3 - before
    succeed(made, "facerecon", "promote", f"ci/{other}", "--reason", "a test")
    assert champion(made) == other
    succeed(made, "facerecon", "rollback", "ci", "--reason", "a test")
    assert champion(made) == before


def test_two_who_promote_at_once_end_in_one_order(two_versions, tmp_path: Path) -> None:
    """With state folders of their own, as on two machines. Who comes first has to change something."""
    made = two_versions
    moves = len(journal(made)) // 2
    another = {"FACERECON_STATE": str(tmp_path)} | {
        name: value for name, value in variables(made).items() if name.startswith("FACERECON_")
    }
    succeed(made, "facerecon", "stack", "services", **another)
    running = []
    for number, (version, state) in enumerate(((3 - champion(made), another), (champion(made), {}))):
        command = ["facerecon", "promote", f"ci/{version}", "--reason", f"promoter {number}"]
        program = Path(sys.executable).parent / command[0]
        running.append(
            subprocess.Popen(
                [str(program) if program.exists() else command[0], *command[1:]],
                cwd=made.root,
                env=made.environment | state,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    ends = [(process.communicate()[1], process.returncode) for process in running]
    lines = journal(made)[2 * moves :]
    promoted = [number for number, (_, status) in enumerate(ends) if status == 0]
    assert promoted
    # who came second to the same end is told so
    assert all("is the champion of ci already" in said for said, status in ends if status)
    intents, outcomes = [line for line in lines if line["kind"] == "intent"], [line["kind"] for line in lines]
    assert outcomes == ["intent", "done"] * len(promoted)
    assert sorted(move["move"]["reason"] for move in intents) == [f"promoter {number}" for number in promoted]
    # each began where the one before had ended
    ways = [move["move"]["champion"] for move in intents]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ways))
    assert champion(made) == ways[-1][1]


def test_another_registry_and_an_empty_one_are_refused(two_versions) -> None:
    import mlflow

    made = two_versions
    known = variables(made)
    login = {"MLFLOW_TRACKING_USERNAME": known["FACERECON_MLFLOW_USER"]}
    login |= {"MLFLOW_TRACKING_PASSWORD": known["FACERECON_MLFLOW_PASSWORD"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in login.items():
            patch.setenv(name, value)
        client = mlflow.MlflowClient(known["FACERECON_MLFLOW_URL"])
        experiment = client.get_experiment_by_name("facerecon")
        own = experiment.tags["facerecon.registry"]
        client.set_experiment_tag(experiment.experiment_id, "facerecon.registry", "0123456789abcdef")
        for command in (("facerecon", "models"), RUN):
            assert f"holds the registry 01234567, and this stack belongs to {own[:8]}" in refused(made, *command)
        client.set_experiment_tag(experiment.experiment_id, "facerecon.registry", own)
        client.rename_experiment(experiment.experiment_id, "elsewhere")
        for command in (RUN, ("facerecon", "stack", "services")):
            assert "holds no registry of this project, and this stack belongs to" in refused(made, *command)
        client.rename_experiment(experiment.experiment_id, "facerecon")
    assert "ci/2" in succeed(made, "facerecon", "models")


@pytest.mark.slow
def test_a_run_on_servers_is_reproduced_on_this_machine(trained) -> None:
    made, _ = trained
    counted = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM model_versions)"
    before = query(made, counted)
    said = succeed(made, "facerecon", "reproduce", "ci/1")
    assert "is reproduced: the same ONNX file, byte for byte" in " ".join(said.split())
    assert query(made, counted) == before


@dataclass(frozen=True)
class Person:
    """Somebody in training, and what must not be found any more."""

    name: str
    needles: tuple[bytes, ...]


def person(clone) -> Person:
    key = next(key for key in keys(clone, "zenml") if re.match("validate/valid_faces/.*/faces.csv", key))
    faces = pd.read_csv(s3(clone).get_object(Bucket="zenml", Key=key)["Body"])
    name = faces[faces["split"] == "train"]["identity"].iloc[0]
    digests = faces[faces["identity"] == name]["sha256"]
    return Person(name, (name.encode(), *(digest.encode() for digest in digests)))


PLANT = """
import sys

import mlflow
from zenml.client import Client
from zenml.enums import MetadataResourceTypes
from zenml.models import RunMetadataResource

from ops.stack.tracker import EXPERIMENT, use_tracker

use_tracker()
name, run, step_run = sys.argv[1:]
client = mlflow.MlflowClient()
client.set_tag(run, "seen", f"worse on {name}/0.jpg")
client.set_model_version_tag("facerecon-ci", "1", "seen", f"worse on {name}")
client.update_model_version("facerecon-ci", "1", f"asked by {name}")
mlflow.set_experiment(EXPERIMENT)
with mlflow.start_run(run_name="looked at") as deleted:
    mlflow.set_tags({"seen": name, "manifest_digest": client.get_run(run).data.tags["manifest_digest"]})
    mlflow.log_text(name, "look.html")
client.delete_run(deleted.info.run_id)
with mlflow.start_span("look") as span:
    span.set_inputs({"who": name})
mlflow.flush_trace_async_logging()
zenml = Client()
(model,) = zenml.list_models(name="facerecon-ci").items
version = zenml.list_model_versions(model=model.id).items[0]
notes = ((version.id, MetadataResourceTypes.MODEL_VERSION), (step_run, MetadataResourceTypes.STEP_RUN))
zenml.create_run_metadata({"seen": name}, [RunMetadataResource(id=id, type=type) for id, type in notes])
"""
"""What people and failing steps may write about somebody, in each place where a server keeps such a thing."""


def plant(clone, name: str) -> None:
    run = query(clone, "SELECT run_id FROM model_versions ORDER BY version DESC LIMIT 1")[0][0]
    ((step,),) = rows(clone, "zenml", "SELECT id FROM step_run WHERE name = 'align' ORDER BY created DESC LIMIT 1")
    succeed(clone, "python", "-c", PLANT, name, run, step)
    s3(clone).put_object(Bucket="zenml", Key="logs/planted.log", Body=f"aligning {name}/0.jpg".encode())


def rows(clone, database: str, statement: str) -> list[tuple]:
    """Rows of a database: ``zenml`` is MariaDB's, the others are PostgreSQL's."""
    if database != "zenml":
        return query(clone, statement, database)
    import pymysql

    known = variables(clone)
    port, password = int(known["FIRST_PORT"]) + 4, known["MARIADB_PASSWORD"]
    with (
        pymysql.connect(
            host="127.0.0.1", port=port, user="facerecon", password=password, database="zenml"
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return list(cursor.fetchall())


def places_naming(clone, who: Person) -> set[str]:
    """Tables, buckets and servers' files that hold any of a person's needles."""
    found = set()
    for database in ("mlflow", "mlflow_auth", "zenml"):
        schema = "zenml" if database == "zenml" else "public"
        listed = f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'"
        for (table,) in rows(clone, database, listed):
            quoted = f"`{table}`" if database == "zenml" else f'"{table}"'
            content = repr(rows(clone, database, f"SELECT * FROM {quoted}")).encode()
            found |= {f"{database}.{table}" for needle in who.needles if needle in content}
    for bucket in ("mlflow", "zenml", "state"):
        for key in keys(clone, bucket):
            content = s3(clone).get_object(Bucket=bucket, Key=key)["Body"].read()
            found |= {f"s3://{bucket}" for needle in who.needles if needle in content}
    for server in ("postgres", "mariadb", "seaweedfs", "logs"):
        for path in filter(Path.is_file, (folder(clone) / server).rglob("*")):
            content = path.read_bytes()
            found |= {server for needle in who.needles if needle in content}
    return found


@pytest.mark.slow
def test_nothing_of_somebody_forgotten_is_left_on_the_servers(trained_twice) -> None:
    """Killed on its way, the same command finishes."""
    made = trained_twice
    who = person(made)
    plant(made, who.name)
    assert places_naming(made, who) >= {
        *("mlflow.tags", "mlflow.model_version_tags", "mlflow.model_versions", "mlflow.spans", "zenml.run_metadata"),
        *("s3://mlflow", "s3://zenml", "postgres", "mariadb", "seaweedfs"),
    }
    moves = journal(made)
    command = ("facerecon", "forget", "--identity", who.name, "--reason", "asked on 2026-11-21", "--yes")
    program = Path(sys.executable).parent / command[0]
    running = subprocess.Popen(
        [str(program) if program.exists() else command[0], *command[1:]],
        cwd=made.root,
        env=made.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (made.root / ".facerecon" / "forgetting.json").exists():
        assert running.poll() is None
        time.sleep(0.1)
    time.sleep(3)
    running.kill()
    running.wait()
    assert places_naming(made, who)
    said = succeed(made, *command)
    assert "What this clone and the servers of the stack services keep of identity" in said
    assert "LEFT" not in said
    assert places_naming(made, who) == set()
    pictures = {".html", ".parquet", ".png"}
    left = [Path(key) for bucket in ("mlflow", "zenml") for key in keys(made, bucket) if Path(key).suffix in pictures]
    assert left == []
    # figures, weights and decisions stay
    assert sum(key.endswith("published/metrics.json") for key in keys(made, "mlflow")) == 2
    assert any(key.endswith("model.safetensors") for key in keys(made, "zenml"))
    assert journal(made) == moves
    versions = query(made, "SELECT count(*) FROM model_versions")
    assert query(made, "SELECT count(*) FROM model_version_tags WHERE key = 'forgotten'") == versions
    assert "was made with photos that are forgotten since" in refused(made, "facerecon", "reproduce", "ci/1")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_server_that_dies_during_a_run_is_one_line_and_the_same_command_then_finishes(trained) -> None:
    made, _ = trained
    for name in ("MLflow", "SeaweedFS", "ZenML"):
        set_seed(made, 2 + SERVERS.index(name))
        program = Path(sys.executable).parent / RUN[0]
        running = subprocess.Popen(
            [str(program) if program.exists() else RUN[0], *RUN[1:]],
            cwd=made.root,
            # MLflow's client tries for minutes
            env=made.environment | {"PYTHONUNBUFFERED": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if "train" in line and "has started" in line:
                time.sleep(1)
                pid = json.loads((folder(made) / f"{name.lower()}.pid").read_text())["pid"]
                family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
                for process in family:
                    process.send_signal(signal.SIGKILL)
        assert running.wait(300) == 1, name
        (error,) = (line for line in said if line.startswith("Error: "))
        assert "a server does not answer as it should" in error, name
        assert "run the same command again" in error, name
        assert "Traceback" not in "".join(said), name
        succeed(made, "python", "-m", "infra.services", "up")
        succeed(made, *RUN)
