"""The signing key: made once, kept to its owner, rotated without forgetting what signed before."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from facerecon.custody.folder import custody_folder
from facerecon.custody.keys import PublicKey, known_keys, read_public_key, rotate, signing_key
from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY, sha256_bytes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pem_of(key, password: bytes | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def put(custody: Path, content: bytes) -> None:
    custody.mkdir(mode=0o700)
    (custody / "key.pem").touch(0o600)
    (custody / "key.pem").write_bytes(content)


def test_the_folder_is_chosen_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FACERECON_CUSTODY")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert custody_folder() == tmp_path / ".config" / "facerecon"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert custody_folder() == tmp_path / "xdg" / "facerecon"
    monkeypatch.setenv("FACERECON_CUSTODY", str(tmp_path / "mine"))
    assert custody_folder() == tmp_path / "mine"
    assert not list(tmp_path.iterdir())


def test_no_home_is_one_line(monkeypatch):
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.delenv("FACERECON_CUSTODY")
    with pytest.raises(FaceReconError, match="set FACERECON_CUSTODY"):
        custody_folder()


def test_a_key_is_made_on_first_use_and_stays(custody):
    previous = os.umask(0)
    try:
        first = signing_key()
    finally:
        os.umask(previous)
    assert (mode(custody), mode(custody / "key.pem"), mode(custody / "public")) == (0o700, 0o600, 0o700)
    again = signing_key()
    assert again.public == first.public
    assert again.sign(b"x") == first.sign(b"x")
    assert first.public.verifies(b"x", first.sign(b"x"))
    assert not first.public.verifies(b"y", first.sign(b"x"))
    assert not PublicKey(bytes(31)).verifies(b"x", first.sign(b"x"))


def test_the_fingerprint_is_the_beginning_of_a_digest(custody):
    public = signing_key().public
    assert public.fingerprint == sha256_bytes(public.raw)[:16]
    assert str(public).replace("-", "") == public.fingerprint
    assert str(public).count("-") == 3
    assert str(signing_key().public) != str(rotate()[1])


def test_nothing_shows_the_private_key(custody):
    key = signing_key()
    secret = serialization.load_pem_private_key((custody / "key.pem").read_bytes(), None).private_bytes_raw()
    for shown in (repr(key), str(key), repr(key.public), key.public.pem):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
        assert "PRIVATE" not in shown


def test_processes_that_start_together_end_with_one_key(custody):
    code = "from facerecon.custody.keys import signing_key; input(); print(signing_key().public.raw.hex())"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in started:  # all have been imported once they read
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate()[0].strip() for process in started}
    assert keys == {signing_key().public.raw.hex()}
    assert not known_keys().former


def test_a_process_that_waited_takes_the_key_that_was_made_meanwhile(custody, monkeypatch):
    from facerecon.custody import keys

    made = []
    locked = keys._locked

    def late():
        if not made:
            made.append(None)
            made.append(signing_key().public)
        return locked()

    monkeypatch.setattr(keys, "_locked", late)
    assert signing_key().public == made[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"no key at all\xff", "damaged"),
        (pem_of(Ed25519PrivateKey.generate())[:60], "damaged"),
        (pem_of(Ed25519PrivateKey.generate(), b"secret"), "locked by a password"),
        (pem_of(ed448.Ed448PrivateKey.generate()), "another kind than Ed25519"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "another kind than Ed25519"),
    ],
    ids=["empty", "no key", "half a key", "a password", "Ed448", "RSA"],
)
def test_a_key_file_that_is_none_is_refused_and_kept(custody, content, said):
    put(custody, content)
    for use in (signing_key, rotate, known_keys):
        with pytest.raises(FaceReconError, match=said) as caught:
            use()
        assert str(custody / "key.pem") in caught.value.message
    assert (custody / "key.pem").read_bytes() == content


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_is_refused(custody, loose):
    signing_key()
    (custody / "key.pem").chmod(loose)
    with pytest.raises(FaceReconError, match=r"others may read the signing key .*key.pem: chmod 600"):
        signing_key()


def test_a_folder_that_others_may_write_to_is_refused(custody):
    custody.mkdir()
    custody.chmod(0o770)
    with pytest.raises(FaceReconError, match=r"others may write to .*: chmod 700"):
        signing_key()
    assert not list(custody.iterdir())


def test_where_no_folder_can_be_made_it_is_one_line(custody):
    custody.write_text("a file")
    with pytest.raises(FaceReconError, match=r"not made .* set FACERECON_CUSTODY to another folder"):
        signing_key()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_line(custody):
    custody.mkdir(mode=0o500)
    with pytest.raises(FaceReconError, match="Permission denied"):
        signing_key()


@pytest.mark.parametrize("call", ["fsync", "chmod"])
def test_a_key_that_cannot_be_written_whole_is_not_there(custody, monkeypatch, call):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(FaceReconError, match=r"no space is left|No space left"):
            signing_key()
        assert not [path for path in custody.iterdir() if path.name != "key.lock"]
    assert signing_key().public == known_keys().current


def test_rotation_keeps_the_public_key_and_destroys_the_private_one(custody):
    first = signing_key()
    with (custody / "key.pem").open("rb") as held:  # as a copy of the old file's bytes on the disk
        old, new = rotate()
        assert not held.read().strip(b"\0")
    assert (old, new) == (first.public, signing_key().public)
    assert old != new
    assert mode(custody / "key.pem") == 0o600
    third = rotate()[1]
    known = known_keys()
    assert known.current == third
    assert set(known.former) == {old, new}
    assert [known.standing_of(key) for key in (third, old, new)] == ["current", "former", "former"]
    assert known.standing_of(PublicKey(Ed25519PrivateKey.generate().public_key().public_bytes_raw())) == "unknown"


def test_a_key_that_was_moved_away_stays_known(custody):
    first = signing_key().public
    (custody / "key.pem").unlink()
    assert known_keys().standing_of(first) == "former"
    assert signing_key().public != first
    assert known_keys().former == (first,)


def test_asking_what_is_known_makes_no_key(custody):
    known = known_keys()
    assert (known.current, known.former) == (None, ())
    assert not custody.exists()


def test_without_a_key_there_is_nothing_to_rotate(custody):
    with pytest.raises(FaceReconError, match=r"no key at .* made when it is first used"):
        rotate()


def test_a_rotation_that_is_killed_anywhere_loses_no_key(custody):
    """Each child is killed one writing call later than the one before."""
    program = Path(__file__).with_name("killed_rotation.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [said for _, said in rows] == ["killed"] * (len(rows) - 1) + ["done"]
    assert len(rows) > 5, "the lock, two public keys and the key are written"
    known = known_keys()
    assert known.current == signing_key().public
    for used, _ in rows:
        assert known.standing_of(PublicKey(bytes.fromhex(used))) == "former"
    # what a killed process was writing is cleared away by the next
    assert not list(custody.rglob(f"{TEMPORARY}*"))


def test_a_public_key_that_somebody_gave_is_read(custody, tmp_path):
    public = signing_key().public
    given = tmp_path / "theirs.pem"
    given.write_text(f"From Ada\r\n{public.pem}\n")
    assert read_public_key(given) == public


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "holds no public key"),
        (bytes(range(256)), "holds no public key"),
        (pem_of(Ed25519PrivateKey.generate()), "holds a private key"),
        (
            ed448.Ed448PrivateKey.generate()
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            "of another kind than Ed25519",
        ),
    ],
)
def test_what_is_no_public_key_is_refused(tmp_path, content, said):
    given = tmp_path / "theirs.pem"
    if content is not None:
        given.write_bytes(content)
    with pytest.raises(FaceReconError, match=said):
        read_public_key(given)


def test_a_folder_is_no_public_key(tmp_path):
    with pytest.raises(FaceReconError, match="not read"):
        read_public_key(tmp_path)
