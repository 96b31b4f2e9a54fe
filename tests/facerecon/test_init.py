"""What the package sets before PyTorch is loaded."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many threads run")


def said_by(code: str, **environment: str) -> str:
    """What a fresh interpreter prints, to which nobody has told how threads wait."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=told | environment, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


@pytest.fixture
def busy() -> Iterator[None]:
    """A process for each core that wants it."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for process in processes:
        process.kill()
        process.wait()


@linux
@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("package", ["benchmarks", "cli", "facerecon", "ops", "pipelines", "serving", "steps"])
def test_every_way_in_lets_threads_sleep_where_others_take_the_cores(package: str) -> None:
    code = f"import os, sys, {package}; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    assert said_by(code).split() == ["PASSIVE", "False"]


@linux
def test_threads_spin_where_each_has_a_core_of_its_own() -> None:
    # another machine's load is taken for this one's, which the tests themselves keep busy
    idle = "import pathlib; pathlib.Path.read_text = lambda *_, **__: '0.00 0.00 0.00 1/99 4711'; "
    said = said_by(idle + "import facerecon, os; print(os.environ.get('OMP_WAIT_POLICY'))")
    assert said.split() == ["None"]


@linux
@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(("chosen", "spins"), [({}, "0"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "30000000000")])
def test_pytorchs_library_goes_by_it_and_the_users_word_comes_first(chosen: dict[str, str], spins: str) -> None:
    said = said_by("import facerecon, torch", OMP_DISPLAY_ENV="verbose", **chosen)
    assert f"GOMP_SPINCOUNT = '{spins}'" in said


def test_onnx_runtime_keeps_no_telemetry(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    program = "import facerecon, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert not list(tmp_path.rglob("*onnxruntime*"))
