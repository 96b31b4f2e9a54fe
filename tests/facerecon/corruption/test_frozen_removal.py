"""Forgotten photos go from frozen degraded faces, all others keep their pixels, and the next run finds them."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerecon.corruption import frozen_degradations
from facerecon.corruption.frozen import build_mask_set
from facerecon.corruption.frozen_degradations import DegradedSet, freeze_degradations, load_degradations
from facerecon.corruption.frozen_removal import frozen_files, remove_frozen
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY, digest_of, sha256_bytes

SIZE = 64
NAMES = ("motion", "cctv")


@pytest.fixture
def faces(tiny_manifest: Manifest) -> list[str]:
    """The faces that are evaluated, each of a photo of its own."""
    rows = tiny_manifest.faces
    return sorted(rows["face"][rows["split"] != "train"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """That of one task and one state of its code."""
    return tmp_path / "cases" / "restoration" / "0123456789abcdef"


@pytest.fixture
def freeze(tiny_manifest: Manifest, folder: Path) -> Callable[[list[str]], DegradedSet]:
    """``freeze(faces)``: those degraded by all presets."""
    return lambda chosen: freeze_degradations(folder, tiny_manifest, NAMES, SIZE, faces=chosen)


def remove(cases: Path, *photos: str) -> list[str]:
    return remove_frozen(set(photos), cases, cases.parent)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_face_goes_and_the_next_run_finds_the_pixels_of_all_others(
    tmp_path: Path,
    folder: Path,
    freeze: Callable[[list[str]], DegradedSet],
    tiny_manifest: Manifest,
    faces: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = freeze(faces)
    pixels = {name: before.for_faces(name, faces) for name in NAMES}
    staying = [*faces[:2], *faces[3:]]
    assert frozen_files({faces[2]}, tmp_path / "cases") == sorted(folder.iterdir())
    assert remove(tmp_path / "cases", faces[2]) == []
    assert frozen_files({faces[2]}, tmp_path / "cases") == []
    written = files(folder)
    monkeypatch.setattr(frozen_degradations, "degrade", None)  # nothing is made anew
    after = freeze(staying)
    assert files(folder) == written, "no more was to be written"
    for name in NAMES:
        assert faces[2] not in after.presets[name].faces
        np.testing.assert_array_equal(after.for_faces(name, staying), np.delete(pixels[name], 2, axis=0))
    with pytest.raises(FaceReconError, match="is missing: pull it, or freeze them again"):
        load_degradations(folder, before.description)
    monkeypatch.undo()
    anew = freeze_degradations(tmp_path / "anew", tiny_manifest, NAMES, SIZE, faces=staying)
    assert files(anew.folder) == written, "byte for byte what freezing the others gives"


def test_of_fewer_faces_in_the_next_run_those_that_stay_keep_their_pixels(
    tmp_path: Path, freeze: Callable[[list[str]], DegradedSet], faces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the number of faces is limited, another one takes the place of the forgotten one."""
    before = freeze(faces[:5])
    kept = before.for_faces("cctv", faces[1:5])
    remove(tmp_path / "cases", faces[0])
    monkeypatch.setattr(frozen_degradations, "degrade", lambda image, *_: np.full_like(image, 77))
    after = freeze(faces[1:6])
    np.testing.assert_array_equal(after.for_faces("cctv", faces[1:5]), kept)
    assert (after.for_faces("cctv", faces[5:6]) == 77).all()


def test_what_holds_no_face_of_theirs_stays_as_it_is(
    tmp_path: Path, folder: Path, freeze: Callable[[list[str]], DegradedSet], faces: list[str]
) -> None:
    freeze(faces[3:])
    build_mask_set(folder, SIZE, ["brush"], [1], count=8)
    (folder / f"brush-level2-{SIZE}px-8masks-seed0.npz").write_bytes(b"damaged")
    before, times = files(folder), {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert remove(tmp_path / "cases", faces[0]) == []
    assert files(folder) == before
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_a_file_of_theirs_alone_goes(
    tmp_path: Path, folder: Path, freeze: Callable[[list[str]], DegradedSet], faces: list[str]
) -> None:
    freeze(faces[:2])
    assert remove(tmp_path / "cases", *faces[:2]) == []
    assert list(folder.iterdir()) == []
    assert remove(tmp_path / "none", faces[0]) == []


def test_files_of_older_code_lose_all_faces_of_a_photo(tmp_path: Path) -> None:
    """They said other things of themselves, and a photo may have several faces."""
    folder = tmp_path / "cases" / "restoration" / "old"
    folder.mkdir(parents=True)
    photo, other = "a" * 64, "b" * 64
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), np.uint8)

    def write(rows: list[int]) -> dict[str, bytes]:
        what: dict[str, Any] = {"drawn": "0" * 64, "preset": "mild", "scale": 1, "seed": 0, "size": 8}
        what["faces"] = [[photo, f"{photo}-1", other, f"{other}-1"][row] for row in rows]
        about = what | {"pixels_sha256": sha256_bytes(pixels[rows].tobytes())}
        path = folder / f"mild-8px-x1-{digest_of(what)[:16]}.npz"
        np.savez_compressed(path, about=np.array(json.dumps(about, sort_keys=True)), pixels=pixels[rows])
        return files(folder)

    expected = write([2, 3])
    for path in folder.iterdir():
        path.unlink()
    write([0, 1, 2, 3])
    assert remove(tmp_path / "cases", photo) == []
    assert files(folder) == expected


@pytest.mark.parametrize("where", ["the file", "the pixels", "the name"])
def test_a_damaged_file_goes_if_they_may_be_in_it(
    tmp_path: Path, folder: Path, freeze: Callable[[list[str]], DegradedSet], faces: list[str], where: str
) -> None:
    """No run would read it, and what is wrong with its pixels must not be made to look right."""
    path = folder / freeze(faces).presets["motion"].file
    if where == "the file":
        path.write_bytes(path.read_bytes()[:1000])
    elif where == "the pixels":
        with np.load(path) as content:
            np.savez(path, about=content["about"], pixels=content["pixels"][::-1])
    else:
        path = path.rename(path.with_name(f"motion-{SIZE}px-x1-seed0-{'0' * 16}.npz"))
    assert remove(tmp_path / "cases", faces[0]) == []
    [left] = folder.iterdir()
    assert left.name.startswith("cctv")
    assert freeze(faces[1:]).presets["cctv"].file == left.name


def test_a_damaged_file_in_the_new_ones_place_is_written_anew(
    tmp_path: Path, folder: Path, freeze: Callable[[list[str]], DegradedSet], faces: list[str]
) -> None:
    expected = freeze(faces[1:])
    whole = files(folder)
    freeze(faces)
    path = folder / expected.presets["motion"].file
    with np.load(path) as content:
        np.savez(path, about=content["about"], pixels=content["pixels"][::-1])
    assert remove(tmp_path / "cases", faces[0]) == []
    assert files(folder) == whole


@pytest.mark.parametrize("stop", range(1, 5))
def test_killed_behind_any_step_the_next_time_finishes(
    tmp_path: Path,
    folder: Path,
    freeze: Callable[[list[str]], DegradedSet],
    faces: list[str],
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    expected = freeze(faces[1:])
    whole = files(folder)
    for path in folder.iterdir():
        path.unlink()
    freeze(faces)
    done, replace, unlink = 0, Path.replace, Path.unlink

    def step() -> None:
        nonlocal done
        done += 1
        if done == stop:
            raise KeyboardInterrupt

    def replace_and_die(path: Path, other: Path) -> None:
        replace(path, other)
        step()

    def unlink_and_die(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if not path.name.startswith(TEMPORARY):
            step()

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", replace_and_die)
        patch.setattr(Path, "unlink", unlink_and_die)
        remove(tmp_path / "cases", faces[0])
    assert done == stop
    with monkeypatch.context() as patch:
        patch.setattr(frozen_degradations, "degrade", None)
        assert freeze(faces[1:]) == expected, "what stays is there all the time"
    assert remove(tmp_path / "cases", faces[0]) == []
    assert files(folder) == whole


def test_killed_while_it_writes_the_old_file_is_whole_and_what_was_begun_goes(
    tmp_path: Path,
    folder: Path,
    freeze: Callable[[list[str]], DegradedSet],
    faces: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    freeze(faces)
    before = files(folder)

    def die(path: Path, **_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", die)
        with pytest.raises(KeyboardInterrupt):
            remove(tmp_path / "cases", faces[0])
    assert files(folder) == before
    # by a run that could not clear up behind itself, in a folder where nothing was ever finished
    begun = folder.with_name("begun") / f"{TEMPORARY}mild-{SIZE}px-x1-seed0-0.npz"
    begun.parent.mkdir()
    begun.write_bytes(b"half")
    assert remove(tmp_path / "cases", faces[0]) == []
    assert not begun.exists()
    assert before.keys().isdisjoint(files(folder))


def test_what_cannot_be_removed_is_told(tmp_path: Path, folder: Path) -> None:
    name = f"mild-{SIZE}px-x1-seed0-{'0' * 16}.npz"
    (folder / name).mkdir(parents=True)
    [line] = remove(tmp_path / "cases", "a" * 64)
    assert line.startswith(
        f"cases/restoration/{folder.name}/{name}: degraded faces of them may be in it, and it cannot"
    )
