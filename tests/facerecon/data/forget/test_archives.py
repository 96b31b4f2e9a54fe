"""Photos are taken out of archives, and all else stays in them byte for byte."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerecon.data import tars
from facerecon.data.forget import archives
from facerecon.data.forget.archives import remove_members

TARS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tbz2": "w:bz2", ".tar.xz": "w:xz"}
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def header(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def write_tar(
    path: Path, members: dict[str, bytes], kind: str = "pax", extra: tuple[tarfile.TarInfo, ...] = ()
) -> Path:
    """A name that ends with a slash is a folder."""
    mode = next(mode for suffix, mode in TARS.items() if path.name.endswith(suffix))
    with tarfile.open(path, mode, format=FORMATS[kind]) as tar:
        for name, content in members.items():
            info = header(name.rstrip("/"), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE)
            info.size, info.mtime = len(content), 1e9
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read(path: Path) -> dict[str, bytes]:
    """Members by name, folders with a slash behind it."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as tar:
        found = {}
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            found[f"{member.name}{'/' if member.isdir() else ''}"] = content.read() if content else b""
        return found


def write(path: Path, members: dict[str, bytes]) -> Path:
    return write_zip(path, members) if path.suffix == ".zip" else write_tar(path, members)


CONTENTS = st.binary(max_size=2000)
LONG = "a name that is longer than the hundred bytes which the oldest headers have room for, " * 2


@settings(max_examples=40, deadline=None)
@given(
    suffix=st.sampled_from([".zip", *TARS]),
    kind=st.sampled_from(sorted(FORMATS.keys() - {"ustar"})),
    going=st.dictionaries(st.sampled_from([f"Ada/{n}.png" for n in (0, 1, "ü", LONG)]), CONTENTS, min_size=1),
    staying=st.dictionaries(st.sampled_from([f"Bob/{n}.png" for n in (0, 1, "ü", LONG)]), CONTENTS, min_size=1),
    data=st.data(),
)
def test_members_go_and_all_others_keep_their_bytes_and_order(tmp_path_factory, suffix, kind, going, staying, data):
    order = data.draw(st.permutations([*going, *staying]))
    folder = tmp_path_factory.mktemp("archive")
    members = {name: {**going, **staying}[name] for name in order}
    path = folder / f"a{suffix}"
    write_zip(path, members) if suffix == ".zip" else write_tar(path, members, kind)
    start = path.read_bytes()[:2]
    assert remove_members(path, set(going), folder, folder) == []
    assert list(read(path).items()) == [(name, members[name]) for name in order if name in staying]
    assert path.read_bytes()[:2] == start or suffix == ".tar", "packed as before"
    assert [one.name for one in folder.iterdir()] == [path.name]
    before = path.read_bytes()
    assert remove_members(path, set(going), folder, folder) == []
    assert path.read_bytes() == before, "done twice, nothing is written"


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_notes_folders_and_small_pictures_go_with_the_photos(tmp_path, suffix):
    stays = {"list.txt": b"x", "Bob/": b"", "Bob/0.png": b"b", "Bob/0.json": b"{}", "Bob/both.txt": b"y"}
    goes = {"Ada/": b"", "Ada/0.png": b"a", "Ada/diary.txt": b"z", "Ada/empty/": b"", "Bob/1.png": b"c"}
    goes |= {"Bob/1.json": b"{}", "__MACOSX/Ada/": b"", "__MACOSX/Ada/._0.png": b"d", "Bob/._1.png": b"e"}
    path = write(tmp_path / f"a{suffix}", stays | goes)
    assert remove_members(path, {"Ada/0.png", "Bob/1.png"}, tmp_path, tmp_path) == []
    assert read(path) == stays


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_an_archive_of_one_person_goes_as_a_whole(tmp_path, suffix):
    path = write(tmp_path / f"Ada{suffix}", {"x/": b"", "x/0.png": b"a", "x/1.png": b"b"})
    assert remove_members(path, {"x/0.png", "x/1.png"}, tmp_path, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_links_to_a_member_go_with_it_and_other_kinds_stay(tmp_path):
    extra = (
        header("Bob/same.png", tarfile.LNKTYPE, "Ada/0.png"),
        header("Bob/own.png", tarfile.LNKTYPE, "Bob/0.png"),
        header("pipe", tarfile.FIFOTYPE),
    )
    path = write_tar(tmp_path / "a.tar", {"Ada/0.png": b"a", "Bob/0.png": b"b" * 600}, "gnu", extra)
    assert remove_members(path, {"Ada/0.png"}, tmp_path, tmp_path) == []
    with tarfile.open(path) as tar:
        assert [(member.name, member.type) for member in tar] == [
            ("Bob/0.png", tarfile.REGTYPE),
            ("Bob/own.png", tarfile.LNKTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ]


def test_headers_for_all_members_and_a_sparse_member_stay(tmp_path):
    """What Python cannot write: the bytes of a sparse file as GNU tar packs it."""
    path = tmp_path / "a.tar"
    sparse = header("Bob/sparse", b"S").tobuf(tarfile.GNU_FORMAT)
    block = bytearray(sparse)
    block[124:136] = b"%011o\0" % 512  # bytes in the archive
    block[386:410] = b"%011o\0%011o\0" % (1024, 512)  # one piece, behind a hole
    block[483:495] = b"%011o\0" % 1536  # its true size
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "all"}) as tar:
        info = header("Ada/0.png")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"ada"))
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    path.write_bytes(whole[:end] + bytes(block) + b"x" * 512 + bytes(1024))
    assert remove_members(path, {"Ada/0.png"}, tmp_path, tmp_path) == []
    with tarfile.open(path) as tar:
        [member] = tar.getmembers()
        assert tar.pax_headers == {"comment": "all"}
        assert (member.name, member.issparse(), member.size) == ("Bob/sparse", True, 1536)
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == bytes(1024) + b"x" * 512


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_killed_while_it_writes_nothing_is_lost_and_the_next_time_finishes(tmp_path, monkeypatch, suffix):
    path = write(tmp_path / f"a{suffix}", {"Ada/0.png": b"a" * 5000, "Bob/0.png": b"b" * 5000})
    before = path.read_bytes()

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "copyfileobj", die)
        patch.setattr(tars, "_copy", die)
        with pytest.raises(KeyboardInterrupt):
            remove_members(path, {"Ada/0.png"}, tmp_path, tmp_path)
    assert path.read_bytes() == before
    (tmp_path / ".unfinished-a-123.tar").write_bytes(b"half")  # by one who could not clear up behind itself
    assert remove_members(path, {"Ada/0.png"}, tmp_path, tmp_path) == []
    assert read(path) == {"Bob/0.png": b"b" * 5000}
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_a_broken_archive_is_told_and_left(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", {"Ada/0.png": bytes(range(256)) * 40, "Bob/0.png": bytes(range(256)) * 40})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = path.read_bytes()
    [line] = remove_members(path, {"Ada/0.png"}, tmp_path, tmp_path)
    assert line.startswith(f"a{suffix}: 1 photos in it cannot be removed: ")
    assert path.read_bytes() == before


def test_behind_a_link_it_is_told_and_left(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    write_tar(tmp_path / "elsewhere" / "a.tar", {"Ada/0.png": b"a", "Bob/0.png": b"b"})
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    [line] = remove_members(tmp_path / "data" / "a.tar", {"Ada/0.png"}, tmp_path / "data", tmp_path)
    assert line == "data/a.tar: lies behind the link data, remove 1 photos in it there"
    assert len(read(tmp_path / "elsewhere" / "a.tar")) == 2
