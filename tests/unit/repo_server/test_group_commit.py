"""Concurrent writes in one transaction: who shares it, whose failure it is, what a caller may rely on."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo_server.db import Database, Durability
from repo_server.events import Event, Writer, note
from repo_server.group_commit import LARGEST_BATCH, GroupCommit

Work = Callable[[sqlite3.Connection], Any]


class Rig:
    """A file with one table, and a way to bring a chosen list of works into one transaction."""

    def __init__(self, file: Path, threads: int = 8) -> None:
        self.file = file
        self.connection = sqlite3.connect(
            file, isolation_level=None, check_same_thread=False, timeout=0.05, factory=Writer
        )
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("CREATE TABLE IF NOT EXISTS said (word TEXT NOT NULL UNIQUE)")
        self.statements: list[str] = []
        self.connection.set_trace_callback(self.statements.append)
        self.commits = GroupCommit(self.connection)
        self.pool = ThreadPoolExecutor(threads)

    def together(self, *works: Work, durability: Durability = Durability.CRASH) -> list[Future[Any]]:
        """Start a transaction that ends only when all ``works`` wait, so that they share the next one, in order."""
        started, go = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> None:
            started.set()
            assert go.wait(30)

        first = self.pool.submit(self.commits.run, hold, Durability.CRASH)
        assert started.wait(30)
        del self.statements[:]
        futures = []
        for number, work in enumerate(works, start=1):
            futures.append(self.pool.submit(self.commits.run, work, durability))
            while self.commits.waiting < number:
                assert not futures[-1].done(), futures[-1].result()
        go.set()
        first.result(30)
        for future in futures:
            future.exception(30)
        return futures

    def words(self) -> list[str]:
        """What is in the file, as another process sees it."""
        other = sqlite3.connect(self.file)
        try:
            return [row[0] for row in other.execute("SELECT word FROM said ORDER BY rowid")]
        finally:
            other.close()

    def close(self) -> None:
        self.pool.shutdown()
        self.connection.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "x.db")
    yield made
    made.close()


def say(word: str) -> Work:
    return lambda connection: connection.execute("INSERT INTO said VALUES (?)", (word,)).rowcount


def fail(word: str) -> Work:
    def work(connection: sqlite3.Connection) -> None:
        say(word)(connection)
        raise LookupError(word)

    return work


def count(statements: list[str], word: str) -> int:
    return sum(statement.startswith(word) for statement in statements)


def test_works_that_wait_together_share_one_commit(rig: Rig) -> None:
    futures = rig.together(say("a"), say("b"), say("c"))
    assert [future.result() for future in futures] == [1, 1, 1]
    assert rig.words() == ["a", "b", "c"]
    assert count(rig.statements, "BEGIN") == 1
    alone, of_three = rig.commits.batches.up_to()[0], rig.commits.batches.up_to()[1]
    assert (alone, of_three, rig.commits.batches.works, rig.commits.waiting) == (1, 2, 4, 0)


def test_a_lone_write_has_a_transaction_without_more(rig: Rig) -> None:
    thread = threading.get_ident()
    del rig.statements[:]
    assert rig.commits.run(lambda _: threading.get_ident(), Durability.CRASH) == thread
    assert count(rig.statements, "SAVEPOINT") == 0
    assert count(rig.statements, "COMMIT") == 1


def test_a_work_that_fails_is_rolled_back_alone(rig: Rig) -> None:
    good, bad, last = rig.together(say("a"), fail("b"), say("c"))
    assert isinstance(bad.exception(), LookupError)
    assert (good.result(), last.result()) == (1, 1)
    assert rig.words() == ["a", "c"]


def test_a_constraint_of_one_is_no_concern_of_others(rig: Rig) -> None:
    good, bad = rig.together(say("a"), say("a"))
    assert good.result() == 1
    assert isinstance(bad.exception(), sqlite3.IntegrityError)
    assert rig.words() == ["a"]


def test_nobody_is_answered_before_the_commit(rig: Rig) -> None:
    seen: list[int] = []

    def look(_: sqlite3.Connection) -> None:
        seen.append(sum(future.done() for future in futures))

    futures: list[Future[Any]] = []
    futures += rig.together(say("a"), look, say("b"))
    assert seen == [0]


def test_a_commit_that_fails_fails_all_that_were_in_it_and_no_other(rig: Rig) -> None:
    rig.connection.execute("PRAGMA foreign_keys=ON")
    rig.connection.execute("CREATE TABLE late (word TEXT REFERENCES said (word) DEFERRABLE INITIALLY DEFERRED)")
    orphan: Work = lambda connection: connection.execute("INSERT INTO late VALUES ('nobody')")  # noqa: E731
    futures = rig.together(say("a"), orphan, say("b"))
    errors = [future.exception() for future in futures]
    assert all(isinstance(error, sqlite3.IntegrityError) for error in errors), errors
    assert len({id(error) for error in errors}) == len(errors)
    assert all(getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY for error in errors)
    assert rig.words() == []
    assert rig.commits.run(say("c"), Durability.CRASH) == 1
    assert rig.words() == ["c"]
    assert (rig.commits.batches.works, rig.commits.batches.failed) == (2, 1)


def test_a_file_that_another_process_holds_is_busy_for_all_that_were_in_it(rig: Rig) -> None:
    other = sqlite3.connect(rig.file, isolation_level=None)
    started = threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        started.set()

    other.execute("BEGIN IMMEDIATE")
    futures = [rig.pool.submit(rig.commits.run, work, Durability.CRASH) for work in (hold, say("a"), say("b"))]
    errors = [future.exception(30) for future in futures]
    assert {getattr(error, "sqlite_errorcode", None) for error in errors} == {sqlite3.SQLITE_BUSY}
    assert not started.is_set()
    other.execute("ROLLBACK")
    other.close()
    assert rig.commits.run(say("c"), Durability.CRASH) == 1
    assert rig.words() == ["c"]


def test_a_transaction_that_sqlite_has_given_up_is_lost_for_all_that_were_in_it(rig: Rig) -> None:
    """As with a full disk or a failing one: there SQLite rolls back by itself."""
    give_up: Work = lambda connection: connection.execute("INSERT OR ROLLBACK INTO said VALUES ('a')")  # noqa: E731
    futures = rig.together(say("a"), give_up, say("c"))
    assert all(isinstance(future.exception(), sqlite3.IntegrityError) for future in futures)
    assert rig.words() == []


def test_a_full_disk_fails_those_in_the_transaction_and_loses_nothing_before(rig: Rig) -> None:
    rig.commits.run(say("kept"), Durability.POWER_CUT)
    pages = rig.connection.execute("PRAGMA page_count").fetchone()[0]
    rig.connection.execute(f"PRAGMA max_page_count={pages}")
    futures = rig.together(say("a"), say("x" * 100_000), say("c"))
    codes = {getattr(future.exception(), "sqlite_errorcode", None) for future in futures}
    assert codes == {sqlite3.SQLITE_FULL}
    assert rig.words() == ["kept"]
    rig.connection.execute(f"PRAGMA max_page_count={pages + 1000}")
    assert rig.commits.run(say("x" * 100_000), Durability.CRASH) == 1


def test_a_work_that_ends_the_transaction_itself_is_found_out(rig: Rig) -> None:
    futures = rig.together(say("a"), lambda connection: connection.execute("COMMIT"), say("c"))
    assert [type(future.exception()) for future in futures] == [RuntimeError] * 3


def test_a_write_inside_a_write_is_refused_and_not_waited_for(rig: Rig) -> None:
    with pytest.raises(RuntimeError, match="inside a write"):
        rig.commits.run(lambda _: rig.commits.run(say("a"), Durability.CRASH), Durability.CRASH)
    assert rig.commits.run(say("b"), Durability.CRASH) == 1


def test_a_thread_that_is_ended_in_its_work_takes_no_other_with_it(rig: Rig) -> None:
    def end(_: sqlite3.Connection) -> None:
        raise SystemExit

    first, second, third = rig.together(end, say("a"), say("b"))
    assert isinstance(first.exception(), SystemExit)
    for other in (second, third):
        assert isinstance(other.exception(), RuntimeError)
    assert rig.words() == []
    assert rig.commits.run(say("c"), Durability.CRASH) == 1


def test_more_than_a_batch_takes_turns(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "x.db", threads=LARGEST_BATCH + 12)
    try:
        words = [f"{number:04}" for number in range(LARGEST_BATCH + 10)]
        futures = rig.together(*(say(word) for word in words))
        assert [future.result() for future in futures] == [1] * len(words)
        assert rig.words() == words
        assert count(rig.statements, "BEGIN") == 2
        assert rig.commits.batches.works == 1 + len(words)
        assert rig.commits.batches.up_to()[-1] == 3
    finally:
        rig.close()


@pytest.mark.parametrize("durability", list(Durability))
def test_one_that_must_survive_a_power_cut_makes_all_its_transaction_survive(rig: Rig, durability: Durability) -> None:
    level: Work = lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]  # noqa: E731
    futures = rig.together(level, level, durability=durability)
    wanted = 2 if durability is Durability.POWER_CUT else 1
    assert [future.result() for future in futures] == [wanted, wanted]
    assert rig.commits.run(level, Durability.CRASH) == 1


def test_the_epoch_tells_of_all_but_heartbeats(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")
    try:
        db.write(lambda _: None, Durability.CRASH)  # notices that it is the first
        before = db._commits.epoch
        db.write(lambda _: None, Durability.CRASH)
        assert db._commits.epoch == before
        db.write(lambda _: None)
        assert db._commits.epoch > before
        before = db._commits.epoch
        other = sqlite3.connect(tmp_path / "x.db")
        with other:
            other.execute("INSERT INTO audit_log (at, who, action, subject, detail) VALUES ('', '', '', '', '')")
        other.close()
        assert db.write(lambda _: db._commits.epoch, Durability.CRASH) > before
        before = db._commits.epoch
        with pytest.raises(LookupError):
            db.write(_raise, Durability.CRASH)
        assert db._commits.epoch > before
    finally:
        db.close()


def _raise(_: sqlite3.Connection) -> None:
    raise LookupError


def test_nothing_is_written_past_write(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")
    try:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.connection().execute("DELETE FROM devices")
        tables = db.tables()  # joins the transaction although it was asked for outside
        db.write(
            lambda _: tables.table("audit_log").insert({"at": "", "who": "", "action": "", "subject": "", "detail": ""})
        )
        assert db.connection().execute("SELECT count(*) FROM audit_log").fetchone()[0] == 1
    finally:
        db.close()


@settings(max_examples=20, deadline=None)
@given(
    plans=st.lists(
        st.lists(st.tuples(st.booleans(), st.sampled_from(list(Durability))), max_size=8), min_size=1, max_size=6
    )
)
def test_whatever_comes_at_once_is_all_there_in_order_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, plans: list[list[tuple[bool, Durability]]]
) -> None:
    """Many threads, each with works that succeed or fail; each thread's own order is kept."""
    rig = Rig(tmp_path_factory.mktemp("group") / "x.db", threads=len(plans))
    start = threading.Barrier(len(plans))

    def caller(number: int) -> list[str]:
        start.wait(30)
        acknowledged = []
        for step, (good, durability) in enumerate(plans[number]):
            word = f"{number}-{step}"
            if good:
                rig.commits.run(say(word), durability)
                acknowledged.append(word)
            else:
                with pytest.raises(LookupError, match=f"^{word}$"):
                    rig.commits.run(fail(word), durability)
        return acknowledged

    try:
        results = list(rig.pool.map(caller, range(len(plans))))
        words = rig.words()
        for number, acknowledged in enumerate(results):
            assert [word for word in words if word.startswith(f"{number}-")] == acknowledged
        assert len(words) == sum(map(len, results))
    finally:
        rig.close()


def test_events_are_told_after_the_commit_in_its_order_and_only_of_what_went_well(rig: Rig) -> None:
    told: list[tuple[str, list[str]]] = []

    def tell(events: list[Event]) -> None:
        told.extend((event.kind, rig.words()) for event in events)

    def good(word: str) -> Work:
        def work(connection: sqlite3.Connection) -> None:
            note(connection, f"before {word}")
            connection.execute("INSERT INTO said VALUES (?)", (word,))
            note(connection, f"after {word}")

        return work

    rig.commits.after_commit = tell
    first, second, third = rig.together(good("a"), good("a"), good("b"))
    assert (first.exception(), third.exception()) == (None, None)
    assert isinstance(second.exception(), sqlite3.IntegrityError)
    assert told == [(kind, ["a", "b"]) for kind in ("before a", "after a", "before b", "after b")]
    del told[:]
    with pytest.raises(sqlite3.IntegrityError):
        rig.commits.run(good("a"), Durability.CRASH)
    rig.commits.run(good("c"), Durability.CRASH)
    assert [kind for kind, _ in told] == ["before c", "after c"]


def test_what_another_process_has_written_makes_watchers_look_anew(rig: Rig) -> None:
    told: list[Event] = []
    rig.commits.after_commit = told.extend
    rig.commits.run(lambda _: None, Durability.CRASH)
    assert told == []
    other = sqlite3.connect(rig.file, isolation_level=None)
    other.execute("INSERT INTO said VALUES ('theirs')")
    other.close()
    rig.commits.run(lambda _: None, Durability.CRASH)
    rig.commits.run(lambda _: None, Durability.CRASH)
    assert [event.kind for event in told] == ["reset"]
