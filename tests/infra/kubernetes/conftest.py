"""Kubernetes without a cluster: its API answers and keeps what it is given; servers run as their Deployments say.

A pod is run as a process, by the command and the variables of its manifest.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import yaml

from benchmarks.checkout import copy_working_tree
from facerecon.workspace import PROJECT
from tests.infra.conftest import create_buckets

MANIFESTS = PROJECT / "infra" / "kubernetes"
NAMESPACE = "facerecon"
VERSIONS = ("1.33.0", "1.37.0")
"""Of Kubernetes, whose schemas objects are validated by."""
COMMIT = "c0ffee" + "0" * 34
"""The commit that the image says it was made of."""


def read_manifests(path: Path) -> list[dict[str, Any]]:
    """The objects in a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def pods_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The specs of the pods that an object makes."""
    spec = manifest.get("spec", {})
    spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    return [spec["template"]["spec"]] if "template" in spec else []


def check(manifest: dict[str, Any]) -> None:
    """Validate an object strictly by the schemas of both versions, and its pods by the policy `restricted`."""
    from kubernetes_validate import validate

    for version in VERSIONS:
        validate(manifest, version, strict=True)
    for pod in pods_of(manifest):
        of_pod = pod["securityContext"]
        assert of_pod["runAsNonRoot"] is True
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all(volume.keys() & {"persistentVolumeClaim", "emptyDir"} for volume in pod.get("volumes", ()))
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert not container["securityContext"].get("privileged")
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}


@dataclass
class Api:
    """Kubernetes' API as far as ZenML asks for it: a Job that is made has ended.

    ``objects`` are those there are, by plural and name, ``created`` all there ever were; ``asked`` is (verb, resource).
    """

    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    asked: set[tuple[str, str]] = field(default_factory=set)
    owner: str = ""
    port: int = 0

    def of(self, plural: str, **labels: str) -> list[dict[str, Any]]:
        """The objects of a kind that have these labels, in the order in which they were made."""
        every = self.objects.get(plural, {}).values()
        return [each for each in every if labels.items() <= (each["metadata"].get("labels") or {}).items()]

    def start(self, cron_job: dict[str, Any], number: int) -> dict[str, Any]:
        """What the controller does at a slot: make the Job."""
        template = cron_job["spec"]["jobTemplate"]
        job = {"metadata": {**template.get("metadata", {}), "name": f"{cron_job['metadata']['name']}-{number}"}}
        return self.create("jobs", {**job, "spec": template["spec"]})

    def create(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        kinds = {"jobs": ("batch/v1", "Job"), "cronjobs": ("batch/v1", "CronJob"), "secrets": ("v1", "Secret")}
        version, kind = kinds[plural]
        made = {"apiVersion": version, "kind": kind, **body}
        self.objects.setdefault(plural, {})[body["metadata"]["name"]] = made
        self.created.append(made)
        return made

    def answer(self, method: str, address: str, body: Any) -> tuple[int, Any]:
        """Status and content for a request."""
        url = urlsplit(address)
        found = re.fullmatch(rf"/(?:api/v1|apis/batch/v1)/namespaces/{NAMESPACE}/(\w+)(?:/([^/]+))?(/log)?", url.path)
        if found is None:
            return 404, status(f"{address} is not known")
        plural, name, log = found.groups()
        reads = "get" if name else "list"
        verb = {"GET": reads, "POST": "create", "PATCH": "patch", "DELETE": "delete"}[method]
        self.asked.add((verb, plural + (log or "")))
        if plural == "pods":
            return 200, self.own_pod(name) if name else {"items": [], "metadata": {}}
        there = self.objects.setdefault(plural, {})
        if method == "POST":
            if body["metadata"]["name"] in there:
                return 409, status("AlreadyExists")
            return 201, self.create(plural, body)
        if name is None:
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            wanted = dict(pair.split("=") for pair in selector.split(",") if pair)
            return 200, {"items": [ended(each) for each in self.of(plural, **wanted)], "metadata": {}}
        if name not in there:
            return 404, status(f"{plural}/{name} not found")
        if method == "DELETE":
            del there[name]
            return 200, status("deleted")
        if method == "PATCH":
            for part in ("metadata", "spec", "data"):
                for key, value in (body.get(part) or {}).items():
                    known = there[name].setdefault(part, {})
                    known[key] = {**(known.get(key) or {}), **value} if isinstance(value, dict) else value
        return 200, ended(there[name]) if plural == "jobs" else there[name]

    def own_pod(self, name: str) -> dict[str, Any]:
        """The pod that asks, which belongs to the Job ``owner``."""
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": self.owner, "uid": "0", "controller": True}
        metadata = {"name": name, "labels": {"job-name": self.owner}, "ownerReferences": [owner]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def status(message: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Status", "message": message}


def ended(job: dict[str, Any]) -> dict[str, Any]:
    """A Job that has run to its end."""
    return {**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}


def serve(api: Api) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            code, answer = api.answer(self.command, self.path, json.loads(content) if content else None)
            raw = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api.port = server.server_port
    return server


@dataclass
class Cluster:
    """A namespace with the manifests applied; ``secret`` is what the Secret `facerecon` holds.

    ``image`` is the project's folder as the image, made of ``commit``, has it, ``claim`` what is mounted at /state.
    """

    api: Api
    image: Path
    claim: Path
    secret: dict[str, str]
    environment: dict[str, str]
    commit: str = COMMIT

    def run(self, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=self.image,
            env=self.environment | changed,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (done.stdout, done.stderr))
        return done

    def run_pod(self, job: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run the container of a Job's pod by its command, with its variables and no others of ZenML's."""
        (container,) = pods_of(job)[0]["containers"]
        self.api.owner = job["metadata"]["name"]
        given = {variable["name"]: self.value(variable) for variable in container["env"]}
        pod = self.claim.parent / job["metadata"]["name"]
        pod.mkdir(exist_ok=True)
        # a pod's hostname is its name
        (pod / "sitecustomize.py").write_text(f"import socket\nsocket.gethostname = lambda: '{pod.name}-pod'\n")
        own = {"ZENML_CONFIG_PATH": str(pod), "PYTHONPATH": f"{pod}{os.pathsep}{self.image}"}
        kept = without(self.environment, "ZENML_", "FACERECON_")
        of_image = {name: self.environment[name] for name in ("FACERECON_STATE", "FACERECON_OUTPUTS")}
        command = [*container["command"], *container["args"]]
        done = subprocess.run(
            command, cwd=self.image, env=kept | of_image | given | own, capture_output=True, text=True, timeout=600
        )
        done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (done.stdout, done.stderr))
        return done

    def value(self, variable: dict[str, Any]) -> str:
        """What a container's variable holds."""
        if "value" in variable:
            return str(variable["value"])
        of = variable["valueFrom"]["secretKeyRef"]
        if of["name"] == "facerecon":
            return self.secret[of["key"]]
        return base64.b64decode(self.api.objects["secrets"][of["name"]]["data"][of["key"]]).decode()


def without(variables: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Those that do not begin so."""
    return {name: value for name, value in variables.items() if not name.startswith(prefixes)}


@pytest.fixture(scope="session")
def cluster(
    kubernetes_packages: None, free_ports: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A namespace whose servers run; the stack `kubernetes` is registered and active."""
    from moto.server import ThreadedMotoServer

    folder = tmp_path_factory.mktemp("cluster")
    mlflow = free_ports()
    zenml = mlflow + 1
    s3 = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    s3.start()
    api = Api()
    with_api = serve(api)
    secret = {
        **secret_keys(),
        "FACERECON_IMAGE": "registry.example.com/facerecon:c0ffee",
        "FACERECON_ZENML_URL": f"http://127.0.0.1:{zenml}",
        "FACERECON_MLFLOW_URL": f"http://127.0.0.1:{mlflow}",
        "FACERECON_MLFLOW_USER": "facerecon",
        "FACERECON_S3_URL": f"http://127.0.0.1:{s3.get_host_and_port()[1]}",
        "FACERECON_KUBERNETES_CONTEXT": "recorder",
        "mlflow-database": f"sqlite:///{folder}/mlflow.db",
        "mlflow-accounts-database": f"sqlite:///{folder}/accounts.db",
        "zenml-database": f"sqlite:///{folder}/zenml.db",
    }
    create_buckets(secret)
    made = Cluster(api, folder / "image", folder / "state", secret, {})
    servers = [start_server(made, "mlflow", mlflow), start_server(made, "zenml", zenml)]
    try:
        copy_working_tree(made.image)
        make_image(made.image)
        made.environment = environment_of(made, folder)
        await_probe("mlflow", mlflow, servers[0])
        await_probe("zenml", zenml, servers[1])
        secret["zenml-api-key"] = made.environment["FACERECON_ZENML_API_KEY"] = create_key(secret)
        done = made.run("facerecon", "stack", "kubernetes")
        assert done.returncode == 0, done.stderr[-3000:]
        yield made
    finally:
        for server in servers:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()
        s3.stop()
        with_api.shutdown()


def secret_keys() -> dict[str, str]:
    """The lines of facerecon.env, where it leaves a secret open with one made up."""
    lines = (MANIFESTS / "facerecon.env").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    return {key: value or f"{number:032x}" for number, (key, value) in enumerate(pairs, start=16**31)}


def make_image(root: Path) -> None:
    """What the image has beside the project, of which there is no git repository in it."""
    (root / ".image").mkdir()
    (root / ".image" / "about.json").write_text(json.dumps({"commit": COMMIT}))
    (root / ".image" / "uncommitted.diff").write_text("")
    (root / ".zen").mkdir()
    (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")


def environment_of(made: Cluster, folder: Path) -> dict[str, str]:
    """The variables of the pod that starts runs, and of the image."""
    (training,) = read_manifests(MANIFESTS / "training" / "training.yaml")
    (container,) = pods_of(training)[0]["containers"]
    kept = without(os.environ, "ZENML_", "MLFLOW_", "FACERECON_")
    context = {"name": "recorder", "context": {"cluster": "recorder", "user": "recorder"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "recorder",
        "contexts": [context],
        "clusters": [{"name": "recorder", "cluster": {"server": f"http://127.0.0.1:{made.api.port}"}}],
        "users": [{"name": "recorder", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return (
        kept
        | {variable["name"]: made.value(variable) for variable in container["env"]}
        | {
            "KUBECONFIG": str(folder / "kubeconfig"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
            # the copy's modules must win over those that the environment's editable install points to
            "PYTHONPATH": str(made.image),
            "ZENML_CONFIG_PATH": str(folder / "config"),
            "ZENML_ANALYTICS_OPT_IN": "false",
            "FACERECON_STATE": str(made.claim),
            "FACERECON_OUTPUTS": str(folder / "outputs"),
        }
    )


def start_server(made: Cluster, name: str, port: int) -> subprocess.Popen[bytes]:
    """Start a server as its Deployment does, with its port and its folder for files replaced."""
    deployment = next(each for each in read_manifests(MANIFESTS / f"{name}.yaml") if each["kind"] == "Deployment")
    (container,) = pods_of(deployment)[0]["containers"]
    there = made.claim.parent / name
    there.mkdir()
    known = str(container["ports"][0]["containerPort"])

    def here(text: str) -> str:
        return text.replace("/tmp", str(there)).replace(known, str(port)).replace("0.0.0.0", "127.0.0.1")

    given = {
        variable["name"]: here(variable["value"]) if "value" in variable else made.value(variable)
        for variable in container["env"]
    }
    kept = without(os.environ, "ZENML_", "MLFLOW_", "AWS_")
    return subprocess.Popen(
        [here(part) for part in (*container["command"], *container["args"])],
        cwd=there,
        env=kept | given | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=(there / "log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def await_probe(name: str, port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until a Deployment's probes are answered, asked as the kubelet asks, by the pod's address."""
    deployment = next(each for each in read_manifests(MANIFESTS / f"{name}.yaml") if each["kind"] == "Deployment")
    (container,) = pods_of(deployment)[0]["containers"]
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    over = time.monotonic() + 120
    while True:
        with suppress(requests.ConnectionError):
            pages = [
                requests.get(f"http://127.0.0.1:{port}{path}", headers={"Host": f"10.1.2.3:{port}"}, timeout=20)
                for path in paths
            ]
            if all(page.ok for page in pages):
                return
        assert server.poll() is None, f"{name} has ended"
        assert time.monotonic() < over, f"{name} does not answer"
        time.sleep(0.2)


def create_key(secret: dict[str, str]) -> str:
    """The key of a service account, as `zenml service-account create` makes it."""
    address = f"{secret['FACERECON_ZENML_URL']}/api/v1"
    login = {"username": "default", "password": secret["zenml-password"]}
    token = requests.post(f"{address}/login", data=login, timeout=60).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    account = requests.post(
        f"{address}/service_accounts", json={"name": "facerecon", "active": True}, headers=headers, timeout=60
    ).json()["id"]
    key = f"{address}/service_accounts/{account}/api_keys"
    return str(requests.post(key, json={"name": "pods"}, headers=headers, timeout=60).json()["body"]["key"])


@pytest.fixture(scope="session")
def checked() -> Callable[[dict[str, Any]], None]:
    return check


@pytest.fixture(scope="session")
def manifests(kubernetes_packages: None) -> list[dict[str, Any]]:
    """All objects of the project's own."""
    files = [path for path in MANIFESTS.rglob("*.yaml") if path.name != "kustomization.yaml"]
    return [each for path in sorted(files) for each in read_manifests(path)]


@pytest.fixture(scope="session")
def small_config(cluster: Cluster) -> Callable[[str, Mapping[str, Any]], str]:
    """``small_config(name, more)`` writes a config of a small training with more keys at its top; returns its path.

    Nobody looks into its photographs before its steps run.
    """
    for person in ("ada", "bob"):
        (cluster.image / "data" / "few" / person).mkdir(parents=True)
        (cluster.image / "data" / "few" / person / "1.jpg").write_bytes(b"no photograph")

    def write(name: str, more: Mapping[str, Any]) -> str:
        content = yaml.safe_load((cluster.image / "configs" / "ci.yaml").read_text())
        content["parameters"] |= {
            "name": name,
            "data": {"source": "folder", "path": "data/few", "licence": "drawn by this project, MIT"},
        }
        content["parameters"] |= more.get("parameters", {})
        path = cluster.image / "configs" / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**more, "parameters": content["parameters"]}))
        return f"configs/{name}.yaml"

    return write
