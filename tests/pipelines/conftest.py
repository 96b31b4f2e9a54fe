"""A copy of the checkout with ZenML and MLflow state of its own, in which the real commands are run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.checkout import copy_working_tree


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
        done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (done.stdout, done.stderr))
        return done

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.root / '.facerecon' / 'mlflow.db'}"


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
