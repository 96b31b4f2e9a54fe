"""A signed document: whatever is changed in it is seen."""

import base64
import copy
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from facerecon.custody.keys import SigningKey
from facerecon.custody.signed import check, dumps, loads, sign
from facerecon.errors import FaceReconError
from facerecon.files import canonical_json

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)

RECORD = {"original": "ab" * 32, "share": 0.25, "stages": [{"name": "détect", "version": 1}]}


@given(DOCUMENTS)
def test_what_was_signed_is_found_signed(document):
    signed = sign(document, KEY)
    assert check(signed) == KEY.public
    assert check(loads(dumps(signed))) == KEY.public
    assert canonical_json(signed["document"]) == canonical_json(document)


@given(DOCUMENTS, DOCUMENTS)
def test_any_other_document_is_seen(document, other):
    signed = sign(document, KEY)
    if canonical_json(other) == canonical_json(document):
        return
    with pytest.raises(FaceReconError, match="changed after it was signed"):
        check({**signed, "document": other})


@given(st.data())
def test_any_other_byte_of_the_text_is_seen(data):
    text = dumps(sign(RECORD, KEY))
    at = data.draw(st.integers(0, len(text)))
    match data.draw(st.sampled_from(["other", "gone", "more"])):
        case "other" if at < len(text):
            touched = text[:at] + data.draw(st.characters().filter(lambda other: other != text[at])) + text[at + 1 :]
        case "gone" if at < len(text):
            touched = text[:at] + text[at + 1 :]
        case _:
            touched = text[:at] + data.draw(st.characters()) + text[at:]
    with pytest.raises(FaceReconError):
        check(loads(touched))


@given(st.sampled_from(["public_key", "signature"]), st.integers(0, 63), st.integers(1, 255))
def test_any_other_byte_of_key_or_signature_is_seen(name, at, change):
    signed = sign(RECORD, KEY)
    content = bytearray(base64.b64decode(signed[name]))
    content[at % len(content)] ^= change
    with pytest.raises(FaceReconError, match="changed after it was signed"):
        check({**signed, name: base64.b64encode(content).decode()})


def test_a_signature_is_of_one_key_alone():
    signed = sign(RECORD, KEY)
    with pytest.raises(FaceReconError):
        check({**signed, "public_key": sign(RECORD, OTHER)["public_key"]})
    with pytest.raises(FaceReconError):
        check({**signed, "signature": sign(RECORD, OTHER)["signature"]})
    assert check(sign(RECORD, OTHER)) == OTHER.public


@pytest.mark.parametrize("name", ["algorithm", "document", "format", "public_key", "signature"])
def test_each_part_must_be_there_and_no_other(name):
    signed = sign(RECORD, KEY)
    for wrong in (
        {key: value for key, value in signed.items() if key != name},
        {**signed, f"{name}2": signed[name]},
    ):
        with pytest.raises(FaceReconError, match="no signed record"):
            check(wrong)
    for value in (None, 3, "", [], {}, "é", b"x", float("nan")):
        with pytest.raises(FaceReconError):
            check({**signed, name: value})


@pytest.mark.parametrize("wrong", [None, [], "text", 3, {}])
def test_what_is_no_record_is_refused(wrong):
    with pytest.raises(FaceReconError, match="no signed record"):
        check(wrong)


@pytest.mark.parametrize(("name", "value"), [("algorithm", "none"), ("algorithm", "RSA"), ("format", "2")])
def test_another_algorithm_or_format_is_refused(name, value):
    signed = sign(RECORD, KEY)
    with pytest.raises(FaceReconError, match=f"the record's {name} is '{value}', expected"):
        check({**signed, name: value})


def test_algorithm_and_format_are_signed_too(monkeypatch):
    """A later version that knows others cannot be led to take one for another."""
    signed = sign(RECORD, KEY)
    for constant, name in (("ALGORITHM", "algorithm"), ("FORMAT", "format")):
        with monkeypatch.context() as patch:
            patch.setattr(f"facerecon.custody.signed.{constant}", "later")
            with pytest.raises(FaceReconError, match="changed after it was signed"):
                check({**signed, name: "later"})


def test_base64_has_one_form():
    signed = sign(RECORD, KEY)
    last = signed["signature"][-3]  # four of its bits hold nothing
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    same = alphabet[alphabet.index(last) + 1]
    touched = f"{signed['signature'][:-3]}{same}=="
    assert base64.b64decode(touched) == base64.b64decode(signed["signature"])
    for text in (touched, signed["signature"] + "\n", signed["signature"][:-1]):
        with pytest.raises(FaceReconError, match="signature was changed"):
            check({**signed, "signature": text})


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + "\n",
        lambda text: json.dumps(json.loads(text), indent=2, sort_keys=True),
        lambda text: text.replace('{"original"', '{"original":"cd","original"'),  # readers differ in which they take
        lambda text: text.replace("0.25", "0.250"),
        lambda text: text.replace("\\u00e9", "é"),
        lambda text: text[:-1],
        lambda text: text.replace("0.25", "NaN"),
        lambda text: "[" * 100_000,
        lambda text: "",
    ],
)
def test_a_text_has_one_form(edit):
    text = dumps(sign(RECORD, KEY))
    assert edit(text) != text
    with pytest.raises(FaceReconError, match="record"):
        check(loads(edit(text)))


@pytest.mark.parametrize("document", [{"psnr": float("nan")}, {"a": object()}, {"a": b"x"}])
def test_what_json_does_not_hold_is_not_signed(document):
    with pytest.raises((TypeError, ValueError)):
        sign(document, KEY)


def test_what_is_signed_is_what_json_holds():
    signed = sign({"box": (1, 2)}, KEY)
    assert signed["document"] == {"box": [1, 2]}
    deep = copy.deepcopy(signed)
    signed["document"]["box"].append(3)
    assert check(deep) == KEY.public
    with pytest.raises(FaceReconError):
        check(signed)
