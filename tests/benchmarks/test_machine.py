"""Memory is measured of the process that is meant."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks.machine import PeakOfChildren, describe_machine, peak_mib

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory comes from /proc")


def test_a_process_does_not_count_what_the_one_that_started_it_had() -> None:
    had = np.ones(1500 * 2**17)
    assert peak_mib() > 1500
    code = "from benchmarks.machine import peak_mib; print(peak_mib())"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert 10 < float(done.stdout) < 1200
    del had


def test_the_peak_is_the_largest_childs() -> None:
    code = "import numpy, time; kept = numpy.ones({} * 2**17); time.sleep(1.5)"
    with PeakOfChildren() as seen:
        for mib in (100, 300):
            subprocess.run([sys.executable, "-c", code.format(mib)], check=True)
    assert 300 < seen.mib < 500


def test_the_machine_is_named() -> None:
    machine = describe_machine()
    assert set(machine) == {"processor", "instructions", "low_precision", "threads", "torch"}
    assert all(value for name, value in machine.items() if name != "low_precision"), "old processors have none of those"


@pytest.mark.parametrize("able", [True, False])
def test_it_names_the_instructions_for_low_precision(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": able, "avx2": True})
    assert describe_machine()["low_precision"] == (["amx_bf16"] if able else [])
