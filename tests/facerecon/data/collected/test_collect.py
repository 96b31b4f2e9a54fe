"""Clips become archives and rows of the ledger: each once, whole, and the same whenever a run was killed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from facerecon.data.collected.archive import archive_path, read_archive
from facerecon.data.collected.collect import InboxClip, collect
from facerecon.data.collected.collection import Collection
from facerecon.data.collected.ledger import FILE, Ledger
from facerecon.data.collected.people import OldPerson
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.footage.decode import clip_digest
from facerecon.data.footage.extraction import extract_all
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings, FootageSettings
from facerecon.data.sources import image_files
from facerecon.data.tombstones import Tombstones, clip_fact, track_fact
from facerecon.errors import FaceReconError
from facerecon.synthetic.clips import write_clips

# drawn people look alike to SFace
SETTINGS = CollectSettings(min_quality=0.2, footage=FootageSettings(same_person="clip", workers=1))
NOW = "2026-01-01T00:00:00+00:00"


def take_in(
    inbox: Path,
    folder: Path,
    clips: Sequence[str],
    settings: CollectSettings = SETTINGS,
    known: Tombstones | None = None,
) -> Collection:
    """Take clips in, with what is extracted kept beside ``folder``."""
    folder.mkdir(exist_ok=True)
    asked = [InboxClip(name, inbox / name) for name in clips]
    return collect(asked, folder, state_of(folder), list[OldPerson], settings, known or Tombstones(), NOW)


def state_of(folder: Path) -> Path:
    """What was taken out of the clips, which tests do not read again: reading takes seconds."""
    state = folder.with_name(f"{folder.name}-state")
    if not state.exists():
        shutil.copytree(os.environ["EXTRACTED"], state)
    return state


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def inbox(sample_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of four drawn people, by day."""
    folder = tmp_path_factory.mktemp("inbox")
    cast = {each.name: sorted(image_files(each)) for each in sorted(sample_faces.glob("person_*"))[:4]}
    write_clips(folder, cast, landmark_model, "day", seed=3, workers=1)
    (folder / "truth.json").unlink()
    return folder


@pytest.fixture(scope="module", autouse=True)
def _extracted(inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("extracted")
    extract_all([inbox / "day-000.mp4", inbox / "day-001.mp4"], folder, SETTINGS.footage)
    os.environ["EXTRACTED"] = str(folder)  # a process that is killed finds it, too
    yield
    del os.environ["EXTRACTED"]


@pytest.fixture(scope="module")
def collected(inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Collection]:
    folder = tmp_path_factory.mktemp("taken") / "collected"
    return folder, take_in(inbox, folder, ["day-000.mp4", "day-001.mp4"])


def test_good_faces_go_into_an_archive_a_clip_and_rows_into_the_ledger(
    inbox: Path, collected: tuple[Path, Collection]
) -> None:
    folder, made = collected
    clips = {clip_digest(inbox / name): name for name in ("day-000.mp4", "day-001.mp4")}
    assert set(content(folder)) == {FILE, *(f"{sha256}.zip" for sha256 in clips)}
    ledger = Ledger.read(folder)
    assert {sha256: (row.name, row.outcome) for sha256, row in ledger.clips.items()} == {
        sha256: (name, "collected") for sha256, name in clips.items()
    }
    for clip in made.taken_in:
        tracks = read_archive(folder, made.digests[clip.name])
        assert clip.tracks == len(tracks) >= 3
        assert clip.faces == sum(len(track.faces) for track in tracks) >= 2 * clip.tracks
        assert all(face.score >= SETTINGS.min_quality for track in tracks for face in track.faces)
    assert len(ledger.people) == 2  # by clip


def test_poorer_faces_are_counted_and_kept_nowhere(inbox: Path, tmp_path: Path) -> None:
    strict = SETTINGS.model_copy(update={"min_quality": 1.0})
    made = take_in(inbox, tmp_path / "collected", ["day-000.mp4"], strict)
    (clip,) = made.taken_in
    assert (clip.tracks, clip.faces) == (0, 0)
    assert clip.poor > 5
    (row,) = Ledger.read(tmp_path / "collected").clips.values()
    assert (row.outcome, row.faces, row.poor) == ("nothing usable", 0, clip.poor)
    assert not list((tmp_path / "collected").glob("*.zip"))


def test_the_same_bytes_under_another_name_are_told_and_taken_in_once(
    inbox: Path, collected: tuple[Path, Collection], tmp_path: Path
) -> None:
    folder = tmp_path / "collected"
    shutil.copytree(collected[0], folder)
    shutil.copy(inbox / "day-000.mp4", tmp_path / "renamed.mp4")
    before = content(folder)
    made = take_in(tmp_path, folder, ["renamed.mp4"])
    assert made.again == (("renamed.mp4", "day-000.mp4"),)
    assert not made.taken_in
    assert content(folder) == before


def test_what_the_ledger_knows_is_not_read_again_though_all_else_is_lost(
    inbox: Path, collected: tuple[Path, Collection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "collected"
    shutil.copytree(collected[0], folder)

    def refuse(*arguments: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("facerecon.data.collected.collect.extract_all", refuse)
    made = take_in(inbox, folder, ["day-000.mp4", "day-001.mp4"])
    assert set(made.digests) == {"day-000.mp4", "day-001.mp4"}
    assert (made.taken_in, made.again, made.refused) == ((), (), ())
    forgotten = Tombstones().bury([clip_fact(clip_digest(inbox / "day-000.mp4"))], "2026-01-01", "asked")
    made = take_in(inbox, tmp_path / "none", ["day-000.mp4"], known=forgotten)
    assert made.refused == (("day-000.mp4", "forgotten"),)


def test_the_same_bytes_twice_in_one_batch_are_taken_in_once(inbox: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(inbox / "day-000.mp4", tmp_path / name)
    made = take_in(tmp_path, tmp_path / "collected", ["a.mp4", "b.mp4"])
    assert [clip.name for clip in made.taken_in] == ["a.mp4"]
    assert made.again == (("b.mp4", "a.mp4"),)


def test_the_clip_may_vanish_and_its_faces_are_a_source_with_the_ledgers_splits(
    collected: tuple[Path, Collection], tmp_path: Path
) -> None:
    folder, made = collected
    source = DataSettings(source="collected", path=str(folder))
    listed: Manifest = ingest(source, folder, tmp_path)
    assert len(listed.faces) == sum(clip.faces for clip in made.taken_in)
    ledger = Ledger.read(folder)
    for row in listed.faces.to_dict("records"):
        sha256, _, number = row["track"].partition(".zip#")
        assert row["identity"] == ledger.person_of[f"{sha256}#{number}"]
        assert row["split"] == ledger.people[row["identity"]].split
    assert {name: int(count) for name, count in zip(listed.account["class"], listed.account["files"], strict=True)} == {
        "used": len(listed.faces),
        "archive that was opened": 2,
        "list or companion": 1,
    }


def test_of_an_empty_folder_the_source_lists_nobody(tmp_path: Path) -> None:
    from facerecon.data.sources import SourceContext
    from facerecon.data.sources.collected import collected as source

    assert list(source(tmp_path, SourceContext(DataSettings(source="collected"), tmp_path))) == []


def test_what_is_no_clip_is_refused_with_its_reason_and_others_go_on(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    shutil.copy(inbox / "day-000.mp4", tmp_path / "good.mp4")
    (tmp_path / "cut.mp4").write_bytes((inbox / "day-001.mp4").read_bytes()[:2000])
    made = take_in(tmp_path, tmp_path / "collected", ["broken.mp4", "cut.mp4", "gone.mp4", "good.mp4"])
    assert [clip.name for clip in made.taken_in] == ["good.mp4"]
    assert {name for name, _ in made.refused} == {"broken.mp4", "cut.mp4", "gone.mp4"}
    rows = {row.name: row for row in Ledger.read(tmp_path / "collected").clips.values()}
    assert rows["broken.mp4"].outcome == rows["cut.mp4"].outcome == "refused"
    assert rows["broken.mp4"].code == "bad_clip"
    assert "gone.mp4" not in rows  # it may come back


def test_what_is_forgotten_is_not_taken_in_again(inbox: Path, tmp_path: Path) -> None:
    sha256 = clip_digest(inbox / "day-000.mp4")
    whole = Tombstones().bury([clip_fact(sha256)], "2026-01-01", "asked")
    made = take_in(inbox, tmp_path / "whole", ["day-000.mp4"], known=whole)
    assert made.refused == (("day-000.mp4", "forgotten"),)
    assert not list((tmp_path / "whole").glob("*.zip"))
    one = Tombstones().bury([track_fact(sha256, "", "#1")], "2026-01-01", "asked")
    take_in(inbox, tmp_path / "one", ["day-000.mp4"], known=one)
    assert 1 not in {track.number for track in read_archive(tmp_path / "one", sha256)}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.facerecon.data.collected import test_collect as at
module, name = at.sys.modules[sys.argv[1]], sys.argv[2]
original, left = getattr(module, name), int(sys.argv[3])
def dies(*arguments, **options):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr(module, name, dies)
at.take_in(Path(sys.argv[4]), Path(sys.argv[5]), ["day-000.mp4", "day-001.mp4"])
"""


@pytest.mark.parametrize(
    ("place", "calls"),
    [("write_archive", 1), ("assign", 0), ("select", 1)],
    ids=["between two archives", "before people are told apart", "while clips are gone through"],
)
def test_killed_on_its_way_and_begun_again_it_ends_the_same(
    inbox: Path, collected: tuple[Path, Collection], tmp_path: Path, place: str, calls: int
) -> None:
    folder = tmp_path / "collected"
    command = [sys.executable, "-c", KILLED, "facerecon.data.collected.collect", place, str(calls), inbox, folder]
    killed = subprocess.run(list(map(str, command)), cwd=Path(__file__).parents[4], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr[-500:]
    assert not (folder / FILE).exists()
    take_in(inbox, folder, ["day-000.mp4", "day-001.mp4"])
    assert content(folder) == content(collected[0])


def test_an_archive_that_no_ledger_names_is_removed(inbox: Path, tmp_path: Path) -> None:
    folder = tmp_path / "collected"
    folder.mkdir()
    orphan = archive_path(folder, "0" * 64)
    orphan.write_bytes(b"of a run that died")
    take_in(inbox, folder, [])
    assert not orphan.exists()


def test_nothing_is_kept_where_too_many_would_be_left_out(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise FaceReconError("too many")

    monkeypatch.setattr("facerecon.data.collected.collect.assign", refuse)
    with pytest.raises(FaceReconError, match="too many"):
        take_in(inbox, tmp_path / "collected", ["day-000.mp4"])
    assert content(tmp_path / "collected") == {}


def test_a_damaged_archive_is_told_in_one_line(collected: tuple[Path, Collection], tmp_path: Path) -> None:
    folder = tmp_path / "collected"
    shutil.copytree(collected[0], folder)
    sha256 = next(iter(Ledger.read(folder).clips))
    with zipfile.ZipFile(archive_path(folder, sha256)) as archive:
        record = json.loads(archive.read("clip.json"))
    record["schema_version"] = 2
    archive_path(folder, sha256).unlink()
    with zipfile.ZipFile(archive_path(folder, sha256), "w") as archive:
        archive.writestr("clip.json", json.dumps(record))
    with pytest.raises(FaceReconError, match=r"schema_version 2, expected 1.*dvc checkout collected\.dvc"):
        read_archive(folder, sha256)
