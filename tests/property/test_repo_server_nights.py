"""The server's idea of a device's night is the device's own."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from pi_hook.policy import Rules, Situation, Urgency, decide
from repo_server import nights

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
RULES = Rules(quiet=timedelta(0))


@given(
    st.sampled_from(ZONES),
    st.integers(800_000_000, 2_140_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.uuids().map(str),
)
@example("Europe/Berlin", datetime(2026, 3, 28, 23, 0, tzinfo=UTC), "a")
@example("Europe/Berlin", datetime(2026, 10, 24, 23, 0, tzinfo=UTC), "a")
@example("Pacific/Apia", datetime(2011, 12, 29, 23, 0, tzinfo=UTC), "a")
@example("Australia/Lord_Howe", datetime(2026, 10, 3, 12, 0, tzinfo=UTC), "a")
@example("America/Sao_Paulo", datetime(2018, 11, 3, 12, 0, tzinfo=UTC), "a")
def test_the_gate_would_open_just_then(name: str, now: datetime, device: str) -> None:
    zone = nights.zone(name)
    assert zone is not None
    situation = Situation(
        now, synchronised=True, zone=zone, idle=timedelta(hours=3), urgency=Urgency.SCHEDULED, device_id=device
    )
    decision = decide(situation, RULES)
    assert nights.earliest(now, zone, device) == (decision.retry_at or now)


def test_an_unknown_zone_is_none() -> None:
    assert nights.zone("Mars/Olympus") is None
    assert nights.zone("../etc/passwd") is None
    assert nights.zone("") is None
