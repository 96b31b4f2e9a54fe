"""Face reconstruction as plain functions and modules; imports none of ZenML, MLflow or DVC."""

import os
import time
from pathlib import Path

__version__ = "0.1.0"


def _others_running() -> int:
    """Threads of other processes that run or wait for a core, the fewest of five looks within 8 ms.

    From the fourth field of Linux's /proc/loadavg, which counts this thread, too; 0 where there is no such file.
    """
    looks = []
    for pause in (0.002,) * 4 + (0.0,):
        try:
            looks.append(int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[0]) - 1)
        except (OSError, ValueError, IndexError):
            return 0
        time.sleep(pause)
    return max(0, min(looks))


# PyTorch's OpenMP reads it when it is loaded, so it is decided here. Threads that spin while they wait for one another
# are faster where each has a core of its own; where others want the cores, they keep each other from running. It
# changes no sum; the number of threads would.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys() and 2 * _others_running() >= (os.cpu_count() or 1):
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

# ONNX Runtime notes on the disk, and may send, what it is used for
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
