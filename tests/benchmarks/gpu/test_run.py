"""The CPU form of a run, with the packages of the machine with the GPU alone."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import run as running
from benchmarks.gpu.environment import PROJECT, packages
from benchmarks.gpu.quality import BASELINES, POINTS, RECIPES
from benchmarks.gpu.report import judge, section
from benchmarks.gpu.results import CUT_OFF, FILE, OK, read
from facerecon.models.trained import TrainedModel
from tests.benchmarks.gpu.conftest import ONLY_LISTED, run_kit

Measured = tuple[Path, list[subprocess.CompletedProcess[str]]]


def cells(folder: Path, part: str) -> dict[str, dict[str, Any]]:
    return {row["cell"]: row for row in read(folder / FILE) if row["row"] == "cell" and row["part"] == part}


def test_both_calls_end_well_with_listed_packages_alone(measured: Measured) -> None:
    out, calls = measured
    for call in calls:
        assert call.returncode == 0, call.stdout + call.stderr
    rows = read(out / FILE)
    told = [row for row in rows if row["row"] == "call"]
    assert [call["parts"] for call in told] == [["correctness", "throughput"], ["quality"]]
    assert all(call["device"] == "cpu" and call["torch"] == torch.__version__ for call in told)
    assert len(list(out.iterdir())) <= 6
    for row in rows:
        if row["row"] == "cell" and row["part"] != "quality":
            assert row["outcome"] == (CUT_OFF if "compiled" in row["cell"] else OK), row
        # a training's steps are planned by a short probe, which a busy machine misleads
        assert row.get("outcome") in (None, OK, CUT_OFF), row


def test_what_is_not_listed_cannot_be_imported() -> None:
    code = "import numpy\ntry:\n    import mlflow\nexcept ModuleNotFoundError as error:\n    print(error)"
    environment = os.environ | {"PYTHONPATH": str(ONLY_LISTED)}
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.strip() == "No module named 'mlflow'"
    assert "mlflow" not in packages()


def test_correctness_is_measured(measured: Measured) -> None:
    found = cells(measured[0], "correctness")
    assert found["training in bf16-mixed"]["over_32_bits"] == pytest.approx(1, abs=0.02)
    assert found["training in bf16-mixed"]["over_32_bits"] != 1
    for name in ("resuming in 32-true", "one step twice: plain", "one step twice, deterministic algorithms: ours"):
        assert found[name]["equal_bits"], found[name]
    assert found["resuming in 32-true"]["resumed_at"] == 1
    parity = found["parity"]
    assert min(parity[name]["reconstruction"] for name in ("onnxruntime", "device_tf32", "device_fp32")) > 90


def test_throughput_is_measured(measured: Measured) -> None:
    found = cells(measured[0], "throughput")
    large = found["large U-Net, 64 px, training, fp32, eager"]
    assert large["images_per_second"] > 0
    # three times the forward pass's work in a training step, or nearly
    inference = found["large U-Net, 64 px, inference, fp32, eager"]
    work = [row["tflops"] / row["images_per_second"] for row in (large, inference)]
    assert work[0] / work[1] == pytest.approx(3, rel=0.1)
    share = large["tflops"] / found["matrix product, fp32"]["tflops"]
    assert large["share_of_peak"] == pytest.approx(share)
    assert sum(found["parts of a step"]["shares"].values()) == pytest.approx(1)
    assert len(found["parts of a step"]["largest"]) == 3
    assert 0 < found["loader alone, 0 workers"]["masks"] < 1


def test_quality_is_a_curve_over_equal_seconds(measured: Measured) -> None:
    out, _ = measured
    found = cells(out, "quality")
    assert found["trained: ours, bf16-mixed"]["outcome"] == OK
    for name, precision in RECIPES:
        trained = found[f"trained: {name}, {precision}"]
        if trained["outcome"] == CUT_OFF:
            assert f"measured: {name}, {precision}, after 1" not in found
            continue
        seconds = [found[f"measured: {name}, {precision}, after {share:g}"]["trained_seconds"] for share in POINTS]
        assert 0 < seconds[0] < seconds[1] < seconds[2]
        assert seconds[2] == pytest.approx(trained["allowed_seconds"], rel=0.6)
        model = TrainedModel.read(out / f"{name}-{precision}.safetensors")
        assert (model.digest, model.step) == (trained["digest"], trained["steps"])
        figures = found[f"measured: {name}, {precision}, after 1"]["figures"]
        assert {(row["case"], row["level"]) for row in figures} == {
            (case, level) for case in ("brush", "held_out") for level in (1, 2, 3)
        }
    assert {row["method"] for row in found["baselines"]["figures"]} == set(BASELINES)
    assert (out / "faces.png").stat().st_size > 10_000


def test_a_killed_run_leaves_all_that_it_had_measured(built: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--kit", str(built), "--out", str(tmp_path), "--device", "cpu"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, cwd=PROJECT, stdout=log) as process:
        while len(rows := read(tmp_path / FILE)) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    assert [row["row"] for row in rows] == ["call", "cell"]
    assert (rows[1]["cell"], rows[1]["outcome"]) == ("training in 32-true", OK)
    # its part has gone with it
    time.sleep(0.5)
    count = len(read(tmp_path / FILE))
    time.sleep(5)
    assert len(read(tmp_path / FILE)) == count


def test_a_part_that_hangs_is_cut_off(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GRACE", 0.5)
    monkeypatch.setattr(running, "RUN", {"throughput": lambda context: time.sleep(60), "quality": lambda context: None})
    about = running_about(built)
    until = time.monotonic() + 20
    status = running.run(built, about, tmp_path, until, "cpu", ["throughput", "quality"])
    ended = [(row["part"], row["outcome"]) for row in read(tmp_path / FILE) if row["row"] == "part"]
    assert ended == [("throughput", CUT_OFF), ("quality", OK)]
    assert status == 0


def test_a_device_that_does_not_answer_ends_it_in_one_line(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "STARTING", 0.5)
    monkeypatch.setattr(running, "device_of", lambda name: time.sleep(60))
    assert running.run(built, running_about(built), tmp_path, time.monotonic() + 60, "cpu", ["quality"]) == 1
    [line] = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("Error: the device did not answer within 0 s")
    assert not list(tmp_path.iterdir())


def test_a_part_that_crashes_costs_no_other(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "RUN", {"throughput": lambda context: os._exit(9), "quality": lambda context: None})
    run = partial(running.run, built, running_about(built), tmp_path, time.monotonic() + 60, "cpu")
    assert run(["throughput", "quality"]) == 1
    parts = [(row["part"], row["outcome"]) for row in read(tmp_path / FILE) if row["row"] == "part"]
    assert parts == [("throughput", "ended with status 9"), ("quality", OK)]


def running_about(kit: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((kit / "kit.json").read_text())
    return about


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(built: Path, tmp_path: Path) -> None:
    done = run_kit(built, tmp_path / "out")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("Error: PyTorch")
    assert "can use no GPU here" in line
    assert "--device cpu" in line
    assert not list((tmp_path / "out").iterdir())


def test_an_unknown_part_is_refused(built: Path, tmp_path: Path) -> None:
    done = run_kit(built, tmp_path / "out", "--parts", "quality,looks")
    assert done.returncode == 2
    assert "'looks' not among correctness, throughput, quality" in done.stderr


def test_the_report_shows_what_a_run_gives(measured: Measured) -> None:
    rows = read(measured[0] / FILE)
    said = section(rows)
    found = cells(measured[0], "throughput")
    for name in ("loop: plain", "loop: ours", "loop: ours, loader workers"):
        assert f"| {name} | {found[name]['images_per_second']:,.0f} | " in said
    assert "| killed and resumed in 32-true | equal, bit for bit |" in said
    assert "| the card beside ONNX Runtime on the CPU | 1" in said
    figures = cells(measured[0], "quality")["measured: ours, bf16-mixed, after 0.5"]["figures"]
    [psnr] = [row["hole_psnr"] for row in figures if (row["case"], row["level"]) == ("brush", 2)]
    assert f"| {psnr:.2f} | " in said


@pytest.mark.slow
def test_models_are_judged_by_networks_that_taught_none(measured: Measured, built: Path) -> None:
    about = json.loads((built / "kit.json").read_text())
    rows = {row["method"]: row for row in judge(measured[0], built, about)}
    assert {"telea", "mean_fill", "ours-bf16-mixed"} <= set(rows)
    for row in rows.values():
        for case in ("brush", "held_out"):
            assert 0 < row["figures"][case]["lpips"] < 1
            assert -1 < row["figures"][case]["identity"] < 1
    # the figure that is taken on both sides, of as many faces
    [cell] = [row for row in read(measured[0] / FILE) if row.get("cell") == "measured: ours, bf16-mixed, after 1"]
    [there] = [row for row in cell["figures"] if (row["case"], row["level"]) == ("brush", 2)]
    assert there["hole_psnr"] == pytest.approx(rows["ours-bf16-mixed"]["figures"]["brush"]["hole_psnr"], abs=1e-3)
