"""What the figures were taken on, and what a process needed of it."""

import platform
import re
from pathlib import Path
from typing import Any

import torch


def about_machine() -> dict[str, Any]:
    """The processor, the instructions that PyTorch uses of it, threads and PyTorch's version."""
    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def peak_mib() -> float:
    """This process's largest resident memory so far, in MiB.

    From Linux's /proc: ``getrusage`` says as much as the process that started this one had, if that was more.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise SystemExit("/proc/self/status names no VmHWM: peak memory is measured on Linux only")
    return int(found[1]) / 1024


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
