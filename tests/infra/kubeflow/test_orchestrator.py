"""A run is submitted and waited for; what Kubeflow refuses, or ends badly, is one line."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from facerecon.errors import FaceReconError

IR = """
components:
  comp-train:
    executorLabel: exec-train
deploymentSpec:
  executors:
    exec-train:
      container: {image: "registry.example.com/facerecon:c0ffee", command: ["true"]}
pipelineInfo: {name: training}
root:
  dag:
    tasks:
      train:
        cachingOptions: {}
        componentRef: {name: comp-train}
        taskInfo: {name: train}
schemaVersion: 2.1.0
sdkVersion: kfp-2.16.1
"""
KEY = {"secret": "facerecon", "key": "zenml-api-key"}


class Api(ThreadingHTTPServer):
    """Kubeflow Pipelines' API as far as a run needs it; it keeps what it is told, and tells ``states`` one by one."""

    def __init__(self, *states: str, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.states, self.refuses = list(states), refuses
        self.told: dict[str, Any] = {}
        self.asked: list[str] = []
        self.gone = False

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Api

    def do_GET(self) -> None:
        """Experiments: none; a run: its next state."""
        if "/runs/" in self.path:
            self._answer({"run_id": "r1", "state": self.server.states.pop(0)})
        else:
            self._answer({})

    def do_POST(self) -> None:
        """Keep what is to be created."""
        if self.path.endswith("able"):
            self.server.asked.append(self.path)
            self._answer({})
            return
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told[self.path.rpartition("/")[2]] = content
        self._answer(content | {"run_id": "r1", "experiment_id": "e1", "recurring_run_id": "s1"})

    def do_DELETE(self) -> None:
        """Delete a recurring run."""
        self.server.asked.append(self.path)
        self._answer({})

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, content: dict[str, Any]) -> None:
        gone = self.server.gone and self.command == "DELETE"
        self.send_response(403 if self.server.refuses else 404 if gone else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


@pytest.fixture
def submit(kubeflow_packages: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``submit(api, schedule, **configuration)``: the IR is submitted to an API."""
    import kfp.client.client
    from zenml.enums import StackComponentType
    from zenml.utils.time_utils import utc_now

    from infra.kubeflow import orchestrator
    from infra.kubeflow.flavor import KubeflowConfig, KubeflowFlavor

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(orchestrator, "POLL", 0)
    # between two tries
    monkeypatch.setattr(kfp.client.client, "time", SimpleNamespace(sleep=lambda seconds: None))
    (tmp_path / "ir.yaml").write_text(IR)
    apis = []

    def submitted(api: Api | str, schedule: Any = None, **configuration: Any) -> Any:
        if isinstance(api, Api):
            apis.append(api)
            threading.Thread(target=api.serve_forever, args=(0.05,), daemon=True).start()
        address = api if isinstance(api, str) else api.address
        config = KubeflowConfig(kubeflow_hostname=address, secrets_as_env={"ZENML_STORE_API_KEY": KEY}, **configuration)
        made = orchestrator.KubeflowOrchestrator(
            name="kubeflow",
            id=uuid4(),
            config=config,
            flavor=KubeflowFlavor().name,
            type=StackComponentType.ORCHESTRATOR,
            user=None,
            created=utc_now(),
            updated=utc_now(),
        )
        pipeline = SimpleNamespace(name="training", settings={})
        snapshot = SimpleNamespace(pipeline_configuration=pipeline, schedule=schedule, step_configurations={})
        submitted.orchestrator = made  # type: ignore[attr-defined]
        return made._upload_and_run_pipeline(snapshot, str(tmp_path / "ir.yaml"), "12_00-demo")

    yield submitted
    for api in apis:
        api.shutdown()
        api.server_close()


def test_a_run_is_submitted_under_its_pipelines_name_and_waited_for(submit) -> None:
    api = Api("PENDING", "RUNNING", "SUCCEEDED")
    submit(api).wait_for_completion()
    assert api.told["experiments"]["display_name"] == "training"
    assert api.told["runs"]["display_name"] == "12_00-demo"
    assert api.told["runs"]["pipeline_spec"]["pipelineInfo"]["name"] == "training"
    assert api.states == []


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED"])
def test_a_run_that_does_not_end_well_is_one_line(submit, state: str) -> None:
    with pytest.raises(FaceReconError, match=f"the Kubeflow run r1 has ended with {state}"):
        submit(Api("RUNNING", state)).wait_for_completion()


def test_a_run_that_takes_too_long_is_one_line(submit) -> None:
    with pytest.raises(FaceReconError, match="has not ended after 1 s: it goes on there"):
        submit(Api(*["RUNNING"] * 100_000), timeout=1).wait_for_completion()


def test_who_does_not_wait_is_given_nothing_to_wait_for(submit) -> None:
    assert submit(Api(), synchronous=False) is None


def test_a_recurring_run_has_a_cron_expression_and_does_not_catch_up(submit) -> None:
    api = Api()
    assert submit(api, SCHEDULE).metadata == {"recurring_run_id": "s1"}
    told = api.told["recurringruns"]
    # second, minute, hour, day of month, month, day of week
    assert told["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert told["no_catchup"] is True


SCHEDULE = SimpleNamespace(cron_expression="0 3 * * *", utc_start_time=None, utc_end_time=None)
KEPT = SimpleNamespace(name="nightly", run_metadata={"recurring_run_id": "s1"})


def test_a_recurring_run_is_paused_goes_on_and_is_deleted(submit) -> None:
    api = Api()
    submit(api, SCHEDULE)
    made = submit.orchestrator
    assert made.supports_schedule_updates
    assert made.supports_schedule_deletion
    for active in (False, True):
        made.update_schedule(KEPT, SimpleNamespace(cron_expression=None, active=active))
    made.delete_schedule(KEPT)
    assert [asked.rpartition("/")[2] for asked in api.asked] == ["s1:disable", "s1:enable", "s1"]
    # twice is no fault
    api.gone = True
    made.delete_schedule(KEPT)
    with pytest.raises(FaceReconError, match=r"cron_expression = 1 \* \* \* \*: a recurring run keeps its expression"):
        made.update_schedule(KEPT, SimpleNamespace(cron_expression="1 * * * *", active=None))
    with pytest.raises(FaceReconError, match="ZenML does not know its recurring run"):
        made.delete_schedule(SimpleNamespace(name="nightly", run_metadata={}))


def test_who_refuses_and_who_is_not_there_is_one_line(submit) -> None:
    for api, said in ((Api(refuses=True), "403"), ("http://127.0.0.1:9", "refused")):
        with pytest.raises(FaceReconError, match=r"Kubeflow at http://127.* refuses or does not answer") as raised:
            submit(api)
        assert re.search(said, raised.value.message)
        assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("cron", "catchup"), [(None, False), ("0 3 * * *", True)], ids=["an interval", "with catch-up"]
)
def test_a_schedule_that_kubeflow_would_not_keep_to_is_refused(kubeflow_packages: None, cron, catchup) -> None:
    from infra.kubeflow.orchestrator import KubeflowOrchestrator

    schedule = SimpleNamespace(cron_expression=cron, interval_second="1 day", catchup=catchup)
    with pytest.raises(FaceReconError, match="give cron_expression, catchup: false"):
        KubeflowOrchestrator.submit_pipeline(None, SimpleNamespace(schedule=schedule), None, {}, {})
