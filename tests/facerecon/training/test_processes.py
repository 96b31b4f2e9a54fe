"""Training by the library alone: in one process, and in two that torchrun starts, which must come to the same."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner

from facerecon.errors import FaceReconError
from facerecon.models.trained import TrainedModel
from facerecon.training.__main__ import main
from facerecon.training.processes import launch
from facerecon.training.settings import LoopSettings

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def config(sample_faces: Path, tmp_path: Path) -> Path:
    """Six steps of a network without batch normalisation, whose sums do not depend on who adds them."""
    content: dict[str, Any] = yaml.safe_load((PROJECT / "configs/ci.yaml").read_text())
    changed = content["parameters"]
    changed["data"]["path"] = str(sample_faces)
    changed["validation"]["suites"] = str(PROJECT / "configs/expectations/ci.yaml")
    changed["model"] = {"family": "two_convolutions", "options": {}}
    changed["training"]["losses"] = {"perceptual": 0, "identity": 0}
    changed["training"] |= {"accelerator": "cpu", "threads": 1, "precision": "32-true"}
    path = tmp_path / "few.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.slow
def test_two_processes_come_to_what_one_comes_to(config: Path, tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("two_processes.py"))
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, command in (("one", [script]), ("two", [*torchrun, script])):
        command = [sys.executable, *command, str(config), str(tmp_path / name)]
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("of 6; at the end val/hole_l1/brush") == 1
    one, other = (TrainedModel.read(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, weight in one.weights.items():
        torch.testing.assert_close(other.weights[name], weight, rtol=1e-3, atol=1e-4, msg=name)


def test_a_batch_that_the_processes_cannot_share_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(FaceReconError, match=r"training\.batch_size = 16: .* 3 processes: give a multiple of 3"):
        launch(LoopSettings(batch_size=16))


def test_a_file_that_is_no_runs_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("steps: 3\n")
    result = CliRunner().invoke(main, [str(path), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "wrong.yaml: not a run's file with `parameters:`" in result.output


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
@pytest.mark.parametrize("keeps", [True, False])
def test_what_a_step_frees_is_kept_for_the_next(keeps: bool) -> None:
    program = f"""
import resource
from pathlib import Path
import numpy as np
from facerecon.training.processes import keep_freed_memory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
if {keeps}:
    keep_freed_memory()
before = resident()
array = np.ones(25_000_000)
del array
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 150e6) == keeps
