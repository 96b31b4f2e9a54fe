"""The parts of a run, each in a process of its own: a part that hangs or crashes costs the others nothing.

They are forked after everything has been imported, which takes long, and before anything has used the GPU or started
threads; so this process does neither.
"""

import ctypes
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import correctness, quality, throughput
from benchmarks.gpu.context import SCALES, Context
from benchmarks.gpu.environment import packages
from benchmarks.gpu.kit import open_kit
from benchmarks.gpu.results import CUT_OFF, FILE, OK, Recorder, append
from benchmarks.machine import describe_machine
from facerecon.errors import FaceReconError

RUN: dict[str, Callable[[Context], None]] = {
    "correctness": correctness.run,
    "throughput": throughput.run,
    "quality": quality.run,
}
"""What measures each part."""

SHARES = {"correctness": 60, "throughput": 120, "quality": 270}
"""Of the time that is left when a part begins it gets its share among those to come."""

GRACE = 10.0
"""Seconds beyond its time after which a part is killed; the last one's are kept back from the start."""

PR_SET_PDEATHSIG = 1
"""From Linux's ``sys/prctl.h``."""

STARTING = 120.0
"""Seconds in which the kit must be unpacked and the GPU found."""


def device_of(name: str) -> torch.device:
    """The device to measure on.

    Raises:
        FaceReconError: PyTorch cannot use a GPU here.
    """
    if name == "cpu":
        return torch.device("cpu")
    try:
        # says more than is_available: a driver that is too old, or none
        torch.zeros(1, device="cuda").item()
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().splitlines()[0]
        raise FaceReconError(
            f"PyTorch {torch.__version__} can use no GPU here ({first}); expected one with CUDA: "
            "check `nvidia-smi`, or try the kit with --device cpu"
        ) from None
    return torch.device("cuda")


def run(kit: Path, about: dict[str, Any], out: Path, until: float, name: str, parts: Sequence[str]) -> int:
    """Run ``parts`` on the device ``name`` until the time ``until`` of ``time.monotonic``; the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    call = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}-{os.getpid()}"
    state = Path(tempfile.mkdtemp(prefix="facerecon-gpu-run-"))
    try:
        row = {"row": "call", "call": call, "asked_seconds": round(until - time.monotonic(), 1), "parts": list(parts)}
        begun = _forked(partial(_begin, kit, about, out, state, name, row), STARTING)
        if begun is None:
            FaceReconError(f"the device did not answer within {STARTING:.0f} s: check `nvidia-smi`").show()
        if begun != 0:
            return 1
        statuses = []
        for index, part in enumerate(parts):
            left = until - time.monotonic() - GRACE
            share = max(1.0, left * SHARES[part] / sum(SHARES[each] for each in parts[index:]))
            statuses.append(_run_part(part, kit, about, out, state, name, call, share))
        return max(statuses)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _forked(work: Callable[[], int], seconds: float) -> int | None:
    """The exit status of ``work`` in a process of its own, None if it was killed after so many seconds."""

    def target() -> None:
        if sys.platform == "linux":
            # whoever kills this run means its part, too
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        sys.exit(work())

    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    try:
        process.join(seconds)
        return process.exitcode
    finally:
        process.kill()
        process.join()


def _begin(kit: Path, about: dict[str, Any], out: Path, state: Path, name: str, row: dict[str, Any]) -> int:
    """Find the device, unpack the kit into ``state``, and append the call's ``row``."""
    try:
        device = device_of(name)
        opened = open_kit(kit, about, state)
    except FaceReconError as error:
        error.show()
        return error.exit_code
    append(out / FILE, {**row, **_described(about, device), "equal_crops": opened.equal_crops})
    return 0


def _run_part(
    part: str, kit: Path, about: dict[str, Any], out: Path, state: Path, name: str, call: str, seconds: float
) -> int:
    """Run one part; if it is not done some seconds after its time, kill it. 1 if it, or one of its cells, failed."""
    since = time.monotonic()

    def work() -> int:
        # of the loss's networks: nothing can be fetched here
        os.environ["FACERECON_WEIGHTS"] = str((kit / "weights").resolve())
        recorder = Recorder(out / FILE, call, part, since + seconds)
        try:
            device = device_of(name)
            opened = open_kit(kit, about, state).limited(SCALES[device.type].most)
            RUN[part](Context(opened, device, recorder, out, state))
        except FaceReconError as error:
            error.show()
            return 1
        return min(1, recorder.failed)

    code = _forked(work, seconds + GRACE)
    outcome = {0: OK, 1: "failed in part", None: CUT_OFF}.get(code, f"ended with status {code}")
    spent = round(time.monotonic() - since, 2)
    row = {"row": "part", "call": call, "part": part, "outcome": outcome}
    append(out / FILE, row | {"asked_seconds": round(seconds, 2), "seconds": spent})
    print(f"{part}: {outcome}, {spent:.0f} s", flush=True)
    return 0 if outcome in (OK, CUT_OFF) else 1


def _described(about: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The machine, the code and the packages."""
    kit = {name: about[name] for name in ("commit", "tree", "faces", "people", "source", "size")}
    found: dict[str, Any] = {"kit": kit, "device": device.type, "machine": describe_machine(), "cores": os.cpu_count()}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        found |= {"card": card.name, "card_mib": card.total_memory // 2**20, "driver": _driver()}
    found |= {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
    return found | {"packages": _versions()}


def _driver() -> str:
    """The driver's version, as nvidia-smi says it; "unknown" without."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.check_output(command, text=True, timeout=20).splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def _versions() -> dict[str, str]:
    """The versions of what may be imported."""
    found = {}
    for requirement in packages().values():
        name = requirement.partition("==")[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # another distribution brings the module
    return found
