"""How `facerecon forget` is called; what it does is tested in ``tests/ops`` and ``tests/pipelines``."""

import pytest
from click.testing import CliRunner

from cli.data import forget
from ops.running import running


@pytest.mark.parametrize("arguments", [[], ["--identity", "Ada", "--clip", "a.mp4"], ["--identity", ""]])
def test_one_thing_is_forgotten_at_a_time(arguments):
    done = CliRunner().invoke(forget, [*arguments, "--reason", "asked"])
    assert done.exit_code == 2
    assert "say one of --identity, --file and --clip" in done.output


def test_nobody_is_forgotten_while_a_run_is_under_way(tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path))
    with running():
        done = CliRunner().invoke(forget, ["--identity", "Ada", "--reason", "asked"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: a run, or another `facerecon forget`, is under way in this clone: wait")
    assert len(done.output.splitlines()) == 1


def test_a_reason_must_be_given():
    done = CliRunner().invoke(forget, ["--identity", "Ada"])
    assert done.exit_code == 2
    assert "Missing option '--reason'" in done.output
