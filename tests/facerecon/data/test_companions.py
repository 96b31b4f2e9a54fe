"""Lists without some of their rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.companions import with_last_number, without_rows, words

NAMES = st.sampled_from([f"{number:06d}.jpg" for number in range(8)])
BLANKS = st.sampled_from(["\n", "\r\n", " \n"])


@given(st.lists(st.tuples(NAMES, BLANKS), max_size=12), st.sets(NAMES), st.sampled_from([" ", "\t", "  ", ","]))
def test_rows_go_the_count_follows_and_all_else_keeps_its_bytes(rows, going, between):
    def text(rows):
        return "".join(f"{name}{between}1{between}-1{end}" for name, end in rows).encode()

    def listed(rows):
        return f"{len(rows)}\r\nimage One\n".encode() + text(rows)

    kept = [row for row in rows if row[0] not in going]
    for write in (text, listed):
        assert without_rows(write(rows), lambda row: row[0] in going) == write(kept)


@given(st.binary(max_size=300))
def test_what_names_nobody_stays_as_it_is_whatever_it_is(content):
    assert without_rows(content, lambda row: False) == content


def test_each_count_is_that_of_the_rows_below_it():
    text = b"2\n3\nAda 1\nBob 2\nCy 1\n2\nAda 4\nDi 1"
    assert without_rows(text, lambda row: "Ada" in row) == b"2\n2\nBob 2\nCy 1\n1\nDi 1"


def test_a_count_that_looks_like_the_name_of_a_photo_is_no_row():
    assert without_rows(b"2\n2 a\n3 b\n", lambda row: row[0] == "2") == b"1\n3 b\n"


@pytest.mark.parametrize(
    ("line", "found"), [(b"\n", []), (b" a.jpg  -1\r\n", ["a.jpg", "-1"]), (b"a,1,,", ["a", "1"]), (b"\xff x", None)]
)
def test_words(line, found):
    assert words(line) == (["\udcff", "x"] if found is None else found)


def test_the_last_number_of_a_line_is_replaced():
    assert with_last_number(b"10\t300\r\n", 299) == b"10\t299\r\n"
