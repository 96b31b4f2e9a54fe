"""The commands about key and audit log, as a user types them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cli
from facerecon.custody.audit import audit_log
from facerecon.custody.keys import known_keys, read_public_key, signing_key


@pytest.fixture(autouse=True)
def custody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "custody"))
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path / "custody"


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, arguments)
    return done.exit_code, done.output


def test_key_show_makes_the_key_and_shows_no_secret(custody):
    status, shown = run("key", "show")
    assert status == 0
    public = signing_key().public
    assert shown == f"fingerprint  {public}\nprivate key  {custody / 'key.pem'}\n\n{public.pem}"
    assert run("key", "show") == (0, shown)


def test_the_public_key_is_handed_to_others(tmp_path):
    status, shown = run("key", "show", "--public")
    assert status == 0
    (tmp_path / "mine.pem").write_text(shown)
    assert read_public_key(tmp_path / "mine.pem") == signing_key().public


def test_key_rotate_is_told_logged_and_the_old_key_stays_known():
    old = signing_key().public
    status, said = run("key", "rotate")
    new = signing_key().public
    assert (status, said) == (0, f"The key is {new} now; before it was {old}, which stays known.\n")
    assert known_keys().standing_of(old) == "former"
    assert f"former       {old}" in run("key", "show")[1]
    assert [(entry.event, entry.facts) for entry in audit_log().lines()] == [
        ("key-rotation-begun", {"old": old.fingerprint}),
        ("key-rotated", {"new": new.fingerprint, "old": old.fingerprint}),
    ]


def test_nothing_to_rotate_is_one_line_and_not_logged(custody):
    status, said = run("key", "rotate")
    assert status == 1
    assert said.startswith("Error: there is no key at ")
    assert not (custody / "audit.jsonl").exists()


def test_a_key_is_not_rotated_where_it_cannot_be_logged(custody):
    old = signing_key().public
    (custody / "audit.jsonl").mkdir()
    status, said = run("key", "rotate")
    assert (status, said.count("\n")) == (1, 1)
    assert signing_key().public == old


def test_audit_counts_and_lists(custody):
    assert run("audit") == (0, f"No entry yet in {custody / 'audit.jsonl'}.\n")
    log = audit_log()
    for _ in range(3):
        log.append("reconstructed", original="ab" * 32)
    head = log.append("verified", model="demo/3")
    entries = list(log.lines())
    status, said = run("audit")
    assert status == 0
    assert said.splitlines() == [
        f"4 entries in {log.path}, from {entries[0].time} to {entries[-1].time}",
        "       3  reconstructed",
        "       1  verified",
        f"head: 4 {head.digest}",
    ]
    status, said = run("audit", "--list")
    assert status == 0
    for wanted in ("reconstructed", "original " + "ab" * 32, "model demo/3", entries[2].time, "4 entries in"):
        assert wanted in said


def test_audit_tells_what_was_torn():
    log = audit_log()
    log.append("tested")
    with log.path.open("ab") as stream:
        stream.write(b'{"event":')
    status, said = run("audit")
    assert status == 0
    assert "9 torn bytes" in said
    log.append("tested")
    status, said = run("audit")
    assert status == 0
    assert "before entry 2, which accounts for them" in said


def test_audit_says_where_a_log_is_broken():
    log = audit_log()
    for _ in range(4):
        log.append("tested")
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:1] + lines[2:]))
    for arguments in (["audit"], ["audit", "--list"]):
        status, said = run(*arguments)
        assert status == 1
        assert "1 entry in" in said
        assert said.endswith(f"Error: {log.path}, line 2: entry 2 is missing before entry 3\n")
