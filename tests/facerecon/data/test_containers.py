"""Files and members of zip archives as bytes: whole, or a reason; nothing leads out, nothing fills the memory."""

import os
import stat
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data import containers
from facerecon.data.containers import member_names, path_refusal, read_bytes, write_zip
from facerecon.images import UnreadableImageError

PACKINGS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def write(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_member_is_read_in_place(tmp_path: Path, packing: int) -> None:
    write(tmp_path / "a b.zip", {"ada/1.png": b"one" * 99, "ada/": b"", "ada/!/2.png": b"two"}, packing)
    assert read_bytes(tmp_path, "a b.zip!/ada/1.png") == b"one" * 99
    assert read_bytes(tmp_path, "a b.zip!/ada/!/2.png") == b"two"
    assert member_names(tmp_path / "a b.zip") == ["ada/!/2.png", "ada/1.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["a b.zip"]


def test_a_file_is_read_even_if_its_name_looks_like_a_member(tmp_path: Path) -> None:
    (tmp_path / "a.zip!").mkdir()
    (tmp_path / "a.zip!" / "1.png").write_bytes(b"one")
    assert read_bytes(tmp_path, "a.zip!/1.png") == b"one"
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path, "b.zip!/1.png")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "endless.png", "folder.png"):
        with pytest.raises(UnreadableImageError, match=r"^not a file$"):
            read_bytes(tmp_path, name)


def test_an_archive_that_changed_is_opened_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"1.png": b"old"})
    assert read_bytes(tmp_path, "a.zip!/1.png") == b"old"
    write(path, {"1.png": b"new", "2.png": b""})
    assert read_bytes(tmp_path, "a.zip!/1.png") == b"new"


@pytest.mark.parametrize("name", ["a b.png", "line\nbreak.png", "Ωλ/写真.png", "a,b;c'\".png", "-rf.png", "1:2.png"])
def test_any_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.zip", {name: b"one"})
    assert member_names(tmp_path / "a.zip") == [name]
    assert read_bytes(tmp_path, f"a.zip!/{name}") == b"one"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.png", "a path that leads out of its archive"),
        ("ada/../../evil.png", "a path that leads out of its archive"),
        ("..\\evil.png", "a path that leads out of its archive"),
        ("/etc/evil.png", "an absolute path in an archive"),
        ("\\\\host\\share\\evil.png", "an absolute path in an archive"),
        ("C:\\evil.png", "an absolute path in an archive"),
    ],
)
def test_a_member_whose_path_leads_out_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "evil.png").write_bytes(b"secret")
    write(tmp_path / "root" / "a.zip", {name: b"evil"})
    [found] = member_names(tmp_path / "root" / "a.zip")
    with pytest.raises(UnreadableImageError, match=f"^{reason}$"):
        read_bytes(tmp_path / "root", f"a.zip!/{found}")


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30))
def test_a_path_that_is_not_refused_stays_below_its_folder(name: str) -> None:
    if not path_refusal(name):
        assert Path(os.path.normpath(Path("/archive") / name)).is_relative_to("/archive")


def test_a_link_and_a_device_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, kind in (("link.png", stat.S_IFLNK), ("device.png", stat.S_IFCHR), ("file.png", stat.S_IFREG)):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (kind | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    with pytest.raises(UnreadableImageError, match="a link in an archive"):
        read_bytes(tmp_path, "a.zip!/link.png")
    with pytest.raises(UnreadableImageError, match="not a file"):
        read_bytes(tmp_path, "a.zip!/device.png")
    assert read_bytes(tmp_path, "a.zip!/file.png") == b"/etc/passwd"


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"1.png": b"one"})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"^encrypted$"):
        read_bytes(tmp_path, "a.zip!/1.png")


def test_a_zip_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", {"bomb.png": bytes(20_000_000), "flat.png": bytes(9_000_000)})
    with pytest.raises(UnreadableImageError, match=r"a zip bomb: \d+ bytes that unpack to 20000000"):
        read_bytes(tmp_path, "a.zip!/bomb.png")
    assert len(read_bytes(tmp_path, "a.zip!/flat.png")) == 9_000_000


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"bomb.png": bytes(20_000_000)})
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\1\2") + 24, 1000)
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"cannot be read from its archive: Bad CRC-32"):
        read_bytes(tmp_path, "a.zip!/bomb.png")


@pytest.mark.parametrize("uri", ["1.png", "a.zip!/1.png"])
def test_what_is_too_large_is_refused_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    write(tmp_path / "a.zip", {"1.png": b"x" * 101})
    (tmp_path / "1.png").write_bytes(b"x" * 101)
    monkeypatch.setattr(containers, "MAX_BYTES", 100)
    with pytest.raises(UnreadableImageError, match=r"^too large: 101 bytes$"):
        read_bytes(tmp_path, uri)


def test_a_member_that_is_not_there_gives_a_reason(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", {"1.png": b"one"})
    with pytest.raises(UnreadableImageError, match="cannot be read from its archive"):
        read_bytes(tmp_path, "a.zip!/2.png")


@pytest.mark.parametrize("keep", [0, 1, 30, 100, -30, -1])
def test_a_truncated_archive_gives_a_reason(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "a.zip", {f"{number}.png": os.urandom(50) for number in range(9)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableImageError, match="no zip archive, or a truncated one"):
        member_names(path)
    with pytest.raises(UnreadableImageError, match="no zip archive, or a truncated one"):
        read_bytes(tmp_path, "a.zip!/0.png")


def test_a_damaged_archive_is_read_or_gives_a_reason(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.zip", {f"{number}.png": b"one" * 20 for number in range(3)}).read_bytes()
    for position in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / f"{position}.zip").write_bytes(damaged)
        try:
            for name in member_names(tmp_path / f"{position}.zip"):
                assert len(read_bytes(tmp_path, f"{position}.zip!/{name}")) <= 60
        except UnreadableImageError:
            pass


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("told", [1_000_000, 1])
def test_an_archive_of_a_million_entries_is_refused_at_once(tmp_path: Path, zip64: bool, told: int) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *(0,) * 6, 0, 0, 0, 5, *(0,) * 4, 0, 0)
    directory = b"".join(entry + b"%05x" % (number % 2**20) for number in range(1_000_000))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, told % 65_536, told % 65_536, len(directory), 0, 0)
    if zip64:
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65_535, 65_535, 2**32 - 1, 2**32 - 1, 0)
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, told, told, len(directory), 0)
        end = record + struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1) + end
    (tmp_path / "a.zip").write_bytes(directory + end)
    start = time.process_time()
    with pytest.raises(UnreadableImageError, match=r"an archive of \d+ entries, at most 300000 are read: split it"):
        member_names(tmp_path / "a.zip")
    assert time.process_time() - start < 3


def test_as_many_entries_as_a_data_set_has_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", {f"{number}.png": b"" for number in range(2_000)})
    assert containers._entries(tmp_path / "a.zip") == len(member_names(tmp_path / "a.zip")) == 2_000


def test_a_zip_written_is_stored_whole_and_the_same_again(tmp_path: Path) -> None:
    members = [("1.png", b"one"), ("写真.png", b"two" * 99)]
    write_zip(tmp_path / "a.zip", iter(members))
    write_zip(tmp_path / "b.zip", iter(members))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert [read_bytes(tmp_path, f"a.zip!/{name}") for name, _ in members] == [content for _, content in members]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_zip_whose_writing_fails_leaves_nothing(tmp_path: Path) -> None:
    def members() -> object:
        yield "1.png", b"one"
        raise UnreadableImageError("broken")

    with pytest.raises(UnreadableImageError):
        write_zip(tmp_path / "a.zip", members())  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())
