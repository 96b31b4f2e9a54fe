"""SIGKILL before every write and rename, and at random moments: the same again ends as if nothing had happened."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from facerecon.files import TEMPORARY, digest_of, sha256_bytes, sha256_file

Worker = Callable[[Path, str], str]


@pytest.fixture(scope="module")
def worker(sample_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """``worker(folder, kill)`` runs the work in a process of its own and says how it ended."""
    photos = tmp_path_factory.mktemp("photos")
    for number in range(4):
        shutil.copy(sample_faces / f"person_000{number}" / "photo_0.jpg", photos / f"{number}.jpg")
    program = [sys.executable, str(Path(__file__).with_name("killable_work.py")), str(photos)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        standard_in, standard_out = process.stdin, process.stdout

        def run(folder: Path, kill: str = "0") -> str:
            standard_in.write(f"{folder} {kill}\n")
            standard_in.flush()
            return standard_out.readline().strip()

        yield run
        standard_in.close()


def end_state(folder: Path) -> dict[str, str]:
    """Digests of all that a run leaves, without the times that no two runs share.

    The list of photos that were read is not among it: who reads them later may keep more of them.
    """
    state = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "lock" or path.name.startswith("known-") or path.is_dir():
            continue
        name = str(path.relative_to(folder))
        if path.name == "last.safetensors":
            with safe_open(path, framework="pt") as stored:
                about = json.loads(stored.metadata()["state"])
            for row in about["history"]:
                del row["images_per_second"]
            tensors = {key: sha256_bytes(value.numpy().tobytes()) for key, value in load_file(path).items()}
            state[name] = digest_of([about, tensors])
        else:
            state[name] = sha256_file(path)
    return state


@pytest.fixture(scope="module")
def undisturbed(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int, float]:
    """The end state, the number of writing calls and the seconds of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    said, calls, seconds = worker(folder, "0").split()
    assert said == "done"
    return end_state(folder), int(calls), float(seconds)


def test_the_work_writes_what_it_should(undisturbed: tuple[dict[str, str], int, float]) -> None:
    state, calls, _ = undisturbed
    assert {"checkpoint/best.safetensors", "checkpoint/last.safetensors", "outputs/metrics.json"} <= state.keys()
    assert not any(TEMPORARY in name for name in state)
    assert len([name for name in state if name.startswith("crops/")]) == 4, "a shard for each photo"
    # a file of masks for each level, three states, at least one best, and three published files
    assert calls > 2 * (4 + 2 + 3 + 1 + 3)


@pytest.mark.slow
def test_killed_before_any_write_or_rename(
    worker: Worker, undisturbed: tuple[dict[str, str], int, float], tmp_path: Path
) -> None:
    state, calls, _ = undisturbed
    for call in range(1, calls + 1):
        folder = tmp_path / str(call) / "run"
        assert worker(folder, str(call)) == "killed", call
        assert worker(folder, "0").startswith("done"), call
        assert without_litter(end_state(folder)) == state, call


@pytest.mark.slow
def test_killed_at_twenty_random_moments(
    worker: Worker, undisturbed: tuple[dict[str, str], int, float], tmp_path: Path
) -> None:
    state, _, seconds = undisturbed
    for moment in np.random.default_rng(0).uniform(0, seconds, 20):
        folder = tmp_path / f"{moment:.6f}" / "run"
        worker(folder, f"t{moment:.6f}")
        assert worker(folder, "0").startswith("done"), moment
        assert without_litter(end_state(folder)) == state, moment


def test_killed_again_and_again_it_still_arrives(
    worker: Worker, undisturbed: tuple[dict[str, str], int, float], tmp_path: Path
) -> None:
    state, calls, _ = undisturbed
    folder = tmp_path / "run"
    for call in (calls - 4, calls // 2, 3, calls // 3):
        worker(folder, str(call))
    assert worker(folder, "0").startswith("done")
    assert without_litter(end_state(folder)) == state


def without_litter(state: dict[str, str]) -> dict[str, str]:
    """Without files that a killed process was writing: nothing reads them. A checkpoint's own are cleared away."""
    assert not any(name.startswith(f"checkpoint/{TEMPORARY}") for name in state)
    return {name: digest for name, digest in state.items() if TEMPORARY not in name}
