"""Stubs stand in for CUDA's libraries: what was linked with these loads, and a call says that there is no driver."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.images import stubs

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def compiled(folder: Path, name: str, source: str, *options: str) -> Path:
    (folder / f"{name}.c").write_text(source)
    command = ["gcc", "-shared", "-fPIC", "-w", "-o", str(folder / name), str(folder / f"{name}.c"), *options]
    subprocess.run(command, check=True)
    return folder / name


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A library that was linked with two of CUDA's, as PyTorch is: one of them has versions, and both are gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "runtime.map").write_text("libcudart.so.99 { global: *; };")
    version = f"-Wl,--version-script={gone / 'runtime.map'}"
    compiled(gone, "libcudart.so.99", "int cudaGo(void) { return 1; }", version, "-Wl,-soname,libcudart.so.99")
    compiled(gone, "libnccl.so.99", "int ncclGo(void) { return 1; }", "-Wl,-soname,libnccl.so.99")
    # and one symbol that is not CUDA's has no version either
    compiled(tmp_path, "libweb.so", "int WebPFree(void) { return 7; }")
    calls = {"go": "cudaGo", "all": "ncclGo", "other": "WebPFree"}
    source = "".join(f"int {called}(void); int {name}(void) {{ return {called}(); }}" for name, called in calls.items())
    linked = (
        f"-L{gone}",
        "-l:libcudart.so.99",
        "-l:libnccl.so.99",
        f"-L{tmp_path}",
        "-l:libweb.so",
        "-Wl,-z,now",
        "-Wl,-rpath,$ORIGIN",
    )
    made = compiled(tmp_path, "libuser.so", source, *linked)
    shutil.rmtree(gone)
    return made


def test_without_stubs_it_does_not_load(user: Path) -> None:
    with pytest.raises(OSError, match=r"libcudart|libnccl"):
        ctypes.CDLL(str(user))


def test_with_stubs_it_loads_and_a_call_tells_that_there_is_no_driver(user: Path) -> None:
    found = stubs.stubbed([user])
    assert found["libcudart.so.99"] == {"libcudart.so.99": {"cudaGo"}}
    assert found["libnccl.so.99"] == {"": {"ncclGo"}}
    for library, versions in found.items():
        stubs.build(library, versions, user.parent)
    loaded = ctypes.CDLL(str(user))
    assert (loaded.go(), loaded.all(), loaded.other()) == (35, 35, 7)
