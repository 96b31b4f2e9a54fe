"""Conditional writes: of several who write at once, one succeeds."""

import threading

from ops.shared.s3 import Bucket


def test_an_object_is_created_once_and_replaced_only_as_what_it_was_read(bucket: Bucket) -> None:
    assert bucket.read("a") is None
    first = bucket.create("a", b"1")
    assert first
    assert bucket.create("a", b"2") is None
    found = bucket.read("a")
    assert found is not None
    assert (found.content, found.etag) == (b"1", first)
    assert -2 < found.age < 60
    second = bucket.replace("a", b"2", first)
    assert second
    assert bucket.replace("a", b"3", first) is None
    assert bucket.replace("absent", b"3", second) is None
    bucket.remove("a")
    assert bucket.read("a") is None
    assert bucket.replace("a", b"3", second) is None


def test_the_objects_of_a_place_are_listed_by_name(bucket: Bucket, server: dict[str, object]) -> None:
    for name in ("b/2", "a", "b/1"):
        bucket.create(name, b"")
    assert list(bucket.names()) == ["a", "b/1", "b/2"]
    assert not bucket.keeps_versions()


def test_places_do_not_see_each_other(bucket: Bucket, server: dict[str, object]) -> None:
    other = Bucket.of("s3://state/elsewhere", server)
    bucket.create("a", b"mine")
    assert other.read("a") is None


def test_of_many_at_once_one_wins(bucket: Bucket) -> None:
    start = bucket.create("b", b"start")
    assert start
    together, won = threading.Barrier(8), []

    def run(number: int) -> None:
        together.wait()
        if bucket.create("a", str(number).encode()):
            won.append(("a", number))
        if bucket.replace("b", str(number).encode(), start):
            won.append(("b", number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in won) == ["a", "b"]
    for name, number in won:
        found = bucket.read(name)
        assert found is not None
        assert found.content == str(number).encode()
