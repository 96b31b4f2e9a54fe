"""A copy of the checkout with ZenML and MLflow state of its own, in which the real commands are run."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.checkout import copy_working_tree

STEPS = ("ingest", "align", "validate", "freeze_cases", "train", "evaluate", "export", "promote", "publish")
"""Of the training pipeline, in their order."""


def cached(said: str) -> set[str]:
    """The steps that a run took from the cache, by what it said."""
    return set(re.findall(r"Using cached version of step (\w+)\.", said))


@dataclass(frozen=True)
class Clone:
    """A copy of the working tree; ``run`` runs a command of the environment in it, for ``patience`` seconds at most."""

    root: Path
    environment: dict[str, str]
    patience: int = 600

    def run(self, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / command[0]
        done = subprocess.run(
            [str(program if program.exists() else command[0]), *command[1:]],
            cwd=self.root,
            env=self.environment | changed,
            capture_output=True,
            text=True,
            timeout=self.patience,
        )
        return subprocess.CompletedProcess(command, done.returncode, plain(done.stdout), plain(done.stderr))

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.root / '.facerecon' / 'mlflow.db'}"


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


FORKS = """
import json, os, sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import cli.main
import zenml.cli.cli
import pipelines.training
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration

for line in sys.stdin:
    asked = json.loads(line)
    if not (child := os.fork()):
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
else:
    sys.exit()
for number, name in ((1, "stdout"), (2, "stderr")):
    with open(os.path.join(asked["folder"], name), "wb") as stream:
        os.dup2(stream.fileno(), number)
os.environ.update(asked["changed"])
# what ZenML has read while it was imported: the active stack, the connection to its store
Client._reset_instance()
GlobalConfiguration._reset_instance()
sys.argv = asked["command"]
if sys.argv[0] == "zenml":
    from zenml_cli import cli as main
else:
    from cli.main import main
sys.exit(main())
"""
"""Runs each command that it reads as a fork of itself, and answers with its exit status."""


@dataclass(frozen=True)
class Forks(Clone):
    """A clone whose commands ``facerecon`` and ``zenml`` share their imports, which take seconds.

    An edit of its code is not seen by them.
    """

    server: subprocess.Popen[str] | None = None

    def run(self, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        if command[0] not in ("facerecon", "zenml"):
            return super().run(*command, **changed)
        assert self.server is not None
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            asked = {"command": command, "changed": changed, "folder": folder}
            print(json.dumps(asked), file=self.server.stdin, flush=True)
            status = int(self.server.stdout.readline())
            said = [plain((Path(folder) / name).read_text()) for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(command, status, *said)


@contextmanager
def forks(clone: Clone) -> Iterator[Forks]:
    """The clone, for commands of which it matters what they do, not that they start."""
    server = subprocess.Popen(
        [sys.executable, "-c", FORKS],
        cwd=clone.root,
        env=clone.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        yield Forks(clone.root, clone.environment, clone.patience, server)


def succeed(clone: Clone, *command: str, **changed: str) -> str:
    """What a command says that ends well."""
    done = clone.run(*command, **changed)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def refused(clone: Clone, *command: str, **changed: str) -> str:
    """The one line that a command ends with."""
    done = clone.run(*command, **changed)
    assert done.returncode == 1, (done.stdout + done.stderr)[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    return last


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = copy_checkout(tmp_path_factory.mktemp("clone") / "facerecon")
    sample = ("--folder", "data/ci", "--identities", "12", "--photos", "2", "--size", "192", "--workers", "2")
    done = made.run("facerecon", "sample", *sample)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="session")
def another_clone(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A second copy, with state of its own, in which the same faces are no test's but under DVC, in ``data/few``."""
    made = copy_checkout(tmp_path_factory.mktemp("another") / "facerecon")
    shutil.copytree(clone.root / "data" / "ci", made.root / "data" / "few")
    return made


@pytest.fixture(scope="session")
def another_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Clone]:
    """``another_checkout(name)``: one more copy of the working tree, with state of its own."""
    return lambda name: copy_checkout(tmp_path_factory.mktemp(name) / "facerecon")


def copy_checkout(root: Path) -> Clone:
    """Copy the working tree to ``root``, commit it there, register a stack."""
    copy_working_tree(root)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ZENML_", "MLFLOW_", "FACERECON_STATE", "FACERECON_OUTPUTS"))
    }
    # the copy's modules must win over those that the environment's editable install points to
    own = {"ZENML_CONFIG_PATH": str(root.parent / "zenml"), "PYTHONPATH": str(root)}
    # as in an activated environment
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    made = Clone(root, kept | own)
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "state under test"]):
        assert made.run("git", *command).returncode == 0
    done = made.run("facerecon", "stack")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="session")
def forgetful_clone(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy with state of its own and the same faces in ``data/people``, in which people are forgotten.

    They have names there that stand nowhere else in the checkout.
    """
    made = copy_checkout(tmp_path_factory.mktemp("forgetful") / "facerecon")
    for folder in sorted((clone.root / "data" / "ci").iterdir()):
        shutil.copytree(folder, made.root / "data" / "people" / folder.name.replace("person", "guest"))
    return made
