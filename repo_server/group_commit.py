"""Write transactions shared by concurrent requests.

Who comes while nobody writes, leads: it takes all that waits, runs it in one transaction, commits, and only then lets
each go on; the first of those who came meanwhile leads next. So a lone request waits for nobody and changes no thread,
and the more come at once, the more share one commit. First come, first served.

A work that fails is rolled back alone; where it had written something, the whole transaction is rolled back and all of
it run again, each work in a savepoint of its own. What fails the transaction itself (a busy file, a full disk, a commit
that did not go through) fails all that were in it and nobody else.
"""

from __future__ import annotations

import copy
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar, cast

from repo_server.batches import Batches
from repo_server.events import RESET, Event, Writer

_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], Any]

LARGEST_BATCH = 256
"""Works in one transaction; bounds how long the first of them waits for the last."""


class Durability(StrEnum):
    """What an acknowledged write survives; the words are those of ``PRAGMA synchronous`` in WAL mode."""

    CRASH = "NORMAL"
    """The end of the process: heartbeats."""
    POWER_CUT = "FULL"
    """The end of the machine: everything else."""


class _Job:
    """One caller's work and what became of it. ``turn`` is held until the caller may go on."""

    __slots__ = ("durability", "error", "leads", "result", "turn", "work")

    def __init__(self, work: _Work, durability: Durability) -> None:
        self.work = work
        self.durability = durability
        self.result: Any = None
        self.error: BaseException | None = None
        self.leads = False
        self.turn = threading.Lock()


class _UndoOneError(Exception):
    """A work has failed after it had written: the transaction begins anew, with a savepoint for each."""


class GroupCommit:
    """Runs works on the one connection that writes; ``epoch`` changes with all that is no mere heartbeat."""

    def __init__(self, connection: Writer) -> None:
        """``connection``: in autocommit, used by nobody else, and by several threads one after the other."""
        self._connection = connection
        self._mutex = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._led = False
        self._leader: int | None = None
        self._durability: Durability | None = None
        self._data_version: int | None = None
        self._connection.noted = []
        self.after_commit: Callable[[list[Event]], None] = lambda _: None
        """Called with the events that a transaction has noted, once it is on disk; must neither wait nor fail."""
        self.epoch = 0
        self.batches = Batches()

    @property
    def waiting(self) -> int:
        """How many works wait for a batch."""
        return len(self._waiting)

    @property
    def mine(self) -> bool:
        """Whether the calling thread is at work inside a transaction."""
        return self._leader == threading.get_ident()

    def run(self, work: Callable[[sqlite3.Connection], _T], durability: Durability) -> _T:
        """Run ``work``; committed when this returns, rolled back when it raises."""
        if self.mine:
            raise RuntimeError("a write inside a write would wait for itself; join the one that runs")
        job = _Job(work, durability)
        with self._mutex:
            self._waiting.append(job)
            if self._led:
                job.turn.acquire()
            else:
                self._led = job.leads = True
        if not job.leads:
            job.turn.acquire()  # until the leader has released it
        if job.leads:
            self._lead()
        if job.error is not None:
            try:
                raise job.error
            finally:
                del job  # or error, traceback and frame would hold each other
        return cast("_T", job.result)

    def _lead(self) -> None:
        """Run one batch, the caller's job first, and hand over."""
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]
        try:
            self._transaction(batch)
        finally:
            self._leader = None
            with self._mutex:
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].turn.release()
                else:
                    self._led = False
            for job in batch[1:]:
                job.turn.release()

    def _transaction(self, batch: list[_Job]) -> None:
        durability = Durability.CRASH
        if any(job.durability is Durability.POWER_CUT for job in batch):
            durability = Durability.POWER_CUT
        self._leader = threading.get_ident()
        try:
            if durability is not self._durability:
                self._connection.execute(f"PRAGMA synchronous={durability}")
                self._durability = durability
            try:
                self._attempt(batch, savepoints=False)
            except _UndoOneError:
                self._roll_back()
                self._attempt(batch, savepoints=True)
        except BaseException as error:
            self.batches.failed += 1
            _fail_all(batch, error)
            self._roll_back()
            if not isinstance(error, Exception):
                raise
        else:
            self.batches.committed(len(batch))
            self._tell()

    def _attempt(self, batch: list[_Job], *, savepoints: bool) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._notice_others()
        for job in batch:
            job.error = None
            if job.durability is Durability.POWER_CUT:
                self.epoch += 1
            if savepoints:
                self._run_in_savepoint(job)
            else:
                self._run_bare(job, alone=len(batch) == 1)
            if not self._connection.in_transaction:
                raise RuntimeError("a work has ended the transaction, which is not its own")
            if job.durability is Durability.POWER_CUT:
                self.epoch += 1  # what was remembered while it ran may have been from before
        self._connection.execute("COMMIT")

    def _run_bare(self, job: _Job, *, alone: bool) -> None:
        """Without a savepoint, which costs as much as a small work: most who fail do so before they have written."""
        before, noted_before = self._connection.total_changes, len(self._connection.noted)
        try:
            job.result = job.work(self._connection)
        except Exception as error:
            if alone or not self._connection.in_transaction:
                raise
            if self._connection.total_changes != before:
                raise _UndoOneError from error
            del self._connection.noted[noted_before:]
            job.error = error

    def _run_in_savepoint(self, job: _Job) -> None:
        connection = self._connection
        noted_before = len(connection.noted)
        connection.execute("SAVEPOINT one")
        try:
            job.result = job.work(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO one")
            del connection.noted[noted_before:]
            job.error = error
        if connection.in_transaction:
            connection.execute("RELEASE one")

    def _notice_others(self) -> None:
        """Another process, the CLI, may have written."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            if self._data_version is not None:
                self._connection.noted.append(RESET)  # what it was is not known here
            self._data_version = version
            self.epoch += 1

    def _tell(self) -> None:
        if self._connection.noted:
            noted, self._connection.noted = self._connection.noted, []
            self.after_commit(noted)

    def _roll_back(self) -> None:
        self.epoch += 1
        # What another process has written stays written.
        self._connection.noted = [event for event in self._connection.noted if event is RESET]
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _fail_all(batch: list[_Job], error: BaseException) -> None:
    """Give the error to each that has none of its own; each its own copy, as each is raised in another thread."""
    for number, job in enumerate(batch):
        if job.error is not None:
            continue
        if number == 0:
            job.error = error
        elif isinstance(error, Exception):
            job.error = copy.copy(error)
            job.error.__cause__ = error
        else:  # the leader's thread is ended, not theirs
            job.error = RuntimeError(f"the write was ended together with another: {type(error).__name__}")
