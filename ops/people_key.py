"""The key of people's hashes: this clone's own, or the one that all machines of a server's registry share."""

from facerecon.data.learned import LENGTH, PeopleKey
from facerecon.data.learned import people_key as own_key
from facerecon.errors import FaceReconError
from ops.shared.place import shared_place

VARIABLE = "FACERECON_PEOPLE_KEY"
"""Gives a registry that has no key yet one that is kept elsewhere, as hexadecimal digits."""


def people_key() -> PeopleKey:
    """The key that hashes of people in the registry in use are made with.

    Raises:
        FaceReconError: the registry is a server's, and ZenML's secret store has no such key.
    """
    if shared_place() is None:
        return own_key()
    from zenml.client import Client

    from ops.stack.tracker import REGISTRY, chosen_name, labels

    name = secret_name(str(labels()[REGISTRY]))
    try:
        return PeopleKey(read_key(Client().get_secret(name, allow_partial_name_match=False).secret_values["key"]))
    except KeyError as error:
        raise FaceReconError(
            f"ZenML's secret store has no {name}, the key of people's hashes: run `facerecon stack {chosen_name()}`"
        ) from error


def secret_name(registry: str) -> str:
    """What the key of a registry is called in ZenML's secret store."""
    return f"facerecon-people-{registry[:12]}"


def read_key(digits: str) -> bytes:
    """A key from its hexadecimal digits.

    Raises:
        FaceReconError: they are no key.
    """
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        secret = b""
    if len(secret) != LENGTH:
        raise FaceReconError(f"{VARIABLE}: expected {2 * LENGTH} hexadecimal digits")
    return secret
