"""A copy of the working tree with state of its own, in which commands are run as users type them."""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Checkout:
    """A copy of the working tree with state of its own."""

    root: Path

    def run(self, *command: str) -> tuple[str, float, float]:
        """What a command prints, and its seconds and CPU seconds; it must end well."""
        environment = os.environ | {
            "PYTHONPATH": str(self.root),
            "ZENML_CONFIG_PATH": str(self.root.parent / "zenml"),
            "FACERECON_STATE": str(self.root / ".facerecon"),
            "FACERECON_OUTPUTS": str(self.root / "outputs"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        start, used = time.perf_counter(), _children()
        done = subprocess.run(
            [str(BIN / command[0]) if (BIN / command[0]).exists() else command[0], *command[1:]],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{text[-3000:]}")
        return text, time.perf_counter() - start, _children() - used


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def copy_working_tree(root: Path) -> None:
    """Copy all that git does not ignore to ``root``, as it is now."""
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


def check_out(folder: Path) -> Checkout:
    """The working tree as it is, committed, with a stack of its own, in ``folder``."""
    root = folder / "checkout"
    copy_working_tree(root)
    made = Checkout(root)
    author = ("-c", "user.name=scenario", "-c", "user.email=scenario@example.com")
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "the working tree"]):
        made.run("git", *command)
    made.run("facerecon", "stack")
    return made
