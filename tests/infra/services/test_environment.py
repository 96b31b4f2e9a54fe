"""Addresses and secrets of the servers: made once, kept, and readable by their owner alone."""

from pathlib import Path

import pytest

from facerecon.errors import FaceReconError
from infra.services.environment import S3, environment_file, prepare, services_folder
from ops.stack.files import read_variables


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path))
    return tmp_path


def test_secrets_are_made_once_and_ports_are_kept() -> None:
    first = prepare(None)
    assert first.port(S3) == 45_002
    moved = prepare(46_000)
    assert moved.port(S3) == prepare(None).port(S3) == 46_002
    assert moved.secret("FACERECON_S3_SECRET") == first.secret("FACERECON_S3_SECRET")
    assert read_variables(environment_file())["FACERECON_S3_URL"] == "http://127.0.0.1:46002"


def test_two_clones_have_other_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(None)
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "other"))
    second = prepare(None)
    names = {**first.clients, **first.servers}.keys() - {"FIRST_PORT", "FACERECON_MLFLOW_USER"}
    assert not [name for name in names if first.secret(name) == second.secret(name) and not name.endswith("_URL")]


def test_only_the_owner_can_read_them() -> None:
    prepare(None)
    assert services_folder().stat().st_mode & 0o777 == 0o700
    for file in services_folder().iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("first", [80, 55_001])
def test_ports_out_of_range_are_refused(first: int) -> None:
    with pytest.raises(FaceReconError, match=f"first port {first}: expected 1024 to 55000"):
        prepare(first)
