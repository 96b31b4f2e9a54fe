"""What lies under a root."""

import os
from pathlib import Path

import pytest

from facerecon.data.listing import Entry, kind_of, walk
from facerecon.formats import Kind


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def seen(root: Path, **options: object) -> dict[str, Entry]:
    return {entry.path.relative_to(root).as_posix(): entry for entry in walk(root, **options)}


SYSTEM = ("@eaDir/a/x.jpg", "#recycle/1.jpg", "$RECYCLE.BIN/2.jpg", "System Volume Information/t", "lost+found/#1.jpg")


def test_system_and_hidden_files_are_told_apart_at_any_depth_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, *SYSTEM, "ada/@EADIR/1.jpg", "ada/.1.jpg", "ada/THUMBS.DB", ".trash-0/1.jpg", "ada/1.jpg", "d.jpg")
    assert {name for name, entry in seen(tmp_path).items() if not entry.system} == {"ada/1.jpg", "d.jpg"}
    assert len(seen(tmp_path)) == 11, "each is counted"
    assert not seen(tmp_path, exclude=("x*",))["ada/.1.jpg"].system
    assert seen(tmp_path, exclude=("ad*",))["ada/1.jpg"].system


def test_a_linked_folder_in_the_root_is_followed_and_one_out_of_it_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "real/store/1.jpg", "out/2.jpg")
    (tmp_path / "real" / "a").symlink_to("store")
    (tmp_path / "real" / "z").symlink_to("../out")
    found = seen(tmp_path / "real")
    assert set(found) == {"a/1.jpg", "store/1.jpg", "z"}
    assert found["z"].refused
    assert found["z"].refused.reason == "leads out of the root: set data.follow_links"
    assert "z/2.jpg" in seen(tmp_path / "real", follow_links=True)


def test_loops_have_an_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    for link, target in (("a/up", ".."), ("a/self", "."), ("a/b", "../b"), ("b/a", "../a"), ("c", "c")):
        (tmp_path / link).symlink_to(target)
    found = seen(tmp_path)
    files = {name for name, entry in found.items() if not entry.refused}
    assert {"a/1.jpg", "b/2.jpg", "c"} <= files
    assert len(found) < 20
    assert found["a/up"].refused
    assert found["a/up"].refused.reason == "a link to a folder that is read already"


def test_a_root_that_is_a_link_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "there", "ada/1.jpg")
    (tmp_path / "root").symlink_to("there")
    assert set(seen(tmp_path / "root")) == {"ada/1.jpg"}


def test_a_linked_file_is_followed_wherever_it_leads(tmp_path: Path) -> None:
    touch(tmp_path, "out/1.jpg", "root/ada/2.jpg")
    (tmp_path / "root" / "ada" / "1.jpg").symlink_to("../../out/1.jpg")
    assert set(seen(tmp_path / "root")) == {"ada/1.jpg", "ada/2.jpg"}


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.JPG", b"", Kind.PICTURE),
        ("a", b"\xff\xd8\xff\xe0", Kind.PICTURE),
        ("a.dat", b"\0\0\0\x20ftypavif", Kind.PICTURE),
        ("a.mp4", b"", Kind.CLIP),
        ("a.bin", b"\x1a\x45\xdf\xa3", Kind.CLIP),
        ("a.tar.gz", b"", Kind.ARCHIVE),
        ("a", b"PK\3\4" + bytes(26) + b"ada/1.jpg", Kind.ARCHIVE),
        ("a.docx", b"PK\3\4" + bytes(26) + b"[Content_Types].xml", None),
        ("a.npz", b"PK\3\4" + bytes(26) + b"x.npy", None),
        ("a.txt", b"Carefree words, P2 among them", None),
        ("a.json", b"", None),
    ],
)
def test_a_kind_is_told_by_name_or_else_by_content(tmp_path: Path, name: str, head: bytes, kind: Kind | None) -> None:
    (tmp_path / name).write_bytes(head)
    assert kind_of(tmp_path / name) is kind


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert kind_of(tmp_path / "pipe") is None
