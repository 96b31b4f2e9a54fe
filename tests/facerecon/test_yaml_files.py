"""YAML by the rules of 1.2: what looks like a number and is none stays text, what is likely a slip is refused."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facerecon.errors import FaceReconError
from facerecon.yaml_files import read_yaml, to_yaml


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    path = tmp_path_factory.mktemp("yaml") / "some.yaml"

    def write_and_read(text: str):
        path.write_text(text, encoding="utf-8")
        return read_yaml(path)

    return write_and_read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("100", 100), ("-7", -7), ("+7", 7), ("0", 0), ("0o17", 15), ("0x1F", 31)),
        *(("1e-3", 0.001), ("2.0e-3", 0.002), (".5", 0.5), ("1.", 1.0), ("-.inf", -float("inf"))),
        *(("0100", "0100"), ("10:00", "10:00"), ("1_000", "1_000"), ("1:30:00", "1:30:00"), ("00.5", "00.5")),
        *(("true", True), ("False", False), ("yes", "yes"), ("no", "no"), ("on", "on"), ("~", None), ("", None)),
        *(("2026-11-28", "2026-11-28"), ("'100'", "100"), ("=", "=")),
    ],
)
def test_a_plain_value_is_what_yaml_1_2_says(read, text, value):
    found = read(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "a: stands twice, in lines 1 and 3"),
        ("x:\n  - {b: 1, \n     b: 2}", "b: stands twice, in lines 2 and 3"),
        ("[" * 5000, "nested too deep"),
        ("a: &a [*a]", "a holds more than 100000 values, with its aliases written out"),
        ("&a a: 1\n*a : 2", "a: stands twice"),
        ("a: !!binary aGk=", "a: text, a number, true, false or null is expected, not a bytes"),
        ("a: !!bool maybe", "holds a value that cannot be read"),
        ("a: !!timestamp x", "holds a value that cannot be read"),
        (f"a: {'9' * 5000}", "holds a value that cannot be read"),
        ("{[1]: 2}", "unhashable key"),
    ],
)
def test_a_slip_is_one_line(read, text, said):
    with pytest.raises(FaceReconError) as caught:
        read(text)
    assert said in caught.value.message
    assert len(caught.value.message) < 1000


def test_aliases_that_blow_up_are_refused_and_shared_ones_are_not(read):
    lines = ["a0: &a0 [1, 1]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    with pytest.raises(FaceReconError, match=r"with its aliases written out|nested too deep"):
        read("\n".join(lines))
    assert read("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1}}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cs"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
@example("0E0")  # text, which PyYAML's own writer leaves bare and YAML 1.2 takes for a number
@example("0o7")
@example("1e5")
@example(["010", "no", "1_000", 1e300])
def test_what_is_written_is_read_back(read, value):
    assert read(to_yaml(value)) == value


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with suppress(FaceReconError):
        read_yaml(path)
