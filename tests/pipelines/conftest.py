"""A copy of the checkout with ZenML and MLflow state of its own, in which the real commands are run."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Clone:
    """A copy of the working tree; ``run`` runs a command of the environment in it."""

    root: Path
    environment: dict[str, str]

    def run(self, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / command[0]
        done = subprocess.run(
            [str(program if program.exists() else command[0]), *command[1:]],
            cwd=self.root,
            env=self.environment | changed,
            capture_output=True,
            text=True,
            timeout=600,
        )
        done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (done.stdout, done.stderr))
        return done

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.root / '.facerecon' / 'mlflow.db'}"


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    root = tmp_path_factory.mktemp("clone") / "facerecon"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, root / name)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "MLFLOW_", "FACERECON_ST"))
    }
    # the copy's modules must win over those that the environment's editable install points to
    made = Clone(root, kept | {"ZENML_CONFIG_PATH": str(root.parent / "zenml"), "PYTHONPATH": str(root)})
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "state under test"]):
        assert made.run("git", *command).returncode == 0
    sample = ("--folder", "data/ci", "--identities", "12", "--photos", "2", "--size", "192", "--workers", "2")
    for command in (("facerecon", "sample", *sample), ("facerecon", "stack")):
        done = made.run(*command)
        assert done.returncode == 0, done.stderr
    return made
