"""An engine with a socket of its own, the image of the tree under test, and a checkout whose stack uses both.

These tests are run by `make check-infra` alone. Nothing in them skips: what cannot be run fails with its reason.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.pipelines.conftest import succeed

BASE = os.environ.get("FACERECON_BASE")
"""Debian 12 as an image; without it that of the public registry, or, where none is reached, one of debootstrap."""
IMAGE = "localhost/facerecon:cpu"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables by which clients find an engine: Docker's where it runs, else podman's, started for these tests."""
    if os.environ.get("DOCKER_HOST"):
        yield {}
        return
    program = shutil.which("podman")
    assert program, "podman is not installed: `apt-get install podman buildah runc`"
    folder = tmp_path_factory.mktemp("engine")
    # limits that a machine which is itself a container allows
    limits = '["nofile=20000:20000", "nproc=4096:4096"]'
    configuration = folder / "containers.conf"
    configuration.write_text(f'[containers]\ndefault_ulimits = {limits}\n[engine]\nruntime = "runc"\n')
    variables = {"CONTAINERS_CONF": str(configuration), "DOCKER_HOST": f"unix://{folder}/podman.sock"}
    before = running(program)
    with (folder / "podman.log").open("w") as log:
        service = subprocess.Popen(
            [program, "system", "service", "--time=0", variables["DOCKER_HOST"]],
            env=os.environ | variables,
            stdout=log,
            stderr=log,
        )
        try:
            for _ in range(300):
                if (folder / "podman.sock").exists():
                    break
                assert service.poll() is None, (folder / "podman.log").read_text()
                time.sleep(0.1)
            with pytest.MonkeyPatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                yield variables
        finally:
            service.terminate()
            service.wait()
    assert running(program) == before, "containers are left"


def running(program: str) -> set[str]:
    """The ids of all containers that there are, ended ones, too."""
    done = subprocess.run([program, "ps", "--all", "--quiet"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="session")
def base(engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian 12 as an image."""
    if BASE:
        return BASE
    name = "docker.io/library/debian:bookworm-slim"
    if subprocess.run(["podman", "pull", "--quiet", name], capture_output=True, check=False).returncode == 0:
        return name
    name, program = "localhost/facerecon-base:bookworm", shutil.which("debootstrap")
    if subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0:
        return name
    assert program, f"{name} cannot be pulled: set FACERECON_BASE, or `apt-get install debootstrap`"
    root = tmp_path_factory.mktemp("base") / "root"
    subprocess.run([program, "--variant=minbase", "bookworm", str(root)], check=True, stdout=subprocess.DEVNULL)
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    packed = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(
        ["podman", "import", "--quiet", "--change", f"ENV={path}", "-", name], stdin=packed.stdout, check=True
    )
    assert packed.wait() == 0
    shutil.rmtree(root)
    return name


@pytest.fixture(scope="session")
def checkout(infra: None, engine: dict[str, str], another_checkout, clone):
    """A checkout with the small faces, in whose environment the engine is known."""
    made = another_checkout("containers")
    shutil.copytree(clone.root / "data" / "ci", made.root / "data" / "ci")
    # each step starts a container, which imports all anew
    return replace(made, environment=made.environment | engine, patience=2400)


@pytest.fixture(scope="session")
def built(checkout, base: str) -> str:
    """What `make image` says, having made one of the checkout's tree."""
    command = [sys.executable, "-m", "infra.images", "--base", base]
    done = subprocess.run(command, cwd=checkout.root, env=checkout.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def served(checkout, built: str, free_ports: Callable[[], int]) -> Iterator:
    """The checkout with its servers up."""
    succeed(checkout, "python", "-m", "infra.services", "up", "--first-port", str(free_ports()))
    try:
        yield checkout
    finally:
        succeed(checkout, "python", "-m", "infra.services", "down")


def inside(made, code: str) -> str:
    """What Python prints in a container of the image, as the image has it."""
    command = ["podman", "run", "--rm", "--network=none", IMAGE, "python", "-c", code]
    done = subprocess.run(command, env=made.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def asked(made, code: str):
    """What ZenML answers in a checkout: ``code`` sets ``answer``."""
    script = (
        f"import json\nfrom zenml.client import Client\nclient = Client()\n{code}\nprint('\\n' + json.dumps(answer))"
    )
    return json.loads(succeed(made, sys.executable, "-c", script).strip().splitlines()[-1])
