"""The pipeline with its steps in containers: the same model, resumed after a kill, and faults in one line."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from facerecon.files import sha256_file
from ops.stack.files import read_variables
from tests.pipelines.conftest import STEPS, refused, succeed
from tests.pipelines.containers.conftest import IMAGE, asked, inside

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]

CONFIG = "configs/ci.yaml"
RUN = ("zenml", "pipeline", "run", "training", "-c")
DIGESTS = ("manifest_digest", "cases_digest", "weights_digest")

STATE = ("crops", "cases", "checkpoints")
LAST_RUN = """
run = client.list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True).items[0]
answer = {
    "status": run.status.value,
    "stack": run.stack.name,
    "steps": {name: step.status.value for name, step in run.steps.items()},
    "container": run.steps["train"].run_metadata.get("container") if "train" in run.steps else None,
}
"""


@pytest.fixture(scope="module")
def config(checkout) -> Path:
    """The smallest run, with a number of threads of its own: figures depend on it."""
    content = yaml.safe_load((checkout.root / CONFIG).read_text())
    content["parameters"]["training"]["threads"] = 1
    path = checkout.root / "configs" / "contained.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def made_by_newest_run(made) -> dict[str, str]:
    """The digests of what the newest run has made."""
    import mlflow

    known = read_variables(made.root / ".facerecon/services/environment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", known["FACERECON_MLFLOW_USER"])
        patch.setenv("MLFLOW_TRACKING_PASSWORD", known["FACERECON_MLFLOW_PASSWORD"])
        client = mlflow.MlflowClient(known["FACERECON_MLFLOW_URL"])
        experiment = client.get_experiment_by_name("facerecon").experiment_id
        [run] = client.search_runs([experiment], "tags.weights_digest != ''", max_results=1)
    onnx = sha256_file(made.root / "outputs/ci/model.onnx")
    return {digest: run.data.tags[digest] for digest in DIGESTS} | {"onnx": onnx}


def set_aside(made, name: str) -> None:
    """Nothing of an earlier run is found by the next one."""
    aside = made.root / ".facerecon" / name
    aside.mkdir()
    for folder in STATE:
        if (made.root / ".facerecon" / folder).exists():
            shutil.move(made.root / ".facerecon" / folder, aside)
    shutil.move(made.root / "outputs/ci", aside)


def test_the_image_is_small_and_has_nothing_of_development(checkout, built: str) -> None:
    size, peak = map(float, re.search(r"([\d.]+) GB; ([\d.]+) GB of disk", built).groups())
    assert size <= 6
    assert peak <= 15
    shown = inside(
        checkout,
        "import importlib.util, os, torch, facerecon; "
        "print(os.getuid(), torch.cuda.is_available(), torch.ones(2).sum().item(), "
        "[name for name in ('pytest', 'mypy', 'nvidia', 'triton') if importlib.util.find_spec(name)], "
        "sorted(set(os.listdir('/app')) & {'.git', 'tests', 'docs', 'benchmarks'}), os.listdir('/app/data'))",
    )
    assert shown == "1000 False 2.0 [] [] []"


def test_the_image_says_what_it_was_made_of(checkout, built: str) -> None:
    head = checkout.run("git", "rev-parse", "HEAD").stdout.strip()
    command = ["podman", "image", "inspect", "--format", "{{json .Labels}}", IMAGE]
    labels = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert labels["org.opencontainers.image.revision"] == head
    # of the data, too, though there is no repository of git's
    shown = inside(checkout, "from ops.lineage import commit, dvc_digest; print(commit(), dvc_digest()[:4])")
    assert shown.split()[0] == head
    assert len(shown.split()) == 2


@pytest.fixture(scope="module")
def on_host(served, config: Path) -> dict[str, str]:
    succeed(served, "facerecon", "stack", "services")
    succeed(served, *RUN, str(config))
    made = made_by_newest_run(served)
    set_aside(served, "on-host")
    return made


@pytest.fixture(scope="module")
def contained(served, config: Path, on_host) -> dict[str, str]:
    assert "facerecon-docker" in succeed(served, "facerecon", "stack", "docker")
    succeed(served, *RUN, str(config))
    return made_by_newest_run(served)


def test_every_step_runs_in_a_container_and_zenml_knows_that_it_ended(served, contained) -> None:
    run = asked(served, LAST_RUN)
    assert run["status"] == "completed"
    assert run["stack"] == "facerecon-docker"
    assert run["steps"] == dict.fromkeys(STEPS, "completed")
    assert run["container"] == "podman"


def test_the_model_is_the_same_in_containers(on_host, contained) -> None:
    assert contained == on_host


def test_what_did_not_change_is_not_computed_again(served, contained, config: Path) -> None:
    succeed(served, *RUN, str(config))
    steps = asked(served, LAST_RUN)["steps"]
    assert {name for name, status in steps.items() if status == "cached"} >= {"ingest", "validate", "train", "export"}


def test_a_killed_training_goes_on_with_the_figures_of_an_undisturbed_one(served, contained, config: Path) -> None:
    content = yaml.safe_load(config.read_text())
    content["parameters"] |= {"name": "killed", "seed": 1}
    content["parameters"]["training"] |= {"steps": 60, "validate_every": 10}
    content["parameters"]["training"]["losses"] = {"perceptual": 0.0, "identity_interval": 5}
    killed = served.root / "configs" / "killed.yaml"
    killed.write_text(yaml.safe_dump(content))
    checkpoints = served.root / ".facerecon/checkpoints"
    before = set(checkpoints.iterdir())
    program = Path(sys.executable).parent / RUN[0]
    running = subprocess.Popen(
        [str(program) if program.exists() else RUN[0], *RUN[1:], str(killed)],
        cwd=served.root,
        env=served.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 900
    while not any((folder / "last.safetensors").is_file() for folder in set(checkpoints.iterdir()) - before):
        assert running.poll() is None, running.communicate()[0][-3000:]
        assert time.monotonic() < end
        time.sleep(0.2)
    [container] = subprocess.run(["podman", "ps", "--quiet"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["podman", "kill", container], check=True, stdout=subprocess.DEVNULL)
    said = running.communicate()[0]
    assert running.returncode == 1
    assert "Error: a step's container ended with exit status 137" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert asked(served, LAST_RUN)["status"] == "failed"
    succeed(served, *RUN, str(killed))
    resumed = json.loads((served.root / "outputs/killed/metrics.json").read_text())
    for folder in set(checkpoints.iterdir()) - before:
        shutil.rmtree(folder)
    shutil.rmtree(served.root / "outputs/killed")
    content["enable_cache"] = False
    killed.write_text(yaml.safe_dump(content))
    succeed(served, *RUN, str(killed))
    undisturbed = json.loads((served.root / "outputs/killed/metrics.json").read_text())
    assert resumed["model"]["weights"] == undisturbed["model"]["weights"]


def test_a_step_that_fails_is_its_own_line_and_a_failed_run(served, contained, config: Path) -> None:
    content = yaml.safe_load(config.read_text())
    content["parameters"]["alignment"]["size"] = 512  # no face is enlarged, so that none is left
    failing = served.root / "configs" / "failing.yaml"
    failing.write_text(yaml.safe_dump(content))
    line = refused(served, *RUN, str(failing))
    assert "512" in line
    assert asked(served, LAST_RUN)["status"] == "failed"


def test_an_image_with_other_code_is_refused(served, contained, config: Path) -> None:
    changed = served.root / "steps" / "publish.py"
    before = changed.read_text()
    changed.write_text(before + "\n# an edit\n")
    try:
        assert "the image holds the code" in refused(served, *RUN, str(config))
    finally:
        changed.write_text(before)


def test_without_an_image_or_an_engine_it_is_one_line(served, contained, config: Path) -> None:
    line = refused(served, *RUN, str(config), DOCKER_HOST="unix:///nowhere/docker.sock")
    assert "no Docker and no podman answers" in line


def test_the_servers_run_in_a_container_too(built: str, another_checkout, engine, free_ports, infra: None) -> None:
    program = shutil.which("docker-compose")
    assert program, "docker-compose is not installed: `apt-get install docker-compose`"
    made = another_checkout("composed")
    # not those of the other servers, which run beside
    succeed(made, "python", "-c", f"from infra.services.environment import prepare; prepare({free_ports()})")
    environment = made.environment | engine | {"FACERECON_USER": str(os.getuid() or 1000), "BUILDAH_FORMAT": "docker"}
    folder = made.root / ".facerecon" / "services"
    for path in (folder, *folder.iterdir()):
        os.chown(path, int(environment["FACERECON_USER"]), -1)

    def compose(*words: str) -> str:
        command = [program, "--file", str(made.root / "infra/services/compose.yaml"), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    compose("build")
    compose("up", "--detach")
    try:
        end = time.monotonic() + 400
        while "next: facerecon stack services" not in (said := compose("logs")):
            assert time.monotonic() < end, said[-3000:]
            time.sleep(2)
        assert "facerecon-services" in succeed(made, "facerecon", "stack", "services")
        assert "no model is registered" in " ".join(succeed(made, "facerecon", "models").split()).lower()
    finally:
        compose("down")
