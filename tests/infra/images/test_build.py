"""What goes into an image, and what is refused before one is begun. Images are made by `make check-infra`."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT
from infra.images import build
from infra.images.__main__ import main
from infra.images.build import LOCK, find_engine, packages

DIGEST = "a" * 64


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)(?:==| @)", lock, re.MULTILINE))


@pytest.fixture(scope="module")
def lock() -> str:
    return LOCK.read_text()


def test_the_locked_packages_are_those_of_the_project_and_none_of_development(lock: str) -> None:
    pins = {file: set(re.findall(r"^[\w.-]+==\S+", (PROJECT / file).read_text(), re.MULTILINE)) for file in FILES}
    image = set(re.findall(r"^[\w.-]+==\S+", lock, re.MULTILINE))
    assert image < pins["infra/requirements.lock"]
    assert {"pytest", "mypy", "ruff", "hypothesis"}.isdisjoint(names(lock))
    assert {"torch", "zenml", "mlflow", "kfp", "kubernetes"} <= names(lock)


FILES = ("requirements.lock", "infra/requirements.lock")


def test_without_a_gpu_nothing_of_cuda_is_installed_and_all_else_is(lock: str) -> None:
    left = names(lock) - names(packages(lock, gpu=False, wheels=()))
    assert {"nvidia-cudnn-cu13", "triton", "cuda-toolkit"} <= left
    assert all(name.startswith(("nvidia-", "cuda-", "triton")) for name in left)
    assert packages(lock, gpu=True, wheels=()) == lock
    # every package keeps its hashes
    kept = packages(lock, gpu=False, wheels=())
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S+==)", kept.strip()) if "==" in block)


def test_a_wheel_takes_the_place_of_a_locked_package(lock: str) -> None:
    wheel = f"torch @ https://example.com/torch.whl --hash=sha256:{DIGEST}"
    made = packages(lock, gpu=False, wheels=(wheel,))
    assert made.count("torch @ ") == 1
    assert not re.search(r"^torch==", made, re.MULTILINE)
    assert re.search(r"^torchvision==", made, re.MULTILINE)


@pytest.mark.parametrize(
    ("wheel", "said"),
    [
        ("torch @ https://example.com/torch.whl", "is no wheel: expected 'NAME @ ADDRESS --hash=sha256:DIGEST'"),
        (f"turch @ https://example.com/t.whl --hash=sha256:{DIGEST}", "turch: no such package is locked"),
    ],
)
def test_a_wheel_without_hash_or_of_no_locked_package_is_refused(lock: str, wheel: str, said: str) -> None:
    with pytest.raises(FaceReconError, match=re.escape(said)):
        packages(lock, gpu=False, wheels=(wheel,))


def test_an_engine_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FaceReconError, match=r"podman or docker is not installed: .* `apt-get install podman"):
        find_engine(None)
    done = CliRunner().invoke(main, ["--engine", "docker"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: docker is not installed")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the engine's place that keeps what it is given to build, and then fails."""
    program = tmp_path / "bin" / "podman"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\ncase $1 in info) echo {tmp_path};; build) for last; do :; done; cp -r $last {tmp_path}/context;"
        "echo 'write: no space left on device' >&2; exit 125;; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def test_the_tree_as_it_is_goes_in_and_what_no_run_reads_does_not(engine: Path) -> None:
    if not build.git("rev-parse", "HEAD"):
        pytest.skip("this is no git repository")
    with pytest.raises(FaceReconError, match=f"no space is left on the disk of {engine}: an image takes up to 15 GB"):
        build.make("facerecon:test", None, False, (), None)
    project = engine / "context" / "project"
    assert (project / "facerecon/run.py").read_bytes() == (PROJECT / "facerecon/run.py").read_bytes()
    assert not any((project / name).exists() for name in (".git", "tests", "docs", "data", ".venv", ".facerecon"))
    about = json.loads((project / ".image/about.json").read_text())
    assert about["commit"] == build.git("rev-parse", "HEAD").strip()
    assert (project / ".image/uncommitted.diff").read_text(errors="surrogateescape") == build.uncommitted_diff()
