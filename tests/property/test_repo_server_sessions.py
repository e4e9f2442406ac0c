"""However a session is used: it ends after its rest, at its end or its key's, and never comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from repo_server.session_life import ACCURACY, Life, Times, ends_at, is_a_new_use, lasts

START = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def seconds(most: int) -> st.SearchStrategy[timedelta]:
    return st.integers(300, most).map(lambda number: timedelta(seconds=number))


lives = st.builds(Life, seconds(10_000), seconds(100_000))
waits = st.lists(st.integers(0, 12_000), max_size=40)


@given(lives, waits, st.none() | st.integers(1, 100_000))
def test_how_long_it_lasts(life: Life, waits: list[int], key_lasts: int | None) -> None:
    key_expires_at = None if key_lasts is None else START + timedelta(seconds=key_lasts)
    session, now, used, over = Times(START, START, key_expires_at), START, START, False
    for wait in waits:
        now += timedelta(seconds=wait)
        alive = lasts(session, life, now)
        # By what the person has done: to the accuracy with which uses are written down.
        if now - used >= life.idle or now >= ends_at(session, life):
            assert not alive
        elif not over and now - used < life.idle - ACCURACY:
            assert alive
        assert not (over and alive)
        over = not alive
        if over:
            continue
        used = now
        if is_a_new_use(session, now):
            session = replace(session, last_used_at=now)
    assert not lasts(session, life, START + life.most)
    assert key_expires_at is None or not lasts(session, life, key_expires_at)
