"""Forgetting somebody who was seen in clips of an inbox: archives, ledger, embeddings, DVC's objects and the clip."""

import io
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo
from PIL import Image

from facerecon.data.collected import removal as collected_removal
from facerecon.data.collected.archive import archive_path, read_archive
from facerecon.data.collected.inbox import KnownClips, clip_state
from facerecon.data.collected.ledger import ClipRow, FaceSet, Ledger, Person, encoded, track_name
from facerecon.data.containers import write_zip
from facerecon.data.forget import Target
from facerecon.data.ingest import ingest
from facerecon.data.known import state_of
from facerecon.data.settings import DataSettings
from facerecon.data.tombstones import Tombstones, clip_fact, photo_fact, track_fact
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes, sha256_file
from ops.forget import Outcome, dvc_objects, forget, removal, survey, zenml_artifacts
from ops.forget.dvc_objects import Kept

REASON = "asked on 2026-11-21"
CLIPS = {name: sha256_bytes(name.encode()) for name in ("night/door.mp4", "yard.mp4")}
DOOR, YARD = CLIPS.values()
ADA, BOB, CY = (f"{number}" * 16 for number in "abc")
UNIT = np.eye(4, dtype=np.float32)


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def archive(folder: Path, clip: str, tracks: dict[int, int]) -> None:
    """Two faces of each track; a track's embedding is the row of UNIT that it names."""
    rows, members = [], []
    for number, row in tracks.items():
        names = [f"{number}/{frame}.png" for frame in (1, 2)]
        members += [(name, picture(int(clip[:4], 16) + 10 * number + place)) for place, name in enumerate(names)]
        about = {"number": number, "first": 0.0, "last": 1.0, "poor": 0, "embedding": UNIT[row].tolist()}
        rows.append({**about, "faces": [[name, 1, 0.1, 0.8, [12.0, 12.0], [0, 0]] for name in names]})
    record = {"schema_version": 1, "clip": clip, "tracks": rows}
    write_zip(archive_path(folder, clip), [*members, ("clip.json", json.dumps(record).encode())])


@pytest.fixture
def project(zenml, state, tmp_path, monkeypatch) -> Path:
    """Ada is in both clips, Bob in one, Cy in the other; all of it is in the inbox, collected, and under DVC."""
    folder = tmp_path / "project"
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("FACERECON_OUTPUTS", str(folder / "outputs"))
    for module in ("search", "record", "members", "removal", "sweep", "dvc_objects"):
        monkeypatch.setattr(f"ops.forget.{module}.PROJECT", folder)
    monkeypatch.setattr("ops.lineage.PROJECT", folder)
    collected = folder / "collected"
    collected.mkdir(parents=True)
    for name in CLIPS:
        (folder / "inbox" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "inbox" / name).write_bytes(name.encode())
    (folder / "inbox" / "yard.mp4.done").touch()
    archive(collected, DOOR, {1: 0, 2: 1})
    archive(collected, YARD, {1: 0, 2: 2, 3: 3})
    (folder / "data" / "Old").mkdir(parents=True)
    (folder / "data" / "Old" / "0.png").write_bytes(picture(1))
    (folder / "configs").mkdir()
    (folder / "configs" / "demo.yaml").write_text("parameters: {data: {path: data}}")
    old = sha256_file(folder / "data" / "Old" / "0.png")
    people = {
        ADA: Person("train", (track_name(DOOR, 1), track_name(YARD, 1)), *2 * (encoded(2 * UNIT[0]),)),
        BOB: Person("gate", (track_name(DOOR, 2),), *2 * (encoded(UNIT[1]),)),
        CY: Person("test", (track_name(YARD, 2),), *2 * (encoded(UNIT[2]),)),
    }
    rows = {sha256: ClipRow(name, "2026-11-20T03:00:00", "collected", faces=4) for name, sha256 in CLIPS.items()}
    left_out, sets = {track_name(YARD, 3): 0.5}, {"test_old": FaceSet(2, ("0" * 64, old))}
    Ledger(rows, people, left_out, gone=(old, "1" * 64), face_sets=sets).write(collected)
    known = KnownClips(state / "inbox", folder / "inbox")
    for name, sha256 in CLIPS.items():
        (state / "inbox").mkdir(exist_ok=True)
        (state / "inbox" / f"{sha256}-key.zip").write_bytes(b"frames")
        known._now[clip_state(folder / "inbox" / name)] = sha256
    known.write()
    (state / "inbox" / "embeddings-sface-64.npz").write_bytes(b"embeddings")
    subprocess.run(["git", "init", "-q", folder], check=True)
    Repo.init(str(folder)).close()
    with Repo(str(folder)) as repo:
        repo.add([str(collected)])
    manifest = ingest(DataSettings(source="collected", path="collected"), folder, state / "frames")
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter([(manifest, [])]))
    return folder


def run(kind: str, name: str) -> Outcome:
    return forget(survey(Target(kind, name)), REASON)


def content(project: Path) -> bytes:
    """All that is collected, with what DVC keeps of it."""
    folders = (project / "collected", project / ".dvc" / "cache")
    return b"".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())


def assert_ada_forgotten(project: Path, state: Path, outcome: Outcome, shas: set[str]) -> None:
    assert outcome.left == []
    assert [path.name for path in outcome.clips] == ["door.mp4", "yard.mp4"]  # they show others, too
    ledger = Ledger.read(project / "collected")
    assert set(ledger.people) == {BOB, CY}
    assert {row.name: row.faces for row in ledger.clips.values()} == {"night/door.mp4": 2, "yard.mp4": 4}
    assert [track.number for track in read_archive(project / "collected", DOOR)] == [2]
    assert [track.number for track in read_archive(project / "collected", YARD)] == [2, 3]
    assert ADA.encode() not in content(project)
    assert json.dumps(UNIT[0].tolist()).encode() not in content(project)
    assert sorted(path.name[:5] for path in (state / "inbox").iterdir()) == ["known"]
    stones = Tombstones.read(project)
    assert all(stones.hold(photo_fact(sha256)) for sha256 in shas)
    # as a clip that comes in again is asked about
    assert [stones.hold(track_fact(DOOR, "", f"#{number}")) for number in (1, 2)] == [True, False]
    assert not stones.hold(clip_fact(DOOR))
    with Repo(str(project)) as repo:
        assert not repo.data_status()["uncommitted"]


def faces_of(project: Path, state: Path, key: str) -> set[str]:
    faces = ingest(DataSettings(source="collected", path="collected"), project, state / "frames").faces
    return set(faces["sha256"][faces["identity"] == key])


@pytest.mark.parametrize("name", [ADA, f"collected:{ADA}"])
def test_a_person_goes_by_the_key_from_ledger_archives_and_embeddings(project, state, name):
    shas = faces_of(project, state, ADA)
    found = survey(Target("identity", name))
    assert len(found.sha256s) == len(shas) == 4
    assert {Path(path).name for path in found.data} == {"ledger.json", f"{DOOR}.zip", f"{YARD}.zip"}
    assert sum(next(iter(found.manifests.values())).values()) == 4
    assert_ada_forgotten(project, state, forget(found, REASON), shas)


@pytest.mark.parametrize("step", ["ledger", "archive", "remove_photos", "remove_extracted", "update", "sweep"])
def test_killed_anywhere_the_same_command_finishes(project, state, monkeypatch, step):
    place, name = {
        "ledger": (Ledger, "write"),
        "archive": (collected_removal, "write_archive"),
        "update": (dvc_objects, "update"),
    }.get(step, (removal, step))
    shas, found = faces_of(project, state, ADA), survey(Target("identity", ADA))
    with monkeypatch.context() as patch:
        real = getattr(place, name)

        def die(*arguments, **options):
            real(*arguments, **options)
            raise KeyboardInterrupt

        patch.setattr(place, name, die)
        with pytest.raises(KeyboardInterrupt):
            forget(found, REASON)
    monkeypatch.setattr(zenml_artifacts, "manifests", lambda: iter(()))
    assert_ada_forgotten(project, state, run("identity", ADA), shas)


@pytest.mark.parametrize("name", ["yard.mp4", YARD])
def test_a_clip_goes_with_its_archive_its_row_and_its_file(project, state, name):
    outcome = run("clip", name)
    assert (outcome.left, outcome.clips) == ([], [])
    ledger = Ledger.read(project / "collected")
    assert set(ledger.clips) == {DOOR}
    assert set(ledger.people) == {ADA, BOB}
    assert ledger.people[ADA].tracks == (track_name(DOOR, 1),)
    assert np.array_equal(ledger.people[ADA].embedding_sum, UNIT[0])
    assert ledger.left_out == {}
    assert not archive_path(project / "collected", YARD).exists()
    assert [path.name for path in (project / "inbox").rglob("*.*")] == ["door.mp4"]
    assert Tombstones.read(project).hold(clip_fact(YARD))
    known = KnownClips(state / "inbox", project / "inbox")
    assert known.find(state_of(project / "inbox" / "night" / "door.mp4")) == DOOR
    assert YARD not in "".join(path.name for path in state.rglob("*"))
    assert YARD.encode() not in content(project)


def test_a_clip_goes_by_another_name_that_it_has_in_the_inbox(project):
    (project / "inbox" / "again.mp4").write_bytes(b"yard.mp4")
    assert run("clip", "again.mp4").left == []
    assert set(Ledger.read(project / "collected").clips) == {DOOR}
    assert [path.name for path in (project / "inbox").rglob("*.mp4")] == ["door.mp4"]


def test_a_clip_of_which_nothing_was_kept_or_that_waits_goes_too(project):
    (project / "inbox" / "new.mp4").write_bytes(b"new")
    ledger = Ledger.read(project / "collected")
    ledger.with_clips({"f" * 64: ClipRow("empty.mp4", "2026-11-20T03:00:00", "nothing usable")}).write(
        project / "collected"
    )
    for name, sha256 in (("new.mp4", sha256_bytes(b"new")), ("empty.mp4", "f" * 64)):
        assert run("clip", name).left == []
        assert Tombstones.read(project).hold(clip_fact(sha256))
    assert not (project / "inbox" / "new.mp4").exists()
    assert set(Ledger.read(project / "collected").clips) == {DOOR, YARD}


def test_one_face_goes_and_with_its_last_face_the_track(project):
    for number in (1, 2):
        assert run("file", f"{DOOR}.zip!/1/{number}.png").left == []
        ledger = Ledger.read(project / "collected")
        assert ledger.clips[DOOR].faces == 4 - number
        assert len(ledger.people[ADA].tracks) == 3 - number
    assert np.array_equal(ledger.people[ADA].embedding_sum, UNIT[0])
    assert not Tombstones.read(project).hold(track_fact(DOOR, "", "#1"))


def test_of_somebody_in_photographs_embeddings_and_the_ledgers_digests_go(project, state):
    old = sha256_file(project / "data" / "Old" / "0.png")
    outcome = run("identity", "Old")
    assert (outcome.left, outcome.clips) == ([], [])
    ledger = Ledger.read(project / "collected")
    assert ledger.gone == ("1" * 64,)
    assert ledger.face_sets == {"test_old": FaceSet(3, ("0" * 64,))}
    assert not list((state / "inbox").glob("embeddings-*"))
    assert old.encode() not in content(project)
    assert len(ledger.people) == 3


def test_of_somebody_whom_the_ledger_does_not_name_it_stays_as_it_is(project):
    (project / "data" / "New").mkdir()
    (project / "data" / "New" / "0.png").write_bytes(picture(2))
    before = content(project)
    assert run("identity", "New").left == []
    assert content(project) == before


def test_a_damaged_archive_hides_nobody(project):
    archive_path(project / "collected", min(DOOR, YARD)).write_bytes(b"no zip")
    with pytest.raises(FaceReconError, match="no archive of a collected clip"):
        survey(Target("identity", ADA))


def test_faces_that_come_back_out_of_an_older_archive_are_refused(project, state):
    before = archive_path(project / "collected", DOOR).read_bytes()
    ledger = Ledger.read(project / "collected")
    run("identity", ADA)
    archive_path(project / "collected", DOOR).write_bytes(before)
    (project / "collected" / "ledger.json").unlink()
    ledger.write(project / "collected")
    archive(project / "collected", YARD, {1: 0, 2: 2, 3: 3})
    again = ingest(DataSettings(source="collected", path="collected"), project, state / "frames")
    assert set(again.faces["identity"]) == {BOB, CY}
    assert sorted(again.quarantine["code"].unique()) == ["forgotten", "may_be_known"]


def test_dvc_keeps_nothing_of_it(project):
    found = survey(Target("identity", ADA))
    assert found.kept != Kept()
    forget(found, REASON)
    cache = project / ".dvc" / "cache" / "files" / "md5"
    assert not [oid for oid in (*found.kept.objects, *found.kept.listings) if (cache / oid[:2] / oid[2:]).exists()]
    assert zipfile.is_zipfile(archive_path(project / "collected", DOOR))
