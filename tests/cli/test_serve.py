"""The commands about the service, as a user types them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cli
from facerecon.files import sha256_bytes
from serving.tokens import tokens_path


@pytest.fixture(autouse=True)
def custody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    return tmp_path / "custody"


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, arguments)
    return done.exit_code, done.output


def test_a_token_is_shown_once_listed_by_name_and_revoked() -> None:
    assert run("token", "list")[1].startswith("No token yet")
    status, text = run("token", "add", "ada")
    assert status == 0
    assert sha256_bytes(text.strip().encode()) in tokens_path().read_text()
    assert run("token", "list")[1].split()[1] == "ada"
    assert text.strip() not in run("token", "list")[1]
    assert run("token", "revoke", "ada") == (0, "ada may no longer use the service.\n")
    assert run("token", "revoke", "ada") == (1, "Error: no token is called 'ada'; there are: none\n")


def test_other_machines_need_a_token_first() -> None:
    status, said = run("serve", "--host", "0.0.0.0", "--model", "a.onnx")
    assert (status, said.count("\n"), "there is no token yet" in said) == (1, 1, True)


def test_a_model_that_is_not_there_is_one_line() -> None:
    status, said = run("serve", "--port", "0", "--model", "nowhere.onnx")
    assert (status, said.count("\n"), "nowhere.onnx: cannot be read" in said) == (1, 1, True)


def test_tokens_that_were_changed_are_told(custody: Path) -> None:
    custody.mkdir(mode=0o700)
    tokens_path().write_text("{}x")
    assert "holds no tokens" in run("token", "list")[1]
