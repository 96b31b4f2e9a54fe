"""Every layout after somebody was forgotten: its source reads it as before, without them."""

import io
import json
import shutil
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facerecon.data.forget import Target, files_of, remove_frames, remove_photos, traces_of
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.data.sources.celeba_hq import parts
from facerecon.data.sources.lfw import read_pairs


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@dataclass
class Layout:
    """A data root that a source reads, below a project."""

    project: Path
    source: str

    @property
    def root(self) -> Path:
        return self.project / "data"

    def read(self) -> Manifest:
        return ingest(DataSettings(source=self.source, path="data"), self.project, self.project / "frames")

    def rows(self) -> pd.DataFrame:
        """What the source lists; where a tar archive was packed to depends on all that is in it."""
        return self.read().faces.drop(columns="file").reset_index(drop=True)

    def forget(self, target: Target) -> list[str]:
        roots = [(self.source, self.root)]
        before = {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        traces = traces_of(target, [self.read()], roots, self.project, self.project / "frames")
        told = {path for path in files_of(traces, target, roots) if path in before}
        left = remove_photos(traces, target, roots, self.project)
        remove_frames(traces, target, self.project / "frames")
        changed = {path for path, content in before.items() if not path.exists() or path.read_bytes() != content}
        assert told == changed, "all that was changed was said before"
        assert remove_photos(traces, target, roots, self.project) == left, "it can be done twice"
        return left

    def content(self) -> bytes:
        """All that lies there and in what sources keep, with the names."""
        paths = [path for top in (self.root, self.project / "frames") for path in top.rglob("*")]
        return b"\n".join(str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in paths)


def same_but(before: pd.DataFrame, layout: Layout, person: str) -> None:
    assert (before["identity"] == person).any()
    expected = before[before["identity"] != person].reset_index(drop=True)
    pd.testing.assert_frame_equal(layout.rows(), expected)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"])
def test_tar_archives(tmp_path, suffix):
    layout = Layout(tmp_path, "archive")
    layout.root.mkdir()
    mode = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "tbz2": "w:bz2", "xz": "w:xz", "txz": "w:xz"}
    with tarfile.open(layout.root / f"photos{suffix}", mode.get(suffix.rpartition(".")[2], "w")) as tar:
        for seed in range(6):
            info = tarfile.TarInfo(f"{'Ada' if seed % 2 else 'Bob'}/{seed}.png")
            info.size = len(picture(seed))
            tar.addfile(info, io.BytesIO(picture(seed)))
    before = layout.rows()
    assert layout.forget(Target("identity", "Ada")) == []
    same_but(before, layout, "Ada")
    assert b"Ada" not in layout.content()
    assert len(list((tmp_path / "frames").glob("*.zip"))) == 1


def test_equal_bytes_in_a_tar_archive_go_and_from_what_was_packed_of_it(tmp_path):
    layout = Layout(tmp_path, "archive")
    layout.root.mkdir()
    for name, people in (("a", {"Ada": 1, "Bob": 2}), ("b", {"Cy": 1, "Di": 3})):
        with tarfile.open(layout.root / f"{name}.tar", "w") as tar:
            for person, seed in people.items():
                info = tarfile.TarInfo(f"{person}/0.png")
                info.size = len(picture(seed))
                tar.addfile(info, io.BytesIO(picture(seed)))
    assert layout.forget(Target("identity", "Ada")) == []
    assert sorted(layout.rows()["identity"]) == ["Bob", "Di"]
    assert picture(1) not in layout.content()


NAMES = [f"{number:06d}.jpg" for number in range(1, 7)]
PEOPLE = dict(zip(NAMES, ("7", "8", "7", "9", "8", "7"), strict=True))


def write_celeba(root: Path, names=NAMES) -> None:
    """Six photos of three people, with all of CelebA's lists."""
    write(root / "Anno/identity_CelebA.txt", "".join(f"{name} {PEOPLE[name]}\n" for name in names))
    write(root / "Eval/list_eval_partition.txt", "".join(f"{name} {index % 3}\n" for index, name in enumerate(names)))
    points = "".join(f"{name}  69  109  106  113   77  142   73  152  108  154\n" for name in names)
    columns = " ".join(f"{point}_{axis}" for point in "abcde" for axis in "xy")
    for name in ("list_landmarks_align_celeba.txt", "list_landmarks_celeba.txt"):
        write(root / "Anno" / name, f"{len(names)}\n{columns}\n{points}")
    for name in ("list_attr_celeba.txt", "list_bbox_celeba.txt"):
        write(root / "Anno" / name, f"{len(names)}\r\nOne Two\r\n" + "".join(f"{photo} -1  1\r\n" for photo in names))
    write(root / "list_attr_celeba.csv", "image_id,One\n" + "".join(f"{name},-1\n" for name in names))


@pytest.mark.parametrize("packed", [False, True])
def test_celeba(tmp_path, packed):
    layout = Layout(tmp_path, "celeba")
    write_celeba(layout.root)
    write_celeba(tmp_path / "expected", [name for name in NAMES if PEOPLE[name] != "7"])
    write(tmp_path / "expected/Eval/list_eval_partition.txt", "000002.jpg 1\n000004.jpg 0\n000005.jpg 1\n")
    for seed, name in enumerate(NAMES):
        write(layout.root / "Img/img_align_celeba" / name, picture(seed))
        write(layout.root / "Img/img_celeba" / name, picture(seed + 10))
    if packed:
        folder = layout.root / "Img/img_align_celeba"
        shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
        shutil.rmtree(folder)
    before = layout.rows()
    assert layout.forget(Target("identity", "celeba-7")) == []
    same_but(before, layout, "celeba-7")
    for path in filter(Path.is_file, (tmp_path / "expected").rglob("*")):
        assert (layout.root / path.relative_to(tmp_path / "expected")).read_bytes() == path.read_bytes(), path.name
    assert sorted(path.name for path in (layout.root / "Img/img_celeba").iterdir()) == [NAMES[1], NAMES[3], NAMES[4]]


@pytest.mark.parametrize("packed", [False, True])
def test_one_photo_of_celeba_goes_and_its_archive_of_others_is_told(tmp_path, packed):
    layout = Layout(tmp_path, "celeba")
    write_celeba(layout.root)
    for seed, name in enumerate(NAMES):
        write(layout.root / "img_align_celeba" / name, picture(seed))
    write(layout.root / "Img/img_celeba.7z.001", b"7z")
    before = layout.rows()
    folder = layout.root / "img_align_celeba"
    if packed:
        shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
        shutil.rmtree(folder)
        before["uri"] = before["uri"].str.replace("img_align", "img_align_celeba.zip!/img_align")
    [line] = layout.forget(Target("file", f"img_align_celeba{'.zip!/img_align_celeba' * packed}/{NAMES[0]}"))
    assert line == (
        "data/Img/img_celeba.7z.001: pictures of them may be in it, and it is not opened here: take them out by hand"
    )
    pd.testing.assert_frame_equal(layout.rows(), before[1:].reset_index(drop=True))
    assert NAMES[0].encode() not in layout.content()


def write_celeba_hq(root: Path, top: str) -> None:
    write_celeba(root)
    mapping = "idx     orig_idx     orig_file\n"
    for number, name in enumerate(NAMES[:5]):
        write(root / top / "CelebA-HQ-img" / f"{number}.jpg", picture(number))
        mapping += f"{number}           {number}           {name}\n"
        for part in ("skin", "nose"):
            stream = io.BytesIO()
            Image.new("RGB", (8, 8), (255, 255, 255)).save(stream, "PNG")
            write(root / top / "CelebAMask-HQ-mask-anno/0" / f"{number:05d}_{part}.png", stream.getvalue())
    write(root / top / "CelebA-HQ-to-CelebA-mapping.txt", mapping)
    rows = "".join(f"{number}.jpg  1 -1\n" for number in range(5))
    for name in ("attribute", "pose"):
        write(root / top / f"CelebAMask-HQ-{name}-anno.txt", f"5\nOne Two\n{rows}")


@pytest.mark.parametrize("top", [".", "CelebAMask-HQ"])
@pytest.mark.parametrize("kind", ["identity", "file"])
def test_celeba_hq(tmp_path, top, kind):
    layout = Layout(tmp_path, "celeba_hq")
    write_celeba_hq(layout.root, top)
    folder = layout.root / top
    if kind == "identity":
        (folder / "CelebA-HQ-img/2.jpg").unlink()  # the maps and rows of a photo that is not there go too
    before = layout.rows()
    uri = (folder / "CelebA-HQ-img/0.jpg").relative_to(layout.root).as_posix()
    target = Target("identity", "celeba-7") if kind == "identity" else Target("file", uri)
    going = {0, 2} if kind == "identity" else {0}
    assert layout.forget(target) == []
    numbers = before["uri"].map(lambda uri: int(Path(uri).stem))
    pd.testing.assert_frame_equal(layout.rows(), before[~numbers.isin(going)].reset_index(drop=True))
    staying = sorted(set(range(5)) - going)
    maps = [f"{number:05d}_{part}.png" for number in staying for part in ("nose", "skin")]
    assert sorted(path.name for path in (folder / "CelebAMask-HQ-mask-anno/0").iterdir()) == maps
    labels = parts(layout.root, uri.replace("/0.jpg", f"/{staying[0]}.jpg"))
    assert labels is not None
    rows = "".join(f"{number}.jpg  1 -1\n" for number in staying)
    assert (folder / "CelebAMask-HQ-pose-anno.txt").read_text() == f"{len(staying)}\nOne Two\n{rows}"
    mapping = (folder / "CelebA-HQ-to-CelebA-mapping.txt").read_text().splitlines()
    assert [row.split()[0] for row in mapping[1:]] == list(map(str, staying))
    originals = {name for name in NAMES if PEOPLE[name] == "7"} if kind == "identity" else {NAMES[0]}
    listed = (layout.root / "Anno/identity_CelebA.txt").read_text().split()[::2]
    assert listed == [name for name in NAMES if name not in originals]


def test_the_last_maps_go_although_the_last_photo_went_before_a_kill(tmp_path):
    layout = Layout(tmp_path, "celeba_hq")
    write_celeba_hq(layout.root, ".")
    roots, frames, found = [("celeba_hq", layout.root)], tmp_path / "frames", {}
    for person in ("celeba-7", "celeba-8", "celeba-9"):
        found[person] = traces_of(Target("identity", person), [], roots, tmp_path, frames)
    for number in range(5):
        (layout.root / f"CelebA-HQ-img/{number}.jpg").unlink()
    (layout.root / "CelebA-HQ-img").rmdir()
    for person, traces in found.items():
        assert remove_photos(traces, Target("identity", person), roots, tmp_path) == []
    assert list((layout.root).rglob("*.png")) == []
    assert (layout.root / "Anno/identity_CelebA.txt").read_text() == ""


def write_drawn(root: Path) -> None:
    """Two people, three photos each, with the truth about them."""
    for person in (1, 2):
        told = {}
        for number in range(3):
            write(root / f"person_{person:04d}/photo_{number}.png", picture(10 * person + number))
            told[f"photo_{number}.png"] = {"sha256": "0" * 64, "scene": {"light": {"name": "side"}}}
        truth = {"identity_number": person, "photos": told, "seed": 7}
        write(root / f"person_{person:04d}/truth.json", json.dumps(truth, separators=(",", ":")) + "\n")


def test_drawn_faces_go_with_what_the_truth_says_of_them(tmp_path):
    layout = Layout(tmp_path, "drawn")
    write_drawn(layout.root)
    before, other = layout.rows(), (layout.root / "person_0002/truth.json").read_bytes()
    assert layout.forget(Target("file", "person_0001/photo_1.png")) == []
    expected = before[before["uri"] != "person_0001/photo_1.png"].reset_index(drop=True)
    pd.testing.assert_frame_equal(layout.rows(), expected)
    truth = json.loads((layout.root / "person_0001/truth.json").read_text())
    assert list(truth["photos"]) == ["photo_0.png", "photo_2.png"]
    assert layout.forget(Target("identity", "drawn-7-1")) == []
    same_but(expected, layout, "drawn-7-1")
    assert not (layout.root / "person_0001").exists()
    assert (layout.root / "person_0002/truth.json").read_bytes() == other


def entry(number: int, page: int, category: str = "training") -> dict:
    return {
        "category": category,
        "metadata": {
            "photo_url": f"https://www.flickr.com/photos/someone/{page}/",
            "license": "x",
            "author": 'A "B" ü',
        },
        "image": {"face_landmarks": [[500.0, 480.0]] * 68, "file_md5": f"{number:032x}"},
    }


@settings(max_examples=25, deadline=None)
@given(
    pages=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    indent=st.sampled_from([None, 4]),
    page=st.integers(1, 3),
    one=st.booleans(),
)
def test_ffhq(tmp_path_factory, pages, indent, page, one):
    pages = [page, *pages]
    layout = Layout(tmp_path_factory.mktemp("ffhq"), "ffhq")
    entries = {str(number * 999): entry(number * 999, each) for number, each in enumerate(pages)}
    write(layout.root / "ffhq-dataset-v2.json", json.dumps(entries, indent=indent, ensure_ascii=False))
    for number in map(int, entries):
        for folder in ("images1024x1024", "in-the-wild-images", "thumbnails128x128"):
            uri = f"{number // 1000 * 1000:05d}/{number:05d}.png"
            write(layout.root / folder / uri, picture(number + 10_000 * len(folder)))
    before = layout.rows()
    if not one:
        (layout.root / "images1024x1024/00000/00000.png").unlink()  # what is listed goes although it is not there
    target = Target("file", "images1024x1024/00000/00000.png") if one else Target("identity", f"flickr-{page}-training")
    assert layout.forget(target) == []
    staying = {
        name: each for name, each in entries.items() if (name != "0" if one else pages[int(name) // 999] != page)
    }
    text = (layout.root / "ffhq-dataset-v2.json").read_text()
    assert json.loads(text) == staying
    assert text == json.dumps(staying, indent=indent, ensure_ascii=False) or not staying
    names = {f"{int(name):05d}.png" for name in staying}
    for folder in ("images1024x1024", "in-the-wild-images", "thumbnails128x128"):
        assert {path.name for path in (layout.root / folder).rglob("*.png")} == names
    if staying:
        kept = before["uri"].isin([f"images1024x1024/{int(n) // 1000 * 1000:05d}/{int(n):05d}.png" for n in staying])
        pd.testing.assert_frame_equal(layout.rows(), before[kept].reset_index(drop=True))


def test_what_cannot_be_written_anew_of_ffhq_is_told(tmp_path):
    layout = Layout(tmp_path, "ffhq")
    write(layout.root / "ffhq-dataset-v2.json", json.dumps({"0": entry(0, 1), "1": entry(1, 2)}))
    for number in (0, 1):
        write(layout.root / f"images1024x1024/00000/{number:05d}.png", picture(number))
    write(layout.root / "tfrecords/ffhq/ffhq-r10.tfrecords", b"x")
    target, roots = Target("file", "images1024x1024/00000/00000.png"), [("ffhq", layout.root)]
    traces = traces_of(target, [], roots, tmp_path, tmp_path / "frames")
    write(layout.root / "ffhq-dataset-v2.json", '{"0": {"category')
    broken, records = remove_photos(traces, target, roots, tmp_path)
    assert "ffhq-dataset-v2.json is not FFHQ's list (JSONDecodeError" in broken
    assert records.startswith("data/tfrecords: pictures of them may be in it")


LFW = ("Ada_B", "Bob_C", "Cy_D", "Di_E")


def pairs_text(folds: int, each: int, seed: int, view_1: bool) -> str:
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(folds):
        for same in (True, False):
            for _ in range(each):
                first, second = random.choice(LFW, 2, replace=False)
                a, b = random.integers(1, 3, 2)
                rows.append(f"{first}\t{a}\t{b}" if same else f"{first}\t{a}\t{second}\t{b}")
    return "\n".join([str(each) if view_1 else f"{folds}\t{each}", *rows]) + "\n"


@settings(max_examples=40, deadline=None)
@given(
    folds=st.integers(1, 3), each=st.integers(1, 6), seed=st.integers(0, 99), view_1=st.booleans(), one=st.booleans()
)
def test_lfw(tmp_path_factory, folds, each, seed, view_1, one):
    layout = Layout(tmp_path_factory.mktemp("lfw"), "lfw")
    for index, person in enumerate(LFW):
        for number in (1, 2):
            write(layout.root / "lfw" / person / f"{person}_{number:04d}.jpg", picture(10 * index + number))
    folds = 1 if view_1 else folds
    path = write(layout.root / "pairs.txt", pairs_text(folds, each, seed, view_1))
    write(layout.root / "people.txt", "2\n3\nAda_B\t2\nBob_C\t2\nCy_D\t2\n1\nDi_E\t2\n")
    write(layout.root / "pairs.csv", "name,imagenum1,imagenum2,\nAda_B,1,2,\nBob_C,1,2,\nBob_C,1,Ada_B,1\n")
    before, pairs = layout.rows(), read_pairs(path)
    uri = "Ada_B/Ada_B_0001.jpg"
    assert layout.forget(Target("file", f"lfw/{uri}") if one else Target("identity", "Ada_B")) == []
    gone = before["uri"] == f"lfw/{uri}" if one else before["identity"] == "Ada_B"
    pd.testing.assert_frame_equal(layout.rows(), before[~gone].reset_index(drop=True))

    def clean(pair):
        return not any(photo == uri if one else photo.startswith("Ada_B/") for photo in (pair.first, pair.second))

    after, places = read_pairs(path), [(fold, same) for fold in range(folds) for same in (True, False)]
    usable = {place: [pair for pair in pairs if (pair.fold, pair.same) == place and clean(pair)] for place in places}
    least = min(map(len, usable.values()))
    assert after == [pair for place in places for pair in usable[place][:least]]
    people = "2\n3\nAda_B\t2\nBob_C\t2\nCy_D\t2\n1\nDi_E\t2\n" if one else "2\n2\nBob_C\t2\nCy_D\t2\n1\nDi_E\t2\n"
    assert (layout.root / "people.txt").read_text() == people
    assert (layout.root / "pairs.csv").read_text() == "name,imagenum1,imagenum2,\nBob_C,1,2,\n"


def test_a_list_of_pairs_in_another_format_loses_the_rows_alone(tmp_path):
    layout = Layout(tmp_path, "lfw")
    for index, person in enumerate(LFW):
        write(layout.root / person / f"{person}_0001.jpg", picture(index))
    write(layout.root / "pairs.txt", "2\t300\nAda_B\t1\t2\nBob_C\t1\t2\n")
    write(layout.root / "pairs_own.txt", "Bob_C\t1\tAda_B\t2\nBob_C\t1\t2\n")
    assert layout.forget(Target("identity", "Ada_B")) == []
    assert (layout.root / "pairs.txt").read_text() == "2\t300\nBob_C\t1\t2\n"
    assert (layout.root / "pairs_own.txt").read_text() == "Bob_C\t1\t2\n"


@pytest.mark.parametrize("kind", ["clip", "identity"])
def test_the_table_of_youtube_faces(tmp_path, kind):
    layout = Layout(tmp_path, "youtube_faces")
    for seed, name in enumerate(("Ada_B_0", "Ada_B_1", "Bob_C_0")):
        images = np.random.default_rng(seed).integers(0, 255, (32, 32, 3, 4), np.uint8)
        (layout.root / "clips").mkdir(parents=True, exist_ok=True)
        np.savez(layout.root / "clips" / f"{name}.npz", colorImages=images, landmarks3D=np.full((68, 3, 4), 16.0))
    rows = "Ada_B_0,Ada_B,32\nAda_B_1,Ada_B,32\nBob_C_0,Bob_C,32\n"
    table = write(layout.root / "full.csv", f"videoID,personName,imageHeight\n{rows}")
    assert layout.forget(Target("clip", "clips/Ada_B_0.npz") if kind == "clip" else Target("identity", "Ada_B")) == []
    kept = ["Ada_B_1", "Bob_C_0"] if kind == "clip" else ["Bob_C_0"]
    assert [row.split(",")[0] for row in table.read_text().splitlines()[1:]] == kept


def test_a_list_behind_a_link_is_told_and_left(tmp_path):
    layout = Layout(tmp_path, "celeba")
    write_celeba(layout.root)
    for seed, name in enumerate(NAMES):
        write(layout.root / "img_align_celeba" / name, picture(seed))
    (layout.root / "Anno").rename(tmp_path / "elsewhere")
    (layout.root / "Anno").symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere" / "identity_CelebA.txt").read_text()
    roots, target = [("celeba", layout.root)], Target("identity", "celeba-9")
    traces = traces_of(target, [], roots, tmp_path, tmp_path / "frames")
    left = remove_photos(traces, target, roots, tmp_path)
    assert "data/Anno/identity_CelebA.txt: lies behind the link data/Anno, remove the rows in it there" in left
    assert (tmp_path / "elsewhere" / "identity_CelebA.txt").read_text() == before


def test_a_list_is_whole_when_it_is_killed_while_writing(tmp_path, monkeypatch):
    layout = Layout(tmp_path, "celeba")
    write_celeba(layout.root)
    for seed, name in enumerate(NAMES):
        write(layout.root / "img_align_celeba" / name, picture(seed))
    lists = {path: path.read_bytes() for top in ("Anno", "Eval") for path in (layout.root / top).iterdir()}
    roots, target = [("celeba", layout.root)], Target("identity", "celeba-7")
    traces = traces_of(target, [], roots, tmp_path, tmp_path / "frames")
    real = Path.write_bytes

    def die(path: Path, content: bytes) -> int:
        real(path, content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", die)
        with pytest.raises(KeyboardInterrupt):
            remove_photos(traces, target, roots, tmp_path)
    assert {path: path.read_bytes() for path in lists} == lists
    assert remove_photos(traces, target, roots, tmp_path) == []
    assert set(layout.rows()["identity"]) == {"celeba-8", "celeba-9"}


@pytest.mark.parametrize("kind", ["identity", "file"])
def test_killed_after_any_of_the_lists_the_same_comes_of_it(tmp_path, monkeypatch, kind):
    target = Target("identity", "celeba-7") if kind == "identity" else Target("file", "CelebA-HQ-img/0.jpg")

    def contents(folder: Path, stop: int) -> dict[str, bytes]:
        """All that is left after a kill behind so many lists, and another try."""
        write_celeba_hq(folder / "data", ".")
        roots, written = [("celeba_hq", folder / "data")], []
        traces = traces_of(target, [], roots, folder, folder / "frames")
        real = Path.replace

        def die(path: Path, other: Path) -> None:
            real(path, other)
            written.append(other)
            if len(written) == stop:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Path, "replace", die)
            remove_photos(traces, target, roots, folder)
        assert len(written) == (stop or 10), "so many lists were written before the kill"
        remove_photos(traces, target, roots, folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    whole = contents(tmp_path / "whole", 0)
    for stop in range(1, 11):
        assert contents(tmp_path / str(stop), stop) == whole
