"""Every reason for waiting, really brought about and seen on the device, at the server, and in the update's events.

RECENT_ACTIVITY is in ``test_use.py`` and ``test_nights.py``, with somebody at the button.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from demo.observe import until
from tests.e2e.obstacles import OBSTACLES
from tests.e2e.stories import BACK_SECONDS, NEEDS_WHAT_NO_ONE_HAS, SEEN_SECONDS, Story, first, in_, when

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

BASE = "OUTSIDE_WINDOW"
"""It is noon: for this reason a scheduled release waits that nothing else holds back."""


@pytest.fixture
def waiting(scheduled: Story) -> str:
    """The version of a scheduled release that is downloaded and waits for the night."""
    update = scheduled.device.status()["update"]
    if update is None or update["phase"] != "downloaded":
        version = scheduled.release("scheduled")
    else:
        version = str(update["version"])
    scheduled.deferral(version, BASE)
    return version


def test_a_dependency_that_nobody_has(scheduled: Story) -> None:
    version = scheduled.release("scheduled", NEEDS_WHAT_NO_ONE_HAS)
    event = scheduled.deferred_everywhere(version, "DEPENDENCY_BLOCKED")
    assert "pi-ota-no-such-package" in event["detail"]
    assert event["retry_at"] is None
    # It can never be installed: while a later one is paused, the server would offer it again.
    scheduled.operate("POST", f"/api/v1/updates/{scheduled.server.update_id(version)}/halt")


def test_packages_that_cannot_be_fetched(scheduled: Story) -> None:
    with scheduled.held_by_operator():  # not offered before they are out of reach
        version = scheduled.release("scheduled")
        gone = scheduled.without_published("pool")
        gone.__enter__()
    try:
        event = scheduled.deferred_everywhere(version, "NOT_DOWNLOADED")
    finally:
        gone.__exit__(None, None, None)
    assert "404" in event["detail"]
    scheduled.deferred_everywhere(version, BASE)
    assert first(scheduled.server.events(version), "downloaded")


@pytest.mark.parametrize("what", OBSTACLES)
def test_an_obstacle(scheduled: Story, waiting: str, what: str) -> None:
    reason, obstacle = OBSTACLES[what]
    before = scheduled.last_sequence(waiting)
    with obstacle(scheduled, waiting):
        event = scheduled.deferred_everywhere(waiting, reason, before)
        assert event["retry_at"] is None
    scheduled.deferred_everywhere(waiting, BASE, event["sequence"])


def test_the_window_that_is_not_open(scheduled: Story, waiting: str) -> None:
    gate = scheduled.gate()
    assert gate["reason"] == BASE
    assert timedelta(hours=12) < when(gate, "retry_at") - in_(0) < timedelta(hours=16)
    assert scheduled.device.running() != waiting


def test_a_boot_without_time_and_a_grant_that_nobody_confirms(scheduled: Story, waiting: str) -> None:
    """Without the server a boot knows no time; once NTP is there, 20 minutes without the server are too many."""
    before = scheduled.last_sequence(waiting)
    with scheduled.server_gone():
        scheduled.pi.shut_down()
        scheduled.pi.boot()
        scheduled.wait_for_daemon()
        until("CLOCK_UNSYNCED", lambda: scheduled.gate()["reason"] == "CLOCK_UNSYNCED", SEEN_SECONDS, scheduled.gate)
        assert scheduled.device.status()["clock_synchronised"] is False

        scheduled.pi.set_clock(in_(20 * 60))
        scheduled.pi.guest.run(f"python3 -c '{KERNEL_CLOCK}' {SYNCHRONISED}")
        until("WITHHELD", lambda: scheduled.gate()["reason"] == "WITHHELD", SEEN_SECONDS, scheduled.gate)
        assert scheduled.device.status()["clock_synchronised"] is True

        scheduled.pi.set_clock(in_(0))
        scheduled.pi.guest.run(f"python3 -c '{KERNEL_CLOCK}' {UNSYNCHRONISED}")
        until("no time", lambda: scheduled.gate()["reason"] == "CLOCK_UNSYNCED", SEEN_SECONDS, scheduled.gate)
    # Nothing has told the device the time yet when it speaks to the server again, and it says so.
    gate = until(
        "CLOCK_UNSYNCED in the server's device",
        lambda: (d := scheduled.server.device() or {}) and d["gate"]["reason"] == "CLOCK_UNSYNCED" and d["gate"],
        BACK_SECONDS,
        scheduled.server.device,
    )
    assert gate
    event = scheduled.deferral(waiting, "CLOCK_UNSYNCED", before)
    scheduled.deferred_everywhere(waiting, BASE, event["sequence"])


SYNCHRONISED, UNSYNCHRONISED = "1", "0"
KERNEL_CLOCK = """\
import ctypes, struct, sys
synchronised = sys.argv[1] == "1"
timex = ctypes.create_string_buffer(512)
modes = 0x0004 | 0x0008 | 0x0010  # maxerror, esterror, status
error, status = (1000, 0) if synchronised else (16000000, 0x0040)
struct.pack_into("@Illlli", timex, 0, modes, 0, 0, error, error, status)
assert ctypes.CDLL(None).adjtimex(timex) >= 0
"""
"""What an NTP client does in the end: it tells the kernel that its clock is synchronised, or is not."""
