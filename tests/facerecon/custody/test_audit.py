"""The audit log: what was acknowledged stays, what was touched shows, what was torn is told, and no name gets in."""

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.custody import audit
from facerecon.custody.audit import EMPTY, AuditLog, Head, audit_log
from facerecon.errors import FaceReconError
from facerecon.files import canonical_json, sha256_bytes

SHA256 = "ab" * 32


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log with five entries."""
    log = AuditLog(tmp_path / "custody" / "audit.jsonl")
    for count in range(5):
        log.append("reconstructed", original=SHA256, count=count)
    return log


def numbers(log: AuditLog) -> list[int]:
    return [entry.head.number for entry in log.lines()]


def rewrite(log: AuditLog, lines: list[bytes]) -> None:
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))


def lines_of(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().split(b"\n")[:-1]


def edited(line: bytes, **changes: object) -> bytes:
    return canonical_json({**json.loads(line), **changes})


def test_a_log_that_is_not_there_is_empty(tmp_path):
    log = AuditLog(tmp_path / "none" / "audit.jsonl")
    report = log.check()
    assert log.head() == EMPTY == report.head
    assert (report.broken, report.told, report.events, list(log.lines())) == ("", (), {}, [])
    assert log.holds(EMPTY)
    assert not log.holds(Head(1, SHA256))
    assert not log.holds(Head(0, SHA256))
    assert not log.path.parent.exists()


def test_entries_are_chained(log):
    lines = lines_of(log)
    rows = [json.loads(line) for line in lines]
    assert [row["number"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["previous"] for row in rows] == ["0" * 64, *map(sha256_bytes, lines[:-1])]
    assert rows[2]["event"] == "reconstructed"
    assert rows[2]["facts"] == {"original": SHA256, "count": 2}
    assert rows[2]["time"].endswith("Z")
    report = log.check()
    assert (report.broken, report.told, report.events) == ("", (), {"reconstructed": 5})
    assert (report.first, report.last) == (rows[0]["time"], rows[-1]["time"])
    assert report.head == log.head() == Head(5, sha256_bytes(lines[-1]))


def test_it_lies_beside_the_key_for_its_owner_alone(custody):
    previous = os.umask(0)
    try:
        audit_log().append("tested")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((custody / "audit.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE(custody.stat().st_mode) == 0o700


def test_every_head_is_held_and_no_other(log):
    heads = [entry.head for entry in log.lines()]
    new = log.append("tested")
    assert all(log.holds(head) for head in (*heads, new, EMPTY))
    assert not log.holds(Head(3, heads[3].digest))
    assert not log.holds(Head(3, SHA256))


@pytest.mark.parametrize(
    "value",
    [
        *(0, -5, 2**63 - 1, SHA256, "0123456789abcdef", "facerecon-demo/3", "1.31.1"),
        "0f8fad5b-d9cb-469f-a165-70867728950e",
    ],
)
def test_ids_digests_numbers_and_versions_are_facts(log, value):
    log.append("tested", fact=value)
    assert list(log.lines())[-1].facts == {"fact": value}


@pytest.mark.parametrize(
    "value",
    [
        *("Ada", "ada", "ada_lovelace", "Ada Lovelace", "photo.jpg", "/home/ada/photo.jpg", "", "2024-117", "ab"),
        *("ada@lovelace.org", "Müller", "demo/3\n", SHA256 + "\n", "ABCDEF0123456789", "ab" * 65, "../3", "<script>"),
        *(None, True, 0.5, 2**63, -(2**63) - 1, b"ab" * 16, [1, 2], {"a": 1}, (SHA256,)),
    ],
)
def test_nothing_else_is_a_fact(log, value):
    before = log.path.read_bytes()
    with pytest.raises(ValueError, match="texts and names are not logged"):
        log.append("tested", fact=value)
    assert log.path.read_bytes() == before


def test_an_embedding_is_no_fact(log):
    with pytest.raises(ValueError, match="17 facts, at most 16"):
        log.append("tested", **{f"fact{number}": number for number in range(17)})


@pytest.mark.parametrize("event", ["", "Reconstructed", "ada lovelace", "ada/3", "a", "one-two-three-four-five", "x\n"])
def test_an_event_is_few_words(log, event):
    with pytest.raises(ValueError, match="one to four words"):
        log.append(event)


@pytest.mark.parametrize("name", ["Name", "a b", "é", "_x", "x" * 33])
def test_a_fact_has_a_plain_name(log, name):
    with pytest.raises(ValueError, match="is no integer"):
        log.append("tested", **{name: 1})


def test_a_last_line_is_found_however_long_the_log(log, monkeypatch):
    monkeypatch.setattr(audit, "_BLOCK", 7)
    head = log.append("tested")
    assert head == log.head()
    assert numbers(log) == [1, 2, 3, 4, 5, 6]


def test_an_append_reads_the_end_alone(log, monkeypatch):
    line = lines_of(log)[-1]
    for number in range(6, 400):
        line = edited(line, number=number, previous=sha256_bytes(line))
        with log.path.open("ab") as stream:
            stream.write(line + b"\n")
    pread, read = os.pread, []

    def watched(descriptor: int, count: int, at: int) -> bytes:
        read.append(count)
        return pread(descriptor, count, at)

    monkeypatch.setattr(os, "pread", watched)
    assert log.append("tested").number == 400
    assert sum(read) < log.path.stat().st_size / 5
    assert log.check().broken == ""


# what is touched


def test_a_changed_entry_shows(log):
    lines = lines_of(log)
    facts = {"original": SHA256, "count": 7}
    rewrite(log, [*lines[:2], edited(lines[2], facts=facts), *lines[3:]])
    assert "line 4: entry 4 does not follow entry 3 as it is: one of the two was changed" in log.check().broken
    assert log.check().head.number == 3
    assert not log.holds(Head(3, sha256_bytes(lines[2])))
    with pytest.raises(FaceReconError, match="line 4"):
        list(log.lines())


def test_a_changed_first_entry_shows(log):
    lines = lines_of(log)
    rewrite(log, [edited(lines[0], previous=SHA256), *lines[1:]])
    assert "line 1: entry 1 states an entry before it" in log.check().broken


def test_a_missing_entry_shows(log):
    lines = lines_of(log)
    rewrite(log, lines[:1] + lines[2:])
    assert "line 2: entry 2 is missing before entry 3" in log.check().broken
    rewrite(log, lines[3:])
    assert "line 1: entries 1 to 3 are missing before entry 4" in log.check().broken


def test_moved_and_repeated_entries_show(log):
    first, second, *rest = lines_of(log)
    rewrite(log, [second, first, *rest])
    assert "line 1: entry 2 stands before entry 1: lines were moved" in log.check().broken
    rewrite(log, [first, second, first, *rest])
    assert "line 3: entry 1 stands after entry 2: it was repeated, or lines were moved" in log.check().broken


@pytest.mark.parametrize(
    "wrong",
    [
        lambda line: line.replace(b'"count":2', b'"count": 2'),
        lambda line: line.replace(b'"count":2', b'"count":"Ada"'),
        lambda line: line.replace(b'"format":1', b'"format":2'),
        lambda line: line.replace(b'"facts":{', b'"facts":[{'),
        lambda line: line.replace(b'"event"', b'"a":1,"event"'),
    ],
)
def test_a_line_that_is_no_entry_shows_wherever_it_is(log, wrong):
    lines = lines_of(log)
    rewrite(log, [*lines[:2], wrong(lines[2]), *lines[3:]])
    assert "line 3: no entry: it was changed, or a newer version" in log.check().broken
    rewrite(log, [*lines[:2], wrong(lines[2])])
    assert "line 3: no entry" in log.check().broken
    before = log.path.read_bytes()
    for use in (log.head, lambda: log.append("tested")):
        with pytest.raises(FaceReconError, match=r"the last line is no entry.* a new log begins"):
            use()
    assert log.path.read_bytes() == before, "nothing is laid over what was changed"


def test_a_torn_line_in_the_midst_shows(log):
    lines = lines_of(log)
    rewrite(log, [*lines[:2], lines[2][:40], *lines[3:]])
    assert "line 3: torn or changed, and the entry after it does not account for it" in log.check().broken


def test_a_log_that_was_cut_off_shows_in_the_head_of_a_record(log):
    lines, head = lines_of(log), log.head()
    rewrite(log, lines[:3])
    assert log.check().broken == ""
    assert not log.holds(head)
    log.append("tested")
    log.append("tested")
    assert log.check().broken == ""
    assert not log.holds(head)


@given(st.data())
def test_any_touched_byte_shows(tmp_path_factory, data):
    log = AuditLog(tmp_path_factory.mktemp("touched") / "audit.jsonl")
    for count in range(3):
        head = log.append("tested", count=count)
    content = bytearray(log.path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["other", "gone", "more"])):
        case "other":
            content[at] ^= data.draw(st.integers(1, 255))
        case "gone" if at < len(content) - 1:  # a last newline may lack
            del content[at]
        case _:
            content.insert(at, data.draw(st.integers(0, 255)))
    if content == log.path.read_bytes():
        return
    log.path.write_bytes(content)
    assert log.check().broken or not log.holds(head)


# what is torn


def test_a_torn_last_line_is_told_and_accounted_for(log):
    whole = log.path.read_bytes()
    log.append("tested", original=SHA256)
    more = log.path.read_bytes()
    for cut in range(len(whole) + 1, len(more) - 1):
        torn = more[len(whole) : cut]
        log.path.write_bytes(more[:cut])
        assert log.head().number == 5
        report = log.check()
        assert report.broken == ""
        [said] = report.told
        assert said.startswith(f"{len(torn)} torn bytes (sha256 {sha256_bytes(torn)[:12]}…)")
        head = log.append("went-on")
        assert head.number == 6
        assert log.path.read_bytes().startswith(more[:cut] + b"\n"), "the torn bytes stay as they are"
        last = list(log.lines())[-1]
        assert (last.head, last.follows_torn) == (head, (len(torn), sha256_bytes(torn)))
        log.append("went-on")
        report = log.check()
        assert (report.broken, report.head.number) == ("", 7)
        assert report.told == (
            f"{len(torn)} torn bytes (sha256 {sha256_bytes(torn)[:12]}…) of what was being written before entry 6, "
            "which accounts for them",
        )


def test_an_entry_that_lacks_but_its_newline_is_whole(log):
    content, head = log.path.read_bytes(), log.head()
    log.path.write_bytes(content[:-1])
    assert log.head() == head
    assert log.holds(head)
    log.append("tested")
    assert log.path.read_bytes().startswith(content)
    report = log.check()
    assert (report.broken, report.told, report.head.number) == ("", (), 6)


def test_torn_again_while_it_accounts_for_a_torn_line(log):
    half = b'{"event":"tes'
    with log.path.open("ab") as stream:
        stream.write(half)
    before = log.path.read_bytes()
    log.append("went-on")
    after = log.path.read_bytes()
    for cut in range(len(before), len(after)):
        log.path.write_bytes(after[:cut])
        assert log.check().broken == "", cut
        log.append("went-on")
        report = log.check()
        assert report.broken == "", cut
        assert len(report.told) == 1
        assert report.head.number == (7 if cut == len(after) - 1 else 6)


def test_a_torn_first_line_is_told_too(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.path.write_bytes(b'{"event"')
    assert (log.head(), log.check().broken) == (EMPTY, "")
    assert log.append("tested").number == 1
    assert "8 torn bytes" in log.check().told[0]


def test_zeros_that_a_power_cut_left_are_torn_bytes(log):
    with log.path.open("ab") as stream:
        stream.write(bytes(20_000))
    assert log.append("tested").number == 6
    assert "20000 torn bytes" in log.check().told[0]


@pytest.mark.parametrize("touch", [lambda torn: torn[:-1], lambda torn: torn + b"x", lambda torn: torn + b"\nx"])
def test_torn_bytes_that_are_touched_show(log, touch):
    before = log.path.read_bytes()
    with log.path.open("ab") as stream:
        stream.write(b'{"event')
    log.append("tested")
    line = lines_of(log)[-1]
    log.path.write_bytes(before + touch(b'{"event') + b"\n" + line + b"\n")
    assert "what was torn before it is not what it states" in log.check().broken
    log.path.write_bytes(before + line + b"\n")
    assert "line 6: what was torn before it is not what it states" in log.check().broken


def test_a_clock_that_went_back_is_told(log):
    lines = lines_of(log)
    rewrite(log, [*lines, edited(lines[-1], number=6, previous=log.head().digest, time="2001-02-03T04:05:06.000000Z")])
    report = log.check()
    assert report.broken == ""
    assert "the clock went back before entry 6" in report.told[0]


# killed, together, full


def acknowledged(output: str) -> list[Head]:
    return [Head(int(number), digest) for number, digest in map(str.split, output.splitlines())]


PROGRAM = str(Path(__file__).with_name("appending.py"))


def test_killed_at_seventy_five_moments_nothing_acknowledged_is_lost(tmp_path):
    """At fifty random ones, and at twenty-five in the midst of writing a line."""
    log = AuditLog(tmp_path / "audit.jsonl")
    done = subprocess.run(
        [sys.executable, PROGRAM, str(log.path), "kill", "0", "75"], capture_output=True, text=True, check=True
    )
    heads = acknowledged(done.stdout)
    assert len(heads) > 75
    report = log.check()
    assert report.broken == ""
    assert set(heads) <= {entry.head for entry in log.lines()}
    assert [head.number for head in heads] == sorted({head.number for head in heads})
    assert 5 < len(report.told) <= 26, "lines that were being written"
    assert log.append("tested").number == report.head.number + 1


def test_processes_that_append_at_once_make_one_order(tmp_path):
    log = AuditLog(tmp_path / "new" / "audit.jsonl")
    command = [sys.executable, PROGRAM, str(log.path), "count", "150"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    heads = [acknowledged(process.communicate()[0]) for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(heads[0] + heads[1]) == [entry.head for entry in log.lines()]
    assert (log.check().broken, log.head().number) == ("", 300)
    for own in heads:
        assert own == sorted(own)


def test_threads_that_append_at_once_make_one_order(log):
    threads = [threading.Thread(target=lambda: [log.append("tested") for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (log.check().broken, log.head().number) == ("", 85)


def test_a_reader_sees_no_half_of_what_is_being_written(log, monkeypatch):
    write = os.write
    seen: list[tuple[int, tuple[str, ...]]] = []

    def watch() -> None:
        seen.append((log.head().number, log.check().told))

    reader = threading.Thread(target=watch)

    def slow(descriptor: int, content: bytes) -> int:
        if not reader.ident:
            count = write(descriptor, content[:10])
            reader.start()
            reader.join(0.2)
            return count
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", slow)
    log.append("tested")
    reader.join()
    assert seen == [(6, ())]


def test_a_full_disk_is_one_line_and_leaves_nothing_half(log):
    """A limit on the size of files ends a write in its midst, as a full disk does."""
    before = log.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))
    try:
        with pytest.raises(FaceReconError, match=r"audit\.jsonl: no entry written \(File too large\): make it usable"):
            log.append("tested")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.path.read_bytes() == before
    assert log.append("tested").number == 6
    assert log.check().told == ()


def test_what_is_not_on_the_disk_is_not_acknowledged(log, monkeypatch):
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    before = log.path.read_bytes()
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(FaceReconError, match=r"no entry written \(Input/output error\)"):
        log.append("tested")
    assert log.path.read_bytes() == before


def test_an_entry_is_synced_and_a_new_log_s_folder_too(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append("tested")
    assert synced == [False, True]
    log.append("tested")
    assert synced == [False, True, False]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FaceReconError, match=r"not made .* set FACERECON_CUSTODY"):
        AuditLog(tmp_path / "file" / "audit.jsonl").append("tested")
    (tmp_path / "audit.jsonl").mkdir()
    log = AuditLog(tmp_path / "audit.jsonl")
    for use in (lambda: log.append("tested"), log.head):
        with pytest.raises(FaceReconError, match=r"\(Is a directory\)"):
            use()
    assert "(Is a directory)" in log.check().broken


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_log_is_read_and_not_written(log):
    log.path.chmod(0o400)
    with pytest.raises(FaceReconError, match=r"no entry written .Permission denied"):
        log.append("tested")
    assert log.check().head == log.head()
