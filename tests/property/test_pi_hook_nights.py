"""The gate, night by night: in every zone, each local day has one window, and only in it a scheduled release installs.

The sample of ``make test`` looks at the nights around each change of a zone's clocks; ``make gate-campaign`` at every
day of twenty years. What a window should be is found out here by looking at the clock on the wall alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest

from pi_hook.policy import Decided, Decision, Rules, Situation, Urgency, decide
from pi_hook.reasons import Reason
from pi_hook.window import Window, wall_time, windows_from
from tests.support.campaign import CAMPAIGN
from tests.support.zones import BEHAVIOURS, FIRST, LAST, WITH_TRANSITIONS, ZONES, transitions

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
RULES = Rules()
DEVICE = "0195e0c8-0000-7000-8000-000000000001"
AROUND = 3


def stretches(name: str) -> list[tuple[datetime, datetime]]:
    """The stretches of time to walk through."""
    if CAMPAIGN:
        return [(FIRST, LAST)]
    return [(at - AROUND * DAY, at + AROUND * DAY) for at in transitions(name)] or [(FIRST, FIRST + AROUND * DAY)]


def local_days(zone: ZoneInfo, first: datetime, last: datetime) -> list[date]:
    """The dates that the calendar on the wall shows from one instant to another, looked at every hour."""
    days: list[date] = []
    at = first
    while at < last:
        day = wall_time(at, zone).date()
        if not days or day > days[-1]:
            days.append(day)
        at += HOUR
    return days


def asked(zone: ZoneInfo, at: datetime, device: str | None = None) -> Decision:
    """What the gate says for a scheduled release that has waited for a day, with nobody about."""
    return decide(
        Situation(at, synchronised=True, zone=zone, idle=DAY, urgency=Urgency.SCHEDULED, waiting=DAY, device_id=device),
        RULES,
    )


def nights(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[Window]:
    return takewhile(lambda night: night.opens < last, windows_from(first, zone, time(2), time(4)))


@pytest.mark.parametrize("name", BEHAVIOURS if CAMPAIGN else WITH_TRANSITIONS)
def test_every_local_day_has_one_window_and_only_in_it_a_scheduled_release_installs(name: str) -> None:
    zone = ZoneInfo(name)
    for first, last in stretches(name):
        seen = []
        closed = None
        for night in nights(zone, first, last):
            seen.append(night.day)
            opening = wall_time(night.opens, zone)
            assert opening.date() == night.day
            assert opening.time() >= time(2), "not before the start"
            assert wall_time(night.opens - SECOND, zone) < datetime.combine(night.day, time(2)), "at the first instant"
            if opening.time() < time(4):
                assert time(2) <= wall_time(night.closes - SECOND, zone).time() < time(4), "never past the end"
            else:  # a gap of two hours swallowed all of it
                assert night.closes - night.opens == 2 * HOUR
            if closed is not None:
                assert closed <= night.opens, "no window is used twice"
                refused = asked(zone, closed)
                assert (refused.decision, refused.reason) == (Decided.DEFER, Reason.OUTSIDE_WINDOW)
                assert refused.retry_at == night.opens, "the very next night, none is skipped"
                assert asked(zone, night.opens - SECOND).decision is Decided.DEFER
            if night.opens >= first:
                assert asked(zone, night.opens).decision is Decided.INSTALL
                own = night.starts_for(DEVICE)
                assert night.opens <= own < night.opens + (night.closes - night.opens) / 2
                assert asked(zone, own - SECOND, DEVICE).retry_at == own
                assert asked(zone, own, DEVICE).decision is Decided.INSTALL
            assert asked(zone, night.closes - SECOND).decision is Decided.INSTALL
            closed = night.closes
        wanted = local_days(zone, first, last)
        assert [day for day in seen if wanted[0] < day < wanted[-1]] == wanted[1:-1], "exactly one window a local day"


def test_every_name_is_one_of_the_behaviours_that_are_looked_at() -> None:
    assert sorted(name for names in BEHAVIOURS.values() for name in names) == ZONES
    assert len(ZONES) > 400
    assert len(WITH_TRANSITIONS) > 30
    assert {"Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham"} <= set(ZONES)


def test_the_behaviours_really_differ_in_the_hour_at_which_their_clocks_change() -> None:
    """Zones that change at the same instant change at different hours on the wall: each has to be looked at."""
    hours = {
        wall_time(transitions(name)[0] - SECOND, ZoneInfo(name)).hour
        for name in ("Europe/Lisbon", "Europe/Berlin", "Europe/Athens")
    }
    assert len(hours) == 3
    assert {"Europe/Lisbon", "Europe/Berlin", "Europe/Athens"} <= {
        name for names in BEHAVIOURS.values() if transitions(names[0]) for name in names
    }
