"""A kit of few drawn faces, and what the CPU form of a run gives with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.build import build
from benchmarks.gpu.environment import PROJECT, tree_digest
from facerecon.files import sha256_bytes

ONLY_LISTED = Path(__file__).with_name("only_listed")


def run_kit(kit: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the kit on the CPU as on a machine that has only the listed packages."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--kit", str(kit), "--out", str(out), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ONLY_LISTED)}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit of 60 faces at 64 px. Do not write to it."""
    folder = tmp_path_factory.mktemp("kit")
    build(folder / "kit", None, "folder", 64, 60, folder / "state")
    return folder / "kit"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """What looks like a kit of this code: a file, and its description."""
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "faces.safetensors").write_bytes(b"faces")
    about = {"commit": "4711abc", "tree": tree_digest(), "files": {"faces.safetensors": sha256_bytes(b"faces")}}
    (folder / "kit.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="session")
def measured(
    built: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """The folder of two calls that together run all parts, and how they ended."""
    out = tmp_path_factory.mktemp("measured")
    calls = [
        run_kit(built, out, "--device", "cpu", "--seconds", "240", "--parts", "correctness,throughput"),
        run_kit(built, out, "--device", "cpu", "--seconds", "50", "--parts", "quality"),
    ]
    return out, calls
