"""Somebody uses the assistant: an urgent release waits until there was rest for long enough, at any time of day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from demo.observe import until
from tests.e2e.conftest import IDLE_REQUIRED_SECONDS
from tests.e2e.stories import SEEN_SECONDS, Story, first, when

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def test_an_urgent_release_waits_for_rest(urgent: Story) -> None:
    pressed = []

    def press() -> None:
        pressed.append(datetime.now(UTC))
        urgent.pi.press_button()
        time.sleep(2)

    press()
    version = urgent.release()

    def deferred() -> bool:
        press()
        device = urgent.server.device() or {}
        reported = [event["reason"] for event in urgent.server.events(version) if event["status"] == "deferred"]
        reasons = {urgent.gate()["reason"], (device["gate"] or {}).get("reason"), *reported[-1:]}
        return reasons == {"RECENT_ACTIVITY"} and bool(reported)

    until("RECENT_ACTIVITY everywhere", deferred, SEEN_SECONDS, lambda: urgent.server.events(version)[-3:])
    gate = urgent.gate()
    assert when(gate, "retry_at") > datetime.now(UTC)
    events = urgent.ended_well(version)
    rest = timedelta(seconds=IDLE_REQUIRED_SECONDS)
    assert when(first(events, "installing")) >= pressed[-1].replace(microsecond=0) + rest
