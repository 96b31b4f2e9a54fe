"""Memory is measured of the process that is meant."""

import subprocess
import sys

import numpy as np
import pytest

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
    assert set(about_machine()) == {"processor", "instructions", "threads", "torch"}
    assert all(about_machine().values())
