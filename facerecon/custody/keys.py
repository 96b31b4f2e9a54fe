"""The Ed25519 key that signs records: made on first use, replaced by ``rotate``; public keys stay known for ever.

In the custody folder lie ``key.pem``, the private key (PKCS #8, 0600), and ``public/``, every public key that was ever
in use here, named by its fingerprint.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from facerecon.custody.folder import custody_folder, make_private, sync_folder, told
from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY, atomic_path, remove_temporary, sha256_bytes, write_text

MOST_BYTES = 1 << 16
"""No file with a key is larger."""

Standing = Literal["current", "former", "unknown"]


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key, ``raw`` its 32 bytes."""

    raw: bytes

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the raw key."""
        return sha256_bytes(self.raw)[:16]

    def __str__(self) -> str:
        """The fingerprint as people compare it: 0123-4567-89ab-cdef."""
        return "-".join(self.fingerprint[at : at + 4] for at in range(0, 16, 4))

    @property
    def pem(self) -> str:
        """The key as text to hand to others; ``read_public_key`` reads it."""
        encoded = Ed25519PublicKey.from_public_bytes(self.raw).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return encoded.decode("ascii")

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's under exactly ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private key: signs, and shows nothing but its public half."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = PublicKey(private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The signature under ``message``, 64 bytes, the same each time."""
        return self._private.sign(message)


@dataclass(frozen=True)
class KnownKeys:
    """The public keys of this custody folder: the one in use, if there is one, and those before."""

    current: PublicKey | None
    former: tuple[PublicKey, ...]

    def standing_of(self, key: PublicKey) -> Standing:
        """Whether ``key`` is the one in use here, was in use here, or is unknown here."""
        if key == self.current:
            return "current"
        return "former" if key in self.former else "unknown"


def key_path() -> Path:
    """Where the private key lies."""
    return custody_folder() / "key.pem"


def signing_key() -> SigningKey:
    """The key that signs here; made on first use. Read it anew for each record: it may have been rotated.

    Raises:
        FaceReconError: its file may be read by others, is damaged, holds another kind of key or cannot be written.
    """
    make_private(custody_folder())
    if (key := _read_private()) is not None:
        return key
    with _locked():
        # another process may have made it meanwhile
        return _read_private() or _make()


def rotate() -> tuple[PublicKey, PublicKey]:
    """Make a new key in place of the one in use; the old one's public key and the new one's.

    The old public key is kept before anything else is done. The old private key is overwritten, which on some disks
    and file systems, and in backups, leaves copies.
    """
    make_private(custody_folder())
    with _locked():
        old = _read_private()
        if old is None:
            raise FaceReconError(f"there is no key at {key_path()} to be rotated: it is made when it is first used")
        _keep_public(old.public)
        with told(key_path(), "not rotated"):
            stream = key_path().open("r+b", buffering=0)
        with stream:
            new = _make()
            with told(key_path(), "rotated, but the old key was not overwritten"):
                stream.write(bytes(os.fstat(stream.fileno()).st_size))
                os.fsync(stream.fileno())
    return old.public, new.public


def known_keys() -> KnownKeys:
    """The public keys that are or were in use here. Makes no key."""
    key = _read_private()
    current = None if key is None else key.public
    folder = custody_folder() / "public"
    with told(folder, "not read"):
        paths = sorted(folder.glob("*.pem"))
    kept = [read_public_key(path) for path in paths if not path.name.startswith(".")]
    return KnownKeys(current, tuple(key for key in kept if key != current))


def read_public_key(path: Path) -> PublicKey:
    """The public key in a PEM file that somebody gave.

    Raises:
        FaceReconError: there is none, or it is no public Ed25519 key.
    """
    content = _content(path)
    if content is None:
        raise FaceReconError(f"{path}: no such file: expected the PEM file of a public key")
    if b"PRIVATE KEY" in content:
        raise FaceReconError(
            f"{path} holds a private key, with which whoever has it can sign: ask for what "
            "`facerecon key show --public` prints, and have that key rotated"
        )
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FaceReconError(
            f"{path} holds no public key: expected what `facerecon key show --public` prints"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise FaceReconError(f"{path} holds a public key of another kind than Ed25519, which alone signs records")
    return PublicKey(key.public_bytes_raw())


@contextmanager
def _locked() -> Iterator[None]:
    """Of all processes one makes or rotates the key."""
    path = custody_folder() / "key.lock"
    with told(path, "not locked"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with told(path, "not locked"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _content(path: Path) -> bytes | None:
    """What a small file holds; None if there is none."""
    with told(path, "not read"):
        if not path.exists():
            return None
        with path.open("rb") as stream:
            return stream.read(MOST_BYTES)


def _read_private() -> SigningKey | None:
    path = key_path()
    content = _content(path)
    if content is None:
        return None
    with told(path, "not read"):
        if path.stat().st_mode & 0o077:
            raise FaceReconError(f"others may read the signing key {path}: chmod 600 {path}, then rotate it")
    remedy = "bring it back from a backup, or move it away: then a new one is made, and the old public key stays known"
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FaceReconError(f"the signing key {path} is damaged, or locked by a password: {remedy}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise FaceReconError(f"the signing key {path} is of another kind than Ed25519: {remedy}")
    return SigningKey(key)


def _make() -> SigningKey:
    """Make a key and put it in the place of what is there."""
    key = Ed25519PrivateKey.generate()
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = key_path()
    with told(path, "not written"):
        for unfinished in path.parent.glob(f"{TEMPORARY}{path.stem}-*"):
            unfinished.unlink(missing_ok=True)
        with atomic_path(path, 0o600) as temporary:
            temporary.write_bytes(encoded)
        sync_folder(path.parent)
    made = SigningKey(key)
    _keep_public(made.public)
    return made


def _keep_public(key: PublicKey) -> None:
    folder = custody_folder() / "public"
    make_private(folder)
    with told(folder, "not written"):
        remove_temporary(folder)
        write_text(folder / f"{key.fingerprint}.pem", key.pem)
        sync_folder(folder)
        sync_folder(folder.parent)
