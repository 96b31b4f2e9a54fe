"""From a folder to a manifest: what can be used is listed, what cannot is quarantined with its reason."""

import hashlib
import os
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.data import ingest as module
from facerecon.data.ingest import ingest, source_fingerprint, source_root
from facerecon.data.manifest import PHOTO_COLUMNS, SPLITS, Manifest, SourceRoot
from facerecon.data.settings import DataSettings
from facerecon.data.splits import split_of
from facerecon.errors import FaceReconError


def photo(path: Path, shade: int = 0) -> Path:
    """A small photo, other for every shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), shade, dtype=np.uint8)).save(path)
    return path


def run(root: Path, **options: object) -> Manifest:
    return ingest(DataSettings(path=str(root), **options), root, root.parent / "frames")


def reasons(manifest: Manifest) -> dict[str, str]:
    return dict(zip(manifest.quarantine["uri"], manifest.quarantine["reason"], strict=True))


def test_a_row_per_photo(tmp_path: Path) -> None:
    first = photo(tmp_path / "ada" / "1.png", 1)
    photo(tmp_path / "bob" / "2.jpg", 2)
    manifest = run(tmp_path)
    assert manifest.sources == {"folder": SourceRoot("folder", str(tmp_path))}
    assert not manifest.aligned
    assert manifest.faces.columns.tolist() == list(PHOTO_COLUMNS)
    assert manifest.faces["uri"].tolist() == ["ada/1.png", "bob/2.jpg"]
    assert manifest.faces["identity"].tolist() == ["ada", "bob"]
    sha256 = hashlib.sha256(first.read_bytes()).hexdigest()
    assert manifest.faces.loc[0, ["face", "sha256", "source"]].tolist() == [sha256, sha256, "folder"]
    assert manifest.faces["split"].isin(SPLITS).all()
    assert len(manifest.quarantine) == 0


def test_nothing_is_written_to_the_photos(tmp_path: Path) -> None:
    photo(tmp_path / "ada" / "1.png")
    before = sorted(tmp_path.rglob("*"))
    run(tmp_path)
    source_fingerprint(DataSettings(path=str(tmp_path)), tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_digest_does_not_depend_on_where_the_photos_lie(tmp_path: Path) -> None:
    for place in ("here", "there/and\nfurther"):
        for number in range(5):
            photo(tmp_path / place / f"p{number}" / "1.png", number)
        (tmp_path / place / "bad.jpg").write_text("text")
        (tmp_path / place / "line\nbreak 'n' \"quotes\".jpg").write_text("text")
        photo(tmp_path / place / "copy.png", 3)
    assert run(tmp_path / "here").digest == run(tmp_path / "there/and\nfurther").digest


def test_what_cannot_be_read_is_quarantined_and_the_run_goes_on(tmp_path: Path) -> None:
    photo(tmp_path / "good.png", 1)
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("my holidays")
    Image.effect_noise((64, 64), 90).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:600])
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    manifest = run(tmp_path)
    assert manifest.faces["uri"].tolist() == ["cut.png", "good.png"], "alignment decodes, and finds cut.png broken"
    found = reasons(manifest)
    assert set(found) == {"empty.png", "text.jpg", "link.png", "loop.png"}
    assert found["empty.png"] == found["text.jpg"] == "cannot be decoded: not an image"
    assert found["link.png"] == "cannot be read: No such file or directory"
    assert found["loop.png"] == "cannot be read: Too many levels of symbolic links"
    assert manifest.counts()["quarantined"] == 4


def test_a_photo_without_permission_is_quarantined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "mine.png", 1)
    photo(tmp_path / "yours.png", 2)
    read = module.read_bytes

    def refuse(root: Path, uri: str) -> bytes:
        if uri == "yours.png":
            raise PermissionError(13, "Permission denied", uri)
        return read(root, uri)

    monkeypatch.setattr(module, "read_bytes", refuse)  # root may read everything, so permissions cannot be taken away
    assert reasons(run(tmp_path)) == {"yours.png": "cannot be read: Permission denied"}


def test_duplicates_are_named_after_the_first(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/9.png", "a/a/2.png", "z.png"):
        photo(tmp_path / name, 7)
    photo(tmp_path / "other.png", 8)
    manifest = run(tmp_path)
    assert manifest.faces["uri"].tolist() == ["a/9.png", "other.png"]
    assert reasons(manifest) == dict.fromkeys(("a/a/2.png", "b/1.png", "z.png"), "duplicate of a/9.png")
    assert run(tmp_path, max_faces=5).digest == manifest.digest


def test_of_two_broken_copies_both_are_broken(tmp_path: Path) -> None:
    photo(tmp_path / "good.png")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("same text")
    assert set(reasons(run(tmp_path)).values()) == {"cannot be decoded: not an image"}


@pytest.mark.parametrize("path", ["gone", "photos/1.png"])
def test_a_root_that_is_no_folder(tmp_path: Path, path: str) -> None:
    photo(tmp_path / "photos" / "1.png")
    what = "does not exist" if path == "gone" else "is not a folder"
    with pytest.raises(FaceReconError, match=rf"^data.path: {tmp_path / path} {what}: give a folder of images$"):
        ingest(DataSettings(path=path), tmp_path, tmp_path / "frames")
    with pytest.raises(FaceReconError, match=what):
        source_fingerprint(DataSettings(path=path), tmp_path)


@pytest.mark.parametrize(("path", "command"), [(DataSettings().path, "make demo"), ("data/ci", "make smoke")])
def test_a_missing_folder_of_drawn_faces_tells_how_to_make_it(tmp_path: Path, path: str, command: str) -> None:
    with pytest.raises(FaceReconError, match=rf"{path} does not exist: .*`{command}`"):
        ingest(DataSettings(path=path), tmp_path, tmp_path / "frames")


@pytest.mark.parametrize("name", [None, "notes.txt", ".hidden.png"])
def test_a_folder_without_images(tmp_path: Path, name: str | None) -> None:
    if name:
        (tmp_path / name).touch()
    with pytest.raises(
        FaceReconError, match=rf"^data.path: {tmp_path} holds nothing that the source 'folder' reads: give a folder"
    ):
        run(tmp_path)


def test_a_folder_of_other_things_says_which_source_reads_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "Ada.zip", "w") as packed:
        packed.writestr("1.png", b"")
    with pytest.raises(FaceReconError, match=r"\(first: Ada.zip: an archive among .*a source 'archive' of its own\)"):
        run(tmp_path)


def test_names_are_one_however_they_are_composed_and_the_uri_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [unicodedata.normalize("NFD", "José"), "José", "JOSÉ", " José "]
    for number, name in enumerate(names):
        photo(tmp_path / name / "1.png", number)
    manifest = run(tmp_path)
    assert set(manifest.faces["identity"]) == {"José", "JOSÉ"}
    assert set(manifest.faces["uri"]) == {f"{name}/1.png" for name in names}
    assert manifest.faces.groupby("identity")["split"].nunique().max() == 1
    assert "names that differ only by case are different people: JOSÉ and José" in caplog.text


def test_who_changes_split_by_it_is_counted_named_and_not_at_the_gate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):
        photo(tmp_path / unicodedata.normalize("NFD", f"é{number}") / "1.png", number)
    manifest = run(tmp_path)
    shares = DataSettings().splits
    before = {f"é{number}": split_of(unicodedata.normalize("NFD", f"é{number}"), shares) for number in range(12)}
    moved = {name for name in before if before[name] != split_of(name, shares)}
    assert moved
    assert set(manifest.moved) == moved
    assert f"{len(moved)} people are in another split than before" in caplog.text


def test_a_folder_in_which_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a\nb.jpg").write_text("text")
    (tmp_path / "c.png").touch()
    with pytest.raises(FaceReconError) as caught:
        run(tmp_path)
    assert caught.value.message == (
        f"data.path: none of the 2 images under {tmp_path} can be read "
        "(first: a b.jpg: cannot be decoded: not an image): give a folder of photos"
    )


def test_a_relative_path_starts_at_the_project_and_home_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("photos", "~/photos", str(tmp_path / "photos")):
        assert source_root(DataSettings(path=path), tmp_path) == tmp_path / "photos"


NAMES = ["Ada Byron", "Åse Ødegård", "安倍 晋三", "line\nbreak", "a,b;c\"d'", "#%?&", "NA", "0001", "-rf", " padded "]


@pytest.mark.parametrize("name", NAMES)
def test_any_name(tmp_path: Path, name: str) -> None:
    photo(tmp_path / name / f"{name}.png", 1)
    photo(tmp_path / f"{name}.png", 2)
    (tmp_path / f"bad {name}.png").touch()
    manifest = run(tmp_path)
    assert sorted(manifest.faces["uri"]) == sorted([f"{name}/{name}.png", f"{name}.png"])
    assert name.strip() in manifest.faces["identity"].tolist()
    assert set(reasons(manifest)) == {f"bad {name}.png"}
    assert len(manifest.digest) == 64
    assert source_fingerprint(DataSettings(path=str(tmp_path)), tmp_path)
    assert run(tmp_path, max_faces=3).digest == manifest.digest


def test_a_name_that_is_not_utf8_is_quarantined(tmp_path: Path) -> None:
    photo(tmp_path / "good.png", 1)
    odd = os.fsdecode(b"caf\xe9.png")
    try:
        photo(tmp_path / odd, 2)
    except OSError:
        pytest.skip("this file system takes no such name")
    fingerprint = source_fingerprint(DataSettings(path=str(tmp_path)), tmp_path)
    for manifest in (run(tmp_path), run(tmp_path, max_faces=2)):
        assert reasons(manifest) == {r"caf\udce9.png": "its name is not valid UTF-8"}
        assert manifest.faces["uri"].tolist() == ["good.png"]
        assert manifest.digest
    (tmp_path / odd).unlink()
    assert source_fingerprint(DataSettings(path=str(tmp_path)), tmp_path) != fingerprint


def test_an_identity_is_in_one_split_whatever_is_added(tmp_path: Path) -> None:
    for person in range(12):
        for number in range(3):
            photo(tmp_path / f"person_{person}" / f"{number}.png", person * 3 + number)
    before = run(tmp_path).faces.set_index("uri")["split"]
    assert (before.groupby(lambda uri: uri.split("/")[0]).nunique() == 1).all()
    for person in range(12, 30):
        photo(tmp_path / f"person_{person}" / "0.png", 100 + person)
    after = run(tmp_path).faces.set_index("uri")["split"]
    assert after[before.index].equals(before)


def test_photos_of_nobody_known_are_each_their_own_identity_by_content(tmp_path: Path) -> None:
    for number in range(4):
        photo(tmp_path / f"{number}.png", number)
    first = run(tmp_path).faces.set_index("sha256")[["identity", "split"]]
    assert first["identity"].nunique() == 4
    assert all(identity == f"unnamed-{sha256[:16]}" for sha256, identity in first["identity"].items())
    for number in range(4):
        (tmp_path / f"{number}.png").rename(tmp_path / f"renamed {number}.png")
    assert run(tmp_path).faces.set_index("sha256")[["identity", "split"]].equals(first)


def test_the_source_of_the_settings_is_used(tmp_path: Path) -> None:
    photo(tmp_path / "A_B" / "A_B_0001.jpg", 1)
    photo(tmp_path / "A_B" / "other.jpg", 2)
    manifest = run(tmp_path, source="lfw")
    assert manifest.faces[["uri", "source", "identity"]].to_numpy().tolist() == [["A_B/A_B_0001.jpg", "lfw", "A_B"]]
    with pytest.raises(FaceReconError, match=r"set data\.source to 'folder'"):
        run(photo(tmp_path / "else" / "1.png").parent, source="lfw")


def test_max_faces_chooses_by_hash(tmp_path: Path) -> None:
    for number in range(40):
        photo(tmp_path / f"p{number:02d}.png", number)

    def chosen(most: int | None) -> list[str]:
        return run(tmp_path, max_faces=most).faces["uri"].tolist()

    ten = chosen(10)
    assert len(ten) == 10
    assert ten == sorted(ten) == chosen(10)
    assert ten != chosen(None)[:10]
    assert set(ten) < set(chosen(20))
    assert chosen(100) == chosen(None)
    for number in range(40, 44):
        photo(tmp_path / f"p{number:02d}.png", number)
    assert len(set(ten) - set(chosen(10))) <= 4  # a new photo takes the place of at most one


def test_the_order_of_the_files_on_disk_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        photo(tmp_path / f"p{number}" / "1.png", number % 6)
    expected = run(tmp_path)
    scan = os.scandir
    listing = list(scan(tmp_path))

    class Backwards:
        def __init__(self, path: str) -> None:
            self.entries = reversed(listing if Path(path) == tmp_path else list(scan(path)))

        def __enter__(self) -> "Backwards":
            return self

        def __exit__(self, *exc: object) -> None: ...

        def __iter__(self) -> "Backwards":
            return self

        def __next__(self) -> os.DirEntry[str]:
            return next(self.entries)

    monkeypatch.setattr(os, "scandir", Backwards)
    assert run(tmp_path).faces.equals(expected.faces)
    assert run(tmp_path).digest == expected.digest


class TestFingerprint:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for number in range(3):
            photo(tmp_path / f"p{number}" / "1.png", number)
        return tmp_path

    def of(self, root: Path) -> str:
        return source_fingerprint(DataSettings(path=str(root)), root)

    def test_stays_when_nothing_changed(self, root: Path) -> None:
        (root / "p0" / ".hidden.png").touch()
        before = self.of(root)
        (root / "p0" / ".hidden.png").write_text("what is passed over is not read")
        run(root)
        assert self.of(root) == before

    def test_changes_with_a_hidden_file_because_it_is_counted(self, root: Path) -> None:
        before = self.of(root)
        (root / "p0" / ".hidden.png").touch()
        assert self.of(root) != before

    def test_changes_with_a_list_beside_the_photos(self, root: Path) -> None:
        before = self.of(root)
        (root / "list_eval_partition.txt").write_text("000001.jpg 0")
        assert self.of(root) != before

    def test_changes_with_a_photo_added_removed_or_renamed(self, root: Path) -> None:
        seen = [self.of(root)]
        photo(root / "p0" / "2.png", 9)
        seen.append(self.of(root))
        (root / "p0" / "2.png").rename(root / "p0" / "3.png")
        seen.append(self.of(root))
        (root / "p1" / "1.png").unlink()
        seen.append(self.of(root))
        assert len(set(seen)) == 4

    def test_changes_with_a_photo_written_again(self, root: Path) -> None:
        path = root / "p0" / "1.png"
        before, state = self.of(root), path.stat()
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
        assert self.of(root) != before

    def test_changes_with_a_size(self, root: Path) -> None:
        path = root / "p0" / "1.png"
        before, state = self.of(root), path.stat()
        path.write_bytes(path.read_bytes() + b"x")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert self.of(root) != before

    def test_knows_broken_links(self, root: Path) -> None:
        before = self.of(root)
        (root / "link.png").symlink_to(root / "gone.png")
        broken = self.of(root)
        photo(root / "gone.png", 5)
        assert len({before, broken, self.of(root)}) == 3
