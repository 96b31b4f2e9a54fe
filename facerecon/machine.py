"""What is known of the processor."""

import platform
from pathlib import Path


def cpu_model() -> str:
    """The processor's name as it states it; "" where it states none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
