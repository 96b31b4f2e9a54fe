"""The machine that figures are measured on, and the memory that a process needs."""

import platform
import re
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import torch

LOW_PRECISION = ("avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "arm_bf16")
"""Instructions that decide the speed of 16 and 8 bits, by PyTorch's names."""


def describe_machine() -> dict[str, Any]:
    """Processor, instruction set that PyTorch uses, instructions for low precision, threads, PyTorch's version."""
    able = torch.cpu.get_capabilities()
    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "low_precision": sorted(name for name in LOW_PRECISION if able.get(name)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def peak_mib(process: int | str = "self") -> float:
    """A process's largest resident memory so far, in MiB; 0 of one that has just ended.

    From Linux's /proc: ``getrusage`` starts at the peak of the parent process.
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def reset_peak_mib() -> float:
    """Reset this process's peak to its present memory, and return that, in MiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_mib()


class PeakOfChildren:
    """``mib``: the largest resident memory, in MiB, of any descendant of this process while the context is open.

    Sampled five times a second: a process that ends sooner may be missed.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self._ended = Event()
        self._watch = Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakOfChildren":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _sample(self) -> None:
        this = psutil.Process()
        command = this.cmdline()
        while not self._ended.wait(0.2):
            for child in this.children(recursive=True):
                with suppress(OSError, psutil.Error):  # it has ended
                    # until a child has become another program, its memory is this process's own
                    if child.cmdline() != command:
                        self.mib = max(self.mib, peak_mib(child.pid))


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
