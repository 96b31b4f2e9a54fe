"""The account: the classes add up to what lies on disk, for every source."""

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
from PIL import Image

from facerecon.data import sources
from facerecon.data.account import as_lines, as_rows, from_rows
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings


def png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def members() -> dict[str, bytes]:
    return {
        **{"ada/1.png": png(1), "ada/2.png": png(2), "bob/1.png": png(3), "bob/2.png": png(4), "ada/copy.png": png(1)},
        **{"ada/broken.png": b"x", "ada/.1.png": b"", "__MACOSX/1": b"", "notes.txt": b"words"},
        **{"ada/unnamed": png(99), "inner.zip": b"PK\3\4", "clip.mp4": b""},
    }


def folder(root: Path) -> int:
    write(root, members())
    return 12


def archive(root: Path) -> int:
    root.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(root / "a.zip", "w") as packed:
        for name, content in members().items():
            packed.writestr(name, content)
    with tarfile.open(root / "b.tar", "w") as tar:
        for name, content in members().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    write(root, {"broken.zip": b"PK\3\4", "c.7z": b"7z\xbc\xaf\x27\x1c", "beside.png": png(7), "@eaDir/1.png": png(8)})
    return 2 * 12 + 2 + 4


def lfw(root: Path) -> int:
    photos = {f"Ada_B/Ada_B_000{number}.png": png(number) for number in (1, 2, 3)}
    write(
        root, photos | {"Ada_B/Ada_B_0004 (1).png": png(9), "pairs.txt": b"", "Ada_B/Thumbs.db": b"", "notes.odd": b""}
    )
    return 7


def celeba(root: Path) -> int:
    photos = {f"img_align_celeba/00000{number}.jpg": png(number) for number in (1, 2, 3, 4)}
    lists = {"identity_CelebA": "1", "list_eval_partition": "0"}
    rows = {
        f"{name}.txt": "".join(f"00000{n}.jpg {word}\n" for n in (1, 2, 3)).encode() for name, word in lists.items()
    }
    write(root, photos | rows | {"img_celeba/000001.jpg": png(1)})
    return 7


def celeba_hq(root: Path) -> int:
    photos = {f"CelebA-HQ-img/{number}.jpg": png(number) for number in (0, 1, 2)}
    maps = {"CelebAMask-HQ-mask-anno/0/00000_skin.png": png(1), "CelebA-HQ-img/odd name.jpg": png(5)}
    write(root, photos | maps)
    return 5


def ffhq(root: Path) -> int:
    entry = {"category": "training", "metadata": {"photo_url": "x/1/", "license": "CC0"}}
    listed = {n: entry | {"image": {"face_landmarks": [[9.0, 9.0]] * 68}} for n in ("0", "1")}
    photos = {f"{side}/0000{n}.png": png(n) for side in ("images1024x1024", "thumbnails128x128") for n in (0, 1, 2)}
    write(root, photos | {"ffhq-dataset-v2.json": json.dumps(listed).encode()})
    return 7


def youtube_faces(root: Path) -> int:
    stream = io.BytesIO()
    images = np.random.default_rng(0).integers(0, 255, (8, 8, 3, 4), np.uint8)
    np.savez(stream, colorImages=images, landmarks3D=np.zeros((68, 3, 4)))
    write(
        root, {"Ada_B_0.npz": stream.getvalue(), "odd.npz": b"", "table.csv": b"", "Ada_B_1.npz": b"x", "1.png": png(1)}
    )
    return 5


def drawn(root: Path) -> int:
    truth = json.dumps({"seed": 0, "identity_number": 1, "photos": {}}).encode()
    photos = {f"person_0001/photo_{number}.png": png(number) for number in (1, 2, 3)}
    write(root, photos | {"person_0001/truth.json": truth, "beside.png": png(9), "notes.txt": b""})
    return 6


def footage(root: Path) -> int:
    write(root, {f"door.frames/{number}.png": png(number) for number in range(3)})
    write(root, {"broken.mp4": b"", "beside.png": png(1), "notes.txt": b""})
    return 6


LAYOUTS: dict[str, Callable[[Path], int]] = {
    **{"folder": folder, "archive": archive, "lfw": lfw, "celeba": celeba, "celeba_hq": celeba_hq, "ffhq": ffhq},
    **{"youtube_faces": youtube_faces, "footage": footage, "drawn": drawn},
}


def run(root: Path, tmp_path: Path, source: str, **options: object) -> Manifest:
    return ingest(DataSettings(path=str(root), source=source, **options), tmp_path, tmp_path / "frames")


@pytest.mark.parametrize("source", [name for name in sorted(LAYOUTS) if name != "footage"])
@pytest.mark.parametrize("most", [None, 2])
def test_the_classes_add_up_to_what_lies_on_disk(tmp_path: Path, source: str, most: int | None) -> None:
    files = LAYOUTS[source](tmp_path / "root")
    on_disk = sum(len(names) for _, _, names in os.walk(tmp_path / "root"))
    assert files == on_disk or source == "archive"
    manifest = run(tmp_path / "root", tmp_path, source, max_faces=most)
    account = manifest.account
    assert account["files"].sum() == files, as_lines(account)
    assert from_rows(as_rows(account)).equals(account)
    assert "used" in set(account["class"])


def test_every_source_is_tried() -> None:
    # what was collected has tests of its own: test_collect.py
    assert {*LAYOUTS, "collected"} == {module.name for module in iter_modules(sources.__path__)}


def test_classes_of_a_folder(tmp_path: Path) -> None:
    folder(tmp_path / "root")
    account = run(tmp_path / "root", tmp_path, "folder").account
    assert {(row["class"], row["kind"]): row["files"] for row in as_rows(account)} == {
        ("used", ""): 5,
        ("duplicate", "same bytes as another photo"): 1,
        ("quarantined", "not an image, or a broken one"): 1,
        ("quarantined", "a format that is not read"): 2,
        ("system or hidden", ""): 2,
        ("no picture, clip or archive", ".txt"): 1,
    }
    assert as_lines(account)[0].startswith(
        "folder: 12 files: 1 duplicate (same bytes as another photo), 1 no picture, "
    )


def test_the_account_is_no_part_of_the_digest(tmp_path: Path) -> None:
    folder(tmp_path / "root")
    before = run(tmp_path / "root", tmp_path, "folder")
    write(tmp_path / "root", {"more.txt": b"", "ada/.hidden": b""})
    after = run(tmp_path / "root", tmp_path, "folder")
    assert after.digest == before.digest
    assert after.account["files"].sum() == before.account["files"].sum() + 2
