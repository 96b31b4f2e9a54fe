"""Forgetting in the data themselves: what is found, what goes, what stays, and that it is refused when it returns."""

import json
import os
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerecon.data.containers import write_zip
from facerecon.data.forget import (
    Target,
    clips_left,
    facts_of,
    files_of,
    remove_crops,
    remove_frames,
    remove_photos,
    traces_of,
)
from facerecon.data.ingest import ingest, source_fingerprint
from facerecon.data.settings import DataSettings
from facerecon.data.store import FaceStore
from facerecon.data.tombstones import Tombstones
from facerecon.errors import FaceReconError
from facerecon.files import sha256_file

ADA = Target("identity", "Ada Lovelace")


def photo(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def project(tmp_path):
    """A project with two people, three photos each; Ada's have something written beside them."""
    for number, name in enumerate(("Ada Lovelace", "Bob")):
        for index in range(3):
            photo(tmp_path / "data" / name / f"{index}.png", 10 * number + index)
    (tmp_path / "data" / "Ada Lovelace" / "0.json").write_text("{}")
    return tmp_path


def find(project: Path, target: Target = ADA, source: str = "folder", manifests=()):
    return traces_of(target, manifests, [(source, project / "data")], project, project / "frames")


def roots(project: Path):
    return [("folder", project / "data")]


def list_photos(project: Path, source: str = "folder"):
    return ingest(DataSettings(source=source, path="data"), project, project / "frames")


def bury(project: Path, traces, target: Target = ADA) -> None:
    Tombstones.read(project).bury(facts_of(traces, target), "2026-11-21", "asked").write(project)


def uris(manifest) -> set[str]:
    return set(manifest.faces["uri"])


def test_a_person_goes_with_folder_and_notes_and_nobody_else_does(project):
    traces = find(project)
    assert {trace.uri for trace in traces} == {f"Ada Lovelace/{index}.png" for index in range(3)}
    assert project / "data/Ada Lovelace/0.json" in files_of(traces, ADA, roots(project))
    assert remove_photos(traces, ADA, roots(project), project) == []
    assert sorted(path.name for path in (project / "data").iterdir()) == ["Bob"]
    assert remove_photos(traces, ADA, roots(project), project) == []


def test_notes_of_any_name_go_from_a_folder_in_which_no_photo_is_left(project):
    notes = project / "data" / "Ada Lovelace" / "truth.json"
    notes.write_text("{}")
    lists = project / "data" / "list.txt"  # in the root: everybody's
    lists.write_text("Bob")
    one = Target("file", "Ada Lovelace/1.png")
    remove_photos(find(project, one), one, roots(project), project)
    assert notes.exists(), "two photos are left"
    traces = find(project)
    assert notes in files_of(traces, ADA, roots(project))
    assert remove_photos(traces, ADA, roots(project), project) == []
    assert sorted(path.name for path in (project / "data").iterdir()) == ["Bob", "list.txt"]


def test_one_file_goes_by_uri_or_by_path(project):
    for name in ("Ada Lovelace/1.png", "data/Ada Lovelace/2.png"):
        target = Target("file", name)
        traces = find(project, target)
        assert len(traces) == 1
        remove_photos(traces, target, roots(project), project)
    assert [path.name for path in (project / "data/Ada Lovelace").glob("*.png")] == ["0.png"]


def test_equal_bytes_under_another_name_go_too(project):
    copy = project / "data" / "Bob" / "copy.png"
    copy.write_bytes((project / "data/Ada Lovelace/0.png").read_bytes())
    with zipfile.ZipFile(project / "data" / "more.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(copy, "x/y.png")
        archive.writestr("note.txt", "kept")
    assert remove_photos(find(project), ADA, roots(project), project) == []
    assert not copy.exists()
    with zipfile.ZipFile(project / "data" / "more.zip") as archive:
        assert archive.namelist() == ["note.txt"]
        assert archive.getinfo("note.txt").compress_type == zipfile.ZIP_DEFLATED


def test_names_match_exactly_and_a_close_one_is_told(project):
    with pytest.raises(FaceReconError, match="no photo of identity 'ada lovelace' is known: did you mean Ada Lovelace"):
        find(project, Target("identity", "ada lovelace"))
    with pytest.raises(FaceReconError, match="names match exactly"):
        find(project, Target("clip", "a.mp4"))


def test_what_lies_behind_a_link_within_the_root_goes_with_the_link(project):
    (project / "data" / "store").mkdir()
    (project / "data" / "Ada Lovelace").rename(project / "data" / "store" / "1815")
    (project / "data" / "Ada Lovelace").symlink_to("store/1815")
    traces = find(project)
    assert remove_photos(traces, ADA, roots(project), project) == []
    assert sorted(path.name for path in (project / "data").iterdir()) == ["Bob"]
    assert find_nothing(project)


def find_nothing(project) -> bool:
    with pytest.raises(FaceReconError, match="no photo of identity"):
        find(project)
    return True


def test_a_name_is_found_however_it_is_composed(project):
    decomposed = unicodedata.normalize("NFD", "José")
    (project / "data" / "Ada Lovelace").rename(project / "data" / decomposed)
    target = Target("identity", "José")
    traces = find(project, target)
    assert {trace.uri for trace in traces} == {f"{decomposed}/{index}.png" for index in range(3)}
    assert remove_photos(traces, target, roots(project), project) == []
    assert sorted(path.name for path in (project / "data").iterdir()) == ["Bob"]


def test_what_lies_behind_a_link_is_told_and_left(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (project / "data" / "Ada Lovelace").rename(elsewhere / "Ada Lovelace")
    (project / "data" / "linked").symlink_to(elsewhere)
    traces = traces_of(ADA, [], [("folder", project / "data" / "linked")], project, project / "frames")
    left = remove_photos(traces, ADA, roots(project), project)
    assert len(left) == 4
    assert "data/linked/Ada Lovelace/0.png: lies behind the link data/linked, remove it in" in "".join(left)
    assert len(list((elsewhere / "Ada Lovelace").iterdir())) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_cannot_be_written_is_told(project):
    folder = project / "data" / "Ada Lovelace"
    folder.chmod(0o500)
    try:
        assert "cannot be removed: Permission denied" in remove_photos(find(project), ADA, roots(project), project)[0]
    finally:
        folder.chmod(0o700)


def test_a_forgotten_photo_that_comes_back_is_quarantined_whatever_its_name(project):
    traces = find(project)
    content = (project / "data/Ada Lovelace/1.png").read_bytes()
    before = source_fingerprint(DataSettings(path="data"), project)
    bury(project, traces)
    assert source_fingerprint(DataSettings(path="data"), project) != before
    remove_photos(traces, ADA, roots(project), project)
    (project / "data" / "Bob" / "9.png").write_bytes(content)
    manifest = list_photos(project)
    assert uris(manifest) == {f"Bob/{index}.png" for index in range(3)}
    assert manifest.quarantine.to_numpy().tolist() == [["folder", "Bob/9.png", "forgotten", "forgotten"]]


def test_tombstones_come_first_so_a_killed_forgetting_lets_nothing_through(project):
    bury(project, find(project))
    assert uris(list_photos(project)) == {f"Bob/{index}.png" for index in range(3)}


def write_clip(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(seed).integers(0, 255, (32, 32, 3, 4), np.uint8)
    np.savez(path, colorImages=images, landmarks3D=np.full((68, 3, 4), 16.0))


def test_frames_of_a_person_go_and_do_not_come_back_when_the_clip_is_read_anew(project):
    for index, name in enumerate(("Ada_0", "Bob_0")):
        write_clip(project / "data" / "clips" / f"{name}.npz", index)
    settings = DataSettings(source="youtube_faces", path="data/clips")
    frames = project / "frames"
    before = ingest(settings, project, frames)
    target = Target("identity", "Ada")
    traces = traces_of(target, [before], [("youtube_faces", project / "data/clips")], project, frames)
    assert len(traces) == 4
    bury(project, traces, target)
    assert remove_photos(traces, target, roots(project), project) == []
    remove_frames(traces, target, frames)
    assert clips_left(traces, target) == [project / "data/clips/Ada_0.npz"]
    digests = []
    for again in range(2):
        manifest = ingest(settings, project, frames)
        assert set(manifest.faces["identity"]) == {"Bob"}
        digests.append(manifest.digest)
        kept = [name for path in frames.glob("*.zip") for name in zipfile.ZipFile(path).namelist()]
        assert len([name for name in kept if name.endswith(".png")]) == 4
        if not again:
            for path in frames.glob("*.zip"):
                path.unlink()
    assert digests[0] == digests[1]


def test_a_clip_goes_as_a_whole_and_is_refused_when_it_returns(project):
    for index, name in enumerate(("Ada_0", "Bob_0")):
        write_clip(project / "data" / "clips" / f"{name}.npz", index)
    settings = DataSettings(source="youtube_faces", path="data/clips")
    frames, target = project / "frames", Target("clip", "Ada_0.npz")
    clip = project / "data/clips/Ada_0.npz"
    content = clip.read_bytes()
    traces = traces_of(target, [ingest(settings, project, frames)], [], project, frames)
    bury(project, traces, target)
    assert files_of(traces, target, roots(project)) == [clip]
    remove_photos(traces, target, roots(project), project)
    remove_frames(traces, target, frames)
    assert not clip.exists()
    assert len(list(frames.glob("*.zip"))) == 1
    (project / "data" / "clips" / "Renamed_0.npz").write_bytes(content)
    for _ in range(2):
        manifest = ingest(settings, project, frames)
        assert set(manifest.faces["identity"]) == {"Bob"}
        assert manifest.quarantine.to_numpy().tolist() == [["youtube_faces", "Renamed_0.npz", "forgotten", "forgotten"]]
        assert len(list(frames.glob("*.zip"))) == 1


def test_a_track_of_footage_is_forgotten_by_its_clip_whatever_frames_are_kept(project):
    """The record of a clip as ``footage`` writes it; the frames differ from those that were forgotten."""
    from facerecon.data.ingest import _Graveyard
    from facerecon.data.sources import Photo

    clip = project / "data" / "a.mp4"
    clip.write_bytes(b"any bytes")
    record = {"refused": "", "tracks": [{"number": 1, "faces": [{"member": "1/0.png"}]}]}
    archive = f"{sha256_file(clip)}-0123.zip"
    write_zip(project / "frames" / archive, [("1/0.png", b"png"), ("clip.json", json.dumps(record).encode())])
    row = {"uri": "a.mp4#frame=0&track=1", "identity": "somebody", "clip": "a.mp4", "track": "a.mp4#1"}
    listed = list_photos(project)
    faces = listed.faces.head(1).assign(**row, sha256="e" * 64, file=f"{archive}!/1/0.png")
    manifest = replace(listed, faces=faces)
    target = Target("identity", "somebody")
    traces = traces_of(target, [manifest], [], project, project / "frames")
    bury(project, traces, target)
    stones = _Graveyard(Tombstones.read(project), project / "data")
    assert stones.holds(Photo("a.mp4#frame=7&track=1", clip="a.mp4", track="a.mp4#1"), "f" * 64) == "track"
    assert stones.holds(Photo("a.mp4#frame=7&track=2", clip="a.mp4", track="a.mp4#2"), "f" * 64) == ""


def test_crops_go_from_all_stores_and_a_damaged_shard_does_not_stop_it(aligned, tmp_path):
    forgotten = set(aligned.faces["sha256"].head(3))
    crops = tmp_path / "crops"
    for name in ("one", "two"):
        photos = [aligned.aligned_faces.photo(sha256) for sha256 in aligned.faces["sha256"].unique()]
        FaceStore.write(crops / name, photos)
    (crops / "two" / "damaged.safetensors").write_bytes(b"\0" * 100)
    assert remove_crops(forgotten, crops) == 6
    for name in ("one", "two"):
        store = FaceStore(crops / name)
        assert len(store) == len(set(aligned.faces["sha256"])) - 3
        assert not any(sha256 in store for sha256 in forgotten)
    assert remove_crops(forgotten, crops) == 0
