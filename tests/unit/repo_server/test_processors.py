"""The worker keeps to one processor, where that is possible and wanted."""

from __future__ import annotations

import os

import pytest

from repo_server import processors


def test_the_last_of_several_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, set[int]]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 5})
    monkeypatch.setattr(os, "sched_setaffinity", lambda *given: asked.append(given))
    assert processors.keep_to_one() == 5
    assert asked == [(0, {5})]


def test_one_alone_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: pytest.fail("there is nothing to choose"))
    assert processors.keep_to_one() is None


def test_where_it_may_not_be_chosen_the_server_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    assert processors.keep_to_one() is None
