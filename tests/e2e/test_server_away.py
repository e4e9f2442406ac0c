"""The server goes away in the middle of an update, and comes back."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from demo.observe import until
from tests.e2e.stories import SEEN_SECONDS, UPDATE_SECONDS, Story, first, when

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SECOND = timedelta(seconds=1)
"""The server keeps whole seconds."""


def test_an_update_without_its_server(urgent: Story) -> None:
    """Granted and downloaded, then the server goes: what was confirmed just now is installed, and told afterwards."""
    with ExitStack() as away:
        with urgent.busy():
            version = urgent.release()
            urgent.deferral(version, "BUSY")
            away.enter_context(urgent.server_gone())
        until("the end on the device", lambda: past(urgent, version), UPDATE_SECONDS, urgent.device.status)
        server = urgent.device.status()["server"]
        assert server["unsent"] > 0
        assert "cannot be asked" in server["problem"]
        assert urgent.device.running() == version
        returned = datetime.now(UTC)
    events = urgent.ended_well(version)
    assert when(first(events, "installing")) < returned < when(first(events, "installing"), "received_at") + SECOND
    told = [when(event, "received_at") for event in events]
    assert told == sorted(told)
    until("an empty outbox", lambda: urgent.device.status()["server"]["unsent"] == 0, SEEN_SECONDS)


def past(story: Story, version: str) -> bool:
    """Whether the device itself counts the update among those that succeeded."""
    history = story.device.status()["history"]
    return any((one["version"], one["outcome"]) == (version, "succeeded") for one in history)
