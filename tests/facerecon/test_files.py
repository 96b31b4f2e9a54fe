"""Files are whole or absent; digests depend on content."""

import hashlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes, sha256_file, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_no_temporary_is_left(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file.txt"
    write_text(target, "Müller\n")
    assert target.read_bytes() == "Müller\n".encode()
    assert names(target.parent) == ["file.txt"]


def test_nothing_is_at_the_path_until_all_is_written(tmp_path: Path) -> None:
    target = tmp_path / "model.png"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.parent == tmp_path  # the same file system, so that the renaming is one step
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")
    assert target.read_bytes() == b"half"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half of the n")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(FaceReconError, match=r"figures\.json: not written, no space is left"), atomic_path(path):
        Path("/dev/full").write_bytes(b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "a")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"psnr": [1.0, float("-inf")]}])
def test_json_refuses_what_json_has_not(tmp_path: Path, value: object) -> None:
    target = tmp_path / "metrics.json"
    target.write_text("{}")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of(value)
    assert target.read_text() == "{}"
    assert names(tmp_path) == ["metrics.json"]


def test_json_does_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": None})
    write_json(tmp_path / "b.json", {"a": None, "b": 1})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": null,\n  "b": 1\n}\n'
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000  # more than one block
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == sha256_bytes(content) == hashlib.sha256(content).hexdigest()
    assert sha256_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=5), st.randoms())
def test_digest_does_not_depend_on_the_order_of_keys(value: dict, random) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert digest_of(dict(items)) == digest_of(value)
    assert digest_of({**value, "one more": 1}) != digest_of(value)
    assert digest_of([value, value]) != digest_of([value])
