"""What trains: the device, its threads, the precision, and whether in a container."""

import os
import platform
from pathlib import Path

from facerecon.machine import cpu_model
from facerecon.training.settings import LoopSettings

MARKS = {Path("/run/.containerenv"): "podman", Path("/.dockerenv"): "docker"}
"""Files by which an engine marks its containers."""


def machine(training: LoopSettings) -> dict[str, str]:
    """What trains: device, threads, precision; "podman" or "docker" if in a container of theirs, else "none"."""
    import torch

    from facerecon.training.precision import precision_of

    return {
        "device": device_name(training.accelerator),
        "threads": str(training.threads or torch.get_num_threads()),
        "precision": precision_of(training),
        "container": next((engine for file, engine in MARKS.items() if file.exists()), "none"),
    }


def cpu_seconds() -> float:
    """CPU seconds that this process and those that it waited for have used so far."""
    return sum(os.times()[:4])


def device_name(accelerator: str) -> str:
    """The processor or GPU that training runs on."""
    import torch

    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} {cpu_model()}".strip()
