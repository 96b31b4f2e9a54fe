"""Who a model learned from: keyed hashes that are of use in this clone alone."""

import hashlib
import stat

import pandas as pd
import pytest
from pydantic import ValidationError

from facerecon.data.learned import Learned, PeopleKey, key_path, learned_from, marks_of, people_key, unseen
from facerecon.data.manifest import Manifest, SourceRoot
from facerecon.errors import FaceReconError

KEY, OTHER = PeopleKey(b"a" * 32), PeopleKey(b"b" * 32)
ROWS = [
    ("face-1", "photos", "Ada", "train", "crop-1"),
    ("face-2", "photos", "Bob", "val", "crop-2"),
    ("face-3", "photos", "Cy", "gate", "crop-3"),
    ("face-4", "photos", "Cy", "gate", "crop-4"),
    ("face-5", "photos", "Di", "test", "crop-5"),
]


def manifest(rows=ROWS, several=False) -> Manifest:
    faces = pd.DataFrame(rows, columns=["face", "source", "identity", "split", "crop_sha256"])
    names = ("photos", "door") if several else ("photos",)
    return Manifest(faces, {name: SourceRoot("folder", "/nowhere") for name in names})


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("FACERECON_STATE", str(tmp_path / "state"))


def test_the_key_is_made_once_and_only_its_owner_can_read_it():
    key = people_key()
    assert people_key() == key
    assert len(key.secret) == 32
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    assert [path.name for path in key_path().parent.iterdir()] == ["people.key"]
    key_path().unlink()
    assert people_key().id != key.id


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_file_that_is_no_key_is_one_line(content):
    key_path().parent.mkdir()
    key_path().write_bytes(content)
    with pytest.raises(FaceReconError, match=rf"people.key: {len(content)} bytes, a key has 32: put the old file back"):
        people_key()
    key_path().unlink()
    key_path().mkdir()
    with pytest.raises(FaceReconError, match=r"people.key: the key of people's hashes cannot be used"):
        people_key()


def test_a_mark_tells_neither_name_nor_key_and_is_of_one_kind():
    assert KEY.person("Ada") == KEY.person(" Ada ") != KEY.person("ada")
    assert KEY.person("Jose\u0301") == KEY.person("Jos\u00e9"), "as all sources compare names"
    assert KEY.person("Ada") != KEY.crop("Ada")
    assert KEY.person("Ada") != OTHER.person("Ada")
    assert KEY.person("Ada") != hashlib.sha256(b"Ada").hexdigest()[:32]
    assert len({KEY.id, OTHER.id, KEY.secret.hex()[:16]}) == 3


def test_train_and_val_are_learned_from_gate_and_test_are_not():
    found = learned_from(manifest(), KEY)
    assert found.key == KEY.id
    assert set(found.people) == {KEY.person("Ada"), KEY.person("Bob")}
    assert set(found.crops) == {KEY.crop("crop-1"), KEY.crop("crop-2")}
    assert found.unknown == ""
    assert Learned.model_validate_json(found.model_dump_json()) == found


def test_a_persons_name_is_that_in_their_source():
    rows = [("face-1", "door", "door:Ada", "train", "crop-1"), ("face-2", "photos", "Ada", "gate", "crop-2")]
    faces = manifest(rows, several=True)
    assert learned_from(faces, KEY).people == (KEY.person("Ada"),)
    assert unseen(marks_of(faces, KEY), [learned_from(faces, KEY)]) == set()


def test_a_face_is_unseen_if_no_model_knows_its_person_or_its_crop():
    marks = marks_of(manifest(), KEY)
    assert unseen(marks, []) == {row[0] for row in ROWS}
    assert unseen(marks, [learned_from(manifest(), KEY)]) == {"face-3", "face-4", "face-5"}
    cropped = Learned(key=KEY.id, crops=(KEY.crop("crop-3"),))
    assert unseen(marks, [Learned(key=KEY.id), cropped]) == {"face-1", "face-2", "face-4", "face-5"}
    person = Learned(key=KEY.id, people=(KEY.person("Cy"),))
    assert unseen(marks, [cropped, person]) == {"face-1", "face-2", "face-5"}


def test_with_an_ancestor_it_is_both_and_with_another_key_it_is_unknown():
    ours, theirs = (Learned(key=KEY.id, people=(KEY.person(name),)) for name in ("Ada", "Bob"))
    assert set((ours | theirs).people) == {KEY.person("Ada"), KEY.person("Bob")}
    assert (ours | theirs).unknown == ""
    assert (ours | Learned(key=OTHER.id)).unknown == "it was hashed with another key"
    assert (ours | Learned(key=KEY.id, unknown="why")).unknown == "why"


def test_what_is_no_record_is_refused():
    with pytest.raises(ValidationError):
        Learned(key="k", people=("Ada",))
    with pytest.raises(ValidationError):
        Learned.model_validate_json('{"key": "k", "schema_version": 2}')
