"""What the package sets before PyTorch is loaded."""

import os
import subprocess
import sys

import pytest


def said_by(code: str, **environment: str) -> str:
    """What a fresh interpreter prints, to which nobody has told how threads wait."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=told | environment, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("package", ["benchmarks", "cli", "facerecon", "ops", "pipelines", "steps"])
def test_every_way_in_sets_it_before_pytorch_is_loaded(package: str) -> None:
    code = f"import os, sys, {package}; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    assert said_by(code).split() == ["PASSIVE", "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP library tells what it goes by")
@pytest.mark.parametrize(("chosen", "spins"), [({}, "0"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "30000000000")])
def test_pytorchs_threads_do_not_spin_unless_the_user_wants_it(chosen: dict[str, str], spins: str) -> None:
    said = said_by("import facerecon, torch", OMP_DISPLAY_ENV="verbose", **chosen)
    assert f"GOMP_SPINCOUNT = '{spins}'" in said
