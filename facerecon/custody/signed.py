"""A document with the signature under it: ``{algorithm, document, format, public_key, signature}``.

What is signed is the canonical JSON of all but the signature, so algorithm and key are bound to the document. As text
it has one form only: a file in which one byte differs, if but a space, is refused.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from facerecon.custody.keys import PublicKey, SigningKey
from facerecon.errors import FaceReconError
from facerecon.files import canonical_json

FORMAT = "facerecon-signed-1"
ALGORITHM = "Ed25519"

_NAMES = {"algorithm", "document", "format", "public_key", "signature"}


def sign(document: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    """``document`` signed: ``["document"]`` is what was signed, as JSON has it (tuples become lists).

    Raises:
        TypeError, ValueError: it is nothing that JSON can hold; NaN and Infinity are not.
    """
    signed = {
        "algorithm": ALGORITHM,
        "document": json.loads(canonical_json(dict(document))),
        "format": FORMAT,
        "public_key": base64.b64encode(key.public.raw).decode("ascii"),
    }
    signature = key.sign(canonical_json(signed))
    return {**signed, "signature": base64.b64encode(signature).decode("ascii")}


def check(signed: Any) -> PublicKey:
    """The public key that signed; whether it is known is for ``KnownKeys.standing_of`` to say.

    Raises:
        FaceReconError: it is no signed document, or was changed after it was signed.
    """
    if not isinstance(signed, Mapping) or not isinstance(signed.get("document"), dict) or signed.keys() != _NAMES:
        raise FaceReconError(f"this is no signed record: expected a JSON object of {', '.join(sorted(_NAMES))}")
    for name, wanted in (("format", FORMAT), ("algorithm", ALGORITHM)):
        if signed[name] != wanted:
            raise FaceReconError(
                f"the record's {name} is {signed[name]!r}, expected {wanted!r}: it was changed, or made by another "
                "version of facerecon, which can check it"
            )
    key, signature = PublicKey(_bytes(signed, "public_key", 32)), _bytes(signed, "signature", 64)
    try:
        message = canonical_json({name: value for name, value in signed.items() if name != "signature"})
    except (TypeError, ValueError, RecursionError) as error:
        raise FaceReconError("this is no signed record: it holds what JSON does not") from error
    if not key.verifies(message, signature):
        raise FaceReconError(
            f"the record was changed after it was signed, or key {key} did not sign it: ask for the original record"
        )
    return key


def dumps(signed: Mapping[str, Any]) -> str:
    """The one text of a signed document: canonical JSON, one line, ASCII."""
    return canonical_json(dict(signed)).decode("ascii")


def loads(text: str) -> Any:
    """What ``dumps`` has written, for ``check``.

    Raises:
        FaceReconError: no such text, or one in which something was changed, be it a space.
    """
    try:
        value = json.loads(text)
        untouched = canonical_json(value).decode("ascii") == text
    except (ValueError, RecursionError) as error:
        raise FaceReconError("this is no signed record: its text is cut off, or no JSON") from error
    if not untouched:
        raise FaceReconError("the record's text is not as it was written: somebody or a program has changed it")
    return value


def _bytes(signed: Mapping[str, Any], name: str, count: int) -> bytes:
    """The bytes that a field holds; base64 has several texts for the same bytes, and one only is taken."""
    try:
        content = base64.b64decode(signed[name], validate=True)
    except (TypeError, ValueError):
        content = b""
    if len(content) != count or base64.b64encode(content).decode("ascii") != signed[name]:
        raise FaceReconError(f"the record's {name} was changed: expected {count} bytes as base64")
    return content
