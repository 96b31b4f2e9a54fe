"""Archives of images: zip in place, tar packed anew once; nothing in them leads out of a folder."""

import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.data import containers
from facerecon.data.containers import read_bytes
from facerecon.data.manifest import Manifest
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.sources import Photo, SourceContext
from facerecon.data.sources import archive as module
from facerecon.data.sources.archive import archive
from facerecon.errors import FaceReconError

TARS = [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz"), (".TAR", "w")]


def png(shade: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_zip(path: Path, *names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for shade, name in enumerate(names):
            packed.writestr(name, png(shade) if name.endswith("png") else b"some words")


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, content


def write_tar(path: Path, *entries: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as packed:
        for info, content in entries:
            packed.addfile(info, io.BytesIO(content))
    return path


def write_names(path: Path, *names: str) -> None:
    """An archive of either kind with small images."""
    if path.suffix == ".zip":
        write_zip(path, *names)
    else:
        contents = [png(shade) if name.endswith("png") else b"some words" for shade, name in enumerate(names)]
        write_tar(path, *map(entry, names, contents))


def photos_in(root: Path, context: SourceContext) -> list[Photo]:
    return [found for found in archive(root, context) if isinstance(found, Photo)]


def identities(root: Path, context: SourceContext) -> dict[str, str | None]:
    return {photo.uri.partition("!/")[2]: photo.identity for photo in photos_in(root, context)}


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
class TestNames:
    def test_the_first_folder_names_the_person(self, tmp_path: Path, context: SourceContext, suffix: str) -> None:
        write_names(tmp_path / f"a{suffix}", "ada/1.png", "ada/2020/2.png", "bob/1.png", "3.png", "ada/notes.txt")
        assert identities(tmp_path, context) == {
            "ada/1.png": "ada",
            "ada/2020/2.png": "ada",
            "bob/1.png": "bob",
            "3.png": None,
        }

    def test_a_folder_around_all_people_names_nobody(self, tmp_path: Path, context: SourceContext, suffix: str) -> None:
        write_names(tmp_path / f"a{suffix}", "faces/ada/1.png", "faces/bob/1.png", "faces/readme.txt", "note.txt")
        assert identities(tmp_path, context) == {"faces/ada/1.png": "ada", "faces/bob/1.png": "bob"}

    def test_the_folder_of_one_person_is_not_passed_over(
        self, tmp_path: Path, context: SourceContext, suffix: str
    ) -> None:
        write_names(tmp_path / f"a{suffix}", "ada/1.png", "ada/2020/2.png")
        assert set(identities(tmp_path, context).values()) == {"ada"}

    def test_hidden_members_are_passed_over(self, tmp_path: Path, context: SourceContext, suffix: str) -> None:
        write_names(tmp_path / f"a{suffix}", "./ada/1.png", "ada/._1.png", "__MACOSX/ada/2.png", ".git/3.png")
        assert [name.removeprefix("./") for name in identities(tmp_path, context)] == ["ada/1.png"]

    @pytest.mark.parametrize("name", ["Ada Byron", "Åse Ødegård", "安倍", "line\nbreak", "a,b;c", "'\"", "-rf", "!"])
    def test_any_name_of_a_person(self, tmp_path: Path, context: SourceContext, suffix: str, name: str) -> None:
        write_names(tmp_path / f"{name}{suffix}", f"{name}/{name}.png")
        [photo] = photos_in(tmp_path, context)
        assert photo.identity == name
        folder, uri = (context.folder, photo.file) if photo.file else (tmp_path, photo.uri)
        assert read_bytes(folder, uri) == png()

    @pytest.mark.parametrize("name", ["../evil.png", "ada/../../evil.png", "/etc/evil.png", "..\\evil.png"])
    def test_a_path_that_leads_out_is_quarantined_and_nothing_escapes(
        self,
        tmp_path: Path,
        ingested: Callable[..., Manifest],
        reasons: Callable[[Manifest], dict[str, str]],
        context: SourceContext,
        suffix: str,
        name: str,
    ) -> None:
        write_names(tmp_path / f"a{suffix}", name, "ada/1.png")
        before = sorted(tmp_path.rglob("*"))
        manifest = ingested("archive")
        [(uri, reason)] = reasons(manifest).items()
        assert set(manifest.quarantine["code"]) == {"bad_member"}
        assert uri == f"a{suffix}!/{name}"
        assert reason in ("a path that leads out of its archive", "an absolute path in an archive")
        assert manifest.faces["identity"].tolist() == ["ada"]
        assert sorted(tmp_path.rglob("*")) == before
        assert not (context.folder.parent / "evil.png").exists()
        assert not Path("/etc/evil.png").exists()

    def test_an_archive_within_an_archive_is_quarantined(
        self,
        tmp_path: Path,
        ingested: Callable[..., Manifest],
        reasons: Callable[[Manifest], dict[str, str]],
        suffix: str,
    ) -> None:
        write_names(tmp_path / f"a{suffix}", "ada/1.png", "more/b.zip", "more/c.tar.gz")
        found = reasons(ingested("archive"))
        assert set(found) == {f"a{suffix}!/more/b.zip", f"a{suffix}!/more/c.tar.gz"}
        assert set(found.values()) == {"an archive within an archive: unpack it beside the other"}

    @pytest.mark.parametrize("keep", [0, 10, 700])
    def test_a_truncated_archive_is_quarantined_and_the_others_are_read(
        self,
        tmp_path: Path,
        ingested: Callable[..., Manifest],
        reasons: Callable[[Manifest], dict[str, str]],
        context: SourceContext,
        suffix: str,
        keep: int,
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
        big = io.BytesIO()
        Image.fromarray(noise).save(big, "PNG")
        if suffix == ".zip":
            with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
                packed.writestr("ada/1.png", big.getvalue())
        else:
            write_tar(tmp_path / "a.tar", entry("ada/1.png", big.getvalue()))
        path = tmp_path / f"a{suffix}"
        path.write_bytes(path.read_bytes()[:keep])
        write_zip(tmp_path / "whole.zip", "bob/1.png")
        manifest = ingested("archive")
        assert manifest.faces["identity"].tolist() == ["bob"]
        kind = "zip" if suffix == ".zip" else "tar"
        assert reasons(manifest)[f"a{suffix}"].startswith(f"archive: no {kind} archive, or a truncated one")
        assert not any(context.folder.iterdir()), "nothing half-written"


def test_the_name_of_a_person_is_one_identity_in_all_archives(tmp_path: Path, context: SourceContext) -> None:
    write_zip(tmp_path / "a.zip", "ada/1.png")
    write_zip(tmp_path / "deep/er/b.zip", "ada/2.png")
    (tmp_path / "beside.png").write_bytes(png())
    assert photos_in(tmp_path, context) == [
        Photo("a.zip!/ada/1.png", "ada"),
        Photo("deep/er/b.zip!/ada/2.png", "ada"),
    ]


@pytest.mark.parametrize(("suffix", "mode"), TARS)
def test_a_tar_is_packed_anew_once_whatever_its_compression(
    tmp_path: Path, context: SourceContext, monkeypatch: pytest.MonkeyPatch, suffix: str, mode: str
) -> None:
    write_tar(tmp_path / f"a{suffix}", entry("ada/1.png", png(1)), entry("bob/2.png", png(2)), mode=mode)
    photos = photos_in(tmp_path, context)
    assert [(photo.uri, photo.identity) for photo in photos] == [
        (f"a{suffix}!/ada/1.png", "ada"),
        (f"a{suffix}!/bob/2.png", "bob"),
    ]
    assert [read_bytes(context.folder, photo.file) for photo in photos] == [png(1), png(2)]
    monkeypatch.setattr(module, "_unpack", None)
    (tmp_path / f"a{suffix}").rename(tmp_path / f"renamed{suffix}")
    assert [photo.file for photo in photos_in(tmp_path, context)] == [photo.file for photo in photos]
    assert len(list(context.folder.iterdir())) == 1


def test_links_and_devices_in_a_tar_are_quarantined(
    tmp_path: Path, ingested: Callable[..., Manifest], reasons: Callable[[Manifest], dict[str, str]]
) -> None:
    write_tar(
        tmp_path / "a.tar",
        entry("ada/1.png", png()),
        entry("sym.png", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        entry("hard.png", kind=tarfile.LNKTYPE, link="../../secret.png"),
        entry("character.png", kind=tarfile.CHRTYPE),
        entry("block.png", kind=tarfile.BLKTYPE),
        entry("pipe.png", kind=tarfile.FIFOTYPE),
        entry("link", kind=tarfile.SYMTYPE, link="/"),
        entry("link/2.png", png(2)),
    )
    manifest = ingested("archive")
    assert set(manifest.quarantine["code"]) == {"bad_member"}
    assert reasons(manifest) == {
        "a.tar!/sym.png": "a link in an archive",
        "a.tar!/hard.png": "a link in an archive",
        "a.tar!/character.png": "not a file",
        "a.tar!/block.png": "not a file",
        "a.tar!/pipe.png": "not a file",
    }
    assert manifest.faces["uri"].tolist() == ["a.tar!/ada/1.png", "a.tar!/link/2.png"]
    assert not Path("/2.png").exists()


def test_a_name_that_is_not_utf8_is_quarantined(
    tmp_path: Path, ingested: Callable[..., Manifest], reasons: Callable[[Manifest], dict[str, str]]
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as packed:
        for info, content in (entry("café.png", png(1)), entry("plain.png", png(2))):
            packed.addfile(info, io.BytesIO(content))
    manifest = ingested("archive")
    assert reasons(manifest) == {r"a.tar!/caf\udce9.png": "its name is not valid UTF-8"}
    assert manifest.quarantine["code"].tolist() == ["bad_name"]
    assert manifest.faces["uri"].tolist() == ["a.tar!/plain.png"]


def test_of_two_members_of_one_name_the_last_counts(tmp_path: Path, context: SourceContext) -> None:
    write_tar(tmp_path / "a.tar", entry("1.png", png(1)), entry("1.png", png(2)))
    [photo] = photos_in(tmp_path, context)
    assert read_bytes(context.folder, photo.file) == png(2)


def test_a_tar_of_too_many_entries_is_quarantined(
    tmp_path: Path, context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "MAX_MEMBERS", 1_000)
    write_tar(tmp_path / "a.tar.gz", *(entry(f"{number}.txt") for number in range(1_001)), mode="w:gz")
    assert photos_in(tmp_path, context) == [
        Photo("a.tar.gz", refused=Refusal(Code.BAD_ARCHIVE, "archive: more than 1000 entries: split it")),
    ]
    assert not any(context.folder.iterdir())


@pytest.mark.parametrize("name", ["bomb.png", "bomb.txt"])
def test_a_tar_bomb_is_quarantined(tmp_path: Path, context: SourceContext, name: str) -> None:
    write_tar(tmp_path / "a.tar.gz", entry(name, bytes(20_000_000)), mode="w:gz")
    [photo] = photos_in(tmp_path, context)
    reason = "archive: a decompression bomb: it unpacks to more than a hundred times its size"
    assert photo.refused == Refusal(Code.BAD_ARCHIVE, reason)
    assert not any(context.folder.iterdir())


def test_a_header_that_asks_for_gigabytes_is_not_fetched(tmp_path: Path, context: SourceContext) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 600_000_000
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    [photo] = photos_in(tmp_path, context)
    assert photo.refused
    assert photo.refused.code == Code.BAD_ARCHIVE
    assert photo.refused.reason.startswith("archive: no tar archive, or a truncated one: ")


def test_a_member_too_large_is_quarantined(
    tmp_path: Path, context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "a.tar", entry("ada/1.png", b"x" * 30_000), entry("ada/2.png", b"x"))
    monkeypatch.setattr(containers, "MAX_BYTES", 20_000)
    assert [photo.refused for photo in photos_in(tmp_path, context)] == [
        Refusal(Code.BAD_MEMBER, "too large: 30000 bytes"),
        None,
    ]


def test_an_encrypted_member_is_quarantined(
    tmp_path: Path, ingested: Callable[..., Manifest], reasons: Callable[[Manifest], dict[str, str]]
) -> None:
    write_zip(tmp_path / "a.zip", "ada/1.png")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\3\4") + 6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    write_zip(tmp_path / "b.zip", "ada/2.png")
    manifest = ingested("archive")
    assert reasons(manifest) == {"a.zip!/ada/1.png": "encrypted"}
    assert manifest.quarantine["code"].tolist() == ["bad_member"]


def test_an_archive_that_cannot_be_opened_is_quarantined(tmp_path: Path, context: SourceContext) -> None:
    (tmp_path / "gone.zip").symlink_to(tmp_path / "nowhere.zip")
    (tmp_path / "gone.tar").symlink_to(tmp_path / "nowhere.tar")
    for suffix in (".zip", ".tar"):
        os.mkfifo(tmp_path / f"pipe{suffix}")
    refused = [(photo.uri, photo.refused) for photo in photos_in(tmp_path, context)]
    assert [(uri, refusal and refusal.reason) for uri, refusal in refused] == [
        ("gone.tar", "archive: No such file or directory"),
        ("gone.zip", "archive: No such file or directory"),
        ("pipe.tar", "archive: not a file"),
        ("pipe.zip", "archive: not a file"),
    ]


def test_a_folder_without_archives_is_an_error(tmp_path: Path, context: SourceContext) -> None:
    (tmp_path / "1.png").write_bytes(png())
    with pytest.raises(FaceReconError, match=r"no archive \(zip, .* set data\.source to 'folder'"):
        list(archive(tmp_path, context))


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_from_the_archive_to_aligned_faces(
    tmp_path: Path,
    photographs: list[Path],
    ingested: Callable[..., Manifest],
    cut_out: Callable[[Manifest], Manifest],
    suffix: str,
) -> None:
    names = ["people/ada/1.png", "people/bob/1.png"]
    if suffix == ".zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
            for name, path in zip(names, photographs[::2], strict=False):
                packed.write(path, name)
    else:
        entries = [entry(name, path.read_bytes()) for name, path in zip(names, photographs[::2], strict=False)]
        write_tar(tmp_path / "a.tar.gz", *entries, mode="w:gz")
    faces = cut_out(ingested("archive")).faces
    assert faces["uri"].tolist() == [f"a{suffix}!/{name}" for name in names]
    assert faces["identity"].tolist() == ["ada", "bob"]


# ------------------------------------------------------------------------------------------------- names and formats


def write_raw(path: Path, names: list[bytes], field: Callable[[bytes], bytes] = lambda name: b"") -> None:
    """A zip archive with names of any bytes, none of which says its encoding."""
    with zipfile.ZipFile(path, "w") as packed:
        for number, name in enumerate(names):
            info = zipfile.ZipInfo(_stand_in(number, name))
            info.extra = field(name)
            packed.writestr(info, png(number))
    content = path.read_bytes()
    for number, name in enumerate(names):
        content = content.replace(_stand_in(number, name).encode(), name)
    path.write_bytes(content)


def _stand_in(number: int, name: bytes) -> str:
    return f"{number}".ljust(len(name), "x")


PEOPLE = ["表子", "ソ連", "Ada", "能代"]


def test_bytes_of_other_encodings_split_no_folder_and_merge_nobody(
    tmp_path: Path, context: SourceContext, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{person}/{number}.png".encode("cp932") for person in PEOPLE for number in (1, 2)]
    assert any(b"\\" in name for name in names), "a byte of a character that is a backslash in ASCII"
    write_raw(tmp_path / "a.zip", names)
    photos = photos_in(tmp_path, context)
    assert len({photo.identity for photo in photos}) == len(PEOPLE)
    assert len({read_bytes(tmp_path, photo.uri) for photo in photos}) == len(names)
    assert "set data.zip_encoding" in caplog.text


def test_an_encoding_that_is_set_is_followed_and_another_is_refused(
    tmp_path: Path, ingested: Callable[..., Manifest], reasons: Callable[[Manifest], dict[str, str]]
) -> None:
    write_raw(tmp_path / "a.zip", [f"{person}/1.png".encode("cp932") for person in PEOPLE])
    assert set(ingested("archive", zip_encoding="cp932").faces["identity"]) == set(PEOPLE)
    write_zip(tmp_path / "b.zip", "bob/9.png", "bob/8.png")
    assert "are not in the encoding ascii" in reasons(ingested("archive", zip_encoding="ascii"))["a.zip"]
    with pytest.raises(ValueError, match="no encoding of this name is known: klingon"):
        ingested("archive", zip_encoding="klingon")


def test_utf8_is_recognised_without_its_flag(tmp_path: Path, context: SourceContext) -> None:
    write_raw(tmp_path / "a.zip", [f"{person}/1.png".encode() for person in PEOPLE])
    assert {photo.identity for photo in photos_in(tmp_path, context)} == set(PEOPLE)


def test_a_field_for_the_name_in_utf8_counts_if_it_is_of_this_name(tmp_path: Path, context: SourceContext) -> None:
    def field(name: bytes, of: bytes | None = None) -> bytes:
        said = name.decode("cp932").encode()
        body = b"\1" + struct.pack("<L", zlib.crc32(of or name)) + said
        return struct.pack("<HH", 0x7075, len(body)) + body

    write_raw(tmp_path / "a.zip", [f"{person}/1.png".encode("cp932") for person in PEOPLE], field)
    assert {photo.identity for photo in photos_in(tmp_path, context)} == set(PEOPLE)
    write_raw(tmp_path / "a.zip", ["表/1.png".encode("cp932")], lambda name: field(name, b"another"))
    assert {photo.identity for photo in photos_in(tmp_path, context)}.isdisjoint({"表"})


def test_backslashes_part_folders_only_where_there_is_no_slash(tmp_path: Path, context: SourceContext) -> None:
    write_raw(tmp_path / "a.zip", [rb"ada\1.png", rb"bob\2.png"])
    assert [photo.identity for photo in photos_in(tmp_path, context)] == ["ada", "bob"]
    write_raw(tmp_path / "a.zip", [rb"a\da/1.png", rb"bob/2.png"])
    assert [photo.identity for photo in photos_in(tmp_path, context)] == ["a\\da", "bob"]


def test_one_zip_a_person_with_folders_below_is_as_many_people(tmp_path: Path, context: SourceContext) -> None:
    write_zip(tmp_path / "Ada.zip", "Ada/2019/1.png", "Ada/2020/2.png")
    write_zip(tmp_path / "Bob.zip", "Bob/2019/3.png", "Bob/2020/4.png", "stray.png")
    assert sorted(str(photo.identity) for photo in photos_in(tmp_path, context)) == ["Ada", "Ada", "Bob", "Bob", "None"]


@pytest.mark.parametrize(("name", "mode"), [("a.tbz", "w:bz2"), ("a.tar.lzma", "w:xz"), ("a", "w:gz"), ("a.data", "w")])
def test_an_archive_is_told_by_its_content(tmp_path: Path, context: SourceContext, name: str, mode: str) -> None:
    write_tar(tmp_path / name, entry("ada/1.png", png(1)), entry("ada/unnamed", png(2)), mode=mode)
    photos = photos_in(tmp_path, context)
    assert [photo.uri for photo in photos] == [f"{name}!/ada/1.png", f"{name}!/ada/unnamed"]
    assert [read_bytes(context.folder, photo.file) for photo in photos] == [png(1), png(2)]


def test_an_lzma_archive_of_the_old_kind_is_read(tmp_path: Path, context: SourceContext) -> None:
    write_tar(tmp_path / "a.tar", entry("ada/1.png", png(1)))
    packed = lzma.compress((tmp_path / "a.tar").read_bytes(), format=lzma.FORMAT_ALONE)
    (tmp_path / "a.tar").unlink()
    (tmp_path / "a.tar.lzma").write_bytes(packed)
    assert [photo.identity for photo in photos_in(tmp_path, context)] == ["ada"]


@pytest.mark.parametrize(
    ("head", "name"), [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"\x28\xb5\x2f\xfd", "Zstandard"), (b"Rar!\x1a\x07\0", "RAR")]
)
def test_a_format_that_is_not_read_is_named(tmp_path: Path, context: SourceContext, head: bytes, name: str) -> None:
    (tmp_path / "a").write_bytes(head + bytes(100))
    [photo] = photos_in(tmp_path, context)
    assert photo.refused == Refusal(Code.UNSUPPORTED, f"a format that is not read: {name}")
