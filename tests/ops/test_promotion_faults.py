"""Promotions that are killed, that meet each other, or that find the tracker gone: nothing is ever half promoted."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from facerecon.errors import FaceReconError
from ops import journal
from ops.promotion import promote_by_hand, reconcile, rollback
from ops.registry import registry_lock

SLOW = pytest.mark.slow

WRITES = (
    (mlflow.MlflowClient, "set_registered_model_alias"),
    (mlflow.MlflowClient, "set_model_version_tag"),
    (mlflow.MlflowClient, "set_registered_model_tag"),
    (mlflow, "register_model"),
    (journal, "_append"),
)
"""All that a promotion writes with."""


def in_child(work: Callable[[], object]) -> int:
    """Do some work in a process of its own, which shares nothing but the files; returns its exit code."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(120)
    assert child.exitcode is not None
    return child.exitcode


def dying_before(count: int, work: Callable[[], object]) -> Callable[[], None]:
    """``work`` in a process that is killed before its ``count``-th write, which is after the one before that."""
    written = 0

    def counted(real):
        def write(*arguments, **named):
            nonlocal written
            written += 1
            if written == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return write

    def run() -> None:
        for owner, name in WRITES:
            setattr(owner, name, counted(getattr(owner, name)))
        work()

    return run


def end_state() -> tuple:
    """What the registry holds, and what the journal says of it but for the times."""
    client = mlflow.MlflowClient()
    [model] = client.search_registered_models()
    versions = [(int(v.version), v.tags) for v in client.search_model_versions("name = 'facerecon-demo'")]
    said = [(entry.move, entry.outcome) for entry in journal.entries()]
    return model.aliases, model.tags, sorted(versions, key=lambda row: row[0]), said


def fresh(offer, folder: Path) -> None:
    """Put the state back to what it was in ``folder``."""
    for name in ("mlflow.db", "promotions.jsonl"):
        shutil.copy(folder / name, offer.state / name)


ACTIONS = {
    "a better model": lambda offer: offer(3, 22.0),
    "a worse model": lambda offer: offer(3, 10.0),
    "by hand": lambda _: promote_by_hand("demo/1", "why not"),
    "rollback": lambda _: rollback("demo", "why not"),
}


@pytest.mark.parametrize("action", [*list(ACTIONS)[:1], *(pytest.param(a, marks=SLOW) for a in list(ACTIONS)[1:])])
def test_killed_at_any_write_it_ends_as_if_undisturbed(offer, tmp_path, action):
    """Whoever looks next finds all or nothing done; a run that is started again ends where it would have ended."""
    offer(1, 20.0)
    offer(2, 21.0)
    saved = tmp_path / "saved"
    saved.mkdir()
    for name in ("mlflow.db", "promotions.jsonl"):
        shutil.copy(offer.state / name, saved / name)
    untouched = end_state()
    decision = ACTIONS[action](offer)
    undisturbed = end_state()
    assert untouched != undisturbed
    for count in range(1, 30):
        fresh(offer, saved)
        code = in_child(dying_before(count, lambda: ACTIONS[action](offer)))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        reconcile()
        if "model" in action:
            assert ACTIONS[action](offer) == decision
            assert end_state() == undisturbed, f"killed before write {count}"
        else:
            assert end_state() == (untouched if count == 1 else undisturbed), f"killed before write {count}"
        assert {entry.outcome for entry in journal.entries()} == {"done"}
    assert 5 < count < 29


def test_a_torn_line_is_an_intent_that_was_never_acted_upon(offer):
    offer(1, 20.0)
    whole = journal.journal_path().read_bytes()
    offer(2, 21.0)
    torn = journal.journal_path().read_bytes()[: len(whole) + 50]
    journal.journal_path().write_bytes(torn)
    assert [entry.move.version for entry in journal.entries()] == [1]
    offer(3, 22.0)
    assert journal.journal_path().read_bytes().startswith(torn + b"\n")
    assert [(entry.move.version, entry.outcome) for entry in journal.entries()][-1] == (3, "done")


def test_what_was_begun_is_given_up_if_the_version_is_gone_or_another_became_champion(offer, alias_of):
    offer(1, 20.0)
    offer(2, 21.0)
    offer(3, 20.5)
    client = mlflow.MlflowClient()
    for number, prepare in (
        (3, lambda: client.delete_model_version("facerecon-demo", "3")),
        (1, lambda: client.set_registered_model_alias("facerecon-demo", "champion", "3")),
    ):
        move = next(entry.move for entry in journal.entries() if entry.move.version == number)
        if number == 1:
            offer(4, 20.6)
            prepare = lambda: client.set_registered_model_alias("facerecon-demo", "champion", "4")  # noqa: E731
            move = journal.Move(**move.__dict__ | {"champion": (2, 1), "champions": (1, 2, 1)})
        begun = journal.intend(move)
        prepare()
        reconcile()
        entry = next(entry for entry in journal.entries() if entry.number == begun)
        assert entry.outcome == "undone"
    assert alias_of("champion") == 4


def test_of_two_at_once_the_second_meets_the_first(offer, alias_of, make_scores):
    offer(1, 20.0)
    for seed, score in ((2, 21.0), (3, 21.5)):
        offer.say(seed, make_scores(score))
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(2), context.Queue()

    def work(seed: int) -> None:
        start.wait()
        results.put((seed, offer(seed)))

    children = [context.Process(target=work, args=(seed,)) for seed in (2, 3)]
    for child in children:
        child.start()
    decisions = dict(results.get(timeout=120) for _ in children)
    for child in children:
        child.join(60)
    versions = {seed: decision.version for seed, decision in decisions.items()}
    assert sorted(versions.values()) == [2, 3]
    assert alias_of("champion") == versions[3]
    assert decisions[3].champion
    second = max(decisions.values(), key=lambda decision: decision.version)
    first = min(decisions.values(), key=lambda decision: decision.version)
    assert first.champion_version == 1
    assert second.champion_version == (first.version if first.champion else 1)
    assert first.champion
    assert [entry.outcome for entry in journal.entries()] == ["done"] * 3


def test_who_only_looks_does_not_wait_for_a_promotion_under_way(offer):
    offer(1, 20.0)
    move = journal.entries()[0].move
    with registry_lock():
        begun = journal.intend(move)
        reconcile()
        assert journal.entries()[-1].outcome is None
    reconcile()
    assert (journal.entries()[-1].number, journal.entries()[-1].outcome) == (begun, "done")


def test_a_tracker_that_was_moved_away_is_a_clear_error_and_no_new_champion(offer, alias_of):
    offer(1, 20.0)
    path = offer.state / "mlflow.db"
    path.rename(offer.state / "away.db")
    with pytest.raises(FaceReconError, match=r"mlflow.db is not there: put it back .* `make stack`"):
        offer(2, 21.0)
    assert not path.exists()
    (offer.state / "away.db").rename(path)
    assert offer(2).champion
    assert alias_of("champion") == 2


HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_locked_tracker_is_a_clear_error_and_running_again_completes(offer, alias_of):
    """SQLite waits five seconds for a lock, and MLflow tries again, before they give up."""
    offer(1, 20.0)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(offer.state / "mlflow.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(FaceReconError, match=r"does not answer as it should \(.*locked.*run again"):
            offer(2, 21.0)
    finally:
        holder.communicate()
    assert alias_of("champion") == 1
    assert offer(2).champion


def test_a_tracker_that_fails_between_two_writes_is_completed_by_the_next_run(offer, alias_of, monkeypatch):
    offer(1, 20.0)
    real = mlflow.MlflowClient.set_registered_model_alias

    def gone(self, name, alias, version):
        if alias == "champion":
            raise mlflow.MlflowException("(sqlite3.OperationalError) disk I/O error")
        real(self, name, alias, version)

    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", gone)
    with pytest.raises(FaceReconError, match="disk I/O error"):
        offer(2, 21.0)
    assert alias_of("champion") == 1
    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", real)
    assert offer(2).champion
    assert alias_of("champion") == 2
    assert [entry.outcome for entry in journal.entries()] == ["done", "done"]


def test_a_broken_database_is_a_clear_error(offer):
    offer(1, 20.0)
    with sqlite3.connect(offer.state / "mlflow.db") as database:
        database.execute("DROP TABLE registered_model_aliases")
    with pytest.raises(FaceReconError, match="does not answer as it should"):
        offer(2, 21.0)


def test_without_its_journal_no_one_is_promoted(offer, alias_of):
    offer(1, 20.0)
    journal.journal_path().unlink()
    journal.journal_path().mkdir()
    with pytest.raises(FaceReconError, match=r"promotions.jsonl: the journal cannot be used"):
        offer(2, 21.0)
    assert alias_of("champion") == 1
