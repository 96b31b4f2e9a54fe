"""Memory is measured of the process that is meant."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks.machine import PeakOfChildren, about_machine, peak_mib

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory comes from /proc")


def test_a_process_does_not_count_what_the_one_that_started_it_had() -> None:
    had = np.ones(1500 * 2**17)
    assert peak_mib() > 1500
    code = "from benchmarks.machine import peak_mib; print(peak_mib())"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert 10 < float(done.stdout) < 1200
    del had


def test_the_largest_child_is_told() -> None:
    code = "import numpy, time; kept = numpy.ones({} * 2**17); time.sleep(1.5)"
    with PeakOfChildren() as seen:
        for mib in (100, 300):
            subprocess.run([sys.executable, "-c", code.format(mib)], check=True)
    assert 300 < seen.mib < 500


def test_the_machine_is_named() -> None:
    about = about_machine()
    assert set(about) == {"processor", "instructions", "few_bits", "threads", "torch"}
    assert all(value for name, value in about.items() if name != "few_bits"), "old processors have none of those"


@pytest.mark.parametrize("able", [True, False])
def test_it_tells_which_instructions_for_few_bits_there_are(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": able, "avx2": True})
    assert about_machine()["few_bits"] == (["amx_bf16"] if able else [])
