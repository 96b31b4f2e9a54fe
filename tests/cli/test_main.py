"""The facerecon command, as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cli


def facerecon(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "facerecon"
    return subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, env=os.environ | environment, timeout=120
    )


def test_help_names_every_command():
    shown = CliRunner().invoke(cli, ["--help"]).output
    for command in ("weights", "stack", "sample", "ui"):
        assert command in shown


def test_sample_draws_what_was_asked_for_and_nothing_twice(tmp_path):
    arguments = [
        "sample",
        "--folder",
        str(tmp_path),
        "--identities",
        "2",
        "--photos",
        "1",
        "--size",
        "64",
        "--workers",
        "1",
    ]
    first = CliRunner().invoke(cli, arguments)
    assert first.exit_code == 0, first.output
    pictures = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert len(pictures) == 2
    CliRunner().invoke(cli, arguments)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")} == pictures


def test_sample_draws_under_plain_lights_if_asked(tmp_path):
    sizes = ("--identities", "1", "--photos", "1", "--size", "64", "--workers", "1")
    for folder, more in (("gentle", ()), ("plain", ("--lights",))):
        done = CliRunner().invoke(cli, ["sample", "--folder", str(tmp_path / folder), *sizes, *more])
        assert done.exit_code == 0, done.output
        truth = json.loads((tmp_path / folder / "person_0000/truth.json").read_text())
        assert ("lights" in truth) == bool(more)


def test_weights_lists_each_with_its_licence():
    done = facerecon("weights", COLUMNS="200")
    assert done.returncode == 0
    assert "sface" in done.stdout
    assert "Apache-2.0" in done.stdout


def test_weights_fetches_those_that_are_named_and_no_others(tmp_path):
    done = facerecon("weights", "face_landmarker", COLUMNS="200", FACERECON_WEIGHTS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [file.name for file in tmp_path.glob("[!.]*")] == ["face_landmarker.task"]
    assert "no, optional" in done.stdout
    unknown = facerecon("weights", "sfase", FACERECON_WEIGHTS=str(tmp_path))
    assert unknown.returncode == 1
    assert "choose one of" in unknown.stderr


@pytest.mark.parametrize("debug", [False, True])
def test_what_a_user_can_mend_is_one_line_unless_debugging(tmp_path, debug):
    environment = {
        "FACERECON_WEIGHTS": str(tmp_path / "none"),
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "FACERECON_DEBUG": "1" if debug else "",
    }
    done = facerecon("weights", **environment)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) == debug
    if not debug:
        assert done.stderr.startswith("Error: ")
        assert len(done.stderr.strip().splitlines()) == 1
